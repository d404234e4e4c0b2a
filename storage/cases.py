"""Find cases for the worklist and for reading.

A page is read along an index on (collection, time, id), one short range a collection, so that
its cost does not grow with the store. How far a reader has come with the cases of a page is
asked for the page only.
"""

from collections.abc import Collection as AnyOf
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Executable,
    Uuid,
    and_,
    delete,
    except_,
    exists,
    func,
    literal,
    or_,
    tuple_,
)
from sqlalchemy.sql.elements import SQLCoreOperations
from sqlmodel import Session, col, select

from storage.columns import UtcDateTime
from storage.tables import (
    Attestation,
    Case,
    Collection,
    Draft,
    Image,
    Instance,
    Lease,
    OwnRead,
    Review,
)
from storage.vocabulary import CaseState, Progress

FEW: Final = 1_000  # cases looked up one by one

Position = tuple[datetime, UUID]  # of a case in the order of a worklist


@dataclass(frozen=True, slots=True)
class Visible:
    """Which cases a reader may know of."""

    person_id: UUID
    collection_ids: tuple[UUID, ...] | None  # None: every collection
    states: frozenset[CaseState]
    everyones_checking: bool = False  # a study still being checked shows to its uploader only


def case_with_collection(session: Session, case_id: UUID) -> tuple[Case, Collection] | None:
    """Return a case and the collection it belongs to."""
    statement = (
        select(Case, Collection)
        .join(Collection, col(Collection.id) == col(Case.collection_id))
        .where(Case.id == case_id)
    )
    return session.exec(statement).first()


def has_attested(session: Session, case_id: UUID, person_id: UUID) -> bool:
    """Tell whether a person has decided about the pixels of a case."""
    statement = select(Attestation.id).where(
        Attestation.case_id == case_id, Attestation.person_id == person_id
    )
    return session.exec(statement).first() is not None


def page_of_cases(
    session: Session,
    visible: Visible,
    *,
    progress: Progress | None = None,
    after: Position | None = None,
    limit: int,
) -> Sequence[Case]:
    """Return up to `limit` cases, newest first, that come after a position.

    Args:
        session: An open transaction.
        visible: What the reader may know of.
        progress: Only cases the reader has come this far with.
        after: Position of the last case of the page before.
        limit: The most cases to return.
    """
    position = tuple_(col(Case.created_at), col(Case.id))
    conditions = [_visible(visible)]
    if progress is not None:
        conditions.append(_has_come(session, visible.person_id, progress))
    if after is not None:
        at, case_id = after
        conditions.append(position < tuple_(literal(at, UtcDateTime()), literal(case_id, Uuid())))
    order = (col(Case.created_at).desc(), col(Case.id).desc())
    found = _each_collection(session, visible, conditions, order, limit)
    return sorted(found, key=lambda case: (case.created_at, case.id), reverse=True)[:limit]


def next_case(session: Session, visible: Visible, at: datetime) -> Case | None:
    """Return the oldest case the reader has not finished and nobody else has taken.

    A case the reader holds already comes before the others.
    """
    open_to_reader = [_visible(visible), ~_reviewed(visible.person_id)]
    lease = col(Lease.case_id) == col(Case.id), col(Lease.until) > at
    order = (col(Case.created_at), col(Case.id))
    statement = select(Case).join(Lease, lease[0]).where(*open_to_reader, *lease)
    if visible.collection_ids is not None:
        statement = statement.where(col(Case.collection_id).in_(visible.collection_ids))
    own = statement.where(Lease.person_id == visible.person_id).order_by(*order)
    held_already = session.exec(own).first()
    if held_already is not None:
        return held_already
    free = [*open_to_reader, ~exists().where(*lease)]
    found = _each_collection(session, visible, free, order, 1)
    return min(found, key=lambda case: (case.created_at, case.id), default=None)


def take_lease(session: Session, case_id: UUID, person_id: UUID, until: datetime) -> None:
    """Give the case to the reader until then; the lease before it ends."""
    session.execute(delete(Lease).where(col(Lease.case_id) == case_id))
    session.add(Lease.model_validate({"case_id": case_id, "person_id": person_id, "until": until}))
    session.flush()


def end_lease(session: Session, case_id: UUID, person_id: UUID) -> None:
    """Give the case back, when this reader holds it."""
    session.execute(
        delete(Lease).where(col(Lease.case_id) == case_id, col(Lease.person_id) == person_id)
    )


def progress_of(
    session: Session, person_id: UUID, case_ids: AnyOf[UUID]
) -> Mapping[UUID, Progress]:
    """Say how far a reader has come with each of these cases."""
    reached = dict.fromkeys(case_ids, Progress.TODO)
    for progress, case_column, person_column in (
        (Progress.OWN_READ, col(OwnRead.case_id), col(OwnRead.person_id)),
        (Progress.DRAFTED, col(Draft.case_id), col(Draft.person_id)),
        (Progress.DONE, col(Review.case_id), col(Review.reviewer_id)),
    ):
        statement = select(case_column).where(case_column.in_(case_ids), person_column == person_id)
        reached |= dict.fromkeys(session.exec(statement.distinct()), progress)
    return reached


def image_counts(session: Session, case_ids: AnyOf[UUID]) -> Mapping[UUID, tuple[int, int]]:
    """Count the images of each of these cases, and their frames."""
    statement = select(Image.case_id, func.count(), func.sum(Image.frames))
    found = session.exec(
        statement.where(col(Image.case_id).in_(case_ids)).group_by(col(Image.case_id))
    )
    return {case_id: (images, int(frames)) for case_id, images, frames in found}


def images_of(session: Session, case_id: UUID) -> Sequence[Image]:
    """Return the images of a case in their order."""
    statement = select(Image).where(Image.case_id == case_id).order_by(col(Image.number))
    return session.exec(statement).all()


def instances_of(session: Session, image_ids: AnyOf[UUID]) -> Mapping[UUID, Sequence[Instance]]:
    """Return the DICOM objects behind each of these images, by first frame."""
    statement = select(Instance).where(col(Instance.image_id).in_(image_ids))
    found: dict[UUID, list[Instance]] = {image_id: [] for image_id in image_ids}
    for instance in session.exec(statement.order_by(col(Instance.first_frame))):
        found[instance.image_id].append(instance)
    return found


def instance_at(session: Session, image_id: UUID, frame: int) -> Instance | None:
    """Return the DICOM object that holds a frame of an image."""
    statement = (
        select(Instance)
        .where(Instance.image_id == image_id, Instance.first_frame <= frame)
        .order_by(col(Instance.first_frame).desc())
    )
    instance = session.exec(statement).first()
    if instance is None or frame >= instance.first_frame + instance.frames:
        return None
    return instance


def _each_collection(
    session: Session,
    visible: Visible,
    conditions: Sequence[ColumnElement[bool]],
    order: Sequence[SQLCoreOperations[Any]],
    limit: int,
) -> list[Case]:
    statement = select(Case).where(*conditions).order_by(*order).limit(limit)
    if visible.collection_ids is None:
        return list(session.exec(statement))
    return [
        case
        for collection_id in visible.collection_ids
        for case in session.exec(statement.where(col(Case.collection_id) == collection_id))
    ]


def _visible(visible: Visible) -> ColumnElement[bool]:
    in_state = col(Case.state).in_(visible.states)
    if visible.everyones_checking or CaseState.CHECKING not in visible.states:
        return in_state
    checked = visible.states - {CaseState.CHECKING}
    return or_(
        col(Case.state).in_(checked),
        and_(col(Case.state) == CaseState.CHECKING, col(Case.uploaded_by) == visible.person_id),
    )


def _own_read(person_id: UUID) -> ColumnElement[bool]:
    return exists().where(col(OwnRead.case_id) == col(Case.id), col(OwnRead.person_id) == person_id)


def _drafted(person_id: UUID) -> ColumnElement[bool]:
    return exists().where(col(Draft.case_id) == col(Case.id), col(Draft.person_id) == person_id)


def _reviewed(person_id: UUID) -> ColumnElement[bool]:
    return exists().where(col(Review.case_id) == col(Case.id), col(Review.reviewer_id) == person_id)


def _has_come(session: Session, person_id: UUID, progress: Progress) -> ColumnElement[bool]:
    """Return a condition on cases; of few, their ids, which are found faster than looked for."""
    own_read, drafted, reviewed = (
        reached(person_id) for reached in (_own_read, _drafted, _reviewed)
    )
    if progress is Progress.TODO:
        return and_(~own_read, ~drafted, ~reviewed)
    read = select(OwnRead.case_id).where(OwnRead.person_id == person_id)
    asked = select(Draft.case_id).where(Draft.person_id == person_id)
    judged = select(Review.case_id).where(Review.reviewer_id == person_id)
    chosen: dict[Progress, Executable] = {
        Progress.OWN_READ: except_(read, asked, judged).limit(FEW + 1),
        Progress.DRAFTED: except_(asked, judged).limit(FEW + 1),
        Progress.DONE: judged.distinct().limit(FEW + 1),
    }
    ids = session.scalars(chosen[progress]).all()
    if len(ids) <= FEW:
        return col(Case.id).in_(ids)
    return {
        Progress.OWN_READ: and_(own_read, ~drafted, ~reviewed),
        Progress.DRAFTED: and_(drafted, ~reviewed),
        Progress.DONE: reviewed,
    }[progress]
