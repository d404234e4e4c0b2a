"""Use cases of finding the next thing to read, and of opening it."""

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from sqlmodel import Session

from storage.cases import (
    Visible,
    image_counts,
    images_of,
    instances_of,
    next_case,
    page_of_cases,
    progress_of,
    take_lease,
)
from storage.checks import checks_of, texts_of
from storage.engine import Store
from storage.intake.pixel_text import TextBox, over_frames
from storage.reading import conversation, own_read_of, own_reads_of
from storage.reviews import marks_of, regions_of, reviews_of_case
from storage.tables import Case, Collection
from storage.vocabulary import CaseState, Progress, Role
from webapp.services import inputs
from webapp.services.access import (
    WORKLIST_STATES,
    collection_open_to,
    collections_open_to,
    known_case,
    visible_to,
)
from webapp.services.actor import Actor
from webapp.services.errors import InvalidRequestError, NotSignedInError
from webapp.services.policy import Action
from webapp.services.present import geometry_view, message_view, own_read_view, review_view
from webapp.services.views import (
    CaseRow,
    CaseView,
    FoundTextView,
    GeometryView,
    Page,
    ReviewView,
    SearchView,
)
from webapp.services.work import Work, use_case

MAX_PAGE: Final = 100
LEASE: Final = timedelta(minutes=30)


@dataclass(frozen=True, slots=True)
class Worklist:
    """Lists of cases, one case, and the next one."""

    store: Store
    now: Callable[[], datetime]

    def page(
        self,
        actor: Actor | None,
        *,
        collection: str | None = None,
        state: str | None = None,
        cursor: str | None = None,
        limit: int = 20,
    ) -> Page[CaseRow]:
        """Return cases of the actor's collections, newest first.

        Args:
            actor: Who asks.
            collection: Only of this one, by name or id.
            state: A word of `CaseState` or of `Progress`; without it all but refused ones.
            cursor: `next` of the page before.
            limit: 1 to 100.

        Raises:
            NotFoundError: there is no such collection, or it is not the actor's.
            InvalidRequestError: a state, cursor or limit that does not exist.
        """
        with use_case(self, actor, Action.LIST_CASES) as work:
            if not 1 <= limit <= MAX_PAGE:
                raise InvalidRequestError(f"A page has 1 to {MAX_PAGE} cases.")
            states, progress = _filter(state)
            visible, collections = _visible(work, collection, states)
            found = page_of_cases(
                work.session,
                visible,
                progress=progress,
                after=None if cursor is None else _position(cursor),
                limit=limit + 1,
            )
            cases = found[:limit]
            more = len(found) > limit
            rows = _rows(work, cases, collections)
            return Page(rows, _cursor(cases[-1]) if more else None)

    def case(self, actor: Actor | None, case_id: UUID) -> CaseView:
        """Open a case: its images, and what the actor has said about it so far.

        The images of a refused case are left out.

        Raises:
            NotFoundError: there is none, or it is not the actor's.
        """
        with use_case(self, actor, Action.OPEN_CASE, ("case", case_id)) as work:
            case, collection = known_case(work.session, work.actor, case_id)
            return opened(work, case, collection)

    def search(self, actor: Actor | None, case_id: UUID) -> SearchView:
        """Tell how far the search for text is; an open page asks by itself, so it is no event.

        Raises:
            NotFoundError: there is no such case, or it is not the actor's.
            NotSignedInError: nobody asks.
        """
        if actor is None:
            raise NotSignedInError
        with self.store.read() as session:
            case, _ = known_case(session, actor, case_id)
            return SearchView(case.id, case.state, _checked(session, [case]).get(case.id))

    def next(self, actor: Actor | None, collection: str | None = None) -> CaseView | None:
        """Take the oldest unfinished case that nobody else has, for 30 minutes; None: all done.

        A case the actor has taken already is given again.

        Raises:
            NotFoundError: there is no such collection, or it is not the actor's.
        """
        with use_case(self, actor, Action.CLAIM_CASE) as work:
            admitted = frozenset({CaseState.ADMITTED})
            visible, collections = _visible(work, collection, admitted)
            case = next_case(work.session, visible, work.at)
            if case is None:
                return None
            work.about = ("case", case.id)
            take_lease(work.session, case.id, work.actor.id, work.at + LEASE)
            return opened(work, case, collections[case.collection_id])


def opened(work: Work, case: Case, collection: Collection) -> CaseView:
    """Gather what a reading page shows of a case the actor may know of."""
    session, person_id = work.session, work.actor.id
    own_read = own_read_of(session, case.id, person_id)
    return CaseView(
        id=case.id,
        collection=collection.name,
        collection_id=collection.id,
        state=case.state,
        progress=progress_of(session, person_id, [case.id])[case.id],
        held_because=tuple(case.held_because),
        modality=case.modality,
        body_part=case.body_part,
        made_up=case.made_up,
        protocol=collection.protocol,
        created_at=case.created_at,
        own_read=None if own_read is None else own_read_view(own_read),
        images=() if case.state is CaseState.REFUSED else _images(session, case.id),
        messages=tuple(
            message_view(message, draft, work.actor.role)
            for message, draft in conversation(session, case.id, person_id)
        ),
        reviews=_reviews(session, case.id, person_id),
        checked=_checked(session, [case]).get(case.id),
        found_text=_found_text(session, case) if case.state is CaseState.HELD else (),
        study_day=case.study_day,
    )


def _images(session: Session, case_id: UUID) -> tuple[GeometryView, ...]:
    images = images_of(session, case_id)
    instances = instances_of(session, [image.id for image in images])
    return tuple(geometry_view(image, instances[image.id]) for image in images)


def _checked(session: Session, cases: Sequence[Case]) -> dict[UUID, tuple[int, int]]:
    going_on = [case.id for case in cases if case.state is CaseState.CHECKING]
    checks = checks_of(session, going_on) if going_on else {}
    return {case_id: (check.frames_done, check.frames) for case_id, check in checks.items()}


def _found_text(session: Session, case: Case) -> tuple[FoundTextView, ...]:
    texts = texts_of(session, [image.id for image in images_of(session, case.id)])
    return tuple(
        FoundTextView(image_id, (box.column0, box.row0, box.column1, box.row1), frames)
        for image_id, of_image in texts.items()
        for box, frames in over_frames(
            (text.frame, TextBox(text.column0, text.row0, text.column1, text.row1))
            for text in of_image
            if not text.marker
        )
    )


def _reviews(session: Session, case_id: UUID, person_id: UUID) -> tuple[ReviewView, ...]:
    reviews = reviews_of_case(session, case_id, person_id)
    ids = [review.id for review in reviews]
    marks, regions = marks_of(session, ids), regions_of(session, ids)
    return tuple(review_view(review, marks[review.id], regions[review.id]) for review in reviews)


def _visible(
    work: Work, collection: str | None, states: frozenset[CaseState]
) -> tuple[Visible, Mapping[UUID, Collection]]:
    if collection is None:
        found = collections_open_to(work.session, work.actor)
        everything = work.actor.role is Role.ADMIN
    else:
        found = (collection_open_to(work.session, work.actor, collection),)
        everything = False
    visible = visible_to(work.actor, None if everything else found, states)
    return visible, {one.id: one for one in found}


def _rows(
    work: Work, cases: Sequence[Case], collections: Mapping[UUID, Collection]
) -> tuple[CaseRow, ...]:
    ids = [case.id for case in cases]
    progress = progress_of(work.session, work.actor.id, ids)
    own_reads = own_reads_of(work.session, ids, work.actor.id)
    counts = image_counts(work.session, ids)
    checked = _checked(work.session, cases)
    return tuple(
        CaseRow(
            id=case.id,
            collection=collections[case.collection_id].name,
            collection_id=case.collection_id,
            state=case.state,
            progress=progress[case.id],
            held_because=tuple(case.held_because),
            modality=case.modality,
            body_part=case.body_part,
            made_up=case.made_up,
            protocol=collections[case.collection_id].protocol,
            created_at=case.created_at,
            own_read=own_read_view(own_reads[case.id]) if case.id in own_reads else None,
            image_count=counts.get(case.id, (0, 0))[0],
            frame_count=counts.get(case.id, (0, 0))[1],
            checked=checked.get(case.id),
        )
        for case in cases
    )


def _filter(state: str | None) -> tuple[frozenset[CaseState], Progress | None]:
    if state is None:
        return WORKLIST_STATES, None
    if state in set(CaseState):
        return frozenset({CaseState(state)}), None
    if state in set(Progress):
        return frozenset({CaseState.ADMITTED}), Progress(state)
    known = ", ".join([*CaseState, *Progress])
    raise InvalidRequestError(f"The state is one of {known}.")


def _cursor(case: Case) -> str:
    plain = f"{case.created_at.isoformat()}|{case.id}"
    return base64.urlsafe_b64encode(plain.encode()).decode().rstrip("=")


def _position(cursor: str) -> tuple[datetime, UUID]:
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        at, _, case_id = base64.urlsafe_b64decode(padded.encode()).decode().partition("|")
        return inputs.instant(at), UUID(case_id)
    except ValueError:  # base64's own error is one
        raise InvalidRequestError("This page does not exist; start from the first one.") from None
