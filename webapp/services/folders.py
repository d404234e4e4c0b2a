"""Private folders for files that have not passed the study door yet.

They lie inside the data folder, are open to this account only and are gone when the block ends.
What a killed process left behind still names people: whoever comes next removes it. A lock that
dies with its process tells what is left behind from what is in use.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def private_folder(data_dir: Path) -> Iterator[Path]:
    """Yield a folder below `data_dir` that is removed with everything in it."""
    root = data_dir / "tmp"
    root.mkdir(mode=0o700, exist_ok=True)
    with _locked(root, wait=True):
        _sweep(root)
        folder = Path(tempfile.mkdtemp(dir=root))
        lock = _take(folder, wait=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _sweep(root: Path) -> None:
    """Remove folders that no living process holds."""
    for folder in root.iterdir():
        if not folder.is_dir():
            continue
        with _locked(folder, wait=False) as held:
            if held:
                shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a folder's lock, if it can be had."""
    lock = _take(folder, wait=wait)
    try:
        yield lock is not None
    finally:
        if lock is not None:
            os.close(lock)


def _take(folder: Path, *, wait: bool) -> int | None:
    """Return the descriptor that holds a folder until it is closed; None where another has it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:  # removed meanwhile
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
