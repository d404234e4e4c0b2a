"""The table of routes against the running application's own list, and every role at every door."""

import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from storage.vocabulary import Role
from tests.flow.place import HERE, Place
from webapp.app import ROUTES
from webapp.auth.routes import API, Surface
from webapp.auth.routes import Route as Entry

pytestmark = pytest.mark.asyncio(loop_scope="module")

Door = tuple[str, str]  # method, path template
NOTHING = str(UUID(int=0))
OPEN = {
    ("GET", f"{API}/health/live"),
    ("GET", "/login"),
    ("POST", "/login"),
    ("GET", "/overread/sign-in.css"),
}


def doors(routes: list[BaseRoute], prefix: str = "") -> Iterator[Door]:
    """Yield every route an application answers, mounted and included ones too."""
    for route in routes:
        if isinstance(route, Mount):
            inner: Any = getattr(route.app, "app", route.app)  # what wraps it answers nothing
            if isinstance(inner, StaticFiles):
                yield "GET", f"{prefix}{route.path}/{{path:path}}"
            else:
                yield from doors(inner.routes, prefix + route.path)
        elif isinstance(route, Route | APIRoute):
            for method in sorted((route.methods or {"GET"}) - {"HEAD", "OPTIONS"}):
                yield method, prefix + route.path
        elif hasattr(route, "effective_candidates"):  # a router that FastAPI keeps included
            for candidate in route.effective_candidates():
                if hasattr(candidate, "effective_candidates"):
                    yield from doors([candidate], prefix)
                else:
                    found = candidate.starlette_route or candidate
                    for method in sorted((found.methods or {"GET"}) - {"HEAD", "OPTIONS"}):
                        yield method, prefix + found.path
        else:
            raise TypeError(f"{type(route).__name__} is a kind of route this test cannot see into")


def sample(template: str) -> str:
    """Return an address that fits a template, with an id of nothing in it."""
    return re.sub(r"\{(\w+)(:path)?\}", lambda m: "0" if m[1] == "n" else NOTHING, template)


async def test_the_walk_sees_our_own_and_gradios_routes(place: Place) -> None:
    seen = set(doors(place.gate.app.routes))  # type: ignore[attr-defined] # FastAPI

    assert ("POST", f"{API}/cases/{{case_id}}/questions") in seen
    assert ("POST", "/gradio_api/queue/join") in seen
    assert ("GET", "/overread/{path:path}") in seen
    assert len(seen) > 90


async def test_every_route_of_the_application_is_in_the_table(place: Place) -> None:
    forgotten = {
        (method, path)
        for method, path in doors(place.gate.app.routes)  # type: ignore[attr-defined] # as above
        if ROUTES.find(method, sample(path)) is None
        and ROUTES.find(method, sample(path.rstrip("/"))) is None
    }

    assert forgotten == set()


async def test_every_line_of_the_table_is_a_route(place: Place) -> None:
    seen = {(method, _shape(path)) for method, path in doors(place.gate.app.routes)}  # type: ignore[attr-defined] # as above

    invented = {(e.method, e.path) for e in ROUTES.routes if (e.method, _shape(e.path)) not in seen}
    assert invented == {("GET", "/overread/sign-in.css")}  # one of the static files, by name


def _shape(template: str) -> str:
    return re.sub(r"\{\w+(:path)?\}", r"{\1}", template).rstrip("/") or "/"


def _name(entry: Entry) -> str:
    return f"{entry.method} {entry.path}"


@pytest.mark.parametrize("entry", ROUTES.routes, ids=_name)
async def test_without_a_sign_in_nothing_answers(place: Place, entry: Entry) -> None:
    async with place.visitor() as visitor:
        answer = await visitor.request(entry.method, sample(entry.path))
        as_page = await visitor.request(
            entry.method, sample(entry.path), headers={"accept": "text/html"}
        )

    if (entry.method, entry.path) in OPEN:
        assert answer.status_code in {200, 401}  # an empty form is a failed sign-in
        return
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "not_signed_in"
    assert as_page.status_code in {303, 401}
    assert as_page.headers.get("location", "/login?").startswith("/login?")


CALLS = [entry for entry in ROUTES.routes if entry.surface is Surface.API]


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("entry", CALLS, ids=_name)
async def test_each_role_gets_as_far_as_the_table_says(
    place: Place, entry: Entry, role: Role
) -> None:
    async with place.program(role) as program:
        answer = await program.request(entry.method, sample(entry.path))

    if entry.roles is None or role in entry.roles:
        assert answer.status_code not in {401, 403}
    else:
        assert answer.status_code == 403
        assert answer.json()["error"]["code"] == "not_allowed"


SHUT = [
    entry
    for entry in ROUTES.routes
    if entry.roles == frozenset() and ROUTES.find(entry.method, sample(entry.path)) is entry
]  # where our own route has the same name, ours answers


@pytest.mark.parametrize("entry", SHUT, ids=_name)
async def test_a_shut_door_is_shut_for_the_administrator_too(place: Place, entry: Entry) -> None:
    async with place.program(Role.ADMIN) as program:
        answer = await program.request(entry.method, sample(entry.path), json={})

    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "not_found"


CHANGING = [e for e in ROUTES.routes if e.method != "GET" and e.roles != frozenset()]


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://127.0.0.1:9"])
@pytest.mark.parametrize("entry", CHANGING, ids=_name)
async def test_no_foreign_page_changes_anything(place: Place, entry: Entry, origin: str) -> None:
    async with place.person("admin") as person:
        for headers in ({"origin": origin}, {"sec-fetch-site": "cross-site"}):
            answer = await person.request(entry.method, sample(entry.path), headers=headers)

            assert answer.status_code == 403
            assert answer.json()["error"]["code"] == "foreign_origin"


async def test_no_answer_lets_another_origin_read_it(place: Place) -> None:
    async with place.person("admin") as person:
        for path in ("/", "/config", f"{API}/cases", "/theme.css"):
            answer = await person.get(path, headers={"origin": "http://localhost:9"})

            assert answer.status_code == 200
            assert not [name for name in answer.headers if name.startswith("access-control")]


async def test_nothing_is_served_under_a_foreign_name(place: Place) -> None:
    async with place.visitor("http://evil.example:7860") as rebound:
        answer = await rebound.get("/login")

    assert HERE not in answer.text
    assert (answer.status_code, answer.json()["error"]["code"]) == (421, "unknown_host")
