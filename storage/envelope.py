"""The beginning of a blob: its data key, encrypted under a key-encryption key (KEK).

The data key is bound to the object's address, its length and the size of its chunks, and each
chunk to the address, its number and the length. So nothing can be swapped, moved or cut: which
chunk is the last follows from the length. Only this header is written anew when keys rotate.
"""

import secrets
import struct
from dataclasses import dataclass, field
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from storage.errors import BlobDamagedError
from storage.keys import Kek, Keks

_PREFIX: Final = struct.Struct(">4s8sIQ")  # magic and version, KEK id, chunk size, total length
_WRAPPED: Final = struct.Struct(">12s48s")  # nonce, data key encrypted under the KEK
_MAGIC: Final = b"ORB\x01"
HEADER_BYTES: Final = _PREFIX.size + _WRAPPED.size


@dataclass(frozen=True, slots=True)
class Header:
    """What a blob's header says, opened."""

    kek_id: bytes
    chunk_bytes: int
    total: int
    data_key: bytes = field(repr=False)

    @classmethod
    def opened(cls, raw: bytes, address: str, keks: Keks) -> "Header":
        """Open a header.

        Raises:
            BlobDamagedError: it is no header, of another object, or under a key nobody has.
        """
        try:
            magic, kek_id, chunk_bytes, total = _PREFIX.unpack(raw[: _PREFIX.size])
            nonce, wrapped = _WRAPPED.unpack(raw[_PREFIX.size :])
            kek = keks.find(kek_id)
            if magic != _MAGIC or kek is None or chunk_bytes == 0:
                raise BlobDamagedError
            bound = raw[: _PREFIX.size] + bytes.fromhex(address)
            data_key = AESGCM(kek.key).decrypt(nonce, wrapped, bound)
        except (InvalidTag, struct.error):
            raise BlobDamagedError from None
        return cls(kek_id, chunk_bytes, total, data_key)

    @classmethod
    def fresh(cls, kek: Kek, chunk_bytes: int, total: int) -> "Header":
        """Make one with a new data key."""
        return cls(kek.id, chunk_bytes, total, AESGCM.generate_key(bit_length=256))

    def sealed(self, kek: Kek, address: str) -> bytes:
        """Return the header's bytes, the data key encrypted under `kek`."""
        prefix = _PREFIX.pack(_MAGIC, kek.id, self.chunk_bytes, self.total)
        nonce = secrets.token_bytes(12)
        bound = prefix + bytes.fromhex(address)
        return prefix + _WRAPPED.pack(nonce, AESGCM(kek.key).encrypt(nonce, self.data_key, bound))


def kek_id_of(raw: bytes) -> bytes:
    """Return the id of the KEK that a header names, which need not be true."""
    return raw[len(_MAGIC) : len(_MAGIC) + 8]
