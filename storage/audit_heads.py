"""The newest hashes of the audit chain, in a file outside the database.

A chain alone cannot show that its end was cut off, or that somebody who owns the database
computed it anew. So its head is appended to a file at intervals, each line with a MAC over
itself and the line before it, under a key that is not in the database. Whoever also owns this
machine could cut the file as well: copies of it belong somewhere else (`docs/audit.md`).
"""

import fcntl
import hashlib
import hmac
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from storage.errors import HeadsDamagedError

FIRST_MAC: Final = "0" * 64


@dataclass(frozen=True, slots=True)
class Head:
    """The chain's end at one moment."""

    at: datetime
    seq: int
    hash: str
    mac: str


@dataclass(frozen=True, slots=True)
class Heads:
    """The file and the key of its lines."""

    path: Path
    key: bytes = field(repr=False)

    def append(self, at: datetime, seq: int, hash_: str) -> Head:
        """Add a line and wait until it is on the disk; several processes may do so.

        Raises:
            HeadsDamagedError: the file is not what was written; it is left as it is.
            OSError: it cannot be written.
        """
        descriptor = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o600)
        with os.fdopen(descriptor, "r+", encoding="ascii") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            lines = list(self._checked(file.read()))
            at = at.astimezone(UTC)
            mac = self._mac(lines[-1].mac if lines else FIRST_MAC, at, seq, hash_)
            head = Head(at, seq, hash_, mac)
            file.write(_line(head) + "\n")
            file.flush()
            os.fsync(file.fileno())
        return head

    def read(self, path: Path | None = None) -> list[Head]:
        """Return every line, the oldest first, of this file or of a copy; none without a file.

        Raises:
            HeadsDamagedError: a line was changed, removed or moved.
        """
        try:
            content = (path or self.path).read_text(encoding="ascii", errors="replace")
        except FileNotFoundError:
            return []
        return list(self._checked(content))

    def _checked(self, content: str) -> Iterator[Head]:
        mac = FIRST_MAC
        for number, line in enumerate(content.splitlines(), start=1):
            try:
                fields = json.loads(line)
                head = Head(
                    datetime.fromisoformat(fields["at"]),
                    fields["seq"],
                    fields["hash"],
                    fields["mac"],
                )
                mac = self._mac(mac, head.at, head.seq, head.hash)
                # to the letter: the same instant can be written in several ways
                genuine = hmac.compare_digest(mac, head.mac) and line == _line(head)
            except (ValueError, KeyError, TypeError):
                raise HeadsDamagedError(line=number) from None
            if not genuine:
                raise HeadsDamagedError(line=number)
            yield head

    def _mac(self, before: str, at: datetime, seq: int, hash_: str) -> str:
        content = json.dumps([before, _text(at), seq, hash_]).encode()
        return hmac.new(self.key, content, hashlib.sha256).hexdigest()


def _line(head: Head) -> str:
    return json.dumps({"at": _text(head.at), "seq": head.seq, "hash": head.hash, "mac": head.mac})


def _text(at: datetime) -> str:
    return at.isoformat(timespec="microseconds")
