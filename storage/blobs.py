"""Images and files at rest: encrypted, immutable, found by a keyed hash of their content.

The same bytes are stored once, yet the address says nothing to someone without the key. A
file is complete and on the disk before its address is handed out, so a row that names an
address always finds it.

Layout of a file: header (`storage/envelope.py`), then chunks, each with its 16-byte tag. The
data key is new for every file, so a chunk's number can be its nonce.
"""

import errno
import hmac
import io
import os
import secrets
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from storage.durable import FileSystem, make_private
from storage.envelope import HEADER_BYTES, Header
from storage.errors import BlobDamagedError, BlobMissingError, StorageFullError
from storage.keys import Kek, Keys, alone

CHUNK_BYTES: Final = 1 << 20
TAG_BYTES: Final = 16
MANY: Final = 16  # objects from which on the whole file system is synced instead of each file
NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


@dataclass(frozen=True, slots=True)
class BlobStore:
    """Objects under one folder; an address is 64 hex digits."""

    root: Path
    keys: Keys

    def put(self, data: bytes) -> str:
        """Store `data` durably and return its address; the same data give the same address.

        An object that is there already but damaged is written anew.

        Raises:
            StorageFullError: no room; nothing is left behind.
        """
        return self.put_file(io.BytesIO(data))

    def put_file(self, file: BinaryIO) -> str:
        """Store all of a seekable file, which is read twice, as `put` does.

        Raises:
            StorageFullError: no room; nothing is left behind.
        """
        with self.batch() as batch:
            return batch.put_file(file)

    @contextmanager
    def batch(self) -> Iterator["Batch"]:
        """Yield what stores many objects with few syncs; they are durable when the block ends.

        Until then none of them can be read; when the block fails, none of them stays.

        Raises:
            StorageFullError: no room.
        """
        with full_disk_is_refused():
            make_private(self.root)
        with alone(self.root, shared=True):  # against the end of a rotation of keys
            disk = FileSystem.of(self.root)
            batch = Batch(self, disk, self.keys.keks.active())
            try:
                yield batch
                batch.settle()
            finally:
                batch.discard()
                disk.close()

    def get(self, address: str) -> bytes:
        """Return a whole object.

        Raises:
            BlobMissingError: there is no such object.
            BlobDamagedError: it fails its check.
        """
        with self._open(address) as reader:
            return reader.read(0, reader.total)

    def read(self, address: str, offset: int, length: int) -> bytes:
        """Return `length` bytes from `offset`, fewer at the end; only those chunks are read.

        Raises:
            ValueError: negative offset or length.
            BlobMissingError: there is no such object.
            BlobDamagedError: a chunk that was needed fails its check.
        """
        if offset < 0 or length < 0:
            raise ValueError("offset and length must not be negative")
        with self._open(address) as reader:
            return reader.read(offset, length)

    def exists(self, address: str) -> bool:
        """Tell whether there is a file for this address; its content is not checked."""
        return _is_address(address) and self.path(address).is_file()

    def remove(self, address: str) -> None:
        """Delete an object that no row names any more; one that is gone is no error."""
        self.path(address).unlink(missing_ok=True)

    def addresses(self) -> Iterator[str]:
        """Yield the address of every object, in order."""
        for path in sorted(self.root.glob("??/??/*")):
            if not path.name.startswith("."):
                yield path.name

    def path(self, address: str) -> Path:
        """Return the file of an object, which need not be there.

        Raises:
            BlobMissingError: this is no address.
        """
        if not _is_address(address):
            raise BlobMissingError
        return self.root / address[:2] / address[2:4] / address

    def _address(self, file: BinaryIO) -> tuple[str, int]:
        hashed, total = hmac.new(self.keys.blob_address, digestmod="sha256"), 0
        for chunk in _chunks_of(file):
            hashed.update(chunk)
            total += len(chunk)
        return hashed.hexdigest(), total

    def is_whole(self, address: str) -> bool:
        """Tell whether every chunk passes its check: bound to the address, so it is that data."""
        try:
            with self._open(address) as reader:
                for offset in range(0, reader.total, reader.chunk_bytes):
                    reader.read(offset, reader.chunk_bytes)
        except BlobDamagedError:
            return False
        return True

    def copy_to(self, address: str, out: BinaryIO) -> None:
        """Write an object's content, decrypted, chunk by chunk.

        Raises:
            BlobMissingError: there is no such object.
            BlobDamagedError: a chunk fails its check; those before it were written.
        """
        with self._open(address) as reader:
            starts = range(0, reader.total, reader.chunk_bytes)
            out.writelines(reader.read(start, reader.chunk_bytes) for start in starts)

    def _sealed(self, kek: Kek, address: str, total: int, file: BinaryIO) -> Iterator[bytes]:
        header = Header.fresh(kek, CHUNK_BYTES, total)
        yield header.sealed(kek, address)
        cipher = AESGCM(header.data_key)
        for number, chunk in enumerate(_chunks_of(file)):
            yield cipher.encrypt(_nonce(number), chunk, _bound(address, number, total))

    @contextmanager
    def _open(self, address: str) -> Iterator["_Reader"]:
        try:
            file = self.path(address).open("rb")
        except FileNotFoundError:
            raise BlobMissingError from None
        with file:
            try:
                yield _Reader.of(file, address, self.keys)
            except InvalidTag:
                raise BlobDamagedError from None


class Batch:
    """Objects on their way into a `BlobStore`: written, but not yet under their addresses.

    Several threads may put at once; the batch ends when all of them have.
    """

    def __init__(self, store: BlobStore, disk: FileSystem, kek: Kek) -> None:
        """Begin with nothing."""
        self._store, self._disk, self._kek = store, disk, kek
        self._written: dict[str, Path] = {}  # temporary files by address
        self._folders: set[Path] = set()
        self._lock = threading.Lock()

    def put(self, data: bytes) -> str:
        """Write an object and return the address it will have.

        Raises:
            StorageFullError: no room.
        """
        return self.put_file(io.BytesIO(data))

    def put_file(self, file: BinaryIO) -> str:
        """Write all of a seekable file, which is read twice, as `put` does.

        Raises:
            StorageFullError: no room.
        """
        store = self._store
        address, total = store._address(file)
        path = store.path(address)
        temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}")
        with self._lock:
            self._folders |= {path.parent, path.parent.parent, store.root}
            if address in self._written:
                return address
            if store.is_whole(address):
                with suppress(FileNotFoundError):  # removed meanwhile; its row will miss it
                    os.utime(path)  # young again, so that no sweep takes it before its row is there
                return address
            self._written[address] = temporary
        with full_disk_is_refused():
            make_private(path.parent)
            descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as sealed:
                sealed.writelines(store._sealed(self._kek, address, total, file))
        return address

    def settle(self) -> None:
        """Sync what was written, then give it its addresses, then sync the folders.

        Raises:
            StorageFullError: no room.
        """
        many = len(self._written) >= MANY
        with full_disk_is_refused():
            self._disk.sync(self._written.values(), at_once=many)
            for address, temporary in self._written.items():
                temporary.replace(self._store.path(address))
            self._written.clear()
            self._disk.sync(self._folders, at_once=many)

    def discard(self) -> None:
        """Delete what has no address yet."""
        for temporary in self._written.values():
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Reader:
    file: BinaryIO
    address: str
    cipher: AESGCM
    chunk_bytes: int
    total: int

    @classmethod
    def of(cls, file: BinaryIO, address: str, keys: Keys) -> "_Reader":
        header = _header(file, address, keys)
        size = HEADER_BYTES + header.total + -(-header.total // header.chunk_bytes) * TAG_BYTES
        if os.fstat(file.fileno()).st_size != size:
            raise BlobDamagedError
        return cls(file, address, AESGCM(header.data_key), header.chunk_bytes, header.total)

    def read(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self.total)
        if offset >= end:
            return b""
        first, last = offset // self.chunk_bytes, (end - 1) // self.chunk_bytes
        plain = b"".join(self._chunk(number) for number in range(first, last + 1))
        return plain[offset - first * self.chunk_bytes : end - first * self.chunk_bytes]

    def _chunk(self, number: int) -> bytes:
        self.file.seek(HEADER_BYTES + number * (self.chunk_bytes + TAG_BYTES))
        sealed = self.file.read(self.chunk_bytes + TAG_BYTES)
        return self.cipher.decrypt(_nonce(number), sealed, _bound(self.address, number, self.total))


def _header(file: BinaryIO, address: str, keys: Keys) -> Header:
    """Read the header; while keys rotate, it may be caught half written, and is read again."""
    raw = os.pread(file.fileno(), HEADER_BYTES, 0)
    while True:
        try:
            return Header.opened(raw, address, keys.keks)
        except BlobDamagedError:
            before, raw = raw, os.pread(file.fileno(), HEADER_BYTES, 0)
            if raw == before:
                raise


def _is_address(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")


def _chunks_of(file: BinaryIO) -> Iterator[bytes]:
    file.seek(0)
    while chunk := file.read(CHUNK_BYTES):
        yield chunk


def _nonce(number: int) -> bytes:
    return number.to_bytes(12, "big")


def _bound(address: str, number: int, total: int) -> bytes:
    return bytes.fromhex(address) + struct.pack(">QQ", number, total)


@contextmanager
def full_disk_is_refused() -> Iterator[None]:
    """Turn the operating system's "no space left" into our refusal.

    Raises:
        StorageFullError: it was said.
    """
    try:
        yield
    except OSError as error:
        if error.errno in NO_ROOM:
            raise StorageFullError from error
        raise
