"""Sessions on the server: what the cookie holds, and what its row may hold of it.

The cookie is a random value; the row has its SHA-256. What a provider gave for signing out there
is encrypted under the value itself: whoever reads the database alone cannot read it.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from storage.tables import LoginSession, Person

LONGEST_HINT: Final = 4096  # bytes; it travels in an address
_NONCE: Final = bytes(12)  # each key encrypts one text
_LABEL: Final = b"overread/1/logout-hint"


@dataclass(frozen=True, slots=True)
class Voucher:
    """On whose word a session began: an identity provider's answer to one request of ours."""

    provider: str
    state: str
    id_token: str


def new_session(
    person: Person, at: datetime, length: timedelta, voucher: Voucher | None = None
) -> tuple[str, LoginSession]:
    """Return a cookie's value and the row that knows it; without a voucher, of a password."""
    token = secrets.token_urlsafe(32)
    fields: dict[str, object] = {
        "token_sha256": sha256_of(token),
        "person_id": person.id,
        "created_at": at,
        "last_seen_at": at,
        "expires_at": at + length,
    }
    if voucher is not None:
        fields["provider"] = voucher.provider
        fields["state_sha256"] = sha256_of(voucher.state)
        fields["logout_hint"] = _sealed(token, voucher.id_token)
    return token, LoginSession.model_validate(fields)


def logout_hint(token: str, row: LoginSession) -> str:
    """Return the provider's ID token of a session, or nothing where none was kept."""
    if row.logout_hint is None:
        return ""
    try:
        return _cipher(token).decrypt(_NONCE, row.logout_hint, _LABEL).decode()
    except InvalidTag:
        return ""


def sha256_of(secret: str) -> str:
    """Return under what a secret is found."""
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def _sealed(token: str, id_token: str) -> bytes | None:
    hint = id_token.encode()
    return _cipher(token).encrypt(_NONCE, hint, _LABEL) if len(hint) <= LONGEST_HINT else None


def _cipher(token: str) -> AESGCM:
    return AESGCM(HKDF(SHA256(), 32, salt=None, info=_LABEL).derive(token.encode()))
