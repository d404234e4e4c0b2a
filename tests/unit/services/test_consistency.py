"""A closed answer and what the model says when it is asked the other way round."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from inference.errors import InferenceError, WorkerBusyError, WorkerUnavailableError
from inference.protocol import Decoding
from storage.tables import Case, Draft, Message
from storage.vocabulary import FinishReason, Role
from tests.unit.services.fake_worker import FakeWorker
from tests.unit.services.test_asking import ask, collect, draft_of, text_of
from tests.unit.services.world import World, done
from webapp.services.actor import Actor
from webapp.services.asking import Asking
from webapp.services.views import DoneEvent, FlagEvent, TokenEvent

CLOSED: dict[str, Any] = {"text": "Is there a pleural effusion?", "template": "closed_question"}
OTHER = "Is there no pleural effusion? Answer with one of: present, absent, indeterminate."


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker(says=("present",))


@pytest.fixture
def asking(world: World, worker: FakeWorker) -> Asking:
    return Asking(world.store, world.blobs, world.clock, worker, Decoding(max_tokens=64, seed=3))


@pytest.fixture
def reader(world: World) -> Actor:
    return world.make_actor(Role.READER)


@pytest.fixture
def case(world: World, reader: Actor) -> Case:
    return world.make_case(world.make_collection(reader), reader)


async def test_answer_that_contradicts_its_negated_question_is_flagged_after_it_was_shown(
    world: World, asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.later = [("absent",)]
    events = await ask(asking, reader, case, **CLOSED)
    assert [type(event) for event in events] == [TokenEvent, FlagEvent, DoneEvent]
    draft = draft_of(events)
    (flag,) = draft.flags
    assert flag["rule"] == "contradiction.negated_question"
    assert draft.shown_text[flag["start"] : flag["end"]] == "present"
    assert events[1] == FlagEvent(flag)
    assert draft.consistency is not None
    assert (draft.consistency["checked"], draft.consistency["contradicts"]) == (True, True)
    assert asking.draft(reader, draft.id) == draft
    assert world.events()[-2:] == [done("draft.stored"), done("draft.opened")]


async def test_check_is_asked_greedily_with_the_same_picture_and_turns_before_it(
    asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    await ask(asking, reader, case, "a", text="What is this?")
    await ask(asking, reader, case, "b", **CLOSED, decoding=Decoding(max_tokens=9, temperature=1.0))
    asked, other = worker.asked[1:]
    assert other.turns[:-1] == asked.turns[:-1]
    assert other.turns[0].images == asked.turns[0].images != ()
    assert other.turns[-1].text == OTHER
    assert (other.choices, other.model) == (asked.choices, asked.model)
    assert other.decoding == Decoding(max_tokens=9, temperature=0.0)


async def test_draft_keeps_what_made_the_check(
    asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.choices = {"present": 0.7, "absent": 0.2, "indeterminate": 0.1}
    draft = draft_of(await ask(asking, reader, case, **CLOSED))
    assert draft.flags == ()
    kept = dict(draft.consistency or {})
    made_by = kept.pop("made_by")
    assert kept == {
        "rule": "contradiction.negated_question",
        "version": 1,
        "checked": True,
        "contradicts": False,
        "reason": None,
        "question": OTHER,
        "answer": "present",
        "choices": {"present": 0.7, "absent": 0.2, "indeterminate": 0.1},
        "finish_reason": "stop",
    }
    assert (made_by["model"], made_by["weights_sha256"], made_by["engine_version"]) == (
        "overread-demo",
        "a" * 64,
        "0.1.0",
    )


@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        pytest.param(WorkerUnavailableError("it died"), "model_unavailable", id="died"),
        pytest.param(WorkerBusyError(), "model_busy", id="busy"),
    ],
)
async def test_answer_stands_when_the_worker_fails_at_the_check(
    asking: Asking, worker: FakeWorker, reader: Actor, case: Case,
    failure: InferenceError, reason: str,
) -> None:  # fmt: skip
    worker.later = [failure]
    draft = draft_of(await ask(asking, reader, case, **CLOSED))
    assert (draft.shown_text, draft.finish_reason, draft.flags) == ("present", "stop", ())
    assert draft.consistency is not None
    assert (draft.consistency["checked"], draft.consistency["reason"]) == (False, reason)
    assert draft.consistency["question"] == OTHER


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        pytest.param({**CLOSED, "check": False}, "skipped", id="not wanted"),
        pytest.param(
            {**CLOSED, "text": "Effusion: present or absent?"}, "no_negated_form", id="no opposite"
        ),
    ],
)
async def test_closed_question_that_was_not_checked_says_why(
    asking: Asking, worker: FakeWorker, reader: Actor, case: Case,
    fields: dict[str, Any], reason: str,
) -> None:  # fmt: skip
    draft = draft_of(await ask(asking, reader, case, **fields))
    assert len(worker.asked) == 1
    assert draft.consistency is not None
    assert (draft.consistency["checked"], draft.consistency["reason"]) == (False, reason)
    assert draft.consistency["contradicts"] is None


@pytest.mark.parametrize(
    "fields",
    [
        pytest.param({"text": "Is there a pleural effusion?"}, id="free question"),
        pytest.param({"text": "Is it left?", "choices": ["left", "right"]}, id="choices of place"),
    ],
)
async def test_other_questions_are_asked_once(
    asking: Asking, worker: FakeWorker, reader: Actor, case: Case, fields: dict[str, Any]
) -> None:
    draft = draft_of(await ask(asking, reader, case, **fields))
    assert len(worker.asked) == 1
    assert draft.consistency is None


@pytest.mark.parametrize(
    ("said", "otherwise", "contradicts"),
    [
        pytest.param("yes", "yes", True, id="yes to both"),
        pytest.param("yes", "no", False, id="yes and no"),
        pytest.param("yes", "indeterminate", False, id="left open"),
    ],
)
async def test_yes_and_no_speak_to_the_question(
    asking: Asking, worker: FakeWorker, reader: Actor, case: Case,
    said: str, otherwise: str, contradicts: bool,
) -> None:  # fmt: skip
    worker.says, worker.later = (said,), [(otherwise,)]
    choices = ["yes", "no", "indeterminate"]
    draft = draft_of(await ask(asking, reader, case, text=CLOSED["text"], choices=choices))
    assert draft.consistency is not None
    assert draft.consistency["contradicts"] is contradicts


async def test_stopping_before_the_check_keeps_the_whole_answer(
    world: World, asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.says = ("present",)
    events = asking.ask(reader, case.id, idempotency_key="k", **CLOSED)
    assert await anext(events) == TokenEvent("present")
    await events.aclose()
    (draft,) = world.rows(Draft)
    assert (draft.shown_text, draft.finish_reason) == ("present", FinishReason.STOP)
    assert (draft.consistency["checked"], draft.consistency["reason"]) == (False, "stopped")
    again = await collect(asking.ask(reader, case.id, idempotency_key="k", **CLOSED))
    assert text_of(again) == "present"
    assert len(world.rows(Message)) == len(world.rows(Draft)) == 1


async def test_stopping_during_the_check_stops_the_worker_and_keeps_the_answer(
    world: World, asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    events = asking.ask(reader, case.id, idempotency_key="k", **CLOSED)
    await anext(events)
    worker.hangs = True
    checking = asyncio.ensure_future(anext(events))
    while len(worker.asked) < 2:
        await asyncio.sleep(0)
    checking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await checking
    await events.aclose()
    assert worker.left_early == 1
    (draft,) = world.rows(Draft)
    assert (draft.shown_text, draft.finish_reason) == ("present", FinishReason.STOP)
    assert draft.consistency["reason"] == "stopped"


async def test_broken_answer_is_not_checked(
    world: World, asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    worker.finish_reason = "error"
    with pytest.raises(WorkerUnavailableError):
        await ask(asking, reader, case, **CLOSED)
    assert len(worker.asked) == 1
    (draft,) = world.rows(Draft)
    assert draft.consistency["reason"] == "answer_incomplete"


async def test_what_a_rule_withholds_is_not_kept_of_the_check_either(
    asking: Asking, worker: FakeWorker, reader: Actor, case: Case
) -> None:
    advice: Sequence[str] = ("Give amoxicillin 500 mg three times daily.",)
    worker.later = [advice]
    draft = draft_of(await ask(asking, reader, case, **CLOSED))
    assert draft.consistency is not None
    assert draft.consistency["answer"] == "[Treatment advice withheld.]"
    assert {flag["where"] for flag in draft.flags} == {"consistency"}
