"""How long a CT series of 300 slices takes to be admitted, beside what pydicom alone needs.

    python -m tests.bench.bench_intake [SLICES]

The series is 512 x 512, uncompressed. The floor reads, decodes and rewrites it with pydicom in
one process, which is what no intake can do without; each file it writes is synced, as ours are.
The door decodes in two limited children, de-identifies, encrypts and syncs.
"""

import os
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydicom.filereader import dcmread

from storage.blobs import BlobStore
from storage.engine import Store
from storage.intake.sandbox import Sandbox
from storage.keys import Keys
from storage.tables import Person
from storage.vocabulary import Role
from tests.searchers import Searched
from tests.unit.intake.samples import ct
from webapp.services.actor import Actor
from webapp.services.checking import Checking
from webapp.services.studies import Studies

SLICES: Final = 300
SIDE: Final = 512
ALLOWED: Final = 2.5
ROUNDS: Final = 3  # the shortest counts: whatever else the machine does only adds to it


def write_series(folder: Path, slices: int) -> list[Path]:
    """Write a series of noise, whose slices all differ."""
    noise = np.random.default_rng(1)
    paths = []
    for number in range(1, slices + 1):
        pixels = noise.integers(0, 4096, (SIDE, SIDE), dtype=np.uint16)
        elements: dict[str, Any] = {
            "Rows": SIDE, "Columns": SIDE, "PixelData": pixels.tobytes(),
            "SOPInstanceUID": f"1.2.3.4.5.6.{number}", "InstanceNumber": number,
            "ImagePositionPatient": [0, 0, number],
        }  # fmt: skip
        paths.append(folder / f"{number:04d}.dcm")
        paths[-1].write_bytes(ct(**elements))
    return paths


def with_pydicom(paths: list[Path], out: Path) -> None:
    """Read, decode and rewrite every file."""
    for path in paths:
        source = dcmread(path)
        source.PixelData = source.pixel_array.tobytes()
        with (out / path.name).open("wb") as file:
            source.save_as(file)
            file.flush()
            os.fsync(file.fileno())


def processor_seconds() -> float:
    """Return what this process and the children that have ended used."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def through_the_door(paths: list[Path], folder: Path) -> float:
    """Admit every file as one study; return the seconds it took."""
    folder.mkdir()
    store = Store.open(f"sqlite:///{folder / 'overread.db'}")
    keys = Keys.derive(b"a master key for a bench, 32 bytes")
    now = datetime.now(UTC)
    (folder / "blobs").mkdir()
    fields = {"name": "bench", "role": Role.READER, "created_at": now}
    person = Person.model_validate(fields)
    with store.write() as session:
        session.add(person)
        session.flush()
        actor = Actor(person.id, "bench", Role.READER, "session")
    with Sandbox() as sandbox:
        sandbox.enforced()  # a server's nursery is long ready, as pydicom is long imported
        blobs = BlobStore(folder / "blobs", keys)
        checking = Checking(store, blobs, lambda: now, Searched())
        studies = Studies(store, blobs, keys, lambda: now, sandbox, checking)
        started = time.perf_counter()
        outcomes = [each.outcome for each in studies.receive(actor, paths, "bench", within_s=0)]
        seconds = time.perf_counter() - started
    store.close()
    if outcomes != ["checking"] * len(paths):
        raise SystemExit("the series was not admitted")
    return seconds


def main(slices: int) -> None:
    """Measure both and print them."""
    with tempfile.TemporaryDirectory(prefix="overread-bench-") as name:
        folder = Path(name)
        (source := folder / "source").mkdir()
        (plain := folder / "plain").mkdir()
        paths = write_series(source, slices)
        say(f"{slices} slices, {sum(path.stat().st_size for path in paths) / 1e6:.0f} MB")
        floors, doors, used = [], [], [0.0, 0.0]
        for number in range(ROUNDS):
            os.sync()
            started, before = time.perf_counter(), processor_seconds()
            with_pydicom(paths, plain)
            floors.append(time.perf_counter() - started)
            os.sync()
            between = processor_seconds()
            resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            doors.append(through_the_door(paths, folder / f"door {number}"))
            if number == 0:
                grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - resident
            used = [between - before, processor_seconds() - between]
        floor, seconds = min(floors), min(doors)
        say(f"pydicom alone, one process   {floor:6.2f} s  (processor {used[0]:.2f} s)")
        say(f"the study door, two children {seconds:6.2f} s  (processor {used[1]:.2f} s, with the "
            f"start) = {seconds / floor:.2f} times (at most {ALLOWED})")  # fmt: skip
        say(f"this process grew by         {grown / 1024:6.0f} MB")


def say(line: str) -> None:
    """Print a line at once."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else SLICES)
