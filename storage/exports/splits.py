"""Which split a case belongs to: by patient, and never the same picture in two splits.

Patients are joined when they share a picture, by the hash of all its pixels or of a PNG that a
model saw. A group's split hangs on its oldest case only, so it stays when data are added; and
on every case in the store, so it is the same in every export.
"""

import hashlib
from collections.abc import Hashable, Mapping
from enum import StrEnum
from typing import Final
from uuid import UUID

from sqlmodel import Session, col, select

from storage.tables import Case, Draft, Image


class Split(StrEnum):
    """The three parts of an export, named as its files."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


SHARES: Final = ((Split.TRAIN, 0.8), (Split.VALIDATION, 0.9), (Split.TEST, 1.0))  # cumulative


def splits(session: Session) -> Mapping[UUID, Split]:
    """Return the split of every case in the store."""
    statement = select(Case.id, Case.patient_key).order_by(col(Case.created_at), col(Case.id))
    cases = session.exec(statement).all()
    groups = _Groups()
    for case_id, patient_key in cases:
        groups.join(case_id, ("patient", patient_key))
    for case_id, sha256 in session.exec(select(Image.case_id, Image.sha256)):
        groups.join(case_id, ("pixels", sha256))
    drafts = select(Draft.case_id, Draft.images).execution_options(yield_per=1000)
    with session.exec(drafts) as found:
        for case_id, images in found:
            for image in images:
                groups.join(case_id, ("png", image["sha256"]))
    oldest: dict[Hashable, str] = {}
    for case_id, patient_key in cases:
        oldest.setdefault(groups.root(case_id), patient_key)
    return {case_id: split_of(oldest[groups.root(case_id)]) for case_id, _ in cases}


def split_of(key: str) -> Split:
    """Return the split a group falls into: 80, 10 and 10 in a hundred by the hash of its key."""
    place = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") / 2**64
    return next(split for split, share in SHARES if place < share)


class _Groups:
    """Disjoint sets (union and find)."""

    def __init__(self) -> None:
        self._parent: dict[Hashable, Hashable] = {}

    def root(self, member: Hashable) -> Hashable:
        self._parent.setdefault(member, member)
        while self._parent[member] != member:
            self._parent[member] = self._parent[self._parent[member]]
            member = self._parent[member]
        return member

    def join(self, one: Hashable, other: Hashable) -> None:
        self._parent[self.root(one)] = self.root(other)
