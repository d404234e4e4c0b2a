"""DICOM files out of a multipart/related body (PS3.18 8.6), written to disk as they arrive.

Both directions use it: what a sender stores here, and what an archive answers. Nothing is
parsed but the parts' own headers, and of those only the content type: a file is for the study
door to open.
"""

import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from python_multipart import MultipartParser
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import parse_options_header

from storage.errors import StorageFullError
from webapp.services.errors import ServiceError

if TYPE_CHECKING:  # it exists for type checkers only
    from python_multipart.multipart import MultipartCallbacks

DICOM: Final = b"application/dicom"
_LONGEST_HEADER: Final = 1_024  # bytes of one part's header


class PartsError(ServiceError):
    """A multipart body that is damaged, holds something else or more than allowed."""

    code = "parts_refused"


@dataclass(slots=True)
class Parts:
    """Collects the files of one body; feed it with `write`, then `finish`.

    Attributes:
        folder: Where the files go, under random names.
        most_bytes: All files together.
        most_files: How many files.
        paths: The files, in the order in which they came.
        bytes_in: Of files, so far.
    """

    folder: Path
    most_bytes: int
    most_files: int
    paths: list[Path] = field(default_factory=list)
    bytes_in: int = 0
    _parser: MultipartParser | None = None
    _ended: bool = False
    _file: BinaryIO | None = None
    _header: tuple[bytearray, bytearray] = field(default_factory=lambda: (bytearray(), bytearray()))
    _kind: bytes = b""

    def begin(self, content_type: str) -> None:
        """Read the body's own content type.

        Raises:
            PartsError: it is not multipart/related of DICOM files.
        """
        kind, options = parse_options_header(content_type)
        boundary = options.get(b"boundary", b"")
        if kind != b"multipart/related" or not boundary:
            raise PartsError("DICOM files are sent as multipart/related.")
        if options.get(b"type", DICOM).lower() != DICOM:
            raise PartsError("Only application/dicom is read here, not metadata with bulk data.")
        self._ended = False  # one of these takes the bodies of several series
        self._parser = MultipartParser(boundary, self._callbacks())

    def write(self, data: bytes) -> None:
        """Take the next bytes of the body.

        Raises:
            PartsError: the body is damaged, holds another kind of part, or too much.
            StorageFullError: the disk has no room.
        """
        if self._parser is None:
            raise PartsError("The body has not begun.")
        try:
            self._parser.write(data)
        except MultipartParseError:
            raise PartsError("The files are damaged on their way or were cut off.") from None
        except OSError as error:
            raise StorageFullError from error

    def finish(self) -> None:
        """Close the last file.

        Raises:
            PartsError: the body ended too early.
        """
        self.close()
        if not self._ended:
            raise PartsError("The files are damaged on their way or were cut off.")

    def close(self) -> None:
        """Close whatever is open."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin_part,
            "on_header_field": lambda data, start, end: self._note(0, data[start:end]),
            "on_header_value": lambda data, start, end: self._note(1, data[start:end]),
            "on_header_end": self._end_header,
            "on_headers_finished": self._open,
            "on_part_data": self._data,
            "on_part_end": self.close,
            "on_end": self._end,
        }

    def _begin_part(self) -> None:
        self._kind = b""

    def _note(self, which: int, data: bytes) -> None:
        self._header[which].extend(data)
        if len(self._header[which]) > _LONGEST_HEADER:
            raise PartsError("A part's header is too long.")

    def _end_header(self) -> None:
        name, value = self._header
        if bytes(name).lower() == b"content-type":
            self._kind, _ = parse_options_header(bytes(value))
        name.clear()
        value.clear()

    def _open(self) -> None:
        if self._kind != DICOM:
            raise PartsError("A part is something else than application/dicom.")
        if len(self.paths) >= self.most_files:
            raise PartsError(f"More than {self.most_files:,} files came at once.")
        path = self.folder / secrets.token_hex(16)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(descriptor, "wb")
        self.paths.append(path)

    def _data(self, data: bytes, start: int, end: int) -> None:
        self.bytes_in += end - start
        if self.bytes_in > self.most_bytes:
            raise PartsError("The files are larger together than allowed.")
        if self._file is not None:
            self._file.write(data[start:end])

    def _end(self) -> None:
        self._ended = True
