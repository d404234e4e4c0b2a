"""What the hostile files cost the machine, and another reader meanwhile.

    python -m tests.bench.bench_hostile

Every file of `tests/flow/hostile.py` is offered once, while another thread opens the worklist and
frames of a case as a reader would. The decoding children's peak is what the kernel accounts for
them once they have ended; the files are made in a process of their own, so that the growth told
is the product's.
"""

import multiprocessing
import resource
import sys
import tempfile
import threading
import time
from pathlib import Path
from statistics import quantiles
from typing import Final

from storage.cases import images_of
from storage.keys import Keys
from storage.tables import Case
from storage.vocabulary import CaseState
from tests.bench.bench_intake import say, write_series
from tests.flow.hostile import ROWS
from webapp.services.actor import Actor
from webapp.services.bundle import Services, build_services
from webapp.settings import WebSettings

CHILD_BYTES: Final = 2048 * 1024 * 1024
CHILD_SECONDS: Final = 30.0
GROWTH_MB: Final = 50.0
P95_SECONDS: Final = 1.0
COLLECTION: Final = "bench"


def write_corpus(folder: Path) -> None:
    """Write every hostile file under its number."""
    for number, row in enumerate(ROWS):
        (folder / f"{number:03d}").write_bytes(row.data())


def another_reader(services: Services, actor: Actor, ended: threading.Event) -> list[float]:
    """Open the worklist and a frame until told to stop; return the seconds each took."""
    page = services.worklist.page(actor, collection=COLLECTION)
    with services.store.write() as session:
        case = session.get_one(Case, page.items[0].id)
        case.state = CaseState.ADMITTED  # whatever is still to be looked for in its pixels
        session.add(case)
        (image,) = images_of(session, case.id)
        image_id, frames = image.id, image.frames
    seconds: list[float] = []
    while not ended.is_set():
        started = time.perf_counter()
        services.worklist.page(actor, collection=COLLECTION)
        seconds.append(time.perf_counter() - started)
        started = time.perf_counter()
        services.images.frame(actor, image_id, len(seconds) % frames)
        seconds.append(time.perf_counter() - started)
        time.sleep(0.02)
    return seconds


def main() -> None:
    """Measure and print; exit with 1 beyond a limit."""
    with tempfile.TemporaryDirectory(prefix="overread-bench-") as name:
        folder = Path(name)
        (corpus := folder / "corpus").mkdir()
        (good := folder / "good").mkdir()
        making = multiprocessing.get_context("spawn").Process(target=write_corpus, args=(corpus,))
        making.start()
        making.join()
        paths = sorted(corpus.iterdir())
        series = write_series(good, 8)
        settings = WebSettings.from_environment({"OVERREAD_DATA_DIR": str(folder / "data")})
        settings.blob_dir.mkdir(parents=True, mode=0o700)
        Keys.create(settings.key_file)
        services = build_services(settings)
        services.accounts.first_account("admin", "a password for a bench")
        operator = services.accounts.operator()
        list(services.studies.receive(operator, series, COLLECTION))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        ended = threading.Event()
        waits: list[float] = []
        reader = threading.Thread(
            target=lambda: waits.extend(another_reader(services, operator, ended))
        )
        reader.start()
        longest, slowest = 0.0, ""
        for path in paths:
            started = time.perf_counter()
            list(services.studies.receive(operator, [path], "hostile"))
            seconds = time.perf_counter() - started
            if seconds > longest:
                longest, slowest = seconds, ROWS[int(path.name)].id
        ended.set()
        reader.join()
        grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        services.close()
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    p95 = quantiles(waits, n=20)[-1]
    say(f"{len(paths)} hostile files, one after the other")
    say(f"longest                      {longest:6.2f} s  (at most {CHILD_SECONDS:.0f}; {slowest})")
    say(f"largest decoding child       {peak:6.0f} MB (at most {CHILD_BYTES / 1048576:.0f})")
    say(f"this process grew by         {grown:6.0f} MB (at most {GROWTH_MB:.0f})")
    say(f"another reader waited, p95   {p95 * 1000:6.1f} ms (at most {P95_SECONDS * 1000:.0f}, "
        f"{len(waits)} requests)")  # fmt: skip
    within = longest <= CHILD_SECONDS and grown <= GROWTH_MB and p95 <= P95_SECONDS
    sys.exit(0 if within and peak * 1048576 <= CHILD_BYTES else 1)


if __name__ == "__main__":
    main()
