"""Files of a multipart request, written to disk as they arrive.

The framework's own parser would put them where any temporary file goes. Here they go into a
folder of the data directory that only this account may open, under random names; the folder is
gone when the request ends, however it ends. A sender's file name is only kept to be echoed.
"""

import os
import secrets
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, BinaryIO, Final

from anyio.to_thread import run_sync
from fastapi import Request
from python_multipart import MultipartParser
from python_multipart.exceptions import MultipartParseError
from python_multipart.multipart import parse_options_header

from storage.errors import StorageFullError
from webapp.services.errors import InvalidRequestError

if TYPE_CHECKING:  # it exists for type checkers only
    from python_multipart.multipart import MultipartCallbacks

MOST_FILES: Final = 2_000
LONGEST_FIELD: Final = 1_024  # bytes
LONGEST_NAME: Final = 255
FILES: Final = "files"


@dataclass(frozen=True, slots=True)
class Upload:
    """What a multipart request brought: files on disk, what they were called, plain fields."""

    paths: tuple[Path, ...]
    names: tuple[str, ...]
    fields: dict[str, str]


async def receive_upload(request: Request, folder: Path) -> Upload:
    """Write every part named `files` into `folder` and return what came.

    Raises:
        InvalidRequestError: not multipart, damaged, or beyond a limit of this module.
        StorageFullError: the disk has no room.
        ClientDisconnect: the sender went away, or the gate cut the request off.
    """
    kind, options = parse_options_header(request.headers.get("content-type"))
    if kind != b"multipart/form-data" or not options.get(b"boundary"):
        raise InvalidRequestError("An upload is sent as multipart/form-data.")
    return await _receive(request.stream(), options[b"boundary"], folder)


async def _receive(chunks: AsyncIterator[bytes], boundary: bytes, folder: Path) -> Upload:
    spool = _Spool(folder)
    try:
        parser = MultipartParser(boundary, spool.callbacks())
        async for chunk in chunks:
            await run_sync(parser.write, chunk)
        parser.finalize()
    except MultipartParseError:
        raise InvalidRequestError("The upload is damaged or was cut off.") from None
    except OSError as error:
        raise StorageFullError from error
    finally:
        spool.close()
    if not spool.ended:
        raise InvalidRequestError("The upload is damaged or was cut off.")
    return Upload(tuple(spool.paths), tuple(spool.names), spool.fields)


@dataclass(slots=True)
class _Spool:
    """Collects the parser's events; one part is open at a time."""

    folder: Path
    paths: list[Path] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)
    ended: bool = False
    _file: BinaryIO | None = None
    _field: str = ""
    _value: bytearray = field(default_factory=bytearray)
    _header: tuple[bytearray, bytearray] = field(default_factory=lambda: (bytearray(), bytearray()))
    _disposition: bytes = b""

    def callbacks(self) -> "MultipartCallbacks":
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
            "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
            "on_header_end": self._header_end,
            "on_headers_finished": self._open,
            "on_part_data": self._data,
            "on_part_end": self.close,
            "on_end": self._end,
        }

    def close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
        elif self._field:
            self.fields[self._field] = self._value.decode("utf-8", errors="replace")
        self._field = ""

    def _begin(self) -> None:
        self._disposition = b""
        self._value = bytearray()

    def _header_end(self) -> None:
        name, value = self._header
        if bytes(name).lower() == b"content-disposition":
            self._disposition = bytes(value)
        name.clear()
        value.clear()

    def _open(self) -> None:
        _, options = parse_options_header(self._disposition)
        part = options.get(b"name", b"").decode("utf-8", errors="replace")
        if b"filename" not in options:
            self._field = part
            return
        if part != FILES:
            raise InvalidRequestError("Files are sent in the field `files`.")
        if len(self.paths) >= MOST_FILES:
            raise InvalidRequestError(f"An upload holds at most {MOST_FILES:,} files.")
        path = self.folder / secrets.token_hex(16)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file = os.fdopen(descriptor, "wb")
        self.paths.append(path)
        self.names.append(_last_name(options[b"filename"]))

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._file is not None:
            self._file.write(data[start:end])
            return
        self._value.extend(data[start:end])
        if len(self._value) > LONGEST_FIELD:
            raise InvalidRequestError("A field of the upload is too long.")

    def _end(self) -> None:
        self.ended = True


def _last_name(raw: bytes) -> str:
    """Return the last part of a sent file name, printable and of bounded length."""
    name = PurePosixPath(raw.decode("utf-8", errors="replace").replace("\\", "/")).name
    return "".join(letter for letter in name if letter.isprintable())[:LONGEST_NAME] or "file"
