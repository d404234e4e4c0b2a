"""Use cases of judging a draft. A later opinion is a new revision; none is ever changed."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlmodel import Session

from inference.safety import screen
from storage.cases import end_lease, images_of
from storage.engine import Store
from storage.errors import IdempotencyConflictError, StaleRevisionError
from storage.reading import own_read_of
from storage.reviews import (
    append_review,
    marks_of,
    newest_revision,
    regions_of,
    review_by_key,
    reviews_of_draft,
)
from storage.tables import Draft, Region, Review, SentenceMark
from webapp.services import inputs
from webapp.services.access import open_draft
from webapp.services.actor import Actor
from webapp.services.errors import InvalidRequestError, NotAllowedError
from webapp.services.judging import Judgement, Mark, Place, ReviewInput, judge
from webapp.services.pictures import instance_of
from webapp.services.policy import ACTIONS, Action, may, may_review
from webapp.services.present import review_view
from webapp.services.views import ReviewView
from webapp.services.work import Work, use_case

__all__ = ["ReviewInput", "Reviewing"]


@dataclass(frozen=True, slots=True)
class Reviewing:
    """Reviews of drafts."""

    store: Store
    now: Callable[[], datetime]

    def submit(self, actor: Actor | None, draft_id: UUID, given: ReviewInput) -> ReviewView:
        """Save a review as the actor's next revision for a draft.

        The verdict is inferred when absent: `accept_as_is` without a change or a wrong mark,
        `reject` without any text left, `major_edit` with a clinically significant mark or a
        missing finding, else `minor_edit`.

        Raises:
            NotFoundError: there is no such draft, or it is not the actor's to see.
            NotAllowedError: the role does not review under this protocol.
            OwnReadRequiredError: the protocol wants the actor's own findings first.
            StaleRevisionError: `based_on_revision` is not the actor's newest one.
            IdempotencyConflictError: the key came before with something else.
            InvalidRequestError: a field cannot be what was meant.
        """
        with use_case(self, actor, Action.REVIEW, ("draft", draft_id)) as work:
            draft, case, collection = open_draft(work.session, work.actor, draft_id)
            if not may_review(work.actor.role, collection.protocol):
                raise NotAllowedError(ACTIONS[Action.REVIEW].doing)
            key, based_on = inputs.key(given.idempotency_key), _revision(given.based_on_revision)
            judgement = judge(
                given,
                shown_text=draft.shown_text,
                sentences=draft.sentences,
                images=images_of(work.session, case.id),
            )
            repeated = review_by_key(work.session, work.actor.id, key)
            if repeated is not None:
                return _repeat(work.session, repeated, draft_id, based_on, judgement)
            newest = newest_revision(work.session, draft_id, work.actor.id)
            revision = 0 if newest is None else newest.revision
            if based_on != revision:
                raise StaleRevisionError(newest=revision)
            review = Review.model_validate(
                {
                    **_fields(judgement),
                    "draft_id": draft_id,
                    "case_id": case.id,
                    "reviewer_id": work.actor.id,
                    "revision": revision + 1,
                    "supersedes": None if newest is None else newest.id,
                    "timing": inputs.json_object(given.timing, "timing"),
                    "own_read_first": _read_first(work, draft),
                    "flags": _flags(judgement),
                    "idempotency_key": key,
                    "created_at": work.at,
                }
            )
            marks, regions = _rows(work.session, review, judgement)
            append_review(work.session, review, marks, regions)
            end_lease(work.session, case.id, work.actor.id)
            work.about = ("review", review.id)
            return review_view(review, marks, regions)

    def history(self, actor: Actor | None, draft_id: UUID) -> list[ReviewView]:
        """Return the reviews of a draft in the order of submission.

        Others' reviews are left out until the actor has submitted an own one, except for those
        who settle disagreements.

        Raises:
            NotFoundError: there is no such draft, or it is not the actor's to see.
            OwnReadRequiredError: the protocol wants the actor's own findings first.
        """
        with use_case(self, actor, Action.OPEN_REVIEWS, ("draft", draft_id)) as work:
            open_draft(work.session, work.actor, draft_id)
            own = newest_revision(work.session, draft_id, work.actor.id)
            everybodys = own is not None or may(work.actor.role, Action.OPEN_OTHERS_REVIEWS)
            reviewer_id = None if everybodys else work.actor.id
            reviews = reviews_of_draft(work.session, draft_id, reviewer_id)
            ids = [review.id for review in reviews]
            marks, regions = marks_of(work.session, ids), regions_of(work.session, ids)
            return [review_view(one, marks[one.id], regions[one.id]) for one in reviews]


def _revision(given: object) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise InvalidRequestError("`based_on_revision` is your newest revision, 0 for none.")
    return given


def _read_first(work: Work, draft: Draft) -> bool:
    own_read = own_read_of(work.session, draft.case_id, work.actor.id)
    return own_read is not None and own_read.committed_at <= draft.created_at


def _fields(judgement: Judgement) -> dict[str, Any]:
    fields = asdict(judgement)
    del fields["marks"], fields["places"]
    return fields


def _rows(
    session: Session, review: Review, judgement: Judgement
) -> tuple[list[SentenceMark], list[Region]]:
    marks = [
        SentenceMark.model_validate(
            {
                **asdict(mark),
                "region_ids": list(mark.region_ids),
                "review_id": review.id,
                "number": number,
            }
        )
        for number, mark in enumerate(judgement.marks)
    ]
    regions = [
        Region.model_validate(
            {
                **asdict(place),
                "coords": list(place.coords),
                "review_id": review.id,
                "sop_instance_uid": instance_of(
                    session, place.image_id, place.frame
                ).sop_instance_uid,
            }
        )
        for place in judgement.places
    ]
    return marks, regions


def _repeat(
    session: Session, review: Review, draft_id: UUID, based_on: int, judgement: Judgement
) -> ReviewView:
    """Return the first result of a key, unless it was for something else; timing may differ."""
    marks = marks_of(session, [review.id])[review.id]
    regions = regions_of(session, [review.id])[review.id]
    stored = Judgement(
        verdict=review.verdict,
        verdict_inferred=review.verdict_inferred,
        final_text=review.final_text,
        marks=tuple(_mark(mark) for mark in marks),
        places=tuple(_place(region) for region in regions),
        confidence=review.confidence,
        comment=review.comment,
    )
    same = (review.draft_id, review.revision - 1, stored) == (draft_id, based_on, judgement)
    if not same:
        raise IdempotencyConflictError
    return review_view(review, marks, regions)


def _mark(mark: SentenceMark) -> Mark:
    return Mark(
        sentence_index=mark.sentence_index,
        ok=mark.ok,
        error=mark.error,
        subtype=mark.subtype,
        clinically_significant=mark.clinically_significant,
        replacement=mark.replacement,
        region_ids=tuple(mark.region_ids),
    )


def _place(region: Region) -> Place:
    return Place(
        key=region.key,
        type=region.type,
        space=region.space,
        coords=tuple(region.coords),
        image_id=region.image_id,
        frame=region.frame,
        label=region.label,
    )


def _flags(judgement: Judgement) -> list[dict[str, Any]]:
    texts = [("final_text", judgement.final_text), ("comment", judgement.comment)]
    texts += [("replacement", mark.replacement or "") for mark in judgement.marks]
    texts += [("label", place.label) for place in judgement.places]
    return [flag.as_json() for where, text in texts for flag in screen(text, where=where)]
