"""Every refusal of ours has a status of its own, and a refusal never repeats what was sent."""

import importlib
import pkgutil
from collections.abc import Iterator
from typing import Annotated
from uuid import UUID

import httpx
import pytest
from fastapi import FastAPI
from pydantic import BaseModel, ConfigDict, StrictInt

import storage
import webapp.services
from webapp.api.problems import KNOWN, STATUS_OF, add_problem_handlers
from webapp.services.errors import NotAllowedError, TooManyAttemptsError


def _all_kinds(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for narrower in kind.__subclasses__():
        yield from _all_kinds(narrower)


def test_every_refusal_has_a_status() -> None:
    for package in (storage, webapp.services):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith(("__main__", ".env")) and ".versions." not in module.name:
                importlib.import_module(module.name)
    kinds = {kind for base in KNOWN for kind in _all_kinds(base)}
    # the worker's own never cross its HTTP border as classes; another test may have imported them
    codes = {
        getattr(kind, "code", "")
        for kind in kinds
        if not kind.__module__.startswith("inference.worker")
    }

    assert codes - set(STATUS_OF) == set()


class Sent(BaseModel):
    model_config = ConfigDict(extra="forbid")
    count: StrictInt


@pytest.fixture
def client() -> httpx.AsyncClient:
    app = FastAPI()
    add_problem_handlers(app)

    @app.post("/things/{thing_id}")
    async def thing(thing_id: UUID, body: Sent) -> None:
        if body.count == 1:
            raise NotAllowedError("do this")
        if body.count == 2:
            raise TooManyAttemptsError(wait_seconds=7)
        raise KeyError(f"DOE^JANE {thing_id}")

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    return httpx.AsyncClient(transport=transport, base_url="http://test")


THING = "/things/00000000-0000-0000-0000-000000000001"
Client = Annotated[httpx.AsyncClient, "the fixture above"]


async def test_a_refusal_of_ours_travels_with_its_code_and_sentence(client: Client) -> None:
    response = await client.post(THING, json={"count": 1})

    assert response.status_code == 403
    assert response.json() == {
        "error": {"code": "not_allowed", "message": "Your account may not do this."}
    }


async def test_whoever_must_wait_is_told_how_long(client: Client) -> None:
    response = await client.post(THING, json={"count": 2})

    assert (response.status_code, response.headers["retry-after"]) == (429, "7")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        pytest.param(b'{"count": "DOE"}', "count: Input should be a valid integer.", id="a value"),
        pytest.param(b'{"DOE": 1}', "body: there is a field that is not known", id="a name"),
        pytest.param(b"DOE", "The body is not JSON.", id="no JSON"),
        pytest.param(b"[]", "body: Input should be", id="another kind of JSON"),
        pytest.param(b"[" * 100_000, "The body is not JSON", id="JSON without end"),
        pytest.param(
            b'{"count": ' + b"1" * 5_000 + b"}", "The body is not JSON", id="a long number"
        ),
        pytest.param(b'"DOE\xff"', "The body is not JSON", id="no UTF-8"),
    ],
)
async def test_what_was_sent_is_not_repeated(client: Client, content: bytes, says: str) -> None:
    response = await client.post(
        THING, content=content, headers={"content-type": "application/json"}
    )

    assert response.status_code == 422
    assert response.json()["error"]["code"] == "invalid_request"
    assert says in response.json()["error"]["message"]
    assert "DOE" not in response.text


async def test_an_id_that_cannot_be_one_is_an_id_of_nothing(client: Client) -> None:
    response = await client.post("/things/../../etc", json={"count": 1})
    wrong = await client.post("/things/7", json={"count": 1})

    assert [response.status_code, wrong.status_code] == [404, 404]
    assert response.json() == wrong.json()


async def test_an_unexpected_failure_tells_nothing(client: Client) -> None:
    response = await client.post(THING, json={"count": 3})

    assert response.status_code == 500
    assert response.json()["error"]["code"] == "internal_error"
    assert "DOE" not in response.text


async def test_a_wrong_method_has_the_same_shape(client: Client) -> None:
    response = await client.get(THING)

    assert (response.status_code, response.json()["error"]["code"]) == (405, "method_not_allowed")
