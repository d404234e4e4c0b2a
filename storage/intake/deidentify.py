"""The one maker of `Deidentified` values, and the only thing tables and blobs accept.

A value can only be made here, from a child's reply that was checked against what the parent
knows: the pseudonyms it gave out, the length of the pixels, the beginning of the file.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final

from storage.intake.facts import Facts
from storage.intake.pseudonyms import Pseudonyms
from storage.intake.refusals import RefusedFileError
from storage.intake.sandbox import Crew, Reply

_SEAL: Final = object()
_BEGINNING: Final = b"\0" * 128 + b"DICM"
_MOST_TEXT: Final = 1024  # characters of one UID or patient identity in a child's question
_DATE: Final = re.compile(r"\d{8}")


@dataclass(frozen=True, slots=True)
class Deidentified:
    """One object that carries no identity its header could give.

    Attributes:
        dicom: The rebuilt DICOM file.
        pixels: Its frames as served: little-endian rows, `facts.dtype`.
        facts: Geometry, pseudonyms, reasons to hold.
        content_key: Keyed HMAC of the source file; tells a repeat.
        study_day: Orders the patient's studies, tells no date; None without a StudyDate.
    """

    dicom: bytes = field(repr=False)
    pixels: bytes = field(repr=False)
    facts: Facts
    content_key: str
    study_day: int | None
    seal: object = field(repr=False, compare=False)

    def __post_init__(self) -> None:
        """Refuse values that were not made by this module.

        Raises:
            TypeError: made elsewhere.
        """
        if self.seal is not _SEAL:
            raise TypeError("Deidentified values are made by storage.intake only")


def deidentify(data: bytes, *, pseudonyms: Pseudonyms, crew: Crew) -> Deidentified:
    """De-identify one DICOM, NIfTI, PNG or JPEG file in a child.

    Args:
        data: The file as it came.
        pseudonyms: Keyed names for patient and UIDs; the key stays in this process.
        crew: Children of this upload.

    Raises:
        RefusedFileError: with the code that says why.
        storage.intake.sandbox.SandboxError: no child could be started.
    """
    notary = _Notary(pseudonyms)
    reply = crew.rebuild(data, notary.answer)
    facts = Facts.read(reply.facts)
    notary.check(facts, reply)
    day = pseudonyms.day(facts.patient_key, notary.study_date)
    return Deidentified(reply.dicom, reply.pixels, facts, pseudonyms.content(data), day, _SEAL)


def with_new_pixels(item: Facts, *, dicom: bytes, pixels: bytes, content_key: str) -> Deidentified:
    """Seal an object that this program rebuilt from one it had stored, for `mask` only.

    Args:
        item: Facts of the object with its new pixels.
        dicom: The object, rebuilt again.
        pixels: Its frames as served.
        content_key: The content key of the first object.
    """
    return Deidentified(dicom, pixels, item, content_key, None, _SEAL)


class _Notary:
    """Gives out pseudonyms for one file and checks that the answer uses no others."""

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        self._pseudonyms = pseudonyms
        self._given: set[str] = set()
        self._patient = ""
        self.study_date = ""

    def answer(self, question: dict[str, Any]) -> dict[str, Any]:
        """Answer a child's question for pseudonyms."""
        uids, patient = question.get("uids"), question.get("patient")
        date = question.get("study_date")
        asked: list[Any] = [*uids, patient] if isinstance(uids, list) else [None]
        if not all(isinstance(text, str) and len(text) <= _MOST_TEXT for text in asked):
            raise RefusedFileError("decode_failed")
        if isinstance(date, str) and _DATE.fullmatch(date):
            self.study_date = date
        given = {uid: self._pseudonyms.uid(uid) for uid in asked[:-1]}
        self._given = set(given.values())
        self._patient = self._pseudonyms.patient(asked[-1])
        return {"uids": given, "patient": self._patient}

    def check(self, facts: Facts, reply: Reply) -> None:
        """Refuse an answer that does not fit what was given out or itself."""
        used = {facts.study_key, facts.series_key, facts.sop_instance_uid}
        fits = (
            used <= self._given
            and facts.patient_key == self._patient
            and len(reply.pixels) == facts.pixel_bytes
            and reply.dicom.startswith(_BEGINNING)
        )
        if not fits:
            raise RefusedFileError("decode_failed")
