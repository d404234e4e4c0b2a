"""Make what was written durable: file by file, or a whole file system in one call on Linux."""

import ctypes
import os
import platform
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, Self

_REPORTS_ERRORS: Final = (5, 8)  # the first Linux whose syncfs tells of a failed write


def sync_path(path: Path) -> None:
    """Return once a file's content, or a folder's entries, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def make_private(folder: Path) -> None:
    """Make a folder and those above it that are missing, each with mode 0700.

    `mkdir(parents=True)` would give its mode to the last one only.
    """
    if not folder.is_dir():
        make_private(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)


class FileSystem:
    """The file system below a folder, opened before it is written to.

    syncfs(2) reports what failed since its descriptor was opened, so this is opened first.
    """

    def __init__(self, folder: Path, syncfs: Callable[[int], int] | None) -> None:
        """Open the folder; without `syncfs`, paths are synced one by one."""
        self._syncfs = syncfs
        self._descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)

    @classmethod
    def of(cls, folder: Path) -> Self:
        """Open the file system that a folder is on."""
        return cls(folder, _syncfs())

    def sync(self, paths: Iterable[Path], *, at_once: bool) -> None:
        """Return once these files and folders are on the disk.

        Args:
            paths: All of them below the folder.
            at_once: Write out everything that waits on this file system instead, where that
                is offered: the better way for many.

        Raises:
            OSError: something could not be written.
        """
        if not at_once or self._syncfs is None:
            for path in paths:
                sync_path(path)
        elif self._syncfs(self._descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def close(self) -> None:
        """Close the folder."""
        os.close(self._descriptor)


def _syncfs() -> Callable[[int], int] | None:
    """Return the C library's syncfs where it exists and reports errors."""
    if sys.platform != "linux" or _release(platform.release()) < _REPORTS_ERRORS:
        return None
    found: Callable[[int], int] | None = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    return found


def _release(text: str) -> tuple[int, ...]:
    """Return the first two numbers of a kernel release such as `6.1.0-18-amd64`."""
    numbers = text.split("-")[0].split(".")[:2]
    return tuple(int(number) for number in numbers if number.isdecimal())
