"""A backup: a folder with every object, encrypted as it is stored, and a manifest.

The database's snapshot and the audit heads are objects of it too, so that nothing in it can be
read without the key file. Objects are copied after the snapshot: each one it names is there.
The manifest is written last, with a MAC, so a folder without it is no backup.
"""

import hashlib
import hmac
import json
import os
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from sqlmodel import Session

from storage.audit_check import check_chain
from storage.audit_heads import Heads
from storage.blobs import BlobStore, full_disk_is_refused
from storage.durable import FileSystem, make_private, sync_path
from storage.engine import Store
from storage.errors import BackupError
from storage.keys import Keys
from storage.rotation import keys_held
from storage.snapshot import SQLITE, kind_of, named_objects, opened, snapshot

FORMAT: Final = 1
MANIFEST: Final = "manifest.json"
OBJECTS: Final = "blobs"
KEY_FILE: Final = "keys.json"
TRIES: Final = 3  # a person may refuse a study between the snapshot and the copy
TELL_EVERY: Final = 100

Progress = Callable[[int, int], None]  # objects done, of how many


@dataclass(frozen=True, slots=True)
class Source:
    """An installation, open."""

    store: Store
    url: str
    blobs: BlobStore
    key_file: Path
    heads: Heads


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a backup says of itself."""

    made_at: str
    app_version: str
    database: str  # sqlite or postgresql
    snapshot: str  # address of the object that is the database
    heads: str  # likewise of the audit heads; empty where there were none
    events: int  # of the audit trail that fit
    head: str  # hash of the last of them
    broken_at: int | None  # the first event that does not fit
    kek_ids: tuple[str, ...]
    objects: Mapping[str, str]  # SHA-256 of each object's file by its address
    missing: tuple[str, ...]  # named by the database and not there
    damaged: tuple[str, ...]  # copied as they are
    format: int = FORMAT

    def fields(self) -> dict[str, Any]:
        """Return it as JSON's own types."""
        names = self.__dataclass_fields__
        return json.loads(json.dumps({name: getattr(self, name) for name in names}))  # type: ignore[no-any-return] # JSON


def make(
    source: Source,
    out: Path,
    work: Path,
    *,
    with_keys: bool,
    at: datetime,
    app_version: str,
    progress: Progress,
) -> Manifest:
    """Write a backup into the folder `out`, which is absent or empty.

    Args:
        source: What is backed up; it may be in use.
        out: The folder.
        work: A private folder on this machine for the database on its way.
        with_keys: Whether the key file goes into the folder too.
        at: Now.
        app_version: The release.
        progress: Told while objects are copied.

    Raises:
        BackupError: `out` holds something, the database is damaged, or its own program failed.
        KeysBusyError: keys are being replaced.
        StorageFullError: no room.
    """
    if out.is_dir() and any(out.iterdir()):
        raise BackupError("The folder for the backup is not empty. Name a new one.")
    with keys_held(source.key_file, shared=True), full_disk_is_refused():
        make_private(out)
        kept = BlobStore(out / OBJECTS, source.blobs.keys)
        heads = _kept_file(kept, source.heads.path)  # before the snapshot: never ahead of it
        objects: dict[str, str] = {}
        before: set[str] | None = None
        for number in range(TRIES):
            dump = work / f"snapshot-{number}"
            with snapshot(source.store, source.url, dump) as session:
                events, head, broken_at = _chain(session)
                named = named_objects(session)
            _copy_new(source.blobs, kept, named - set(objects), objects, progress)
            missing = named - set(objects)
            if not missing or missing == before:
                break
            before = missing
        for address in set(objects) - named:  # a snapshot before the last one named it
            kept.remove(address)
            del objects[address]
        address = _kept_file(kept, dump)
        for own in {address, heads} - {""}:
            objects[own] = _sha256(kept.path(own))
        damaged = tuple(sorted(each for each in objects if not kept.is_whole(each)))
        manifest = Manifest(
            made_at=at.isoformat(),
            app_version=app_version,
            database=kind_of(source.url),
            snapshot=address,
            heads=heads,
            events=events,
            head=head,
            broken_at=broken_at,
            kek_ids=tuple(kek.id.hex() for kek in kept.keys.keks.current()),
            objects=objects,
            missing=tuple(sorted(missing)),
            damaged=damaged,
        )
        _sync(out, [kept.path(each) for each in objects])
        if with_keys:
            _copy(source.key_file, out / KEY_FILE)
            sync_path(out / KEY_FILE)
        _write_manifest(out, manifest, kept.keys)
    return manifest


def read_manifest(folder: Path, keys: Keys) -> Manifest:
    """Return what a backup says of itself, once it is known to be ours and unchanged.

    Raises:
        BackupError: it is no finished backup, of another installation, changed, or made with a
            KEK that the key file no longer has.
    """
    try:
        fields = json.loads((folder / MANIFEST).read_bytes())
        mac = fields.pop("mac")
        genuine = hmac.compare_digest(_mac(fields, keys), mac)
    except FileNotFoundError:
        raise BackupError("This folder is no backup, or one that was not finished.") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise BackupError("The manifest of this backup is damaged.") from None
    if not genuine:
        raise BackupError("This backup belongs to other keys, or its manifest was changed.")
    if fields["format"] != FORMAT:
        raise BackupError("This backup is from another version of Overread.")
    lists = {name: tuple(fields[name]) for name in ("kek_ids", "missing", "damaged")}
    manifest = Manifest(**(fields | lists))
    for kek_id in manifest.kek_ids:
        if keys.keks.find(bytes.fromhex(kek_id)) is None:
            raise BackupError(
                f"This backup needs the key {kek_id}, which is not in the key file any more. "
                "Name the copy from before the rotation with --keys."
            )
    return manifest


def check(folder: Path, manifest: Manifest, keys: Keys, progress: Progress) -> None:
    """Look at every object: there, unchanged, and whole.

    Raises:
        BackupError: some are not.
    """
    blobs = BlobStore(folder / OBJECTS, keys)
    bad = 0
    for done, (address, sha256) in enumerate(manifest.objects.items(), start=1):
        whole = address in manifest.damaged or blobs.is_whole(address)
        bad += not whole or _sha256(blobs.path(address)) != sha256
        _tell(progress, done, len(manifest.objects))
    if bad:
        raise BackupError(f"Missing or changed in this backup: {bad:,} object{'s' * (bad != 1)}.")


def unpack(folder: Path, manifest: Manifest, keys: Keys, dump: Path, heads: Path) -> None:
    """Write the database and the audit heads, decrypted, to new files; check them.

    The dump of a Postgres database can only be checked once it is loaded (`check_database`).

    Raises:
        BackupError: the database is not what was backed up.
    """
    blobs = BlobStore(folder / OBJECTS, keys)
    for address, path in ((manifest.snapshot, dump), (manifest.heads, heads)):
        if address:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as file:
                blobs.copy_to(address, file)
            sync_path(path)
    if manifest.database == SQLITE:
        with opened(dump) as session:
            check_database(session, manifest, Heads(heads, keys.audit_heads))


def check_database(session: Session, manifest: Manifest, heads: Heads) -> None:
    """Hold a restored database against the manifest and the audit heads.

    Raises:
        BackupError: the trail is broken or another one, or an object is named that is not there.
    """
    found = _chain(session, {head.seq: head.hash for head in heads.read()})
    if found != (manifest.events, manifest.head, manifest.broken_at):
        raise BackupError("The audit trail of this backup is not the one that was backed up.")
    if named_objects(session) - set(manifest.objects) - set(manifest.missing):
        raise BackupError("The database of this backup names objects that are not in it.")


def copy_objects(folder: Path, manifest: Manifest, root: Path, progress: Progress) -> None:
    """Copy the objects that were stored, without those that make up the backup itself."""
    own = {manifest.snapshot, manifest.heads}
    wanted = [address for address in manifest.objects if address not in own]
    root.mkdir(mode=0o700)
    disk = FileSystem.of(root)
    for done, address in enumerate(wanted, start=1):
        _copy(folder / OBJECTS / _place(address), root / _place(address))
        _tell(progress, done, len(wanted))
    disk.sync((root / _place(address) for address in wanted), at_once=True)
    disk.close()


def _copy_new(
    blobs: BlobStore,
    kept: BlobStore,
    wanted: set[str],
    objects: dict[str, str],
    progress: Progress,
) -> None:
    """Copy what a snapshot names and no more: an original that a mask replaced may lie there."""
    for done, address in enumerate(sorted(wanted), start=1):
        with suppress(FileNotFoundError):  # its study was refused meanwhile
            objects[address] = _copy(blobs.path(address), kept.path(address))
        _tell(progress, done, len(wanted))


def _copy(source: Path, target: Path) -> str:
    """Copy a file privately and return the SHA-256 of what was copied."""
    make_private(target.parent)
    hashed = hashlib.sha256()
    with source.open("rb") as file:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as copy:
            while chunk := file.read(1 << 20):
                hashed.update(chunk)
                copy.write(chunk)
    return hashed.hexdigest()


def _kept_file(kept: BlobStore, path: Path) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as file:
        return kept.put_file(file)


def _chain(
    session: Session, heads: Mapping[int, str] = MappingProxyType({})
) -> tuple[int, str, int | None]:
    checked = check_chain(session, heads)
    return checked.events, checked.head, None if checked.broken is None else checked.broken.seq


def _sync(out: Path, paths: list[Path]) -> None:
    disk = FileSystem.of(out)
    try:
        disk.sync(paths, at_once=True)
    finally:
        disk.close()


def _write_manifest(out: Path, manifest: Manifest, keys: Keys) -> None:
    fields = manifest.fields()
    content = json.dumps(fields | {"mac": _mac(fields, keys)}, indent=1)
    path = out / MANIFEST
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(content)
    sync_path(path)
    sync_path(out)


def _mac(fields: Mapping[str, Any], keys: Keys) -> str:
    content = json.dumps(fields, sort_keys=True, separators=(",", ":")).encode()
    return hmac.new(keys.backup, content, hashlib.sha256).hexdigest()


def _place(address: str) -> Path:
    return Path(address[:2], address[2:4], address)


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


def _tell(progress: Progress, done: int, of: int) -> None:
    if done % TELL_EVERY == 0 or done == of:
        progress(done, of)
