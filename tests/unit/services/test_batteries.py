"""A list of questions asked together: what is stored, replayed, checked, and left when stopped."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from inference.errors import AnswerFailedError, WorkerUnavailableError
from inference.prompts.battery import battery
from inference.protocol import Decoding, ServedModel
from storage.errors import IdempotencyConflictError, NotFoundError
from storage.tables import Case, Draft, Message
from storage.vocabulary import CaseState, FinishReason, Protocol, Role
from tests.unit.services.fake_worker import FakeWorker
from tests.unit.services.test_asking import ask as ask_one
from tests.unit.services.world import World, done
from webapp.services.actor import Actor
from webapp.services.asking import Asking
from webapp.services.batteries import Batteries
from webapp.services.errors import (
    HeldError,
    InvalidRequestError,
    NotSignedInError,
    OwnReadRequiredError,
    QuestionInProgressError,
)
from webapp.services.views import (
    BatteryDoneEvent,
    BatteryErrorEvent,
    BatteryEvent,
    BatteryResultEvent,
)

CHEST = battery("chest-findings")
EFFUSION = "Is there a pleural effusion? Answer with one of: present, absent, indeterminate."
NO_EFFUSION = "Is there no pleural effusion? Answer with one of: present, absent, indeterminate."


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


@pytest.fixture
def batteries(world: World, worker: FakeWorker) -> Batteries:
    return Batteries(world.store, world.blobs, world.clock, worker, Decoding(max_tokens=64))


@pytest.fixture
def reader(world: World) -> Actor:
    return world.make_actor(Role.READER)


@pytest.fixture
def case(world: World, reader: Actor) -> Case:
    return world.make_case(world.make_collection(reader), reader)


def stream(
    batteries: Batteries,
    actor: Actor | None,
    case: Case,
    key: str = "k",
    **fields: Any,  # noqa: ANN401 - fields
) -> AsyncIterator[BatteryEvent]:
    given = {"battery": "chest-findings", **fields}
    return batteries.ask(actor, case.id, idempotency_key=key, **given)


async def ask(
    batteries: Batteries,
    actor: Actor | None,
    case: Case,
    key: str = "k",
    **fields: Any,  # noqa: ANN401 - fields
) -> list[BatteryEvent]:
    return [event async for event in stream(batteries, actor, case, key, **fields)]


def results(events: list[BatteryEvent]) -> dict[str, BatteryResultEvent]:
    return {event.question.id: event for event in events if isinstance(event, BatteryResultEvent)}


def counts(events: list[BatteryEvent]) -> tuple[int, int, int, int, int]:
    last = events[-1]
    assert isinstance(last, BatteryDoneEvent)
    return last.asked, last.finished, last.failed, last.replayed, last.flagged


async def test_every_finding_is_asked_checked_and_kept_like_a_single_question(
    world: World, batteries: Batteries, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.replies = {EFFUSION: "present\nFluid at the left base.", NO_EFFUSION: "present"}
    events = await ask(batteries, reader, case)
    assert counts(events) == (14, 14, 0, 0, 0)
    found = results(events)
    assert set(found) == {question.id for question in CHEST.questions}
    draft = found["pleural_effusion"].draft
    assert (draft.shown_text, draft.template_id) == (
        "present\nFluid at the left base.",
        "closed_question",
    )
    assert (draft.weights_sha256, draft.finish_reason) == ("a" * 64, "stop")
    assert draft.consistency is not None
    assert (draft.consistency["checked"], draft.consistency["question"]) == (True, NO_EFFUSION)
    assert Asking(world.store, world.blobs, world.clock, worker).draft(reader, draft.id) == draft
    message = next(m for m in world.rows(Message) if m.id == draft.message_id)
    assert message.battery == {
        "id": "chest-findings",
        "version": 1,
        "sha256": CHEST.sha256,
        "question": "pleural_effusion",
        "finding": "Pleural Effusion",
    }
    trail = [event for event in world.events() if event[0] != "draft.opened"]
    assert trail == [done("question.asked")] * 14 + [done("draft.stored")] * 14


async def test_questions_go_first_and_share_the_study_without_the_conversation(
    world: World, batteries: Batteries, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    asking = Asking(world.store, world.blobs, world.clock, worker)
    await ask_one(asking, reader, case, "chat", text="What is this?")
    worker.asked.clear()
    worker.listed = (ServedModel("llava-med", "llava-med-v1.5"),)
    await ask(batteries, reader, case)
    questions, checks = worker.asked[:14], worker.asked[14:]
    assert [asked.explain_tokens for asked in questions] == [64] * 14
    assert [asked.explain_tokens for asked in checks] == [0] * 14
    assert {asked.turns[0].role for asked in worker.asked} == {"system"}
    assert {len(asked.turns) for asked in worker.asked} == {2}
    assert len({asked.turns[1].images for asked in worker.asked}) == 1
    assert len(questions[0].turns[1].images) == 1


async def test_battery_does_not_enter_the_conversation(
    world: World, batteries: Batteries, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    await ask(batteries, reader, case)
    world.clock.forward(seconds=1)
    worker.asked.clear()
    await ask_one(Asking(world.store, world.blobs, world.clock, worker), reader, case, "chat")
    assert len(worker.asked[0].turns) == 1


async def test_contradicted_finding_is_flagged_and_counted(
    batteries: Batteries, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.replies = {EFFUSION: "present", NO_EFFUSION: "absent"}
    events = await ask(batteries, reader, case)
    (flag,) = results(events)["pleural_effusion"].draft.flags
    assert flag["rule"] == "contradiction.negated_question"
    assert counts(events) == (14, 14, 0, 0, 1)


async def test_without_the_check_each_question_is_asked_once(
    batteries: Batteries, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    events = await ask(batteries, reader, case, check=False)
    assert len(worker.asked) == 14
    assert {e.draft.consistency["reason"] for e in results(events).values()} == {"skipped"}  # type: ignore[index] # all are closed


async def test_check_that_fails_leaves_the_answer_unchecked(
    batteries: Batteries, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.replies = {NO_EFFUSION: AnswerFailedError()}
    events = await ask(batteries, reader, case)
    consistency = results(events)["pleural_effusion"].draft.consistency
    assert consistency is not None
    assert (consistency["checked"], consistency["reason"]) == (False, "answer_failed")
    assert counts(events) == (14, 14, 0, 0, 0)


async def test_same_key_again_replays_and_asks_only_what_is_missing(
    world: World, batteries: Batteries, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.replies = {EFFUSION: AnswerFailedError()}
    first = await ask(batteries, reader, case)
    assert counts(first) == (14, 13, 1, 0, 0)
    (error,) = [event for event in first if isinstance(event, BatteryErrorEvent)]
    assert (error.question.finding, error.code) == ("Pleural Effusion", "answer_failed")
    assert ("question.asked", "failed", "answer_failed") in world.events()

    worker.replies = {}
    worker.asked.clear()
    again = await ask(batteries, reader, case)
    assert counts(again) == (14, 14, 0, 13, 0)
    assert [asked.turns[-1].text for asked in worker.asked] == [EFFUSION, NO_EFFUSION]
    for name, event in results(first).items():
        assert results(again)[name].draft == event.draft
    assert len(world.rows(Message)) == len(world.rows(Draft)) == 14

    worker.asked.clear()
    assert counts(await ask(batteries, reader, case)) == (14, 14, 0, 14, 0)
    assert worker.asked == []


async def test_same_key_with_another_model_is_refused(
    batteries: Batteries, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    await ask(batteries, reader, case)
    with pytest.raises(IdempotencyConflictError):
        await ask(batteries, reader, case, model="chest-v2")
    assert len(worker.asked) == 28


async def test_closing_the_stream_stops_the_rest_and_keeps_what_finished(
    world: World, batteries: Batteries, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.answers_before_hanging = 16  # every question, and two of the checks
    events = stream(batteries, reader, case)
    first = [await anext(events), await anext(events)]
    waiting = asyncio.ensure_future(anext(events))
    while not worker.hanging:
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert worker.left_early == 1
    assert [type(event) for event in first] == [BatteryResultEvent, BatteryResultEvent]
    drafts = world.rows(Draft)
    assert {draft.finish_reason for draft in drafts} == {FinishReason.STOP}
    reasons = [draft.consistency["reason"] for draft in drafts]
    assert sorted(reasons, key=str) == [None, None, *["stopped"] * 12]

    worker.answers_before_hanging = None
    assert counts(await ask(batteries, reader, case)) == (14, 14, 0, 14, 0)


async def test_questions_that_did_not_finish_before_the_stop_leave_no_draft(
    world: World, batteries: Batteries, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.answers_before_hanging = 3
    waiting = asyncio.ensure_future(ask(batteries, reader, case, check=False))
    while not worker.hanging:
        await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert (len(world.rows(Message)), len(world.rows(Draft))) == (14, 3)
    worker.answers_before_hanging = None
    assert counts(await ask(batteries, reader, case, check=False)) == (14, 14, 0, 3, 0)


async def test_second_window_with_the_same_battery_is_told_to_wait(
    batteries: Batteries, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.answers_before_hanging = 16
    waiting = asyncio.ensure_future(ask(batteries, reader, case))
    while not worker.hanging:
        await asyncio.sleep(0)
    with pytest.raises(QuestionInProgressError):
        await ask(batteries, reader, case)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting


async def test_worker_that_is_down_loses_no_question(
    world: World, batteries: Batteries, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.down = WorkerUnavailableError()
    with pytest.raises(WorkerUnavailableError):
        await ask(batteries, reader, case)
    assert (len(world.rows(Message)), len(world.rows(Draft))) == (14, 0)
    worker.down = None
    assert counts(await ask(batteries, reader, case)) == (14, 14, 0, 0, 0)


async def test_broken_answer_is_stored_as_such_and_told_as_an_error(
    world: World, batteries: Batteries, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.finish_reason = "error"
    events = await ask(batteries, reader, case, check=False)
    assert counts(events) == (14, 0, 14, 0, 0)
    assert {draft.finish_reason for draft in world.rows(Draft)} == {FinishReason.ERROR}


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"battery": "nonsense"}, id="unknown battery"),
        pytest.param({"battery": None}, id="no battery"),
        pytest.param({"key": ""}, id="no key"),
        pytest.param({"images": [{"image_id": "x"}]}, id="foreign image"),
    ],
)
async def test_bad_battery_is_refused_before_anything_is_stored(
    world: World, batteries: Batteries, worker: FakeWorker, reader: Actor, case: Case,
    fields: dict[str, Any],
) -> None:  # fmt: skip
    with pytest.raises(InvalidRequestError):
        await ask(batteries, reader, case, **fields)
    assert world.rows(Message) == worker.asked == []


async def test_study_that_is_no_chest_film_is_refused(
    world: World, batteries: Batteries, worker: FakeWorker, reader: Actor
) -> None:
    case = world.make_case(world.make_collection(reader), reader)
    knee = Case.model_validate(case.model_dump(exclude={"id"}) | {"body_part": "KNEE"} | {
        "study_key": "2.25.77", "content_key": "knee"})  # fmt: skip
    world.add(knee)
    with pytest.raises(InvalidRequestError, match="chest"):
        await ask(batteries, reader, knee)
    assert world.rows(Message) == worker.asked == []


async def test_foreign_held_unread_and_signed_out_ask_nothing(
    world: World, batteries: Batteries, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    held = world.make_case(world.make_collection(reader), reader, state=CaseState.HELD)
    unread = world.make_case(world.make_collection(reader, protocol=Protocol.READER_FIRST), reader)
    for actor, asked, error in (
        (world.make_actor(Role.READER), case, NotFoundError),
        (reader, held, HeldError),
        (reader, unread, OwnReadRequiredError),
        (None, case, NotSignedInError),
    ):
        with pytest.raises(error):
            await ask(batteries, actor, asked)
    assert world.rows(Message) == worker.asked == []
