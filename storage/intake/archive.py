"""Find the files of an upload: single files, folders, and the members of zip archives.

An archive is judged by its table of contents before a byte of it is unpacked, and members are
unpacked one at a time into memory: no name inside an archive is ever used as a path.
"""

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final

from storage.intake.limits import MB, Limits
from storage.intake.refusals import RefusedFileError

_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06")
_END, _END_64, _END_64_PLACE = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07"
_END_SEARCHED: Final = 65_557  # bytes: the record and the longest comment
_CONTENTS_BYTES: Final = 16 * MB
_NEVER_A_BOMB: Final = 64 * MB  # unpacked
_LITTER: Final = frozenset([".DS_Store", "Thumbs.db", "desktop.ini"])
_NOTES: Final = (".csv", ".htm", ".html", ".json", ".log", ".md", ".txt", ".xml")
_LITTER_FOLDER: Final = "__MACOSX"
_COMPRESSIONS: Final = frozenset([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
_ENCRYPTED: Final = 0x1
_Reader = tuple[int | None, str, Callable[[], bytes]]  # number, name, what reads it


@dataclass(frozen=True, slots=True)
class Found:
    """One file of an upload, or the code for which it could not be read.

    Attributes:
        path_index: Which of the paths given it came from.
        entry: Its number within that folder or archive; None for a single file.
        data: The whole file; empty when refused.
        refused: A refusal code, or empty.
        name: Where it lies within that folder or archive; only ever told to who sent it.
    """

    path_index: int
    entry: int | None
    data: bytes = field(default=b"", repr=False)
    refused: str = ""
    name: str = field(default="", repr=False)


def find_files(paths: Sequence[Path], limits: Limits) -> Iterator[Found]:
    """Yield every file of an upload, one in memory at a time.

    A file that cannot be taken is yielded with its refusal; when the upload as a whole exceeds
    the limits, that refusal is the last thing yielded.
    """
    files = taken = 0
    for index, path in enumerate(paths):
        try:
            for entry, name, read in _readers(path, limits):
                files += 1
                if files > limits.files:
                    yield Found(index, entry, refused="too_many_files", name=name)
                    return
                try:
                    data = read()
                except RefusedFileError as refusal:
                    yield Found(index, entry, refused=refusal.code, name=name)
                    continue
                taken += len(data)
                if taken > limits.study_bytes:
                    yield Found(index, entry, refused="study_too_large", name=name)
                    return
                yield Found(index, entry, data, name=name)
        except RefusedFileError as refusal:
            yield Found(index, None, refused=refusal.code)


def _readers(path: Path, limits: Limits) -> Iterator[_Reader]:
    """Yield entry number, name and a way to read each file behind one path."""
    if path.is_dir():
        for number, inner in enumerate(_in_folder(path)):
            name = str(inner.relative_to(path))
            yield number, name, partial(_read_path, inner, limits, follow=False)
        return
    with _opened(path, follow=True) as file:
        head = file.read(4)
        file.seek(0)
        if not head.startswith(_ZIP):
            yield None, "", partial(_read, file, limits)
            return
        try:
            yield from _in_archive(file, limits)
        except (zipfile.BadZipFile, UnicodeDecodeError, struct.error, ValueError):
            raise RefusedFileError("archive_damaged") from None


def _in_folder(folder: Path) -> Iterator[Path]:
    """Yield the files below a folder in the order of their names; links are not followed."""
    for here, folders, files in os.walk(folder, followlinks=False):
        folders.sort()
        for name in sorted(files):
            if not _is_litter(name):
                yield Path(here, name)


def _read_path(path: Path, limits: Limits, *, follow: bool) -> bytes:
    """Read a whole file below a folder."""
    with _opened(path, follow=follow) as file:
        data = _read(file, limits)
    if data.startswith(_ZIP):
        raise RefusedFileError("archive_nested")
    return data


def _opened(path: Path, *, follow: bool) -> BinaryIO:
    """Open a regular file for reading; the check is made on what was opened."""
    flags = os.O_RDONLY | os.O_NONBLOCK | (0 if follow else os.O_NOFOLLOW)
    try:
        descriptor = os.open(path, flags)
    except OSError:
        link = not follow and path.is_symlink()
        raise RefusedFileError("archive_symlink" if link else "not_a_file") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise RefusedFileError("not_a_file")
    return os.fdopen(descriptor, "rb")


def _read(file: BinaryIO, limits: Limits) -> bytes:
    """Read a whole open file of bounded size."""
    size = os.fstat(file.fileno()).st_size
    if size > limits.file_bytes:
        raise RefusedFileError("too_large")
    data = file.read(size + 1)  # no more than that: a buffer as large as asked for is made first
    if len(data) > size:
        raise RefusedFileError("not_a_file")  # somebody is still writing it
    if not data:
        raise RefusedFileError("empty_file")
    return data


def _in_archive(file: BinaryIO, limits: Limits) -> Iterator[_Reader]:
    """Check an archive's table of contents, then yield its members."""
    _check_end(file, limits)
    with zipfile.ZipFile(file) as archive:
        members = [
            member
            for member in archive.infolist()
            if not member.is_dir() and not _is_litter(member.filename)
        ]
        _check_members(archive.infolist(), members, os.fstat(file.fileno()).st_size, limits)
        for number, member in enumerate(members):
            yield number, member.filename, partial(_read_member, archive, member, limits)


def _check_end(file: BinaryIO, limits: Limits) -> None:
    """Refuse by the end record, before `zipfile` makes an object of every entry."""
    size = os.fstat(file.fileno()).st_size
    file.seek(max(0, size - _END_SEARCHED))
    tail = file.read(_END_SEARCHED)
    file.seek(0)
    at = tail.rfind(_END)
    if at < 0 or len(tail) < at + 22:
        raise RefusedFileError("archive_damaged")
    entries, contents = struct.unpack_from("<HI", tail, at + 10)
    if tail[max(0, at - 20) : at].startswith(_END_64_PLACE):
        start = tail.rfind(_END_64, 0, at)
        if start < 0:
            raise RefusedFileError("archive_damaged")
        entries, contents = struct.unpack_from("<QQ", tail, start + 32)
    if entries > limits.archive_entries or contents > _CONTENTS_BYTES:
        raise RefusedFileError("archive_too_many_entries")


def _check_members(
    listed: Sequence[zipfile.ZipInfo],
    members: Sequence[zipfile.ZipInfo],
    archive_bytes: int,
    limits: Limits,
) -> None:
    """Refuse an archive whose table of contents shows that it is not what it should be."""
    if len(listed) > limits.archive_entries or len(members) > limits.files:
        raise RefusedFileError("archive_too_many_entries")
    if not members:
        raise RefusedFileError("empty_file")
    names: set[str] = set()
    for member in listed:
        _check_name(member.orig_filename)
        if stat.S_ISLNK(member.external_attr >> 16):
            raise RefusedFileError("archive_symlink")
        if member.flag_bits & _ENCRYPTED:
            raise RefusedFileError("archive_encrypted")
        if member.compress_type not in _COMPRESSIONS:
            raise RefusedFileError("archive_unsupported")
        name = str(PurePosixPath(member.filename)).casefold()
        if name in names:
            raise RefusedFileError("archive_duplicate")
        names.add(name)
    unpacked = sum(member.file_size for member in listed)
    if unpacked > max(_NEVER_A_BOMB, limits.archive_ratio * archive_bytes):
        raise RefusedFileError("archive_bomb")
    if unpacked > limits.study_bytes:
        raise RefusedFileError("study_too_large")


def _check_name(name: str) -> None:
    """Refuse names that would leave the archive's own folder on some system."""
    outside = name.startswith("/") or ".." in name.split("/") or name[1:2] == ":"
    if outside or "\\" in name or "\0" in name:
        raise RefusedFileError("archive_traversal")


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, limits: Limits) -> bytes:
    """Unpack one member into memory; zipfile never gives more than the size it declares."""
    if member.file_size > limits.file_bytes:
        raise RefusedFileError("too_large")
    try:
        data = archive.read(member)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError):
        raise RefusedFileError("archive_damaged") from None
    if data.startswith(_ZIP):
        raise RefusedFileError("archive_nested")
    if not data:
        raise RefusedFileError("empty_file")
    return data


def _is_litter(name: str) -> bool:
    """Tell whether a file is no offer: desktop systems' own, or notes that lie beside images."""
    parts = name.split("/")
    last = parts[-1]
    return (
        parts[0] == _LITTER_FOLDER
        or last in _LITTER
        or last.startswith("._")
        or last.lower().endswith(_NOTES)
    )
