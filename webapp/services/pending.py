"""A sign-in on its way through an identity provider, kept by the browser that began it.

What must match when it comes back travels in a cookie that only this installation can read or
make, so that nothing is stored for a visitor who has not signed in, and no other browser can
finish what this one began.
"""

import base64
import binascii
import json
import os
import secrets
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

LASTS: Final = timedelta(minutes=10)
_LABEL: Final = b"overread/1/pending-sign-in"
_NONCE_BYTES: Final = 12


@dataclass(frozen=True, slots=True)
class Pending:
    """What was asked of a provider, and where the person goes afterwards."""

    provider: str
    redirect_uri: str
    next_path: str
    state: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    nonce: str = field(default_factory=lambda: secrets.token_urlsafe(32))
    verifier: str = field(default_factory=lambda: secrets.token_urlsafe(48), repr=False)


@dataclass(frozen=True, slots=True)
class PendingSignIns:
    """Seals a pending sign-in for the cookie and opens it again."""

    key: bytes = field(repr=False)  # 32 bytes
    now: Callable[[], datetime]

    def seal(self, pending: Pending) -> str:
        """Return the cookie's value, good for ten minutes."""
        until = (self.now() + LASTS).timestamp()
        nonce = os.urandom(_NONCE_BYTES)
        content = json.dumps({"until": until, **asdict(pending)}).encode()
        sealed = nonce + AESGCM(self.key).encrypt(nonce, content, _LABEL)
        return base64.urlsafe_b64encode(sealed).decode()

    def open(self, cookie: str) -> Pending | None:
        """Return what a cookie holds, or None where it is not of our making or too old."""
        try:
            sealed = base64.b64decode(cookie, altchars=b"-_", validate=True)
            nonce, content = sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:]
            fields = json.loads(AESGCM(self.key).decrypt(nonce, content, _LABEL))
        except (ValueError, binascii.Error, InvalidTag):
            return None
        if self.now().timestamp() >= fields.pop("until"):
            return None
        return Pending(**fields)
