"""Finding and opening cases: what is seen, by whom, in which order."""

import base64
from uuid import UUID, uuid4

import pytest
from sqlalchemy import insert

from storage.cases import FEW
from storage.errors import NotFoundError
from storage.tables import Case, Draft, Message, Review
from storage.vocabulary import CaseState, FinishReason, Progress, Protocol, Role, Verdict
from tests.unit.services.world import NOBODY, World, done, on_both_databases, refused
from webapp.services.errors import InvalidRequestError, NotSignedInError
from webapp.services.judging import ReviewInput
from webapp.services.reading import Reading
from webapp.services.reviewing import Reviewing
from webapp.services.worklist import Worklist


@pytest.fixture
def worklist(world: World) -> Worklist:
    return Worklist(world.store, world.clock)


@on_both_databases
def test_pages_run_newest_first_and_meet_without_gap(world: World, worklist: Worklist) -> None:
    reader = world.make_actor(Role.READER)
    ours, theirs = world.make_collection(reader), world.make_collection(reader)
    cases = []
    for number in range(7):
        world.clock.forward(seconds=number % 2)  # pairs share their instant
        cases.append(world.make_case(ours if number % 3 else theirs, reader))
    expected = [case.id for case in sorted(cases, key=lambda c: (c.created_at, c.id))][::-1]

    seen, cursor = [], None
    for size in (3, 3, 1):
        page = worklist.page(reader, limit=3, cursor=cursor)
        assert len(page.items) == size
        seen += [row.id for row in page.items]
        cursor = page.next
    assert cursor is None
    assert seen == expected


def test_row_says_what_a_worklist_shows(world: World, worklist: Worklist) -> None:
    reader = world.make_actor(Role.READER)
    collection = world.make_collection(reader, name="Chest", protocol=Protocol.TEACHING)
    case = world.make_case(collection, reader)
    (row,) = worklist.page(reader).items
    assert (row.id, row.collection, row.protocol) == (case.id, "Chest", Protocol.TEACHING)
    assert (row.state, row.progress) == (CaseState.ADMITTED, Progress.TODO)
    assert (row.image_count, row.frame_count) == (1, 1)
    assert (row.modality, row.body_part, row.made_up) == ("CR", "CHEST", False)
    assert row.created_at == case.created_at
    assert world.events() == [done("worklist.listed")]


def test_only_cases_of_own_collections_are_listed(world: World, worklist: Worklist) -> None:
    reader, other = world.make_actor(Role.READER), world.make_actor(Role.READER)
    admin = world.make_actor(Role.ADMIN)
    ours, theirs = world.make_collection(reader), world.make_collection(other)
    mine = world.make_case(ours, reader)
    foreign = world.make_case(theirs, other)
    assert [row.id for row in worklist.page(reader).items] == [mine.id]
    assert {row.id for row in worklist.page(admin).items} == {mine.id, foreign.id}
    assert worklist.page(world.make_actor(Role.READER)).items == ()


@pytest.mark.parametrize("by", ["name", "id"])
def test_one_collection_is_asked_for_by_name_or_id(
    world: World, worklist: Worklist, by: str
) -> None:
    reader = world.make_actor(Role.READER)
    ours, others = world.make_collection(reader), world.make_collection(reader)
    case = world.make_case(ours, reader)
    world.make_case(others, reader)
    page = worklist.page(reader, collection=str(getattr(ours, by)))
    assert [row.id for row in page.items] == [case.id]


def test_foreign_and_unknown_collections_answer_alike(world: World, worklist: Worklist) -> None:
    reader = world.make_actor(Role.READER)
    theirs = world.make_collection(name="Theirs")
    refusals = []
    for name in ("Theirs", str(theirs.id), "No such thing"):
        with pytest.raises(NotFoundError) as refusal:
            worklist.page(reader, collection=name)
        refusals.append(str(refusal.value))
    assert len(set(refusals)) == 1
    assert world.events() == [refused("worklist.listed", "not_found")] * 3


@on_both_databases
def test_progress_follows_what_the_reader_did(world: World, worklist: Worklist) -> None:
    reader, colleague = world.make_actor(Role.READER), world.make_actor(Role.READER)
    collection = world.make_collection(reader, colleague)
    todo, read, drafted, done_ = (world.make_case(collection, reader) for _ in range(4))
    reading, reviewing = Reading(world.store, world.clock), Reviewing(world.store, world.clock)
    for case in (read, drafted, done_):
        reading.commit_own_read(reader, case.id, text="Effusion.", idempotency_key=str(case.id))
    world.make_draft(drafted, reader)
    draft = world.make_draft(done_, reader)
    reviewing.submit(reader, draft.id, ReviewInput("k", 0))

    expected = {
        Progress.TODO: todo.id,
        Progress.OWN_READ: read.id,
        Progress.DRAFTED: drafted.id,
        Progress.DONE: done_.id,
    }
    for progress, case_id in expected.items():
        (row,) = worklist.page(reader, state=progress.value).items
        assert (row.id, row.progress) == (case_id, progress)
        assert worklist.case(reader, case_id).progress is progress
    assert {row.progress for row in worklist.page(colleague).items} == {Progress.TODO}
    assert [row.own_read is None for row in worklist.page(reader, state="todo").items] == [True]
    assert [row.own_read is None for row in worklist.page(reader, state="done").items] == [False]


@pytest.mark.parametrize(
    ("role", "seen"),
    [
        pytest.param(Role.TRAINEE, {CaseState.ADMITTED}, id="trainee"),
        pytest.param(Role.READER, {CaseState.ADMITTED, CaseState.HELD}, id="reader"),
        pytest.param(
            Role.ADMIN, {CaseState.ADMITTED, CaseState.HELD, CaseState.CHECKING}, id="admin"
        ),
    ],
)
def test_state_decides_who_knows_of_a_case(
    world: World, worklist: Worklist, role: Role, seen: set[CaseState]
) -> None:
    uploader, actor = world.make_actor(Role.READER), world.make_actor(role)
    collection = world.make_collection(uploader, actor)
    cases = {state: world.make_case(collection, uploader, state=state) for state in CaseState}
    assert {row.state for row in worklist.page(actor).items} == seen
    for state, case in cases.items():
        known = state in seen or (state is CaseState.REFUSED and role is not Role.TRAINEE)
        if known:
            assert worklist.case(actor, case.id).state is state
            assert [row.id for row in worklist.page(actor, state=state.value).items] == [case.id]
        else:
            with pytest.raises(NotFoundError):
                worklist.case(actor, case.id)
            assert worklist.page(actor, state=state.value).items == ()


@on_both_databases
def test_uploader_sees_a_study_that_is_still_being_checked(
    world: World, worklist: Worklist
) -> None:
    uploader = world.make_actor(Role.READER)
    case = world.make_case(world.make_collection(uploader), uploader, state=CaseState.CHECKING)
    assert [row.id for row in worklist.page(uploader).items] == [case.id]
    assert worklist.case(uploader, case.id).id == case.id


def test_refused_case_shows_no_images(world: World, worklist: Worklist) -> None:
    reader = world.make_actor(Role.READER)
    case = world.make_case(world.make_collection(reader), reader, state=CaseState.REFUSED)
    assert worklist.case(reader, case.id).images == ()


def test_open_case_shows_images_and_only_own_conversation(world: World, worklist: Worklist) -> None:
    reader, colleague = world.make_actor(Role.READER), world.make_actor(Role.READER)
    case = world.make_case(world.make_collection(reader, colleague), reader)
    draft = world.make_draft(case, reader)
    world.make_draft(case, colleague)
    Reviewing(world.store, world.clock).submit(reader, draft.id, ReviewInput("k", 0))

    view = worklist.case(reader, case.id)

    (image,) = view.images
    assert (image.rows, image.columns, image.frames, image.dtype) == (8, 8, 1, "uint8")
    assert image.positions == ((1.0, 2.0, 3.0),)
    (message,) = view.messages
    assert message.draft is not None
    assert message.draft.id == draft.id
    assert [sentence.text for sentence in message.draft.sentences] == [
        "The heart is enlarged.",
        "There is a right effusion.",
    ]
    assert [review.draft_id for review in view.reviews] == [draft.id]
    assert world.last_event().object_id == str(case.id)


def test_foreign_and_unknown_cases_answer_alike(world: World, worklist: Worklist) -> None:
    reader, other = world.make_actor(Role.READER), world.make_actor(Role.READER)
    foreign = world.make_case(world.make_collection(other), other)
    refusals = []
    for case_id in (foreign.id, NOBODY):
        with pytest.raises(NotFoundError) as refusal:
            worklist.case(reader, case_id)
        refusals.append(str(refusal.value))
    assert refusals[0] == refusals[1]


def test_nobody_lists_or_opens_without_signing_in(world: World, worklist: Worklist) -> None:
    reader = world.make_actor(Role.READER)
    case = world.make_case(world.make_collection(reader), reader)
    with pytest.raises(NotSignedInError):
        worklist.page(None)
    with pytest.raises(NotSignedInError):
        worklist.case(None, case.id)
    with pytest.raises(NotSignedInError):
        worklist.next(None)


def _cursor_at(instant: str) -> str:
    return base64.urlsafe_b64encode(f"{instant}|{UUID(int=1)}".encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "arguments",
    [
        pytest.param({"state": "nonsense"}, id="unknown state"),
        pytest.param({"limit": 0}, id="no rows"),
        pytest.param({"limit": 101}, id="too many rows"),
        pytest.param({"cursor": "nonsense"}, id="cursor of no page"),
        pytest.param({"cursor": "MjAyNi0wMS0wMXxhYmM"}, id="cursor without an id"),
        pytest.param({"cursor": "é"}, id="cursor that is no base64"),
        pytest.param({"cursor": _cursor_at("9999-12-31T23:59:59-12:00")}, id="cursor after time"),
        pytest.param({"cursor": _cursor_at("0001-01-01T00:00:00+12:00")}, id="cursor before time"),
    ],
)
def test_page_that_cannot_be_is_refused(
    world: World, worklist: Worklist, arguments: dict[str, str]
) -> None:
    with pytest.raises(InvalidRequestError):
        worklist.page(world.make_actor(Role.READER), **arguments)  # type: ignore[arg-type]  # mixed


@on_both_databases
def test_next_takes_the_oldest_and_keeps_it_for_its_reader(
    world: World, worklist: Worklist
) -> None:
    ada, ben = world.make_actor(Role.READER), world.make_actor(Role.READER)
    collection = world.make_collection(ada, ben)
    cases = []
    for _ in range(3):
        cases.append(world.make_case(collection, ada).id)
        world.clock.forward(seconds=1)

    def take(actor: object) -> object:
        case = worklist.next(actor)  # type: ignore[arg-type]  # an actor
        return None if case is None else case.id

    assert take(ada) == cases[0]
    assert take(ben) == cases[1]
    assert take(ada) == cases[0]
    world.clock.forward(minutes=31)
    assert take(ben) == cases[0]


def test_next_passes_over_what_is_done_held_or_foreign(world: World, worklist: Worklist) -> None:
    ada = world.make_actor(Role.READER)
    collection = world.make_collection(ada)
    reviewed = world.make_case(collection, ada)
    world.make_case(collection, ada, state=CaseState.HELD)
    world.make_case(world.make_collection(), ada)
    draft = world.make_draft(reviewed, ada)
    Reviewing(world.store, world.clock).submit(ada, draft.id, ReviewInput("k", 0))
    assert worklist.next(ada) is None
    left = world.make_case(collection, ada)
    case = worklist.next(ada)
    assert case is not None
    assert case.id == left.id


def test_next_keeps_to_the_collection_asked_for(world: World, worklist: Worklist) -> None:
    ada = world.make_actor(Role.READER)
    first, second = world.make_collection(ada), world.make_collection(ada)
    world.make_case(first, ada)
    world.clock.forward(seconds=1)
    wanted = world.make_case(second, ada)
    case = worklist.next(ada, second.name)
    assert case is not None
    assert case.id == wanted.id
    with pytest.raises(NotFoundError):
        worklist.next(ada, "No such thing")


def test_submitting_a_review_gives_the_case_back(world: World, worklist: Worklist) -> None:
    ada, ben = world.make_actor(Role.READER), world.make_actor(Role.READER)
    case = world.make_case(world.make_collection(ada, ben), ada)
    assert worklist.next(ada) is not None
    assert worklist.next(ben) is None
    draft = world.make_draft(case, ada)
    Reviewing(world.store, world.clock).submit(ada, draft.id, ReviewInput("k", 0))
    assert worklist.next(ben) is not None


def test_filter_holds_for_a_reader_with_a_thousand_reviews(
    world: World, worklist: Worklist
) -> None:
    reader = world.make_actor(Role.READER)
    collection = world.make_collection(reader)
    cases, messages, drafts, reviews = [], [], [], []
    for number in range(FEW + 2):
        case_id, message_id, draft_id = uuid4(), uuid4(), uuid4()
        common = {"case_id": case_id, "created_at": world.clock()}
        asked = {**common, "person_id": reader.id, "template_id": "x", "images": [], "flags": []}
        cases.append(
            {
                "id": case_id,
                "collection_id": collection.id,
                "state": CaseState.ADMITTED,
                "held_because": [],
                "patient_key": "p",
                "study_key": str(number),
                "content_key": "c",
                "modality": "CR",
                "body_part": "",
                "made_up": True,
                "uploaded_by": reader.id,
                "created_at": world.clock(),
            }
        )
        messages.append({**asked, "id": message_id, "text": "Q", "idempotency_key": str(number)})
        drafts.append(
            {
                **asked,
                "id": draft_id,
                "message_id": message_id,
                "model_id": "m",
                "template_sha256": "0" * 64,
                "messages": [],
                "decoding": {},
                "safety_policy": "1",
                "raw_text": "A.",
                "shown_text": "A.",
                "sentences": [[0, 2]],
                "finish_reason": FinishReason.STOP,
                "latency_ms": 1,
            }
        )
        reviews.append(
            {
                **common,
                "id": uuid4(),
                "draft_id": draft_id,
                "reviewer_id": reader.id,
                "revision": 1,
                "verdict": Verdict.ACCEPT_AS_IS,
                "verdict_inferred": True,
                "final_text": "A.",
                "comment": "",
                "timing": {},
                "own_read_first": False,
                "flags": [],
                "idempotency_key": str(number),
            }
        )
    unreviewed = reviews.pop()["case_id"]
    with world.store.write() as session:
        for table, rows in ((Case, cases), (Message, messages), (Draft, drafts), (Review, reviews)):
            session.execute(insert(table), rows)
    page = worklist.page(reader, state="done")
    assert len(page.items) == 20
    assert {row.progress for row in page.items} == {Progress.DONE}
    assert [row.id for row in worklist.page(reader, state="drafted").items] == [unreviewed]
