"""The table of routes against the running application's own list, and every role at every door."""

import re
from typing import Any

import pytest

from storage.vocabulary import Role
from tests.contract.api.doors import doors, sample
from tests.flow.place import COLLECTION, HERE, Place
from webapp.app import ROUTES
from webapp.auth.routes import API, Surface
from webapp.auth.routes import Route as Entry

pytestmark = pytest.mark.asyncio(loop_scope="module")

OPEN = {
    ("GET", f"{API}/health/live"),
    ("GET", "/login"),
    ("POST", "/login"),
    ("GET", "/login/{provider}"),
    ("GET", "/login/{provider}/callback"),
    ("GET", "/overread/sign-in.css"),
}


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
        assert answer.status_code in {200, 401, 404}  # an empty form, a provider of no name
        return
    assert answer.status_code == 401
    assert answer.json()["error"]["code"] == "not_signed_in"
    assert as_page.status_code in {303, 401}
    assert as_page.headers.get("location", "/login?").startswith("/login?")


async def test_without_a_sign_in_no_verb_at_any_address_answers(place: Place) -> None:
    addresses = {sample(path) for _, path in doors(place.gate.app.routes)}  # type: ignore[attr-defined] # FastAPI
    answered = set()
    async with place.visitor() as visitor:
        for path in addresses | {"/nothing-here"}:
            for verb in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND"):
                answer = await visitor.request(verb, path)
                if answer.status_code not in {401, 403}:
                    answered.add((verb, path))

    open_to_anybody = {(verb, sample(path)) for verb, path in OPEN}
    assert {(verb.replace("HEAD", "GET"), path) for verb, path in answered} <= open_to_anybody


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


BODIES: dict[str, dict[str, Any]] = {
    "nothing": {},
    "JSON": {"json": {}},
    "JSON as text": {"content": b"{}", "headers": {"content-type": "text/plain"}},
    "a form": {"data": {"name": "admin", "password": "guessed"}},
    "multipart": {
        "files": {"files": ("a.png", b"x", "image/png")},
        "data": {"collection": COLLECTION},
    },
}


@pytest.mark.parametrize(
    "foreign",
    [
        pytest.param({"origin": "http://evil.example"}, id="another site"),
        pytest.param({"origin": "null"}, id="no origin, as of a sandboxed frame"),
        pytest.param({"origin": "http://127.0.0.1:9"}, id="another port"),
        pytest.param({"origin": HERE.replace("127.0.0.1", "localhost")}, id="another name"),
        pytest.param({"sec-fetch-site": "cross-site"}, id="cross-site"),
        pytest.param({"sec-fetch-site": "same-site"}, id="same-site"),
    ],
)
@pytest.mark.parametrize("entry", CHANGING, ids=_name)
async def test_no_foreign_page_changes_anything(
    place: Place, entry: Entry, foreign: dict[str, str]
) -> None:
    async with place.person("admin") as person:
        for kind, body in BODIES.items():
            headers = {**body.get("headers", {}), **foreign}
            answer = await person.request(
                entry.method, sample(entry.path), **{**body, "headers": headers}
            )

            assert answer.status_code == 403, kind
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
