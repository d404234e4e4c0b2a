"""Read and append reviews."""

from collections.abc import Collection, Mapping, Sequence
from uuid import UUID

from sqlmodel import Session, col, select

from storage.tables import Region, Review, SentenceMark


def review_by_key(session: Session, reviewer_id: UUID, idempotency_key: str) -> Review | None:
    """Return the review that was submitted with this key."""
    statement = select(Review).where(
        Review.reviewer_id == reviewer_id, Review.idempotency_key == idempotency_key
    )
    return session.exec(statement).first()


def newest_revision(session: Session, draft_id: UUID, reviewer_id: UUID) -> Review | None:
    """Return the reviewer's latest judgement of a draft."""
    statement = select(Review).where(Review.draft_id == draft_id, Review.reviewer_id == reviewer_id)
    return session.exec(statement.order_by(col(Review.revision).desc())).first()


def append_review(
    session: Session, review: Review, marks: Sequence[SentenceMark], regions: Sequence[Region]
) -> None:
    """Add a revision with everything that hangs on it; the caller has checked its number."""
    session.add(review)
    session.flush()
    session.add_all([*marks, *regions])
    session.flush()


def reviews_of_draft(
    session: Session, draft_id: UUID, reviewer_id: UUID | None
) -> Sequence[Review]:
    """Return one reviewer's revisions of a draft, or everybody's, in the order of submission."""
    statement = select(Review).where(Review.draft_id == draft_id)
    if reviewer_id is not None:
        statement = statement.where(Review.reviewer_id == reviewer_id)
    return session.exec(statement.order_by(col(Review.created_at), col(Review.revision))).all()


def reviews_of_case(session: Session, case_id: UUID, reviewer_id: UUID) -> Sequence[Review]:
    """Return a reviewer's revisions about any draft of a case, in the order of submission."""
    statement = select(Review).where(Review.case_id == case_id, Review.reviewer_id == reviewer_id)
    return session.exec(statement.order_by(col(Review.created_at), col(Review.revision))).all()


def marks_of(
    session: Session, review_ids: Collection[UUID]
) -> Mapping[UUID, Sequence[SentenceMark]]:
    """Return the marks of each of these reviews in their order."""
    found: dict[UUID, list[SentenceMark]] = {review_id: [] for review_id in review_ids}
    statement = select(SentenceMark).where(col(SentenceMark.review_id).in_(review_ids))
    for mark in session.exec(statement.order_by(col(SentenceMark.number))):
        found[mark.review_id].append(mark)
    return found


def regions_of(session: Session, review_ids: Collection[UUID]) -> Mapping[UUID, Sequence[Region]]:
    """Return the regions of each of these reviews, by their key."""
    found: dict[UUID, list[Region]] = {review_id: [] for review_id in review_ids}
    statement = select(Region).where(col(Region.review_id).in_(review_ids))
    for region in session.exec(statement.order_by(col(Region.key))):
        found[region.review_id].append(region)
    return found
