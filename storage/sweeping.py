"""Remove stored objects that no row names: what a process that was killed left behind.

Originals that a mask replaced, and those of a refused study, are removed after their transaction;
a process killed between the two leaves them, encrypted and with nobody who knows of them.

An object is older than its row, so a young one may still get its row. Putting the same bytes again
makes an object young again, under the lock that is held here while nobody puts anything.
"""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from storage.blobs import BlobStore
from storage.engine import Store
from storage.errors import TooMuchUnnamedError
from storage.keys import alone
from storage.snapshot import named_objects

ALWAYS_SWEPT: Final = 50  # objects; a killed process leaves few
SWEPT_SHARE: Final = 0.1  # of all objects; more than that tells of a database that is not theirs
UNDER_WAY: Final = timedelta(hours=1)  # no upload and no export takes that long


def sweep(store: Store, blobs: BlobStore, at: datetime) -> int:
    """Remove what nobody needs and return how many files that were.

    Nothing is removed while something is being stored; the next sweep finds it again.

    Args:
        store: Whose rows name objects.
        blobs: The objects.
        at: Now.

    Raises:
        TooMuchUnnamedError: so many have no row that the database may be older than they are.
        StorageError: the database cannot be read.
        OSError: a file cannot be removed.
    """
    before = (at - UNDER_WAY).timestamp()
    if not _unnamed(store, blobs, before):
        return 0
    try:
        with alone(blobs.root, wait=False):
            unnamed = _unnamed(store, blobs, before)  # a row or a younger object came meanwhile
            everything = sum(1 for _ in blobs.root.glob("??/??/*"))
            if len(unnamed) > max(ALWAYS_SWEPT, SWEPT_SHARE * everything):
                raise TooMuchUnnamedError(len(unnamed), everything)
            for path in unnamed:
                path.unlink(missing_ok=True)
    except BlockingIOError:
        return 0
    return len(unnamed)


def _unnamed(store: Store, blobs: BlobStore, before: float) -> list[Path]:
    old = list(_older(blobs.root, before))
    if not old:
        return []
    with store.read() as session:
        named = named_objects(session)
    return [path for path in old if path.name not in named]


def _older(root: Path, before: float) -> Iterator[Path]:
    """Yield objects, and files half written, that were put before a moment."""
    for path in root.glob("??/??/*"):
        try:
            if path.stat().st_mtime < before:
                yield path
        except FileNotFoundError:  # removed meanwhile
            continue
