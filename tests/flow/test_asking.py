"""Asking over a real connection: stop, a worker that fails, and what is kept of it."""

import asyncio
import json
from typing import Any

import httpx
import pytest

from storage.tables import Case
from storage.vocabulary import Protocol, Role
from tests.flow.place import COLLECTION, Place
from tests.flow.served import served
from tests.flow.test_the_loop import events
from webapp.auth.routes import API

QUESTION = {"idempotency_key": "q1", "text": "What do you see?"}


@pytest.fixture
def case(place: Place) -> Case:
    """Put an admitted case into the collection."""
    reader = place.people[Role.READER]
    found = place.services.collections.list(place.services.accounts.operator())
    (collection,) = [each for each in found if each.name == COLLECTION]
    return place.world.make_case(collection, reader)  # type: ignore[arg-type] # it has the id


def _questions(case: Case) -> str:
    return f"{API}/cases/{case.id}/questions"


async def _conversation(program: httpx.AsyncClient, case: Case) -> list[dict[str, Any]]:
    messages: list[dict[str, Any]] = (await program.get(f"{API}/cases/{case.id}")).json()[
        "messages"
    ]
    return messages


async def test_leaving_the_stream_stops_the_model_and_keeps_what_it_said(
    place: Place, case: Case
) -> None:
    place.worker.script = "The first sentence is here. The second one never comes."
    place.worker.hold = 8
    with served(place.gate) as url:
        headers = {"authorization": f"Bearer {place.tokens[Role.READER]}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as program:
            async with program.stream("POST", _questions(case), json=QUESTION) as answer:
                assert answer.status_code == 200
                async for line in answer.aiter_lines():
                    if line.startswith("data:") and json.loads(line[5:]).get("text"):
                        break
            assert place.worker.stopped.wait(10), "the model went on computing"
            draft = None
            while draft is None:  # storing it follows on the server's own time
                (message,) = await _conversation(program, case)
                draft = message["draft"]

    assert message["text"] == QUESTION["text"]
    assert draft["finish_reason"] == "cancelled"
    assert draft["shown_text"].startswith("The first sentence is here.")


async def test_leaving_before_the_first_word_stops_the_model_too(place: Place, case: Case) -> None:
    place.worker.hold = 0
    with served(place.gate) as url:
        headers = {"authorization": f"Bearer {place.tokens[Role.READER]}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as program:
            asking = asyncio.create_task(program.post(_questions(case), json=QUESTION))
            assert await asyncio.to_thread(place.worker.waiting.wait, 30)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
        assert place.worker.stopped.wait(10), "the model went on computing"


@pytest.mark.parametrize(
    ("refusal", "status", "code"),
    [
        pytest.param(503, 503, "model_unavailable", id="a worker that is loading"),
        pytest.param(429, 429, "model_busy", id="a full queue"),
        pytest.param(400, 422, "request_refused", id="a question it cannot take"),
    ],
)
async def test_a_refusing_worker_loses_nothing(
    place: Place, case: Case, refusal: int, status: int, code: str
) -> None:
    place.worker.refuse = refusal
    async with place.program(Role.READER) as reader:
        answer = await reader.post(_questions(case), json=QUESTION)
        assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
        (message,) = await _conversation(reader, case)
        assert (message["text"], message["draft"]) == (QUESTION["text"], None)

        place.worker.refuse = None
        again = await reader.post(_questions(case), json=QUESTION)
        assert events(again)[-1][0] == "done"
        assert len(await _conversation(reader, case)) == 1


async def test_a_worker_that_dies_while_answering_is_an_error_event(
    place: Place, case: Case
) -> None:
    place.worker.script = "One sentence is whole. Another is not."
    place.worker.break_after = 6
    async with place.program(Role.READER) as reader:
        said = events(await reader.post(_questions(case), json=QUESTION))
        (message,) = await _conversation(reader, case)

    assert said[-1][0] == "error"
    assert said[-1][1]["code"] == "model_unavailable"
    assert message["draft"]["finish_reason"] == "error"


async def test_the_same_question_again_replays_the_draft(place: Place, case: Case) -> None:
    async with place.program(Role.READER) as reader:
        first = events(await reader.post(_questions(case), json=QUESTION))[-1]
        again = events(await reader.post(_questions(case), json=QUESTION))[-1]
        other = {**QUESTION, "text": "Something else?"}
        conflict = await reader.post(_questions(case), json=other)

    assert again == first
    assert len(place.worker.asked) == 1
    assert (conflict.status_code, conflict.json()["error"]["code"]) == (409, "idempotency_conflict")


async def test_a_closed_question_carries_its_choices(place: Place, case: Case) -> None:
    place.worker.script = "present"
    closed = {**QUESTION, "choices": ["present", "absent", "indeterminate"]}
    async with place.program(Role.READER) as reader:
        name, done = events(await reader.post(_questions(case), json=closed))[-1]

    assert (name, done["text"]) == ("done", "present")
    assert place.worker.asked[0]["structured_outputs"] == {"choice": closed["choices"]}


async def test_a_model_that_says_yes_both_ways_is_flagged_before_the_end(
    place: Place, case: Case
) -> None:
    place.worker.script = "yes"
    closed = {"idempotency_key": "q", "text": "Is there an effusion?", "choices": ["yes", "no"]}
    async with place.program(Role.READER) as reader:
        said = events(await reader.post(_questions(case), json=closed))
        draft = (await reader.get(f"{API}/drafts/{said[-1][1]['draft_id']}")).json()
        unchecked = {**closed, "idempotency_key": "r", "check": False}
        again = events(await reader.post(_questions(case), json=unchecked))

    assert [name for name, _ in said] == ["token", "flag", "done"]
    assert said[1][1]["rule"] == "contradiction.negated_question"
    assert said[2][1]["flags"] == [said[1][1]]
    assert said[2][1]["consistency"] == draft["consistency"]
    assert draft["consistency"]["question"] == "Is there no effusion? Answer with one of: yes, no."
    assert draft["consistency"]["made_by"]["weights_sha256"] == "0" * 64
    assert [name for name, _ in again] == ["token", "done"]
    assert again[1][1]["consistency"]["reason"] == "skipped"
    assert len(place.worker.asked) == 3


@pytest.mark.parametrize(
    ("text", "code"),
    [
        pytest.param("", "empty_question", id="no words"),
        pytest.param("  \n", "empty_question", id="only white space"),
        pytest.param("x" * 100_000, "question_too_long", id="100 kB"),
    ],
)
async def test_bad_questions_ask_nobody(place: Place, case: Case, text: str, code: str) -> None:
    async with place.program(Role.READER) as reader:
        answer = await reader.post(_questions(case), json={**QUESTION, "text": text})

    assert (answer.status_code, answer.json()["error"]["code"]) == (422, code)
    assert place.worker.asked == []


async def test_reader_first_wants_the_own_read_first(place: Place) -> None:
    operator = place.services.accounts.operator()
    first = place.services.collections.ensure(operator, "Reader first", Protocol.READER_FIRST)
    place.services.collections.add_member(operator, first.name, "reader")
    case = place.world.make_case(first, place.people[Role.READER])  # type: ignore[arg-type] # as above
    async with place.program(Role.READER) as reader:
        early = await reader.post(_questions(case), json=QUESTION)
        own = {"idempotency_key": "o", "text": "Normal."}
        await reader.post(f"{API}/cases/{case.id}/own-reads", json=own)
        late = await reader.post(_questions(case), json=QUESTION)

    assert (early.status_code, early.json()["error"]["code"]) == (409, "own_read_required")
    assert events(late)[-1][0] == "done"


async def test_a_restart_loses_nothing(place: Place, case: Case) -> None:
    half = {"content": {"final_text": "half a sent"}}
    async with place.program(Role.READER) as reader:
        await reader.post(_questions(case), json=QUESTION)
        saved = await reader.put(f"{API}/cases/{case.id}/progress", json=half)
        before = await _conversation(reader, case)
    assert saved.status_code == 204

    async with place.restarted() as same, same.program(Role.READER) as reader:
        after = await _conversation(reader, case)
        progress = (await reader.get(f"{API}/cases/{case.id}/progress")).json()

    assert after == before
    assert progress["content"] == half["content"]
