"""What must end at once: open streams of somebody whose right is gone, over a real connection."""

import asyncio
import json
from collections.abc import Awaitable, Callable

import httpx
import pytest

from storage.tables import Case, Draft, Person
from storage.vocabulary import FinishReason, Role
from tests.flow.place import PASSWORD, Place
from tests.flow.served import served
from tests.flow.test_asking import QUESTION, case  # noqa: F401 - a fixture
from webapp.auth.routes import API

Ending = Callable[[Place, httpx.AsyncClient], Awaitable[object]]


async def _logout(_place: Place, browser: httpx.AsyncClient) -> None:
    assert (await browser.post("/logout")).status_code == 303


async def _disabled(place: Place, _browser: httpx.AsyncClient) -> None:
    place.services.people.disable(place.services.accounts.operator(), "reader")


async def _demoted(place: Place, _browser: httpx.AsyncClient) -> None:
    with place.world.store.write() as session:
        person = session.get(Person, place.people[Role.READER].id)
        assert person is not None
        person.role = Role.TRAINEE


async def _idle(place: Place, _browser: httpx.AsyncClient) -> None:
    place.world.clock.forward(minutes=15)


async def _too_long(place: Place, _browser: httpx.AsyncClient) -> None:
    place.world.clock.forward(hours=12)


@pytest.mark.parametrize(
    "ending",
    [
        pytest.param(_logout, id="logout"),
        pytest.param(_disabled, id="account disabled"),
        pytest.param(_demoted, id="another role"),
        pytest.param(_idle, id="idle"),
        pytest.param(_too_long, id="absolute"),
    ],
)
async def test_an_answer_on_its_way_is_cut_and_the_model_stops(
    place: Place,
    case: Case,  # noqa: F811 - the fixture
    ending: Ending,
) -> None:
    place.worker.script = "The first sentence is here. The second one never comes."
    place.worker.hold = 8
    with served(place.gate) as url:
        async with httpx.AsyncClient(base_url=url, timeout=30) as browser:
            await browser.post("/login", data={"name": "reader", "password": PASSWORD})
            seen = []
            async with browser.stream(
                "POST", f"{API}/cases/{case.id}/questions", json=QUESTION
            ) as answer:
                assert answer.status_code == 200
                ended = False
                async for line in answer.aiter_lines():
                    seen.append(line)
                    if not ended and line.startswith("data:") and json.loads(line[5:]).get("text"):
                        ended = True
                        await ending(place, browser)
            assert place.worker.stopped.wait(10), "the model went on computing"
            after = await browser.get(f"{API}/cases")

    assert not any(line == "event: done" for line in seen)
    assert after.status_code == (200 if ending is _demoted else 401)
    (draft,) = place.world.rows(Draft)
    assert draft.finish_reason is FinishReason.CANCELLED
    codes = [code for _, outcome, code in place.world.events() if outcome == "refused"]
    assert codes.count("access_ended") == 1


async def test_a_revoked_tokens_stream_is_cut(place: Place, case: Case) -> None:  # noqa: F811 - the fixture
    place.worker.script = "The first sentence is here. The second one never comes."
    place.worker.hold = 8
    accounts = place.services.accounts
    token = place.services.tokens.create(accounts.operator(), "reader")
    headers = {"authorization": f"Bearer {token.secret}"}
    with served(place.gate) as url:
        async with httpx.AsyncClient(base_url=url, headers=headers, timeout=30) as program:
            async with program.stream(
                "POST", f"{API}/cases/{case.id}/questions", json=QUESTION
            ) as answer:
                revoked = False
                async for line in answer.aiter_lines():
                    if not revoked and line.startswith("data:"):
                        revoked = True
                        await asyncio.to_thread(
                            place.services.tokens.revoke, accounts.operator(), token.id
                        )
            assert place.worker.stopped.wait(10), "the model went on computing"
            assert (await program.get(f"{API}/cases")).status_code == 401
