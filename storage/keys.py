"""The keys of one installation, kept in one file.

A master key gives, by derivation, what must never change: the addresses of blobs, pseudonyms,
the MAC of the audit heads. The key-encryption keys of blobs (KEKs) are random and replaceable:
the last one wraps what is written, the ones before it are kept until nothing needs them.

Losing the file loses every stored image; whoever has it can read them. So it is refused while
other accounts of the machine may read it, and it can be sealed (`storage/seals.py`).
"""

import base64
import binascii
import fcntl
import json
import os
import secrets
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Self

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from storage.clock import utc_now
from storage.durable import sync_path
from storage.errors import KeyFileError
from storage.seals import Seal

VERSION: Final = 2
MASTER_BYTES: Final = 32
KEK_ID_BYTES: Final = 8
UNSEALED: Final = "none"


@dataclass(frozen=True, slots=True)
class Kek:
    """A key that wraps the data keys of blobs; its id (8 bytes) may be written in the open."""

    id: bytes
    key: bytes = field(repr=False)
    made_at: datetime | None  # not known of an installation's first one, before version 2

    @classmethod
    def random(cls, at: datetime) -> Self:
        """Make a new one."""
        return cls(secrets.token_bytes(KEK_ID_BYTES), secrets.token_bytes(32), at)


class Keks:
    """The KEKs, as other processes have them: what the file says is followed as it changes."""

    def __init__(
        self,
        keks: tuple[Kek, ...],
        changed: Callable[[], tuple[Kek, ...] | None] = lambda: None,
    ) -> None:
        """Begin with some, oldest first; `changed` returns others once there are any."""
        self._keks = keks
        self._changed = changed

    def active(self) -> Kek:
        """Return the one to write with."""
        return self.current()[-1]

    def find(self, kek_id: bytes) -> Kek | None:
        """Return the one of an id; none if nobody has it."""
        known = {kek.id: kek for kek in self._keks}  # these may have left the file
        if kek_id not in known:
            known = {kek.id: kek for kek in self.current()}
        return known.get(kek_id)

    def current(self) -> tuple[Kek, ...]:
        """Return all of them, oldest first, as the file has them now."""
        if (keks := self._changed()) is not None:
            self._keks = keks
        return self._keks


@dataclass(frozen=True, slots=True)
class Keys:
    """One key of 32 bytes for each purpose, and the KEKs."""

    blob_address: bytes = field(repr=False)
    pseudonym: bytes = field(repr=False)
    audit_heads: bytes = field(repr=False)
    sign_in: bytes = field(repr=False)
    backup: bytes = field(repr=False)
    keks: Keks = field(repr=False, compare=False)

    @classmethod
    def derive(cls, master: bytes, keks: Keks | None = None) -> Self:
        """Derive every key from the master key (HKDF-SHA256, one label for each purpose).

        Without `keks`, the KEK is derived too, as it was before they could be replaced.
        """
        return cls(
            blob_address=_purpose(master, b"overread/1/blob-address", 32),
            pseudonym=_purpose(master, b"overread/1/pseudonym", 32),
            audit_heads=_purpose(master, b"overread/1/audit-heads", 32),
            sign_in=_purpose(master, b"overread/1/sign-in", 32),
            backup=_purpose(master, b"overread/1/backup", 32),
            keks=keks or Keks((_first_kek(master),)),
        )

    @classmethod
    def create(cls, path: Path, seal: Seal | None = None) -> Self:
        """Make new keys and write them to `path` with mode 0600, whole or not at all.

        Raises:
            KeyFileError: the file exists, or the seal does not work.
        """
        ring = Ring(secrets.token_bytes(MASTER_BYTES), (Kek.random(utc_now()),))
        with _beside(path, ring.text(seal)) as temporary:
            try:
                os.link(temporary, path)  # unlike a rename, a link never replaces what is there
            except FileExistsError:
                raise KeyFileError("There is a key file already; it is left as it is.") from None
        return cls.load(path, seal)

    @classmethod
    def load(cls, path: Path, seal: Seal | None = None) -> Self:
        """Read the keys from `path`; their KEKs follow the file from now on.

        Raises:
            KeyFileError: missing, not a key file, readable by other accounts, or not sealed the
                way it should be.
        """
        follower = _Follower(path, seal)
        ring = follower.read()
        return cls.derive(ring.master, Keks(ring.keks, follower.changed))


@dataclass(frozen=True, slots=True)
class Ring:
    """What the key file holds."""

    master: bytes = field(repr=False)
    keks: tuple[Kek, ...]

    @classmethod
    def load(cls, path: Path, seal: Seal | None, *, or_unsealed: bool = False) -> Self:
        """Read the file.

        Args:
            path: The file.
            seal: What it is sealed with; none for a file that is not sealed.
            or_unsealed: Take a file without a seal although there should be one.

        Raises:
            KeyFileError: as `Keys.load`.
        """
        fields = _fields(_private(path))
        try:
            return cls._of(fields, seal, or_unsealed=or_unsealed)
        except (ValueError, KeyError, TypeError, binascii.Error):
            raise KeyFileError("The key file is damaged.") from None

    @classmethod
    def _of(cls, fields: Mapping[str, Any], seal: Seal | None, *, or_unsealed: bool) -> Self:
        how = UNSEALED if fields["version"] == 1 else fields["seal"]
        if how == UNSEALED and (seal is None or or_unsealed):
            kept = fields if fields["version"] == 1 else fields["keys"]
        elif how == UNSEALED:
            raise KeyFileError(
                "The key file is not sealed though a secret for it is set. Seal it with "
                "`overread keys rotate`."
            )
        elif seal is None or seal.name != how:
            raise KeyFileError(
                f"The key file is sealed ({how}); set OVERREAD_KEY or OVERREAD_KEY_COMMAND as it "
                "was when it was sealed."
            )
        else:
            kept = json.loads(seal.open(fields))
        master = _decoded(kept["master"], MASTER_BYTES)
        if fields["version"] == 1:
            return cls(master, (_first_kek(master),))
        keks = tuple(_kek(each) for each in kept["keks"])
        if not keks:
            raise ValueError
        return cls(master, keks)

    def with_new(self, at: datetime) -> "Ring":
        """Return the same with a new KEK to write with."""
        return replace(self, keks=(*self.keks, Kek.random(at)))

    def with_only_newest(self) -> "Ring":
        """Return the same without the KEKs that nothing needs any more."""
        return replace(self, keks=self.keks[-1:])

    def save(self, path: Path, seal: Seal | None) -> None:
        """Put this into the place of the file that is there, whole or not at all."""
        with _beside(path, self.text(seal)) as temporary:
            temporary.replace(path)

    def text(self, seal: Seal | None) -> bytes:
        """Return the file's content."""
        kept = {
            "master": base64.b64encode(self.master).decode(),
            "keks": [
                {
                    "id": kek.id.hex(),
                    "key": base64.b64encode(kek.key).decode(),
                    "made_at": None if kek.made_at is None else kek.made_at.isoformat(),
                }
                for kek in self.keks
            ],
        }
        if seal is None:
            return json.dumps({"version": VERSION, "seal": UNSEALED, "keys": kept}).encode()
        sealed = seal.close(json.dumps(kept).encode())
        return json.dumps({"version": VERSION, "seal": seal.name} | sealed).encode()


class _Follower:
    """Reads the file again once it is another one."""

    def __init__(self, path: Path, seal: Seal | None) -> None:
        self._path, self._seal = path, seal
        self._seen: object = None

    def read(self) -> Ring:
        seen = self._state()  # before reading: what changes meanwhile is read again
        ring = Ring.load(self._path, self._seal)
        self._seen = seen
        return ring

    def changed(self) -> tuple[Kek, ...] | None:
        return None if self._state() == self._seen else self.read().keks

    def _state(self) -> object:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_ino, found.st_mtime_ns, found.st_size


@contextmanager
def alone(folder: Path, *, shared: bool = False, wait: bool = True) -> Iterator[None]:
    """Hold a lock on a folder, which ends with the process; `shared` with others who share.

    Raises:
        BlockingIOError: somebody else holds it, and `wait` is false.
    """
    how = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, how if wait else how | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def seal_of(path: Path) -> str:
    """Return how a key file is sealed: `none`, `environment` or `command`.

    Raises:
        KeyFileError: as `Keys.load`.
    """
    fields = _fields(_private(path))
    return UNSEALED if fields["version"] == 1 else str(fields.get("seal"))


def _private(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode
            content = file.read()
    except OSError:
        raise KeyFileError("The key file is missing or cannot be read.") from None
    if stat.S_IMODE(mode) & 0o077:
        raise KeyFileError("Other accounts may read the key file; set its mode to 0600.")
    return content


def _fields(content: bytes) -> dict[str, Any]:
    try:
        fields: dict[str, Any] = json.loads(content)
        version = fields["version"]
    except (ValueError, KeyError, TypeError):
        raise KeyFileError("The key file is damaged.") from None
    if version not in {1, VERSION}:
        raise KeyFileError("The key file is from another version of Overread.")
    return fields


def _kek(fields: Mapping[str, Any]) -> Kek:
    at = fields["made_at"]
    return Kek(
        _exactly(bytes.fromhex(fields["id"]), KEK_ID_BYTES),
        _decoded(fields["key"], 32),
        None if at is None else datetime.fromisoformat(at),
    )


def _decoded(text: str, length: int) -> bytes:
    return _exactly(base64.b64decode(text, validate=True), length)


def _exactly(value: bytes, length: int) -> bytes:
    if len(value) != length:
        raise ValueError
    return value


def _first_kek(master: bytes) -> Kek:
    return Kek(
        _purpose(master, b"overread/1/blob-kek-id", KEK_ID_BYTES),
        _purpose(master, b"overread/1/blob-kek", 32),
        None,
    )


def _purpose(master: bytes, label: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=label).derive(master)


@contextmanager
def _beside(path: Path, content: bytes) -> Iterator[Path]:
    """Yield a durable temporary file with this content; the folder is durable afterwards."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield temporary
        sync_path(path.parent)
    finally:
        temporary.unlink(missing_ok=True)
