"""A finished export as one zip, made while it is sent.

Entries are stored as they are, in order and under one date, so that an export always gives the
same bytes; one file at a time is in memory.
"""

from collections.abc import Callable, Iterator, Mapping
from io import RawIOBase
from typing import TYPE_CHECKING, Final
from zipfile import ZIP_STORED, ZipFile, ZipInfo

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

NAME: Final = "export.zip"
_DATE: Final = (1980, 1, 1, 0, 0, 0)  # the earliest a zip can say
_FILE_MODE: Final = 0o100644 << 16


def zipped(files: Mapping[str, str], content_of: Callable[[str], bytes]) -> Iterator[bytes]:
    """Yield the bytes of a zip of an export's files.

    Args:
        files: Path inside the export to the address of its content.
        content_of: Fetches the content of an address.
    """
    written = _Written()
    with ZipFile(written, "w", ZIP_STORED) as archive:
        for path, address in sorted(files.items()):
            entry = ZipInfo(path, _DATE)
            entry.external_attr = _FILE_MODE
            archive.writestr(entry, content_of(address))
            yield written.taken()
    yield written.taken()


class _Written(RawIOBase):
    """Takes what the zip writes until it is sent; cannot seek, so the zip never goes back."""

    def __init__(self) -> None:
        self._pieces = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: "ReadableBuffer", /) -> int:
        piece = bytes(data)
        self._pieces += piece
        return len(piece)

    def taken(self) -> bytes:
        """Return what was written since, and forget it."""
        piece, self._pieces = bytes(self._pieces), bytearray()
        return piece
