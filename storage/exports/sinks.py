"""Where the files of an export go: a folder, or the encrypted blob store."""

import json
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Final, Protocol

from storage.blobs import BlobStore, full_disk_is_refused
from storage.errors import ExportFolderError

MANIFEST: Final = "manifest.json"


class Sink(Protocol):
    """Takes finished files, each once."""

    def add(self, path: str, content: BinaryIO) -> None:
        """Keep all of `content` under a path such as `images/….png`."""


@dataclass(frozen=True, slots=True)
class FolderSink:
    """Writes plain files below a folder."""

    folder: Path

    def add(self, path: str, content: BinaryIO) -> None:
        """Write the file, making the folders on its way."""
        target = self.folder / PurePosixPath(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        content.seek(0)
        with target.open("wb") as file:
            shutil.copyfileobj(content, file)


@dataclass(frozen=True, slots=True)
class BlobSink:
    """Stores files as blobs; `addresses` tells them afterwards."""

    blobs: BlobStore
    addresses: dict[str, str] = field(default_factory=dict)

    def add(self, path: str, content: BinaryIO) -> None:
        """Store the file."""
        self.addresses[path] = self.blobs.put_file(content)


@contextmanager
def folder_export(out: Path, format_: str) -> Iterator[FolderSink]:
    """Yield a sink whose files appear in `out` only when all are written, the manifest last.

    Args:
        out: Absent, empty, or an earlier export of the same format, which is then replaced.
        format_: The export's format.

    Raises:
        ExportFolderError: `out` holds something else.
        StorageFullError: no room; what was in `out` is still there.
    """
    earlier = _earlier_files(out, format_)
    is_new = not out.exists()
    partial = out / f".{secrets.token_hex(4)}.partial"
    try:
        with full_disk_is_refused():
            partial.mkdir(parents=True)
            yield FolderSink(partial)
            _replace(out, partial, earlier)
    except BaseException:
        shutil.rmtree(out if is_new else partial, ignore_errors=True)
        raise


def _replace(out: Path, partial: Path, earlier: frozenset[str]) -> None:
    for name in earlier:
        (out / name).unlink()
    made = sorted(path.relative_to(partial) for path in partial.rglob("*") if path.is_file())
    for path in sorted(made, key=lambda path: path.name == MANIFEST):
        (out / path).parent.mkdir(parents=True, exist_ok=True)
        (partial / path).rename(out / path)
    shutil.rmtree(partial)


def _earlier_files(out: Path, format_: str) -> frozenset[str]:
    """Return the files of the export in `out`; refuse a folder that holds anything else."""
    if not out.exists():
        return frozenset()
    if not out.is_dir():
        raise ExportFolderError
    found = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    if not found:
        return frozenset()
    try:
        manifest = json.loads((out / MANIFEST).read_bytes())
        ours = manifest["format"] == format_ and found <= {MANIFEST, *manifest["files"]}
    except (OSError, ValueError, TypeError, KeyError):
        ours = False
    if not ours:
        raise ExportFolderError
    return frozenset(found)
