"""Passwords: kept as argon2id, checked at the same cost whether or not the name exists.

A check takes 64 MiB for a tenth of a second, so only a few run at once: a flood of sign-ins
waits instead of filling the memory.
"""

import re
import secrets
import threading
import unicodedata
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from webapp.services.common_passwords import is_common
from webapp.services.errors import InvalidRequestError, TooManyAttemptsError

MIN_PASSWORD: Final = 12  # characters
MAX_PASSWORD: Final = 1024
AT_ONCE: Final = 2  # hashes computed at the same time
FREE_ATTEMPTS: Final = 5
FIRST_WAIT: Final = timedelta(seconds=30)
LONGEST_WAIT: Final = timedelta(minutes=15)
REMEMBERED_NAMES: Final = 10_000

_READABLE: Final = "abcdefghjkmnpqrstuvwxyz23456789"  # none that look alike


class Passwords:
    """Hash and verify; the parameters are smaller only in tests."""

    def __init__(self, *, time_cost: int = 3, memory_kib: int = 64 * 1024) -> None:
        self._hasher = PasswordHasher(time_cost=time_cost, memory_cost=memory_kib, parallelism=1)
        self._slots = threading.BoundedSemaphore(AT_ONCE)
        self._nobodys = self.hash(secrets.token_hex(16))

    def hash(self, password: str) -> str:
        """Return the argon2id hash in its standard encoding."""
        with self._slots:
            return self._hasher.hash(_normal(password))

    def matches(self, stored: str | None, password: str) -> bool:
        """Compare; without a stored hash it takes as long and never matches."""
        with self._slots:
            try:
                self._hasher.verify(stored or self._nobodys, _normal(password[:MAX_PASSWORD]))
            except (VerificationError, InvalidHashError):
                return False
        return stored is not None

    def is_outdated(self, stored: str) -> bool:
        """Tell whether a hash was made with other parameters than are used now."""
        return self._hasher.check_needs_rehash(stored)


def check_chosen(password: str, name: str) -> None:
    """Refuse a password that is too short, too long, or one that everybody would guess.

    Raises:
        InvalidRequestError: it is.
    """
    if len(password) < MIN_PASSWORD:
        raise InvalidRequestError(f"A password has at least {MIN_PASSWORD} characters.")
    if len(password) > MAX_PASSWORD:
        raise InvalidRequestError(f"A password has at most {MAX_PASSWORD:,} characters.")
    if "\x00" in password or any("\ud800" <= character <= "\udfff" for character in password):
        raise InvalidRequestError("The password holds a character that cannot be used.")
    if is_common(password, name, *re.split(r"\W+", name)):
        raise InvalidRequestError(
            "This password is one of those that are guessed first. Choose another one; a sentence "
            "is easy to remember."
        )


def one_time_password() -> str:
    """Return a password of 99 bits in four groups that can be read out and typed."""
    groups = ("".join(secrets.choice(_READABLE) for _ in range(5)) for _ in range(4))
    return "-".join(groups)


@dataclass(slots=True)
class _Failures:
    count: int
    until: datetime


@dataclass(frozen=True, slots=True)
class Throttle:
    """Pause sign-in for a name after repeated failures, whether the name exists or not.

    Kept in memory by each web process: a restart forgets it, and several processes each grant
    the free attempts.
    """

    _failures: dict[str, _Failures] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self, name: str, at: datetime) -> None:
        """Refuse while the name is paused.

        Raises:
            TooManyAttemptsError: it is.
        """
        with self._lock:
            failures = self._failures.get(name)
        if failures is not None and failures.count >= FREE_ATTEMPTS and at < failures.until:
            wait = failures.until - at
            raise TooManyAttemptsError(wait_seconds=int(wait.total_seconds()) + 1)

    def failed(self, name: str, at: datetime) -> None:
        """Count a failure; from the fifth on, each doubles the pause."""
        with self._lock:
            before = self._failures.pop(name, None)
            forgotten = before is None or at - before.until > LONGEST_WAIT
            count = 1 if before is None or forgotten else before.count + 1
            doublings = max(0, min(count - FREE_ATTEMPTS, 10))
            wait = min(FIRST_WAIT * 2**doublings, LONGEST_WAIT)
            self._failures[name] = _Failures(count, at + wait if count >= FREE_ATTEMPTS else at)
            while len(self._failures) > REMEMBERED_NAMES:
                self._failures.pop(next(iter(self._failures)))

    def succeeded(self, name: str) -> None:
        """Forget the failures of a name."""
        with self._lock:
            self._failures.pop(name, None)


def _normal(password: str) -> bytes:
    return unicodedata.normalize("NFC", password).encode(errors="surrogatepass")
