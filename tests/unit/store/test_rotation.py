"""Rotation of keys: everything reads before, during and after, however often it is killed."""

import json
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from storage import rotation
from storage.blobs import BlobStore
from storage.clock import utc_now
from storage.envelope import HEADER_BYTES
from storage.errors import BlobDamagedError, KeysBusyError
from storage.keys import Keys, Ring
from storage.rotation import JOURNAL, Rotated, keys_held, rotate
from storage.seals import EnvironmentSeal

OBJECTS = [b"object %d " % number * (number + 1) for number in range(12)]
MASTER = "YSBtYXN0ZXIga2V5IGZvciB0ZXN0cywgMzIgYnl0ZXM="  # of an installation of version 1


@dataclass
class Place:
    folder: Path
    addresses: list[str]

    @property
    def key_file(self) -> Path:
        return self.folder / "keys.json"

    @property
    def blobs(self) -> BlobStore:
        return BlobStore(self.folder / "blobs", Keys.load(self.key_file))

    def ring(self) -> Ring:
        return Ring.load(self.key_file, None)

    def rotate(self, **more: Any) -> Rotated:  # noqa: ANN401 - arguments
        arguments: dict[str, Any] = {"seal": None, "progress": lambda _at, _of: None} | more
        return rotate(self.key_file, blob_root=self.folder / "blobs", at=utc_now(), **arguments)

    def contents(self) -> list[bytes]:
        return [self.blobs.get(address) for address in self.addresses]


@pytest.fixture(params=[1, 2])
def place(tmp_path: Path, request: pytest.FixtureRequest) -> Place:
    """Store objects under the keys of either version of the file."""
    made = Place(tmp_path, [])
    if request.param == 1:
        made.key_file.touch(0o600)
        made.key_file.write_text(json.dumps({"version": 1, "master": MASTER}))
    else:
        Keys.create(made.key_file)
    made.addresses = [made.blobs.put(data) for data in OBJECTS]
    return made


def test_everything_reads_afterwards_and_one_key_remains(place: Place) -> None:
    (before,) = place.ring().keks
    done = place.rotate()
    (after,) = place.ring().keks
    assert after.id != before.id
    assert after.key != before.key
    assert done == Rotated(after.id.hex(), False, len(OBJECTS), 0, (before.id.hex(),), ())
    assert place.contents() == OBJECTS


def test_what_else_comes_of_the_file_stays(place: Place) -> None:
    before, addresses = Keys.load(place.key_file), list(place.blobs.addresses())
    place.rotate()
    after = Keys.load(place.key_file)
    assert after == before  # addresses, pseudonyms, heads, sign-in, backups
    assert list(place.blobs.addresses()) == addresses
    assert place.blobs.put(OBJECTS[0]) == place.addresses[0]


def test_the_content_is_not_written_anew(place: Place) -> None:
    path = place.blobs.path(place.addresses[5])
    before = path.read_bytes()
    place.rotate()
    after = path.read_bytes()
    assert after[HEADER_BYTES:] == before[HEADER_BYTES:]
    assert after[:HEADER_BYTES] != before[:HEADER_BYTES]


def test_the_old_key_opens_nothing_any_more(place: Place) -> None:
    old = place.key_file.read_bytes()
    place.rotate()
    place.key_file.write_bytes(old)
    with pytest.raises(BlobDamagedError):
        place.blobs.get(place.addresses[0])


def test_a_process_that_has_the_keys_follows(place: Place) -> None:
    running = place.blobs
    place.rotate()
    assert [running.get(address) for address in place.addresses] == OBJECTS
    new = running.put(b"written with the new key")
    assert place.blobs.get(new) == b"written with the new key"


def test_writers_and_readers_may_go_on(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rotation, "AT_ONCE", 2)
    running = place.blobs
    stop = False

    def write() -> list[str]:
        written: list[str] = []
        while not stop or not written:
            written.append(running.put(os.urandom(100)))
            assert running.get(place.addresses[len(written) % 12]) == OBJECTS[len(written) % 12]
        return written

    with ThreadPoolExecutor(2) as threads:
        writing = [threads.submit(write) for _ in range(2)]
        for _ in range(4):
            place.rotate()
        stop = True
    for address in [address for each in writing for address in each.result()]:
        assert len(place.blobs.get(address)) == 100
    assert place.contents() == OBJECTS
    assert len(place.ring().keks) == 1


def test_an_upload_that_began_under_the_old_key_is_waited_for(place: Place) -> None:
    with ThreadPoolExecutor(1) as threads:
        with place.blobs.batch() as batch:
            address = batch.put(b"begun before")
            rotating = threads.submit(place.rotate)
            while len(place.ring().keks) == 1:
                assert not rotating.done()
        assert rotating.result().rewrapped == len(OBJECTS) + 1
    assert place.blobs.get(address) == b"begun before"
    assert len(place.ring().keks) == 1


KILLED = """
import os, signal, sys
from pathlib import Path
from storage import rotation
from storage.clock import utc_now
rotation.AT_ONCE = 4
folder, at = Path(sys.argv[1]), int(sys.argv[2])
calls = 0
def counted(really):
    def call(*arguments, **more):
        global calls
        calls += 1
        if calls == at:
            os.kill(os.getpid(), signal.SIGKILL)
        return really(*arguments, **more)
    return call
for name in ("fsync", "replace", "pwrite", "unlink"):
    setattr(os, name, counted(getattr(os, name)))
rotation.rotate(folder / "keys.json", None, folder / "blobs", utc_now(), lambda at, of: None)
print(calls)
"""


def _killed_at(place: Place, at: int) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", KILLED, str(place.folder), str(at)]
    return subprocess.run(command, check=False, timeout=30, capture_output=True, text=True)  # noqa: S603 - ours


@pytest.mark.parametrize("place", [2], indirect=True)
@pytest.mark.parametrize("at", [1, 2, 3, 4, 6, 8, 9, 14, 20, 24, 26, 28])
def test_killed_anywhere_it_is_finished_by_the_next_run(place: Place, at: int) -> None:
    assert _killed_at(place, at).returncode == -signal.SIGKILL
    assert place.contents() == OBJECTS
    unfinished = len(place.ring().keks) == 2
    done = place.rotate()
    assert done.resumed == unfinished
    assert done.damaged == 0
    assert len(place.ring().keks) == 1
    assert place.contents() == OBJECTS
    assert sorted(path.name for path in place.folder.iterdir()) == ["blobs", "keys.json"]
    assert not (place.folder / "blobs" / JOURNAL).exists()


@pytest.mark.parametrize("place", [2], indirect=True)
def test_a_header_half_written_at_a_power_cut_is_mended(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    torn = place.blobs.path(place.addresses[0])
    really = os.pwrite

    def half(descriptor: int, data: bytes, offset: int) -> int:
        if Path(f"/proc/self/fd/{descriptor}").readlink() != torn:
            return really(descriptor, data, offset)
        really(descriptor, data[:40], offset)
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(os, "pwrite", half)
        with pytest.raises(KeyboardInterrupt):
            place.rotate()
    with pytest.raises(BlobDamagedError):
        place.blobs.get(place.addresses[0])
    assert place.rotate().damaged == 0
    assert place.contents() == OBJECTS


def test_the_old_key_stays_while_a_damaged_object_names_it(place: Place) -> None:
    (old,) = place.ring().keks
    path = place.blobs.path(place.addresses[3])
    whole = path.read_bytes()
    path.write_bytes(whole[: HEADER_BYTES - 1] + bytes([whole[HEADER_BYTES - 1] ^ 1]))
    done = place.rotate()
    assert (done.damaged, done.kept, done.retired) == (1, (old.id.hex(),), ())
    path.write_bytes(whole)  # from a backup
    done = place.rotate()
    assert (done.damaged, done.kept, done.retired) == (0, (), (old.id.hex(),))
    assert place.contents() == OBJECTS


def test_two_rotations_do_not_meet(place: Place) -> None:
    before = place.key_file.read_bytes()
    with keys_held(place.key_file, shared=True), pytest.raises(KeysBusyError):
        place.rotate()
    assert place.key_file.read_bytes() == before


def test_rotation_seals_and_unseals(place: Place) -> None:
    seal = EnvironmentSeal(b"a secret that is not on the disk")
    place.rotate(seal=seal)
    sealed = BlobStore(place.folder / "blobs", Keys.load(place.key_file, seal))
    assert sealed.get(place.addresses[0]) == OBJECTS[0]
    place.rotate(seal=seal, unseal=True)
    assert place.contents() == OBJECTS
