"""Put a backup into the place of an installation: checked as a whole first, then moved in.

Everything is unpacked beside its place, so whatever is found wrong leaves what was there as it
was. What is replaced is moved aside, never deleted.
"""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sqlalchemy.engine import make_url

from storage.audit_heads import Heads
from storage.backup import (
    Manifest,
    check,
    check_database,
    copy_objects,
    read_manifest,
    unpack,
)
from storage.blobs import full_disk_is_refused
from storage.durable import FileSystem, make_private
from storage.engine import Store
from storage.errors import BackupError
from storage.keys import Keys
from storage.seals import Seal
from storage.snapshot import SQLITE, is_in_use, kind_of, load_postgres

PASSING: Final = "tmp"  # folder of files on their way

Progress = Callable[[str, int, int], None]  # what is done, objects, of how many


@dataclass(frozen=True, slots=True)
class Target:
    """Where an installation goes."""

    data_dir: Path
    url: str
    key_file: Path
    blob_dir: Path
    heads_file: Path

    @property
    def database_file(self) -> Path | None:
        """The database, where it is a file."""
        parsed = make_url(self.url)
        return Path(parsed.database or "") if kind_of(self.url) == SQLITE else None

    def there(self) -> Iterator[Path]:
        """Yield everything but the keys that this would take the place of."""
        if self.data_dir.is_dir():
            for path in sorted(self.data_dir.iterdir()):
                if path not in {self.key_file, self.data_dir / PASSING}:
                    yield path
        file = self.database_file
        if file is not None and file.parent != self.data_dir and file.exists():
            yield file


def verify(folder: Path, keys: Keys, work: Path, progress: Progress) -> Manifest:
    """Check a backup without restoring it; of a Postgres dump, that it is the one made.

    Raises:
        BackupError: it is not whole.
    """
    manifest = read_manifest(folder, keys)
    check(folder, manifest, keys, lambda done, of: progress("checked", done, of))
    unpack(folder, manifest, keys, work / "database", work / "heads")
    return manifest


def restore(
    folder: Path,
    target: Target,
    key_file: Path,
    seal: Seal | None,
    *,
    replace: bool,
    stamp: str,
    progress: Progress,
) -> Manifest:
    """Check a backup and put it in place.

    Args:
        folder: The backup.
        target: A place that holds nothing but perhaps the key file.
        key_file: The keys to open it with; they become the installation's.
        seal: What that file is sealed with.
        replace: Move what the place holds aside, into a folder of it.
        stamp: Names that folder.
        progress: Told while objects are checked and copied.

    Raises:
        BackupError: the backup is not whole, or the place holds something.
        KeyFileError: the keys cannot be read.
        StorageFullError: no room; nothing was changed.
    """
    keys = Keys.load(key_file, seal)
    manifest = read_manifest(folder, keys)
    _refuse_unfit(target, manifest, key_file, replace=replace)
    check(folder, manifest, keys, lambda done, of: progress("checked", done, of))
    stage = target.data_dir / f".restoring-{stamp}"
    try:
        with full_disk_is_refused():
            make_private(target.data_dir)
            target.data_dir.chmod(0o700)
            stage.mkdir(mode=0o700)
            _stage(folder, manifest, keys, stage, target, progress)
            content = key_file.read_bytes()
            (stage / "keys").touch(mode=0o600)
            (stage / "keys").write_bytes(content)
            _move_in(target, stage, stamp)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
    return manifest


def _refuse_unfit(target: Target, manifest: Manifest, key_file: Path, *, replace: bool) -> None:
    if kind_of(target.url) != manifest.database:
        raise BackupError(
            f"This backup is of a database of the kind {manifest.database}; "
            "OVERREAD_DATABASE_URL names another kind."
        )
    others = list(target.there())
    if target.key_file.exists() and target.key_file.read_bytes() != key_file.read_bytes():
        others.append(target.key_file)
    if others and not replace:
        raise BackupError(
            f"{target.data_dir} is not empty. Name another folder with OVERREAD_DATA_DIR, or move "
            "what is there aside with --replace."
        )
    if target.database_file is not None and is_in_use(target.database_file):
        raise BackupError("The database is in use. Stop Overread first.")


def _stage(
    folder: Path, manifest: Manifest, keys: Keys, stage: Path, target: Target, progress: Progress
) -> None:
    unpack(folder, manifest, keys, stage / "database", stage / "heads")
    copy_objects(folder, manifest, stage / "blobs", lambda done, of: progress("copied", done, of))
    if manifest.database != SQLITE:
        load_postgres(target.url, stage / "database")
        store = Store.open(target.url, migrate=False)
        try:
            with store.read() as session:
                check_database(session, manifest, Heads(stage / "heads", keys.audit_heads))
        finally:
            store.close()


def _move_in(target: Target, stage: Path, stamp: str) -> None:
    aside = target.data_dir / f"replaced-{stamp}"
    replaced = [path for path in target.there() if path not in {stage, aside}]
    other_keys = (
        target.key_file.exists() and target.key_file.read_bytes() != (stage / "keys").read_bytes()
    )
    if replaced or other_keys:
        aside.mkdir(mode=0o700)
        for path in replaced:
            shutil.move(path, aside / path.name)
        if target.key_file.exists():
            shutil.copy2(target.key_file, aside / target.key_file.name)
    places = {"keys": target.key_file, "blobs": target.blob_dir, "heads": target.heads_file}
    if target.database_file is not None:
        places["database"] = target.database_file
    for name, place in places.items():
        if (stage / name).exists():
            shutil.move(stage / name, place)
    disk = FileSystem.of(target.data_dir)
    try:
        there = [place for place in places.values() if place.exists()]
        disk.sync([*there, target.data_dir], at_once=True)
    finally:
        disk.close()
