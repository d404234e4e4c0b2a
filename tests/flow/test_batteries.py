"""A battery over HTTP: its events, its replay, its stop, and what a draft and an export say."""

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

ASKED = {"idempotency_key": "b1", "battery": "chest-findings"}


@pytest.fixture
def case(place: Place) -> Case:
    """Put an admitted chest film into the collection."""
    found = place.services.collections.list(place.services.accounts.operator())
    (collection,) = [each for each in found if each.name == COLLECTION]
    return place.world.make_case(collection, place.people[Role.READER])  # type: ignore[arg-type] # it has the id


def _batteries(case: Case) -> str:
    return f"{API}/cases/{case.id}/batteries"


async def test_each_finding_is_a_result_and_the_end_counts_them(place: Place, case: Case) -> None:
    place.worker.script = "indeterminate"
    async with place.program(Role.READER) as reader:
        said = events(await reader.post(_batteries(case), json=ASKED))
        again = events(await reader.post(_batteries(case), json=ASKED))
        results = [data for name, data in said if name == "result"]
        effusion = next(r for r in results if r["question"]["id"] == "pleural_effusion")
        draft = (await reader.get(f"{API}/drafts/{effusion['draft_id']}")).json()
        opened = (await reader.get(f"{API}/cases/{case.id}")).json()

    assert [name for name, _ in said] == ["result"] * 14 + ["done"]
    assert effusion["question"] == {
        "id": "pleural_effusion",
        "finding": "Pleural Effusion",
        "text": "Is there a pleural effusion?",
        "number": 10,
    }
    assert (effusion["text"], effusion["replayed"]) == ("indeterminate", False)
    assert effusion["consistency"] == draft["consistency"]
    assert draft["consistency"]["checked"] is True
    ending = {"asked": 14, "finished": 14, "failed": 0, "replayed": 0, "flagged": 0}
    assert {name: said[-1][1][name] for name in ending} == ending
    assert said[-1][1]["battery"] == "chest-findings"
    assert again[-1][1]["replayed"] == 14
    assert len(place.worker.asked) == 28
    assert {message["battery"]["id"] for message in opened["messages"]} == {"chest-findings"}


async def test_leaving_the_stream_stops_the_model(place: Place, case: Case) -> None:
    place.worker.hold = 0
    with served(place.gate) as url:
        headers = {"authorization": f"Bearer {place.tokens[Role.READER]}"}
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as program:
            asking = asyncio.create_task(program.post(_batteries(case), json=ASKED))
            assert await asyncio.to_thread(place.worker.waiting.wait, 30)
            asking.cancel()
            with pytest.raises(asyncio.CancelledError):
                await asking
        assert place.worker.stopped.wait(10), "the model went on computing"


async def test_question_that_fails_is_an_error_event_and_the_rest_goes_on(
    place: Place, case: Case
) -> None:
    place.worker.refuse = 400
    async with place.program(Role.READER) as reader:
        said = events(await reader.post(_batteries(case), json=ASKED))

    assert [name for name, _ in said] == ["error"] * 14 + ["done"]
    assert said[0][1]["code"] == "request_refused"
    assert said[0][1]["question"]["finding"]
    assert (said[-1][1]["finished"], said[-1][1]["failed"]) == (0, 14)


@pytest.mark.parametrize(
    "body",
    [
        pytest.param({"idempotency_key": "b", "battery": "nonsense"}, id="unknown battery"),
        pytest.param({"idempotency_key": "b"}, id="no battery"),
        pytest.param({**ASKED, "text": "Effusion?"}, id="a text as well"),
    ],
)
async def test_bad_batteries_ask_nobody(place: Place, case: Case, body: dict[str, Any]) -> None:
    async with place.program(Role.READER) as reader:
        answer = await reader.post(_batteries(case), json=body)

    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid_request")
    assert place.worker.asked == []


async def test_reader_first_wants_the_own_read_first(place: Place) -> None:
    operator = place.services.accounts.operator()
    first = place.services.collections.ensure(operator, "Reader first", Protocol.READER_FIRST)
    place.services.collections.add_member(operator, first.name, "reader")
    case = place.world.make_case(first, place.people[Role.READER])  # type: ignore[arg-type] # as above
    async with place.program(Role.READER) as reader:
        early = await reader.post(_batteries(case), json=ASKED)

    assert (early.status_code, early.json()["error"]["code"]) == (409, "own_read_required")


async def test_export_names_the_template_the_battery_and_the_check(
    place: Place, case: Case
) -> None:
    place.worker.script = "indeterminate"
    async with place.program(Role.READER) as reader:
        said = events(await reader.post(_batteries(case), json=ASKED))
        for name, data in said:
            if name == "result" and data["question"]["id"] == "pleural_effusion":
                review = {"idempotency_key": "r", "based_on_revision": 0}
                await reader.post(f"{API}/drafts/{data['draft_id']}/reviews", json=review)
    async with place.program(Role.ADMIN) as admin:
        export = (await admin.post(f"{API}/exports", json={"format": "trl-sft"})).json()
        lines = await admin.get(f"{API}/exports/{export['id']}/files/provenance.jsonl")

    (row,) = [json.loads(line) for line in lines.text.splitlines()]
    assert row["prompt"]["battery"]["question"] == "pleural_effusion"
    (candidate,) = row["candidates"]
    assert (candidate["template_id"], candidate["consistency"]["rule"]) == (
        "closed_question",
        "contradiction.negated_question",
    )
    assert candidate["consistency"]["question"].startswith("Is there no pleural effusion?")
