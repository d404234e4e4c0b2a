"""Files of JSON, written object by object without holding them in memory."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import SpooledTemporaryFile
from typing import Any, BinaryIO, Final, Self, cast

IN_MEMORY_BYTES: Final = 8 << 20  # of one file, before it goes to a nameless one on the disk


class Lines:
    """A file of JSON objects: one a line, or all in one list."""

    def __init__(self, folder: Path, *, as_list: bool) -> None:
        spooled = SpooledTemporaryFile(max_size=IN_MEMORY_BYTES, dir=str(folder))  # noqa: SIM115 - closed at exit
        self._file = cast("BinaryIO", spooled)
        self._as_list = as_list
        self._is_empty = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    def add(self, value: Mapping[str, Any]) -> None:
        """Write one object."""
        if self._as_list:
            self._file.write(b"[\n" if self._is_empty else b",\n")
        self._file.write(line(value).encode())
        if not self._as_list:
            self._file.write(b"\n")
        self._is_empty = False

    def finished(self) -> BinaryIO:
        """Close the list and return the file, to be read from its start."""
        if self._as_list:
            self._file.write(b"[]\n" if self._is_empty else b"\n]\n")
        return self._file


def described(content: BinaryIO) -> dict[str, Any]:
    """Return sha256 and size in bytes of a whole file."""
    content.seek(0)
    sha256, size = hashlib.sha256(), 0
    while chunk := content.read(1 << 20):
        sha256.update(chunk)
        size += len(chunk)
    return {"sha256": sha256.hexdigest(), "bytes": size}


def line(value: Mapping[str, Any]) -> str:
    """Return an object as canonical JSON on one line."""
    return json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
