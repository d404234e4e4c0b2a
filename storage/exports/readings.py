"""Fetch reviews, and what was not reviewed, with all that belongs to them.

Rows come in batches and in an order that does not change, so that an export's memory does not
grow with the store and equal data give equal files.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar
from uuid import UUID

from sqlalchemy import ColumnElement, Row, Select, and_, exists, func
from sqlalchemy import select as select_many  # sqlmodel's takes four columns at most
from sqlalchemy.orm import aliased
from sqlmodel import Session, col, select

from storage.cases import instances_of
from storage.exports.splits import Split
from storage.identifying import identifying
from storage.reviews import marks_of, regions_of
from storage.tables import (
    Attestation,
    Case,
    Collection,
    Draft,
    Image,
    Instance,
    Message,
    OwnRead,
    Person,
    Region,
    Review,
    SentenceMark,
)

BATCH: Final = 200

OfCase = TypeVar("OfCase", Image, Attestation)


@dataclass(frozen=True, slots=True)
class Selection:
    """Which cases and drafts an export is made of; None means any."""

    collection_id: UUID | None = None
    modality: str | None = None
    made_up: bool | None = None
    model: str | None = None

    def of_cases(self) -> list[ColumnElement[bool]]:
        """Return what it says of a case as SQL conditions."""
        wanted = (
            (col(Case.collection_id), self.collection_id),
            (col(Case.modality), self.modality),
            (col(Case.made_up), self.made_up),
        )
        return [column == value for column, value in wanted if value is not None]

    def of_drafts(self) -> list[ColumnElement[bool]]:
        """Return what it says of a draft as SQL conditions."""
        return [] if self.model is None else [col(Draft.model_id) == self.model]


@dataclass(frozen=True, slots=True)
class Reading:
    """What one person did with one draft; `draft` and `review` are None until there is one."""

    case: Case
    collection: Collection
    reader: Person
    message: Message
    draft: Draft | None
    own_read: OwnRead | None
    review: Review | None
    newest: bool  # no later revision by the same person
    split: Split
    image_sha256: Sequence[str]
    marks: Sequence[SentenceMark] = ()
    regions: Sequence[Region] = ()

    @property
    def identifying(self) -> bool:
        """Whether a rule saw an identity in anything that was typed or answered."""
        texts = (self.message, self.draft, self.own_read, self.review)
        return identifying(*(text.flags for text in texts if text is not None))


@dataclass(frozen=True, slots=True)
class CaseFile:
    """A case with what is known of its images."""

    case: Case
    collection: Collection
    images: Sequence[Image]
    instances: Mapping[UUID, Sequence[Instance]]  # by image
    attestations: Sequence[Attestation]


def readings(
    session: Session, selection: Selection, splits: Mapping[UUID, Split]
) -> Iterator[Reading]:
    """Yield every revision of every review, and every question that led to none; oldest first."""
    later = aliased(Review)
    superseded = exists().where(
        col(later.draft_id) == col(Review.draft_id),
        col(later.reviewer_id) == col(Review.reviewer_id),
        col(later.revision) > col(Review.revision),
    )
    reader_id = func.coalesce(col(Review.reviewer_id), col(Message.person_id))
    statement = (
        select_many(Case, Collection, Person, Message, Draft, OwnRead, Review, ~superseded)
        .select_from(Message)
        .join(Case, col(Case.id) == col(Message.case_id))
        .join(Collection, col(Collection.id) == col(Case.collection_id))
        .outerjoin(Draft, col(Draft.message_id) == col(Message.id))
        .outerjoin(Review, col(Review.draft_id) == col(Draft.id))
        .join(Person, col(Person.id) == reader_id)
        .outerjoin(
            OwnRead,
            and_(col(OwnRead.case_id) == col(Case.id), col(OwnRead.person_id) == reader_id),
        )
        .where(*selection.of_cases(), *selection.of_drafts())
        .order_by(
            func.coalesce(col(Review.created_at), col(Message.created_at)),
            col(Message.id),
            col(Review.id),
        )
    )
    for rows in _batches(session, statement):
        yield from _with_parts(session, rows, splits)


def case_files(session: Session, selection: Selection) -> Iterator[CaseFile]:
    """Yield every case, oldest first, with its images and what was decided about its pixels."""
    statement = (
        select_many(Case, Collection)
        .join(Collection, col(Collection.id) == col(Case.collection_id))
        .where(*selection.of_cases())
        .order_by(col(Case.created_at), col(Case.id))
    )
    for rows in _batches(session, statement):
        case_ids = [case.id for case, _ in rows]
        images = _by_case(session, Image, case_ids)
        attestations = _by_case(session, Attestation, case_ids)
        instances = instances_of(session, [i.id for found in images.values() for i in found])
        for case, collection in rows:
            yield CaseFile(case, collection, images[case.id], instances, attestations[case.id])


def own_reads(session: Session, selection: Selection) -> Iterator[tuple[Case, OwnRead]]:
    """Yield every own read with its case, oldest first."""
    statement = (
        select_many(Case, OwnRead)
        .join(OwnRead, col(OwnRead.case_id) == col(Case.id))
        .where(*selection.of_cases())
        .order_by(col(OwnRead.committed_at), col(OwnRead.id))
    )
    for rows in _batches(session, statement):
        yield from (tuple(row) for row in rows)


def _batches(
    session: Session, statement: Select[*tuple[Any, ...]]
) -> Iterator[Sequence[Row[*tuple[Any, ...]]]]:
    with session.execute(statement.execution_options(yield_per=BATCH)) as result:
        yield from result.partitions()


def _with_parts(
    session: Session, rows: Sequence[Row[*tuple[Any, ...]]], splits: Mapping[UUID, Split]
) -> Iterator[Reading]:
    review_ids = [row.Review.id for row in rows if row.Review is not None]
    marks, regions = marks_of(session, review_ids), regions_of(session, review_ids)
    images = _by_case(session, Image, {row.Case.id for row in rows})
    for case, collection, reader, message, draft, own_read, review, newest in rows:
        yield Reading(
            case=case,
            collection=collection,
            reader=reader,
            message=message,
            draft=draft,
            own_read=own_read,
            review=review,
            newest=newest,
            split=splits[case.id],
            image_sha256=[image.sha256 for image in images[case.id]],
            marks=() if review is None else marks[review.id],
            regions=() if review is None else regions[review.id],
        )


def _by_case(
    session: Session, table: type[OfCase], case_ids: Iterable[UUID]
) -> Mapping[UUID, list[OfCase]]:
    found: dict[UUID, list[OfCase]] = {case_id: [] for case_id in case_ids}
    statement = select(table).where(col(table.case_id).in_(case_ids))
    order = Image.number if table is Image else Attestation.created_at
    for row in session.exec(statement.order_by(col(order), col(table.id))):
        found[row.case_id].append(row)
    return found
