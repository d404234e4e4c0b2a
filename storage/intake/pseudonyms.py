"""Keyed pseudonyms: the same input and key give the same name, in every file and process.

Without the key nobody can go back or test a guess; the key never leaves the parent process.
"""

import hashlib
import hmac
from dataclasses import dataclass, field
from datetime import date

DAYS_SHIFTED = 3650  # a patient's days are moved by up to this much, always the same way


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """All pseudonyms of one installation."""

    key: bytes = field(repr=False)

    def uid(self, source: str) -> str:
        """Return a UID under the UUID arc 2.25 (PS3.5 B.2)."""
        return f"2.25.{int.from_bytes(self._digest('uid', source.encode())[:16], 'big')}"

    def patient(self, source: str) -> str:
        """Return the key of a patient, 32 hexadecimal digits."""
        return self._digest("patient", source.encode()).hex()[:32]

    def content(self, data: bytes) -> str:
        """Return the key that tells whether the same bytes came before."""
        return self._digest("content", data).hex()

    def day(self, patient_key: str, study_date: str) -> int | None:
        """Return a day number that orders a patient's studies and tells no date.

        Args:
            patient_key: As `patient` returned; sets how far the days are moved.
            study_date: StudyDate as YYYYMMDD; anything else gives None.
        """
        try:
            ordinal = date.fromisoformat(study_date).toordinal()
        except ValueError:
            return None
        shift = int.from_bytes(self._digest("day", patient_key.encode())[:8], "big")
        return ordinal - date(2000, 1, 1).toordinal() + shift % (2 * DAYS_SHIFTED) - DAYS_SHIFTED

    def _digest(self, purpose: str, source: bytes) -> bytes:
        """Return HMAC-SHA256 over a purpose and its input."""
        return hmac.new(self.key, purpose.encode() + b"\0" + source, hashlib.sha256).digest()
