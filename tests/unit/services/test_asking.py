"""Asking a model: what is stored, what is shown, and what happens when it goes wrong.

Long: one use case with many ways to go wrong, told over one small world.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest

from inference.errors import RequestRefusedError, WorkerBusyError, WorkerUnavailableError
from inference.prompts import template
from inference.protocol import Decoding, ServedModel
from inference.safety import policy
from storage.errors import BlobMissingError, IdempotencyConflictError, NotFoundError
from storage.tables import Case, Draft, Instance, Message
from storage.vocabulary import CaseState, FinishReason, Protocol, Role
from tests.unit.services.fake_worker import FakeWorker
from tests.unit.services.world import NOBODY, World, done, refused
from webapp.services.actor import Actor
from webapp.services.asking import Asking
from webapp.services.errors import (
    EmptyQuestionError,
    HeldError,
    InvalidRequestError,
    NotSignedInError,
    OwnReadRequiredError,
    QuestionInProgressError,
    QuestionTooLongError,
)
from webapp.services.reading import Reading
from webapp.services.views import AskEvent, DoneEvent, DraftView, FlagEvent, TokenEvent

SAID = "The heart is enlarged. No effusion."


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


@pytest.fixture
def asking(world: World, worker: FakeWorker) -> Asking:
    return Asking(world.store, world.blobs, world.clock, worker, Decoding(max_tokens=64))


@pytest.fixture
def reader(world: World) -> Actor:
    return world.make_actor(Role.READER)


@pytest.fixture
def case(world: World, reader: Actor) -> Case:
    return world.make_case(world.make_collection(reader), reader)


async def collect(events: AsyncIterator[AskEvent]) -> list[AskEvent]:
    return [event async for event in events]


async def ask(
    asking: Asking,
    actor: Actor | None,
    case: Case,
    key: str = "k",
    **fields: Any,  # noqa: ANN401 - fields
) -> list[AskEvent]:
    given = {"text": "Is the heart enlarged?", **fields}
    return await collect(asking.ask(actor, case.id, idempotency_key=key, **given))


def text_of(events: list[AskEvent]) -> str:
    return "".join(event.text for event in events if isinstance(event, TokenEvent))


def draft_of(events: list[AskEvent]) -> DraftView:
    last = events[-1]
    assert isinstance(last, DoneEvent)
    return last.draft


async def test_answer_streams_and_its_draft_says_all_that_made_it(
    world: World, asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    events = await ask(asking, reader, case)
    assert [type(event) for event in events] == [TokenEvent, TokenEvent, DoneEvent]
    assert text_of(events) == SAID
    draft = draft_of(events)
    assert (draft.raw_text, draft.shown_text, draft.finish_reason) == (SAID, SAID, "stop")
    assert [sentence.text for sentence in draft.sentences] == [
        "The heart is enlarged.",
        "No effusion.",
    ]
    assert (draft.model_id, draft.family, draft.weights_revision) == (
        "overread-demo",
        "overread-demo",
        "r1",
    )
    assert (draft.weights_sha256, draft.engine, draft.engine_version) == (
        "a" * 64,
        "overread",
        "0.1.0",
    )
    assert (draft.seed, draft.prompt_tokens, draft.completion_tokens) == (7, 90, 12)
    assert draft.decoding == {
        "max_tokens": 64,
        "temperature": 0.0,
        "top_p": None,
        "seed": None,
    }
    assert draft.first_token_ms == 35
    assert draft.latency_ms >= 0
    assert draft.template_id == "free_chat"
    assert draft.template_sha256 == template("free_chat").sha256
    assert draft.safety_policy == policy().version
    (image,) = draft.images
    png = world.blobs.get(image["png_blob"])
    assert image["sha256"] == hashlib.sha256(png).hexdigest()
    assert (image["frame"], image["window"]["width"]) == (0, 64.0)
    assert draft.messages == (
        {"role": "user", "text": "Is the heart enlarged?", "images": [image["sha256"]]},
    )
    assert worker.asked[0].turns[0].images == (png,)
    assert draft.notice == "draft – not for clinical use"
    assert world.events() == [done("question.asked"), done("draft.stored")]
    assert world.last_event().object_id == str(draft.id)
    assert asking.draft(reader, draft.id) == draft


async def test_same_call_twice_replays_the_stored_draft(
    world: World, asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    first = draft_of(await ask(asking, reader, case))
    again = await ask(asking, reader, case)
    assert again == [TokenEvent(SAID), DoneEvent(first)]
    assert len(worker.asked) == 1
    assert len(world.rows(Message)) == len(world.rows(Draft)) == 1


@pytest.mark.parametrize(
    "other",
    [
        pytest.param({"text": "Another?"}, id="text"),
        pytest.param({"choices": ["yes", "no"]}, id="choices"),
        pytest.param({"template": "impression"}, id="template"),
        pytest.param({"model": "chest-v2"}, id="model"),
    ],
)
async def test_same_key_with_another_question_is_refused(
    asking: Asking, worker: FakeWorker, reader: Actor, case: Case, other: dict[str, Any]
) -> None:
    await ask(asking, reader, case)
    with pytest.raises(IdempotencyConflictError):
        await ask(asking, reader, case, **other)
    assert len(worker.asked) == 1


async def test_conversation_goes_along_with_the_image_in_front(
    asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    await ask(asking, reader, case, "a", text="Effusion?")
    await ask(asking, reader, case, "b", text="Where?")
    turns = worker.asked[1].turns
    assert [(turn.role, turn.text, len(turn.images)) for turn in turns] == [
        ("user", "Effusion?", 1),
        ("assistant", SAID, 0),
        ("user", "Where?", 0),
    ]


async def test_others_conversations_do_not_go_along(
    world: World, asking: Asking, worker: FakeWorker
) -> None:
    ada, ben = world.make_actor(Role.READER), world.make_actor(Role.READER)
    case = world.make_case(world.make_collection(ada, ben), ada)
    await ask(asking, ada, case)
    await ask(asking, ben, case)
    assert len(worker.asked[1].turns) == 1


async def test_long_conversation_is_cut_at_its_beginning(
    world: World, asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    for number in range(8):
        world.clock.forward(seconds=1)
        await ask(asking, reader, case, str(number), text=f"Question {number}?")
    turns = worker.asked[-1].turns
    assert [turn.text for turn in turns if turn.role == "user"] == [
        f"Question {number}?" for number in range(1, 8)
    ]
    assert len(turns[0].images) == 1


async def test_closed_question_offers_its_choices_and_keeps_their_odds(
    asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.says, worker.choices = ("yes",), {"yes": 0.8, "no": 0.2}
    draft = draft_of(await ask(asking, reader, case, choices=["yes", "no"]))
    assert worker.asked[0].choices == ("yes", "no")
    assert worker.asked[0].turns[-1].text == "Is the heart enlarged? Answer with one of: yes, no."
    assert (draft.template_id, draft.choices) == ("closed_question", {"yes": 0.8, "no": 0.2})


async def test_closed_template_brings_its_own_choices(
    asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    await ask(asking, reader, case, template="closed_question")
    assert worker.asked[0].choices == ("present", "absent", "indeterminate")


async def test_family_without_system_text_gets_none_and_others_do(
    asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.listed = (ServedModel("elsewhere"),)
    await ask(asking, reader, case)
    assert [turn.role for turn in worker.asked[0].turns] == ["system", "user"]


async def test_frame_and_window_on_screen_are_what_is_sent(
    world: World, asking: Asking, reader: Actor
) -> None:
    frames = [bytes([value]) * 64 for value in (10, 20, 30)]
    case = world.make_case(world.make_collection(reader), reader, frames=frames)
    image_id = str(world.image_of(case).id)
    view = {"image_id": image_id, "frame": 2, "window": {"center": 30, "width": 10}}
    draft = draft_of(await ask(asking, reader, case, "a", images=[view]))
    middle = draft_of(await ask(asking, reader, case, "b"))
    assert (draft.images[0]["frame"], draft.images[0]["window"]["center"]) == (2, 30)
    assert middle.images[0]["frame"] == 1


async def test_advice_is_withheld_from_the_stream_and_kept_for_the_record(
    world: World, asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.says = ("There is a pneumothorax. ", "Insert a chest", " tube.")
    events = await ask(asking, reader, case)
    assert text_of(events) == "There is a pneumothorax. [Treatment advice withheld.]"
    assert [event.flag["rule"] for event in events if isinstance(event, FlagEvent)] == [
        "urgent.critical",
        "treatment.procedure_order",
    ]
    draft = draft_of(events)
    assert draft.raw_text is None
    assert [flag["rule"] for flag in draft.flags] == [
        "urgent.critical",
        "treatment.procedure_order",
    ]
    admin = world.make_actor(Role.ADMIN)
    assert asking.draft(admin, draft.id).raw_text == "".join(worker.says)


async def test_identity_typed_into_a_question_is_flagged_with_the_draft(
    asking: Asking, reader: Actor, case: Case
) -> None:
    draft = draft_of(await ask(asking, reader, case, text="Film of Mrs Jones: effusion?"))
    assert [(flag["rule"], flag["where"]) for flag in draft.flags] == [
        ("identifier.name", "question")
    ]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        pytest.param({"text": " \n "}, EmptyQuestionError, id="empty"),
        pytest.param({"text": "x" * 4_001}, QuestionTooLongError, id="4,001 characters"),
        pytest.param({"text": "x" * 100_000}, QuestionTooLongError, id="100 kB"),
        pytest.param({"text": "a\x00b"}, InvalidRequestError, id="NUL"),
        pytest.param({"text": "a\ud800b"}, InvalidRequestError, id="lone surrogate"),
        pytest.param({"text": None}, EmptyQuestionError, id="no text"),
        pytest.param({"key": ""}, InvalidRequestError, id="no key"),
        pytest.param({"template": "nonsense"}, InvalidRequestError, id="unknown template"),
        pytest.param({"choices": ["yes"]}, InvalidRequestError, id="one choice"),
        pytest.param({"choices": ["yes", "yes"]}, InvalidRequestError, id="choice twice"),
        pytest.param({"choices": ["yes", " "]}, InvalidRequestError, id="blank choice"),
        pytest.param({"choices": ["c"] * 21}, InvalidRequestError, id="too many choices"),
        pytest.param({"images": [{"image_id": "x"}]}, InvalidRequestError, id="foreign image"),
        pytest.param({"images": ["x"]}, InvalidRequestError, id="image that is no object"),
        pytest.param({"model": "m" * 201}, InvalidRequestError, id="model's name too long"),
    ],
)
async def test_bad_question_is_refused_before_anything_is_stored(
    world: World,
    asking: Asking,
    worker: FakeWorker,
    reader: Actor,
    case: Case,
    fields: dict[str, Any],
    error: type[Exception],
) -> None:
    with pytest.raises(error):
        await ask(asking, reader, case, **fields)
    assert world.rows(Message) == []
    assert worker.asked == []
    assert world.events()[-1][:2] == ("question.asked", "refused")


@pytest.mark.parametrize("frame", [-1, 1, True, "0"])
async def test_frame_that_the_image_does_not_have_is_refused(
    world: World, asking: Asking, reader: Actor, case: Case, frame: object
) -> None:
    images = [{"image_id": str(world.image_of(case).id), "frame": frame}]
    with pytest.raises(InvalidRequestError):
        await ask(asking, reader, case, images=images)


async def test_foreign_unknown_and_signed_out_ask_nothing(
    world: World, asking: Asking, worker: FakeWorker, case: Case
) -> None:
    stranger = world.make_actor(Role.READER)
    with pytest.raises(NotFoundError):
        await ask(asking, stranger, case)
    with pytest.raises(NotFoundError):
        await collect(asking.ask(stranger, NOBODY, text="x", idempotency_key="k"))
    with pytest.raises(NotSignedInError):
        await ask(asking, None, case)
    assert world.rows(Message) == []
    assert worker.asked == []


async def test_foreign_draft_is_not_found(
    world: World, asking: Asking, reader: Actor, case: Case
) -> None:
    draft = draft_of(await ask(asking, reader, case))
    with pytest.raises(NotFoundError):
        asking.draft(world.make_actor(Role.ADJUDICATOR), draft.id)
    with pytest.raises(NotFoundError):
        asking.draft(reader, NOBODY)
    with pytest.raises(NotSignedInError):
        asking.draft(None, draft.id)


async def test_held_case_is_not_asked_about(
    world: World, asking: Asking, worker: FakeWorker, reader: Actor
) -> None:
    case = world.make_case(world.make_collection(reader), reader, state=CaseState.HELD)
    with pytest.raises(HeldError):
        await ask(asking, reader, case)
    assert worker.asked == []


@pytest.mark.parametrize("protocol", [Protocol.READER_FIRST, Protocol.TEACHING])
@pytest.mark.parametrize("role", [Role.TRAINEE, Role.READER, Role.ADJUDICATOR])
async def test_own_read_comes_first_where_the_protocol_says_so(
    world: World, asking: Asking, protocol: Protocol, role: Role
) -> None:
    actor = world.make_actor(role)
    case = world.make_case(world.make_collection(actor, protocol=protocol), actor)
    with pytest.raises(OwnReadRequiredError):
        await ask(asking, actor, case)
    assert world.rows(Message) == []
    assert world.events() == [refused("question.asked", "own_read_required")]
    Reading(world.store, world.clock).commit_own_read(
        actor, case.id, text="Normal.", idempotency_key="k"
    )
    assert text_of(await ask(asking, actor, case)) == SAID


async def test_operator_asks_without_an_own_read(world: World, asking: Asking) -> None:
    admin = world.make_actor(Role.ADMIN)
    case = world.make_case(world.make_collection(protocol=Protocol.READER_FIRST), admin)
    assert text_of(await ask(asking, admin, case)) == SAID


@pytest.mark.parametrize(
    "error",
    [WorkerUnavailableError("it is loading"), WorkerBusyError(), RequestRefusedError("Too long.")],
    ids=["down", "busy", "refused"],
)
async def test_question_stays_when_no_answer_comes_and_can_be_asked_again(
    world: World, asking: Asking, worker: FakeWorker, reader: Actor, case: Case,
    error: Any,  # noqa: ANN401 - one of three
) -> None:  # fmt: skip
    worker.says, worker.fails = (), error
    with pytest.raises(type(error)):
        await ask(asking, reader, case)
    assert [message.text for message in world.rows(Message)] == ["Is the heart enlarged?"]
    assert world.rows(Draft) == []
    assert world.events()[-1] == ("question.asked", "failed", error.code)

    worker.says, worker.fails = (SAID,), None
    assert text_of(await ask(asking, reader, case)) == SAID
    assert len(world.rows(Message)) == 1


async def test_question_stays_when_the_worker_is_down(
    world: World, asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.down = WorkerUnavailableError()
    with pytest.raises(WorkerUnavailableError, match="Your question is kept"):
        await ask(asking, reader, case)
    assert len(world.rows(Message)) == 1
    assert worker.asked == []


async def test_worker_that_dies_leaves_what_it_said_as_a_draft(
    world: World, asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.says = ("The heart is enlarged. There is", " a")
    worker.fails = WorkerUnavailableError("the connection broke")
    events: list[AskEvent] = []

    async def run() -> None:
        async for event in asking.ask(reader, case.id, text="Q?", idempotency_key="k"):
            events.append(event)  # noqa: PERF401 - must be kept when the iteration raises

    with pytest.raises(WorkerUnavailableError):
        await run()
    assert text_of(events) == "The heart is enlarged. There is a"
    (draft,) = world.rows(Draft)
    assert (draft.finish_reason, draft.shown_text) == (
        FinishReason.ERROR,
        "The heart is enlarged. There is a",
    )
    assert (draft.model_id, draft.family, draft.weights_sha256) == (
        "overread-demo",
        "overread-demo",
        "a" * 64,
    )
    assert draft.rendered_prompt is None


async def test_answer_that_the_worker_itself_calls_broken_is_stored_as_such(
    world: World, asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.finish_reason = "error"
    with pytest.raises(WorkerUnavailableError):
        await ask(asking, reader, case)
    assert [draft.finish_reason for draft in world.rows(Draft)] == [FinishReason.ERROR]


async def test_answer_cut_at_the_limit_says_so(
    asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.finish_reason = "length"
    assert draft_of(await ask(asking, reader, case)).finish_reason is FinishReason.LENGTH


async def test_closing_the_stream_stops_the_worker_and_keeps_what_was_said(
    world: World, asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.says, worker.hangs = ("The heart is enlarged. ", "There is"), True
    events = asking.ask(reader, case.id, text="Q?", idempotency_key="k")
    first = await anext(events)
    await events.aclose()
    assert first == TokenEvent("The heart is enlarged. ")
    assert worker.left_early == 1
    (draft,) = world.rows(Draft)
    assert draft.finish_reason is FinishReason.CANCELLED
    assert draft.shown_text == "The heart is enlarged. There is"
    assert world.events()[-1] == done("draft.stored")


async def test_cancelled_task_keeps_what_was_said(
    world: World, asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.hangs = True
    seen = asyncio.Event()

    async def run() -> None:
        async for _ in asking.ask(reader, case.id, text="Q?", idempotency_key="k"):
            seen.set()

    task = asyncio.create_task(run())
    await seen.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert worker.left_early == 1
    for _ in range(200):
        if world.rows(Draft):
            break
        await asyncio.sleep(0.01)
    assert [draft.finish_reason for draft in world.rows(Draft)] == [FinishReason.CANCELLED]


async def test_stopped_answer_is_replayed_as_it_was_left(
    asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.says, worker.hangs = ("The heart is enlarged. ", "There is"), True
    events = asking.ask(reader, case.id, text="Is the heart enlarged?", idempotency_key="k")
    await anext(events)
    await events.aclose()
    again = await ask(asking, reader, case)
    assert text_of(again) == "The heart is enlarged. There is"
    assert draft_of(again).finish_reason is FinishReason.CANCELLED


async def test_second_window_with_the_same_question_is_told_to_wait(
    world: World, asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.says, worker.hangs = ("The heart is enlarged. ", "There is"), True
    events = asking.ask(reader, case.id, text="Is the heart enlarged?", idempotency_key="k")
    await anext(events)
    with pytest.raises(QuestionInProgressError):
        await ask(asking, reader, case)
    await events.aclose()
    assert len(worker.asked) == 1
    assert len(world.rows(Draft)) == 1


async def test_many_ask_at_once_without_mixing(world: World, asking: Asking, reader: Actor) -> None:
    collection = world.make_collection(reader)
    cases = [world.make_case(collection, reader) for _ in range(5)]
    answers = await asyncio.gather(
        *(ask(asking, reader, case, str(n), text=f"Q{n}?") for n, case in enumerate(cases))
    )
    for n, (case, events) in enumerate(zip(cases, answers, strict=True)):
        draft = draft_of(events)
        assert (draft.case_id, draft.messages[-1]["text"]) == (case.id, f"Q{n}?")


async def test_lost_pixels_are_said_to_be_so_and_the_question_stays(
    world: World, asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    world.blobs.remove(world.rows(Instance)[0].pixel_blob)
    with pytest.raises(BlobMissingError):
        await ask(asking, reader, case)
    assert len(world.rows(Message)) == 1
    assert worker.asked == []
    assert world.events()[-1] == ("question.asked", "failed", "blob_missing")


async def test_adapter_is_named_by_a_stopped_draft(
    world: World, asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.hangs = True
    events = asking.ask(reader, case.id, text="Q?", idempotency_key="k", model="chest-v2")
    await anext(events)
    await events.aclose()
    (draft,) = world.rows(Draft)
    assert (draft.model_id, draft.adapter) == ("chest-v2", "chest-v2")


async def test_own_decoding_wins_over_the_installations(
    asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    await ask(asking, reader, case, decoding=Decoding(temperature=0.7, seed=3))
    assert worker.asked[0].decoding == Decoding(temperature=0.7, seed=3)
