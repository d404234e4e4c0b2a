"""Whoever is too fast hears how long to wait: status, header, code and sentence."""

from collections.abc import Callable
from typing import Any
from uuid import uuid4

import httpx
import pytest

from storage.tables import AuditEvent, Draft
from storage.vocabulary import Role
from tests.flow.place import COLLECTION, Place
from webapp.auth.routes import API
from webapp.services.rates import LIMITS, Paced

pytestmark = pytest.mark.asyncio(loop_scope="module")

Send = Callable[[httpx.AsyncClient, Place], Any]


async def _ask(client: httpx.AsyncClient, place: Place) -> httpx.Response:
    admin = place.people[Role.ADMIN]
    case = place.world.make_case(place.world.make_collection(admin), admin)
    body = {"idempotency_key": uuid4().hex, "text": "What is there?"}
    return await client.post(f"{API}/cases/{case.id}/questions", json=body)


async def _upload(client: httpx.AsyncClient, _place: Place) -> httpx.Response:
    files = {"files": ("a.dcm", b"not DICOM", "application/dicom")}
    return await client.post(f"{API}/studies", files=files, data={"collection": COLLECTION})


async def _export(client: httpx.AsyncClient, _place: Place) -> httpx.Response:
    return await client.post(f"{API}/exports", json={"format": "trl-sft"})


async def _export_audit(client: httpx.AsyncClient, _place: Place) -> httpx.Response:
    return await client.get(f"{API}/audit/export", params={"format": "csv"})


async def _look(client: httpx.AsyncClient, _place: Place) -> httpx.Response:
    return await client.get(f"{API}/cases")


@pytest.mark.parametrize(
    ("what", "send", "action"),
    [
        pytest.param(Paced.QUESTIONS, _ask, "question.asked", id="questions"),
        pytest.param(Paced.UPLOADS, _upload, "study.received", id="uploads"),
        pytest.param(Paced.EXPORTS, _export, "export.made", id="exports"),
        pytest.param(Paced.EXPORTS, _export_audit, "audit.exported", id="exports of the trail"),
        pytest.param(Paced.TOKEN_REQUESTS, _look, "request.refused", id="token use"),
    ],
)
async def test_too_fast_is_refused_until_the_wait_is_over(
    place: Place, what: Paced, send: Send, action: str
) -> None:
    place.world.clock.forward(hours=2)
    admin, limit = place.people[Role.ADMIN], LIMITS[what].person
    while place.services.rates.wait(admin, what) == 0:
        pass
    drafts = len(place.world.rows(Draft))
    async with place.program(Role.ADMIN) as client:
        events = len(place.world.rows(AuditEvent))
        refused = await send(client, place)
        (event,) = sorted(place.world.rows(AuditEvent), key=lambda e: e.seq)[events:]
        wait = int(refused.headers["retry-after"])
        place.world.clock.forward(seconds=wait)
        again = await send(client, place)

    assert refused.status_code == 429
    assert refused.json() == {
        "error": {
            "code": "too_many_requests",
            "message": f"Too many {what} in a short time. Try again in {wait} seconds.",
        }
    }
    assert 1 <= wait <= limit.period.total_seconds() / limit.times + 1
    assert (event.action, event.outcome.value, event.code) == (
        action,
        "refused",
        "too_many_requests",
    )
    assert again.status_code < 300
    assert len(place.world.rows(Draft)) == drafts + (what is Paced.QUESTIONS)
