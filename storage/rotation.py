"""Replace the key that wraps every blob's data key, while others read and write.

The order makes it safe to be killed anywhere and run again: first the key file has a new KEK
beside the old one, then headers are wrapped under it, and only when no header names the old
one, with writers held back for a moment, does it leave the file. The content of blobs is not
touched.

Headers are written in place. A journal holds the new ones meanwhile, so that one that was half
written when the power failed is mended by the next run.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from io import FileIO
from pathlib import Path
from typing import Final

from storage.blobs import BlobStore, full_disk_is_refused
from storage.durable import FileSystem, sync_path
from storage.envelope import HEADER_BYTES, Header, kek_id_of
from storage.errors import BlobDamagedError, KeysBusyError
from storage.keys import Kek, Keks, Keys, Ring, alone
from storage.seals import Seal

AT_ONCE: Final = 256  # files open at the same time, and headers in a journal
JOURNAL: Final = ".rewrap"  # in the folder of blobs

_ENTRY_BYTES: Final = 32 + HEADER_BYTES
_HASH_BYTES: Final = 32

Progress = Callable[[int, int], None]  # objects looked at, of how many


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a run did."""

    kek_id: str  # the one everything is wrapped under now
    resumed: bool  # an earlier run had been stopped
    rewrapped: int
    damaged: int  # could not be opened, so they stay as they are
    retired: tuple[str, ...]  # KEKs that left the key file
    kept: tuple[str, ...]  # KEKs that stay, because damaged objects name them


def rotate(
    key_file: Path,
    seal: Seal | None,
    blob_root: Path,
    at: datetime,
    progress: Progress,
    *,
    unseal: bool = False,
) -> Rotated:
    """Make a new KEK and wrap every object under it, or finish the run that was stopped.

    Args:
        key_file: The installation's keys.
        seal: What the file is sealed with; it may not be sealed yet.
        blob_root: Folder of the blobs.
        at: Now.
        progress: Told of every batch.
        unseal: Leave the file without a seal.

    Raises:
        KeysBusyError: another rotation or a backup runs.
        KeyFileError: the keys cannot be read or written.
        StorageFullError: no room; run it again.
    """
    with keys_held(key_file), full_disk_is_refused():
        for left in key_file.parent.glob(f".{key_file.name}.*"):  # of a run that was killed
            left.unlink()
        ring = Ring.load(key_file, seal, or_unsealed=True)
        resumed = len(ring.keks) > 1
        if not resumed:
            ring = ring.with_new(at)
        seal = None if unseal else seal
        ring.save(key_file, seal)  # sealed from now on, if that is new
        blobs = BlobStore(blob_root, Keys.derive(ring.master, Keks(ring.keks)))
        blob_root.mkdir(mode=0o700, exist_ok=True)
        mend(blobs)
        rewrapped = _rewrap(blobs, progress)
        with alone(blob_root):  # writers that began with the old KEK have ended, others wait
            rewrapped += _rewrap(blobs, lambda _done, _of: None)
            named = _named(blobs)
            needed = tuple(kek for kek in ring.keks[:-1] if named[kek.id])
            if not needed:
                ring = ring.with_only_newest()
                ring.save(key_file, seal)
    active = ring.keks[-1]
    ids = tuple(kek.id.hex() for kek in blobs.keys.keks.current()[:-1])
    return Rotated(
        kek_id=active.id.hex(),
        resumed=resumed,
        rewrapped=rewrapped,
        damaged=named.total() - named[active.id],
        retired=() if needed else ids,
        kept=ids if needed else (),
    )


def seal_file(key_file: Path, seal: Seal) -> None:
    """Seal a key file that is not sealed yet.

    Raises:
        KeysBusyError: a rotation or a backup runs.
        KeyFileError: the file cannot be read, or the seal does not work.
    """
    with keys_held(key_file):
        Ring.load(key_file, seal, or_unsealed=True).save(key_file, seal)


@contextmanager
def keys_held(key_file: Path, *, shared: bool = False) -> Iterator[None]:
    """Keep every other rotation out; `shared` with other backups.

    Raises:
        KeysBusyError: somebody else is at it.
    """
    with ExitStack() as held:
        try:
            held.enter_context(alone(key_file.parent, shared=shared, wait=False))
        except BlockingIOError:
            raise KeysBusyError from None
        yield


def mend(blobs: BlobStore) -> None:
    """Write those headers of an unfinished journal again that do not open."""
    journal = blobs.root / JOURNAL
    for address, header in _journalled(journal):
        with suppress(FileNotFoundError), blobs.path(address).open("r+b", buffering=0) as file:
            try:
                Header.opened(_raw(file), address, blobs.keys.keks)
            except BlobDamagedError:
                os.pwrite(file.fileno(), header, 0)
                os.fsync(file.fileno())
    journal.unlink(missing_ok=True)


def count_by_kek(blobs: BlobStore) -> Counter[str]:
    """Return how many objects name each KEK, by its id in hex; nothing is opened."""
    return Counter({kek_id.hex(): count for kek_id, count in _named(blobs).items()})


def _rewrap(blobs: BlobStore, progress: Progress) -> int:
    """Wrap every object under the active KEK that is not yet, and return how many were not."""
    active = blobs.keys.keks.active()
    addresses = list(blobs.addresses())
    rewrapped = 0
    disk = FileSystem.of(blobs.root)
    try:
        for start in range(0, len(addresses), AT_ONCE):
            some = addresses[start : start + AT_ONCE]
            rewrapped += _rewrap_some(blobs, some, active, disk)
            progress(start + len(some), len(addresses))
    finally:
        disk.close()
    return rewrapped


def _rewrap_some(blobs: BlobStore, some: Sequence[str], active: Kek, disk: FileSystem) -> int:
    with ExitStack() as opened:
        changes: list[tuple[str, FileIO, bytes]] = []
        for address in some:
            with suppress(FileNotFoundError, BlobDamagedError):
                file = opened.enter_context(blobs.path(address).open("r+b", buffering=0))
                if kek_id_of(raw := _raw(file)) != active.id:
                    header = Header.opened(raw, address, blobs.keys.keks)
                    changes.append((address, file, header.sealed(active, address)))
        if not changes:
            return 0
        _write_journal(blobs.root / JOURNAL, [(address, new) for address, _, new in changes])
        for _, file, header_bytes in changes:
            os.pwrite(file.fileno(), header_bytes, 0)
        disk.sync((blobs.path(address) for address, _, _ in changes), at_once=True)
        (blobs.root / JOURNAL).unlink()
    return len(changes)


def _named(blobs: BlobStore) -> Counter[bytes]:
    named: Counter[bytes] = Counter()
    for address in blobs.addresses():
        with suppress(FileNotFoundError), blobs.path(address).open("rb", buffering=0) as file:
            named[kek_id_of(_raw(file))] += 1
    return named


def _raw(file: FileIO) -> bytes:
    return os.pread(file.fileno(), HEADER_BYTES, 0)


def _write_journal(path: Path, entries: Sequence[tuple[str, bytes]]) -> None:
    content = b"".join(bytes.fromhex(address) + header for address, header in entries)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content + hashlib.sha256(content).digest())
        file.flush()
        os.fsync(file.fileno())
    sync_path(path.parent)


def _journalled(path: Path) -> Iterator[tuple[str, bytes]]:
    """Yield a journal's entries; one that is not whole was not acted upon yet."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        return
    content, digest = raw[:-_HASH_BYTES], raw[-_HASH_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        return
    for start in range(0, len(content), _ENTRY_BYTES):
        entry = content[start : start + _ENTRY_BYTES]
        yield entry[:32].hex(), entry[32:]
