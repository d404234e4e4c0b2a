"""The keys of one installation, all derived from one master key in a file.

Losing the file loses every stored image; whoever has it can read them. So it is written
once, never replaced, and refused while other accounts of the machine may read it.
"""

import base64
import binascii
import json
import os
import secrets
import stat
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from storage.errors import KeyFileError

VERSION: Final = 1
MASTER_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Keys:
    """One key of 32 bytes for each purpose; `kek_id` (8 bytes) may be written in the open."""

    blob_kek: bytes = field(repr=False)
    blob_address: bytes = field(repr=False)
    pseudonym: bytes = field(repr=False)
    audit_heads: bytes = field(repr=False)
    sign_in: bytes = field(repr=False)
    kek_id: bytes

    @classmethod
    def derive(cls, master: bytes) -> Self:
        """Derive every key from the master key (HKDF-SHA256, one label for each purpose)."""
        return cls(
            blob_kek=_purpose(master, b"overread/1/blob-kek", 32),
            blob_address=_purpose(master, b"overread/1/blob-address", 32),
            pseudonym=_purpose(master, b"overread/1/pseudonym", 32),
            audit_heads=_purpose(master, b"overread/1/audit-heads", 32),
            sign_in=_purpose(master, b"overread/1/sign-in", 32),
            kek_id=_purpose(master, b"overread/1/blob-kek-id", 8),
        )

    @classmethod
    def create(cls, path: Path) -> Self:
        """Make a new master key and write it to `path` with mode 0600, whole or not at all.

        Raises:
            KeyFileError: the file exists.
        """
        master = secrets.token_bytes(MASTER_BYTES)
        content = {"version": VERSION, "master": base64.b64encode(master).decode()}
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        try:
            _write_durably(temporary, json.dumps(content).encode())
            os.link(temporary, path)  # unlike a rename, a link never replaces what is there
            _sync_folder(path.parent)
        except FileExistsError:
            raise KeyFileError("There is a key file already; it is never replaced.") from None
        finally:
            temporary.unlink(missing_ok=True)
        return cls.derive(master)

    @classmethod
    def load(cls, path: Path) -> Self:
        """Read the keys from `path`.

        Raises:
            KeyFileError: missing, not a key file, or readable by other accounts.
        """
        try:
            with path.open("rb") as file:
                mode = os.fstat(file.fileno()).st_mode
                content = file.read()
        except OSError:
            raise KeyFileError("The key file is missing or cannot be read.") from None
        if stat.S_IMODE(mode) & 0o077:
            raise KeyFileError("Other accounts may read the key file; set its mode to 0600.")
        return cls.derive(_master(content))


def _master(content: bytes) -> bytes:
    try:
        fields = json.loads(content)
        master = base64.b64decode(fields["master"], validate=True)
        version = fields["version"]
    except (ValueError, KeyError, TypeError, binascii.Error):
        raise KeyFileError("The key file is damaged.") from None
    if version != VERSION or len(master) != MASTER_BYTES:
        raise KeyFileError("The key file is damaged or from another version.")
    return master


def _purpose(master: bytes, label: bytes, length: int) -> bytes:
    return HKDF(algorithm=SHA256(), length=length, salt=None, info=label).derive(master)


def _write_durably(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
