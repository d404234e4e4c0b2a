"""Submitting and reading reviews."""

from datetime import timedelta
from typing import Any

import pytest

from storage.errors import IdempotencyConflictError, NotFoundError, StaleRevisionError
from storage.tables import Case, Collection, Draft, Region, Review, SentenceMark
from storage.vocabulary import CaseState, Protocol, Role, Verdict
from tests.unit.services.world import NOBODY, World, done, on_both_databases, refused
from webapp.services.actor import Actor
from webapp.services.errors import (
    HeldError,
    InvalidRequestError,
    NotAllowedError,
    NotSignedInError,
    OwnReadRequiredError,
)
from webapp.services.reading import Reading
from webapp.services.reviewing import Reviewing, ReviewInput
from webapp.services.worklist import Worklist
from webapp.ui.reading_view import draft_choices, header

WRONG = {
    "index": 1,
    "ok": False,
    "error": "incorrect_location",
    "subtype": "laterality",
    "clinically_significant": True,
    "replacement": "There is a left effusion.",
    "region_ids": ["r1"],
}
FULL: dict[str, Any] = {
    "sentences": [{"index": 0, "ok": True}, WRONG],
    "missing": ["A nodule"],
    "regions": [{"id": "r1", "coords": [1.5, 2, 5, 6], "label": "effusion"}],
    "confidence": 4,
    "comment": "Side confused.",
    "timing": {"active_ms": 5200},
}


@pytest.fixture
def reviewing(world: World) -> Reviewing:
    return Reviewing(world.store, world.clock)


@pytest.fixture
def reader(world: World) -> Actor:
    return world.make_actor(Role.READER)


@pytest.fixture
def collection(world: World, reader: Actor) -> Collection:
    return world.make_collection(reader)


@pytest.fixture
def case(world: World, reader: Actor, collection: Collection) -> Case:
    return world.make_case(collection, reader)


@pytest.fixture
def draft(world: World, reader: Actor, case: Case) -> Draft:
    return world.make_draft(case, reader)


def given(key: str = "k", revision: int = 0, **fields: Any) -> ReviewInput:  # noqa: ANN401 - fields
    return ReviewInput(key, revision, **fields)


@on_both_databases
def test_review_is_kept_with_all_that_hangs_on_it(
    world: World, reviewing: Reviewing, reader: Actor, draft: Draft
) -> None:
    view = reviewing.submit(reader, draft.id, given(**FULL))
    assert (view.revision, view.verdict, view.supersedes) == (1, Verdict.MAJOR_EDIT, None)
    assert view.final_text == "The heart is enlarged. There is a left effusion. A nodule."
    assert [mark.index for mark in view.sentences] == [0, 1]
    assert view.sentences[1].region_ids == ("r1",)
    assert [mark.replacement for mark in view.missing] == ["A nodule"]
    assert (view.regions[0].coords, view.regions[0].label) == ((1.5, 2, 5, 6), "effusion")
    assert view.regions[0].sop_instance_uid.startswith("2.25.")
    assert (view.confidence, view.comment, view.timing) == (
        4,
        "Side confused.",
        {"active_ms": 5200},
    )
    assert world.events() == [done("review.submitted")]
    assert world.last_event().object_id == str(view.id)
    assert reviewing.history(reader, draft.id) == [view]


def test_second_opinion_keeps_the_first(
    world: World, reviewing: Reviewing, reader: Actor, draft: Draft
) -> None:
    first = reviewing.submit(reader, draft.id, given("a"))
    world.clock.forward(minutes=1)
    second = reviewing.submit(reader, draft.id, given("b", 1, final_text="Effusion."))
    assert (second.revision, second.supersedes) == (2, first.id)
    assert reviewing.history(reader, draft.id) == [first, second]


@on_both_databases
def test_same_call_twice_gives_the_first_result(
    world: World, reviewing: Reviewing, reader: Actor, draft: Draft
) -> None:
    first = reviewing.submit(reader, draft.id, given(**FULL))
    again = reviewing.submit(reader, draft.id, given(**{**FULL, "timing": {"active_ms": 9}}))
    assert again == first
    tables = (Review, SentenceMark, Region)
    assert [len(world.rows(table)) for table in tables] == [1, 3, 1]


def test_late_repeat_of_an_older_revision_still_gets_it(
    reviewing: Reviewing, reader: Actor, draft: Draft
) -> None:
    first = reviewing.submit(reader, draft.id, given("a"))
    reviewing.submit(reader, draft.id, given("b", 1, verdict="reject"))
    assert reviewing.submit(reader, draft.id, given("a")) == first


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"comment": "Another."}, id="comment"),
        pytest.param({"verdict": "reject"}, id="verdict"),
        pytest.param({"sentences": [{**WRONG, "replacement": "None."}]}, id="mark"),
        pytest.param({"regions": [{"id": "r1", "coords": [0, 0, 1, 1]}]}, id="region"),
        pytest.param({"revision": 1}, id="revision"),
    ],
)
def test_same_key_with_another_content_is_refused(
    world: World, reviewing: Reviewing, reader: Actor, draft: Draft, other: dict[str, Any]
) -> None:
    reviewing.submit(reader, draft.id, given(**FULL))
    with pytest.raises(IdempotencyConflictError):
        reviewing.submit(reader, draft.id, given(**{**FULL, **other}))
    assert len(world.rows(Review)) == 1
    assert world.events()[-1] == refused("review.submitted", "idempotency_conflict")


def test_same_key_for_another_draft_is_refused(
    world: World, reviewing: Reviewing, reader: Actor, case: Case, draft: Draft
) -> None:
    reviewing.submit(reader, draft.id, given())
    other = world.make_draft(case, reader)
    with pytest.raises(IdempotencyConflictError):
        reviewing.submit(reader, other.id, given())


@pytest.mark.parametrize("based_on", [0, 2], ids=["older", "newer"])
def test_stale_revision_is_refused_and_names_the_newest(
    world: World, reviewing: Reviewing, reader: Actor, draft: Draft, based_on: int
) -> None:
    reviewing.submit(reader, draft.id, given("a"))
    with pytest.raises(StaleRevisionError) as refusal:
        reviewing.submit(reader, draft.id, given("b", based_on, verdict="reject"))
    assert refusal.value.newest == 1
    assert len(world.rows(Review)) == 1


@pytest.mark.parametrize("revision", [-1, True, "1", None])
def test_revision_that_is_no_number_is_refused(
    reviewing: Reviewing,
    reader: Actor,
    draft: Draft,
    revision: Any,  # noqa: ANN401 - wrong on purpose
) -> None:
    with pytest.raises(InvalidRequestError):
        reviewing.submit(reader, draft.id, ReviewInput("k", revision))


def test_each_reader_has_revisions_of_their_own(
    world: World, reviewing: Reviewing, reader: Actor, collection: Collection, draft: Draft
) -> None:
    colleague = world.make_actor(Role.READER)
    world.add_member(collection, colleague)
    reviewing.submit(reader, draft.id, given())
    assert reviewing.submit(colleague, draft.id, given()).revision == 1


@on_both_databases
def test_others_reviews_stay_hidden_until_the_own_is_done(
    world: World, reviewing: Reviewing, reader: Actor, collection: Collection, draft: Draft
) -> None:
    first = reviewing.submit(reader, draft.id, given())
    colleague, judge = world.make_actor(Role.READER), world.make_actor(Role.ADJUDICATOR)
    world.add_member(collection, colleague)
    world.add_member(collection, judge)
    assert reviewing.history(colleague, draft.id) == []
    assert reviewing.history(judge, draft.id) == [first]
    world.clock.forward(seconds=1)
    own = reviewing.submit(colleague, draft.id, given(verdict="reject"))
    assert reviewing.history(colleague, draft.id) == [first, own]


@pytest.mark.parametrize("protocol", list(Protocol))
def test_trainee_reviews_in_teaching_only(
    world: World, reviewing: Reviewing, protocol: Protocol
) -> None:
    trainee = world.make_actor(Role.TRAINEE)
    case = world.make_case(world.make_collection(trainee, protocol=protocol), trainee)
    Reading(world.store, world.clock).commit_own_read(
        trainee, case.id, text="Normal.", idempotency_key="k"
    )
    draft = world.make_draft(case, trainee)
    if protocol is Protocol.TEACHING:
        assert reviewing.submit(trainee, draft.id, given()).revision == 1
    else:
        with pytest.raises(NotAllowedError):
            reviewing.submit(trainee, draft.id, given())
        assert world.rows(Review) == []
        assert world.events()[-1] == refused("review.submitted", "not_allowed")


def test_own_read_comes_before_a_colleagues_draft_where_the_protocol_says_so(
    world: World, reviewing: Reviewing
) -> None:
    reader, colleague = world.make_actor(Role.READER), world.make_actor(Role.READER)
    collection = world.make_collection(reader, colleague, protocol=Protocol.READER_FIRST)
    case = world.make_case(collection, reader)
    draft = world.make_draft(case, reader)
    with pytest.raises(OwnReadRequiredError):
        reviewing.submit(colleague, draft.id, given())
    with pytest.raises(OwnReadRequiredError):
        reviewing.history(colleague, draft.id)
    admin = world.make_actor(Role.ADMIN)
    assert reviewing.submit(admin, draft.id, given()).own_read_first is False


@pytest.mark.parametrize(
    ("minutes", "first"), [(-1, True), (1, False)], ids=["read, then draft", "draft, then read"]
)
def test_review_says_whether_the_own_read_came_first(
    world: World, reviewing: Reviewing, reader: Actor, case: Case, minutes: int, first: bool
) -> None:
    draft = world.make_draft(case, reader, created_at=world.clock() + timedelta(minutes=-minutes))
    Reading(world.store, world.clock).commit_own_read(
        reader, case.id, text="Normal.", idempotency_key="k"
    )
    assert reviewing.submit(reader, draft.id, given()).own_read_first is first


def test_foreign_unknown_and_signed_out_write_nothing(
    world: World, reviewing: Reviewing, draft: Draft
) -> None:
    stranger = world.make_actor(Role.ADJUDICATOR)
    refusals = []
    for draft_id in (draft.id, NOBODY):
        with pytest.raises(NotFoundError) as refusal:
            reviewing.submit(stranger, draft_id, given())
        with pytest.raises(NotFoundError):
            reviewing.history(stranger, draft_id)
        refusals.append(str(refusal.value))
    assert refusals[0] == refusals[1]
    with pytest.raises(NotSignedInError):
        reviewing.submit(None, draft.id, given())
    with pytest.raises(NotSignedInError):
        reviewing.history(None, draft.id)
    assert world.rows(Review) == []


def test_trainee_does_not_see_a_colleagues_draft(
    world: World, reviewing: Reviewing, collection: Collection, draft: Draft
) -> None:
    trainee = world.make_actor(Role.TRAINEE)
    world.add_member(collection, trainee)
    with pytest.raises(NotFoundError):
        reviewing.history(trainee, draft.id)


def test_draft_of_a_held_case_is_not_reviewed(
    world: World, reviewing: Reviewing, reader: Actor, collection: Collection
) -> None:
    case = world.make_case(collection, reader, state=CaseState.HELD)
    draft = world.make_draft(case, reader)
    with pytest.raises(HeldError):
        reviewing.submit(reader, draft.id, given())


def test_bad_input_writes_nothing_but_the_refusal(
    world: World, reviewing: Reviewing, reader: Actor, draft: Draft
) -> None:
    with pytest.raises(InvalidRequestError):
        reviewing.submit(reader, draft.id, given(sentences=[{"index": 0, "ok": False}]))
    with pytest.raises(InvalidRequestError):
        reviewing.submit(reader, draft.id, given(timing={"x": float("nan")}))
    assert [world.rows(table) for table in (Review, SentenceMark, Region)] == [[], [], []]
    assert world.events() == [refused("review.submitted", "invalid_request")] * 2


def test_identity_typed_into_a_review_is_flagged(
    world: World, reviewing: Reviewing, reader: Actor, draft: Draft
) -> None:
    reviewing.submit(reader, draft.id, given(comment="Ask Dr. Smith, 555 123 4567."))
    assert [(flag["rule"], flag["where"]) for flag in world.rows(Review)[0].flags] == [
        ("identifier.contact", "comment"),
        ("identifier.name", "comment"),
    ]


def test_a_page_says_of_every_draft_what_was_decided(
    world: World, reviewing: Reviewing, reader: Actor, case: Case, draft: Draft
) -> None:
    other = world.make_draft(case, reader)
    reviewing.submit(reader, draft.id, given(verdict=Verdict.ACCEPT_AS_IS))

    shown = Worklist(world.store, world.clock).case(reader, case.id)

    labels = {id_: label for label, id_ in draft_choices(shown, draft.id)}
    assert labels[str(draft.id)].endswith("· accepted as is")
    assert labels[str(other.id)].endswith("· not reviewed")
    assert "done, drafts not reviewed yet: 1" in header(shown)
