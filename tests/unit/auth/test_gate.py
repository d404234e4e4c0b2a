"""The gate over a small application that would answer anything.

Long: every door and every refusal of one layer, over one table of routes.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from uuid import UUID

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route as StarletteRoute
from starlette.types import Receive, Scope, Send

from storage.vocabulary import Role
from webapp.auth.bodies import Limits
from webapp.auth.doorway import Doorway, network_of
from webapp.auth.gate import ACTOR, Gate
from webapp.auth.page_routes import page_routes
from webapp.auth.routes import ANYONE, API, NOBODY, Route, RouteTable, Surface
from webapp.services.actor import Actor
from webapp.services.policy import ADMINS, TRAINEES_UP
from webapp.services.trail import Attempt

HERE = "http://127.0.0.1:7860"
ANNA = Actor(UUID(int=1), "anna", Role.ADMIN, "session")
TOM = Actor(UUID(int=2), "tom", Role.TRAINEE, "session")
NEW = Actor(UUID(int=3), "new", Role.ADMIN, "session", must_change_password=True)
SESSIONS = {"anna-1": ANNA, "tom-1": TOM, "new-1": NEW}
TABLE = RouteTable.of(
    (
        Route("GET", f"{API}/health/live", ANYONE, "open", any_host=True),
        Route("GET", f"{API}/cases", TRAINEES_UP, "everybody"),
        Route("POST", f"{API}/cases", TRAINEES_UP, "everybody"),
        Route("GET", f"{API}/exports", ADMINS, "admins"),
        Route("POST", f"{API}/studies", TRAINEES_UP, "uploads", upload=True),
        Route("GET", "/shut", NOBODY, "nobody"),
        Route("GET", "/broken", TRAINEES_UP, "fails"),
        Route("POST", "/account/password", TRAINEES_UP, "own", first_password=True),
    ),
    page_routes("", ["/"]),
)


class Doorkeeper:
    def __init__(self) -> None:
        self.seen: list[bool] = []

    def actor_of_session(
        self, token: str, *, request_id: str = "", seen: bool = True
    ) -> Actor | None:
        self.seen.append(seen)
        assert request_id
        return SESSIONS.get(token)

    def actor_of_token(self, token: str, *, request_id: str = "") -> Actor | None:
        assert request_id
        return SESSIONS.get(token.removeprefix("token-"))


class NotedTrail:
    """Keeps what the gate told; `room` is how many more get an event of their own."""

    def __init__(self, room: int = 1_000) -> None:
        self.told: list[tuple[str | None, str, str]] = []
        self.room = room

    def is_single(self, _actor: Actor | None, came_from: str) -> bool:
        assert came_from == "127.0.0.0/24"
        self.room -= 1
        return self.room >= 0

    def refused(self, actor: Actor | None, attempt: Attempt) -> None:
        assert attempt.request_id
        assert attempt.came_from == "127.0.0.0/24"
        self.told.append((actor.name if actor else None, attempt.code, str(attempt.about[1])))


async def _anything(request: Request) -> Response:
    """Answer whatever comes, saying who the gate found and how much arrived."""
    if request.url.path == "/broken":
        raise ValueError("a name that must not leave")
    if request.url.path == "/":
        return HTMLResponse("page", headers={"access-control-allow-origin": "*"})
    if request.url.path.endswith("/queue/join"):
        return JSONResponse({"event_id": "event-of-" + (await request.json())["session_hash"]})
    actor = request.scope.get(ACTOR)
    return JSONResponse({"who": actor and actor.name, "bytes": len(await request.body())})


def _anything_app() -> Starlette:
    methods = ["GET", "POST", "PUT", "DELETE"]
    return Starlette(routes=[StarletteRoute("/{path:path}", _anything, methods=methods)])


@pytest.fixture
def trail() -> NotedTrail:
    return NotedTrail()


@pytest.fixture
async def client(trail: NotedTrail) -> AsyncIterator[httpx.AsyncClient]:
    gate = Gate(
        _anything_app(), TABLE, Doorkeeper(), Doorway(), trail, Limits(small=10_000, upload=100_000)
    )
    transport = httpx.ASGITransport(gate, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=HERE) as client:
        yield client


def _as(name: str) -> dict[str, str]:
    return {"cookie": f"overread={name}-1"}


def _code(response: httpx.Response) -> str:
    code: str = response.json()["error"]["code"]
    return code


async def test_nobody_gets_an_error_a_program_can_read(client: httpx.AsyncClient) -> None:
    response = await client.get(f"{API}/cases")

    assert response.status_code == 401
    assert response.json() == {"error": {"code": "not_signed_in", "message": "Sign in first."}}


async def test_a_body_that_hardly_moves_is_not_waited_for(trail: NotedTrail) -> None:
    async def dripping(pieces: int, pause: float) -> AsyncIterator[bytes]:
        for _ in range(pieces):
            yield b"x" * 100
            await asyncio.sleep(pause)

    limits = Limits(small=10_000, upload=1_000, grace_seconds=0.3, least_bytes_per_second=1_000)
    gate = Gate(_anything_app(), TABLE, Doorkeeper(), Doorway(), trail, limits)
    transport = httpx.ASGITransport(gate, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url=HERE) as client:
        there = f"{API}/cases"
        kept_up = await client.post(there, content=dripping(20, 0.01), headers=_as("anna"))
        stalled = await client.post(there, content=dripping(2, 60), headers=_as("anna"))
        too_much = await client.post(
            f"{API}/studies",
            content=dripping(2, 60),
            headers=_as("anna") | {"content-length": "20000"},
        )

    assert (kept_up.status_code, kept_up.json()["bytes"]) == (200, 2_000)
    assert (stalled.status_code, _code(stalled)) == (408, "too_slow")
    assert (too_much.status_code, _code(too_much)) == (408, "too_slow")
    assert [code for _, code, _ in trail.told] == ["too_slow", "too_large"]


async def test_nobody_on_the_way_to_a_page_is_led_to_the_sign_in(client: httpx.AsyncClient) -> None:
    response = await client.get("/?case=3&x=a b", headers={"accept": "text/html"})

    assert response.status_code == 303
    assert response.headers["location"] == "/login?next=/%3Fcase%3D3%26x%3Da%2520b"


async def test_a_form_sent_after_the_session_ended_leads_to_the_sign_in(
    client: httpx.AsyncClient,
) -> None:
    as_page = await client.post("/account/password", headers={"accept": "text/html,*/*;q=0.8"})
    as_program = await client.post("/account/password", headers={"accept": "application/json"})
    at_the_api = await client.post(f"{API}/cases", headers={"accept": "text/html"})

    assert (as_page.status_code, as_page.headers["location"]) == (303, "/login?next=/")
    assert [as_program.status_code, at_the_api.status_code] == [401, 401]


@pytest.mark.parametrize(
    ("name", "path", "status"),
    [
        pytest.param("tom", f"{API}/cases", 200, id="a role the table names"),
        pytest.param("tom", f"{API}/exports", 403, id="a role it does not name"),
        pytest.param("anna", f"{API}/exports", 200, id="the role it names"),
        pytest.param("anna", "/shut", 404, id="a door shut for all"),
        pytest.param("anna", "/not-in-the-table", 404, id="what the table does not know"),
        pytest.param("anna", f"{API}/cases/%2e%2e/exports", 404, id="no climbing"),
        pytest.param("eve", f"{API}/cases", 401, id="an unknown session"),
    ],
)
async def test_the_table_decides(
    client: httpx.AsyncClient, name: str, path: str, status: int
) -> None:
    assert (await client.get(path, headers=_as(name))).status_code == status


async def test_a_bearer_token_is_enough_and_no_cookie_saves_a_bad_one(
    client: httpx.AsyncClient,
) -> None:
    good = await client.get(f"{API}/cases", headers={"authorization": "Bearer token-tom-1"})
    bad = {"authorization": "Bearer token-nobody", **_as("tom")}
    basic = {"authorization": "Basic dG9tOnRvbQ==", **_as("tom")}

    assert good.json()["who"] == "tom"
    assert (await client.get(f"{API}/cases", headers=bad)).status_code == 401
    assert (await client.get(f"{API}/cases", headers=basic)).status_code == 401


async def test_a_foreign_page_cannot_act_with_our_cookie(client: httpx.AsyncClient) -> None:
    foreign = {"origin": "http://evil.example", **_as("tom")}

    assert _code(await client.post(f"{API}/cases", headers=foreign)) == "foreign_origin"
    assert (await client.get(f"{API}/cases", headers=foreign)).status_code == 200
    own = {"origin": HERE, "sec-fetch-site": "same-origin", **_as("tom")}
    assert (await client.post(f"{API}/cases", headers=own)).status_code == 200


async def test_only_our_own_names_are_served(client: httpx.AsyncClient) -> None:
    rebound = {"host": "evil.example", **_as("tom")}

    assert _code(await client.get(f"{API}/cases", headers=rebound)) == "unknown_host"
    live = await client.get(f"{API}/health/live", headers={"host": "10.1.2.3"})
    assert live.status_code == 200


async def test_the_first_password_comes_before_everything(client: httpx.AsyncClient) -> None:
    assert _code(await client.get(f"{API}/cases", headers=_as("new"))) == "password_change_required"
    page = await client.get("/", headers={"accept": "text/html", **_as("new")})
    assert (page.status_code, page.headers["location"]) == (303, "/account/password")
    assert (await client.post("/account/password", headers=_as("new"))).status_code == 200


@pytest.mark.parametrize(
    ("path", "sent", "status"),
    [
        pytest.param(f"{API}/cases", 10_000, 200, id="at the limit"),
        pytest.param(f"{API}/cases", 10_001, 413, id="a byte more"),
        pytest.param(f"{API}/studies", 100_000, 200, id="an upload at its limit"),
        pytest.param(f"{API}/studies", 100_001, 413, id="an upload above it"),
    ],
)
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "not announced"])
async def test_bodies_are_bounded(
    client: httpx.AsyncClient, path: str, sent: int, status: int, announced: bool
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, sent, 4_096):
            yield b"x" * min(4_096, sent - start)

    content = b"x" * sent if announced else pieces()
    response = await client.post(path, content=content, headers=_as("tom"))

    assert response.status_code == status
    if status == 413:
        assert _code(response) == "too_large"


async def test_every_answer_carries_the_headers(client: httpx.AsyncClient) -> None:
    answers = [
        await client.get(f"{API}/cases"),
        await client.get(f"{API}/cases", headers=_as("tom")),
        await client.get("/", headers=_as("tom")),
        await client.get("/broken", headers=_as("tom")),
        await client.get("/nothing", headers={"accept": "text/html", **_as("tom")}),
    ]

    assert [answer.status_code for answer in answers] == [401, 200, 200, 500, 404]
    for answer in answers:
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
        assert "unsafe-eval" not in answer.headers["content-security-policy"]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["referrer-policy"] == "same-origin"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-request-id"]
        assert "access-control-allow-origin" not in answer.headers
    assert "a name" not in answers[3].text


async def test_https_is_insisted_on_once_it_was_there() -> None:
    gate = Gate(_never, TABLE, Doorkeeper(), Doorway("https://reads.example"), NotedTrail())
    transport = httpx.ASGITransport(gate)
    async with httpx.AsyncClient(transport=transport, base_url="http://reads.example") as client:
        cookie = {"cookie": "overread=tom-1"}
        response = await client.get(f"{API}/cases", headers=cookie)

    assert response.status_code == 401  # the plain cookie does not count here
    assert response.headers["strict-transport-security"] == "max-age=31536000"


async def _never(_scope: Scope, _receive: Receive, _send: Send) -> None:
    raise AssertionError("the gate let it through")


JOIN, CANCEL, DATA = (f"/gradio_api/{name}" for name in ("queue/join", "cancel", "queue/data"))


async def test_page_sessions_and_events_belong_to_who_began_them(client: httpx.AsyncClient) -> None:
    async def call(name: str, path: str, **body: str) -> int:
        response = await client.post(path, content=json.dumps(body), headers=_as(name))
        return response.status_code

    async def listen(name: str, session_hash: str) -> int:
        query = {"session_hash": session_hash}
        return (await client.get(DATA, params=query, headers=_as(name))).status_code

    assert await call("anna", JOIN, session_hash="h1") == 200
    assert await call("tom", JOIN, session_hash="h1") == 404
    assert await listen("tom", "h1") == 404
    assert await listen("anna", "h1") == 200
    assert await call("tom", CANCEL, session_hash="h2", event_id="event-of-h1") == 404
    assert await call("anna", CANCEL, session_hash="h1", event_id="event-of-h1") == 200
    assert await call("tom", CANCEL, session_hash="h2", event_id="never-given-out") == 404
    beat = await client.get("/gradio_api/heartbeat/h1", headers=_as("tom"))
    assert beat.status_code == 404


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{", b'{"session_hash": 3}', b'{"event_id": ["x"]}', b"\xff\xfe"]
)
async def test_calls_whose_ids_cannot_be_read_are_refused(
    client: httpx.AsyncClient, body: bytes
) -> None:
    assert (await client.post(JOIN, content=body, headers=_as("tom"))).status_code == 404


async def test_websockets_are_closed() -> None:
    sent: list[object] = []

    async def receive() -> dict[str, str]:
        return {"type": "websocket.connect"}

    async def send(message: object) -> None:
        sent.append(message)

    gate = Gate(_never, TABLE, Doorkeeper(), Doorway(), NotedTrail())
    await gate({"type": "websocket", "path": "/", "headers": []}, receive, send)

    assert sent == [{"type": "websocket.close", "code": 1008}]


def test_the_surfaces_differ_in_what_they_may_load() -> None:
    kinds = {route.surface for route in TABLE.routes}

    assert kinds == {Surface.API, Surface.PAGE, Surface.ASSET}


async def test_every_refusal_is_told_once_and_by_template(
    client: httpx.AsyncClient, trail: NotedTrail
) -> None:
    await client.get(f"{API}/cases")
    await client.get(f"{API}/exports", headers=_as("tom"))
    await client.get("/a-name-in-a-path", headers=_as("tom"))
    await client.post(f"{API}/cases", headers={"origin": "http://evil.example", **_as("tom")})
    await client.post(f"{API}/cases", content=b"x" * 10_001, headers=_as("anna"))
    await client.get("/broken", headers=_as("anna"))
    await client.get(f"{API}/cases", headers=_as("tom"))

    assert trail.told == [
        (None, "not_signed_in", f"{API}/cases"),
        ("tom", "not_allowed", f"{API}/exports"),
        ("tom", "not_found", ""),
        ("tom", "foreign_origin", f"{API}/cases"),
        ("anna", "too_large", f"{API}/cases"),
        ("anna", "http_500", "/broken"),
    ]


async def test_a_refusal_in_the_middle_of_a_body_is_told_once(
    client: httpx.AsyncClient, trail: NotedTrail
) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(11):
            yield b"x" * 1_000

    await client.post(f"{API}/cases", content=pieces(), headers=_as("tom"))

    assert trail.told == [("tom", "too_large", f"{API}/cases")]


async def test_a_flood_is_left_to_be_counted(client: httpx.AsyncClient, trail: NotedTrail) -> None:
    trail.room = 2
    for _ in range(5):
        assert (await client.get(f"{API}/cases")).status_code == 401

    assert len(trail.told) == 2


@pytest.mark.parametrize(
    ("address", "network"),
    [
        pytest.param("192.0.2.77", "192.0.2.0/24", id="IPv4"),
        pytest.param("2001:db8:1:2::3", "2001:db8:1::/48", id="IPv6"),
        pytest.param("a name", "", id="none"),
    ],
)
def test_a_network_does_not_single_out_a_machine(address: str, network: str) -> None:
    assert network_of({"type": "http", "client": (address, 4711)}) == network
    assert network_of({"type": "http", "client": None}) == ""


async def test_what_a_page_asks_by_itself_does_not_keep_the_session_alive() -> None:
    doorkeeper = Doorkeeper()
    gate = Gate(_anything_app(), TABLE, doorkeeper, Doorway(), NotedTrail())
    transport = httpx.ASGITransport(gate)
    async with httpx.AsyncClient(transport=transport, base_url=HERE) as client:
        for path in ("heartbeat/h9", "queue/data?session_hash=h9", "startup-events", "app_id"):
            await client.get(f"/gradio_api/{path}", headers=_as("tom"))
        await client.get("/", headers=_as("tom"))
        await client.get(f"{API}/cases", headers=_as("tom"))

    assert doorkeeper.seen == [False] * 4 + [True] * 2
