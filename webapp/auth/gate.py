"""The gate: one layer before every route, the mounted pages' own included. Default: no.

It finds out who asks, looks the route up in the table, and lets nothing through that the table
does not name. It decides by role only; whether this case is this person's is decided by the
use case behind. `webapp.app` puts it around the whole application, so that there is no way in
beside it.
"""

import asyncio
import logging
import time
from dataclasses import dataclass, field, replace
from typing import Final, Protocol
from urllib.parse import quote
from uuid import uuid4

from anyio.to_thread import run_sync
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from webapp.auth.bodies import Limits, announced, drain, limited, paced
from webapp.auth.doorway import Doorway, network_of
from webapp.auth.headers import harden
from webapp.auth.page_faults import in_one_shape
from webapp.auth.page_sessions import PageSessions, bind
from webapp.auth.pages import page
from webapp.auth.routes import API, Route, RouteTable, Surface
from webapp.auth.watch import Open, Watch
from webapp.services.actor import Actor
from webapp.services.errors import TooManyRequestsError
from webapp.services.rates import Paced, Rates
from webapp.services.trail import Attempt
from webapp.services.work import TOLD, Told

logger = logging.getLogger(__name__)

ACTOR: Final = "overread.actor"
REQUEST_ID: Final = "overread.request_id"
CAME_FROM: Final = "overread.came_from"
SECRET: Final = "overread.secret"  # noqa: S105 - a name in the scope, taken out before the routes
ACCESS_ENDED: Final = "access_ended"  # of an answer that was cut because the right to it went
FIRST_REFUSAL: Final = 400
LONGEST_ABOUT: Final = 64
SAFE_METHODS: Final = frozenset({"GET", "HEAD"})


class Trail(Protocol):
    """Where the gate leaves an event of every refusal."""

    def is_single(self, actor: Actor | None, came_from: str) -> bool:
        """Tell whether a refusal gets its own event; otherwise it is counted. Never waits."""

    def refused(self, actor: Actor | None, attempt: Attempt) -> None:
        """Write one refusal."""


class Doorkeeper(Protocol):
    """What the gate asks the accounts."""

    def actor_of_session(
        self, token: str, *, request_id: str = "", seen: bool = True
    ) -> Actor | None:
        """Return who holds this session, if it is still good; `seen`: a person did something."""

    def actor_of_token(self, token: str, *, request_id: str = "") -> Actor | None:
        """Return whose API token this is, if it is still good."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request goes no further."""

    status: int
    code: str
    message: str
    retry_after_s: int = 0


class RefusedError(Exception):
    """Ends the gate's own way through a request."""

    def __init__(self, refusal: Refusal) -> None:
        """Carry the reason."""
        super().__init__(refusal.code)
        self.refusal = refusal


NOT_SIGNED_IN: Final = Refusal(401, "not_signed_in", "Sign in first.")
NO_SUCH_ROUTE: Final = Refusal(404, "not_found", "There is nothing at this address.")
NOT_ALLOWED: Final = Refusal(403, "not_allowed", "Your account may not do this.")
FOREIGN_ORIGIN: Final = Refusal(
    403, "foreign_origin", "This request did not come from Overread's own pages."
)
UNKNOWN_HOST: Final = Refusal(
    421,
    "unknown_host",
    "Overread is not served under this name. Use 127.0.0.1 on this machine, or set "
    "OVERREAD_PUBLIC_URL to the address people type.",
)
TOO_LARGE: Final = Refusal(413, "too_large", "This is more than Overread accepts at once.")
TOO_SLOW: Final = Refusal(
    408, "too_slow", "The request took too long to arrive, so it was not read. Send it again."
)
NEW_PASSWORD_FIRST: Final = Refusal(
    403, "password_change_required", "Choose a password of your own before you go on."
)


@dataclass(frozen=True, slots=True)
class Gate:
    """Wraps the application; `scope[ACTOR]` carries who asks to what is behind it."""

    app: ASGIApp
    table: RouteTable
    doorkeeper: Doorkeeper
    doorway: Doorway
    trail: Trail
    limits: Limits = field(default_factory=Limits)
    page_sessions: PageSessions = field(default_factory=PageSessions)
    watch: Watch = field(default_factory=Watch)
    rates: Rates = field(default_factory=Rates)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Decide about one request; see the module's text."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, send)
        else:  # nothing here speaks WebSocket
            await receive()
            await send({"type": "websocket.close", "code": 1008})

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        route = self.table.find(scope["method"], scope["path"])
        answer = _Answer(send, route, request_id=uuid4().hex, secure=self.doorway.is_secure(scope))
        scope[REQUEST_ID], scope[CAME_FROM] = answer.request_id, network_of(scope)
        told = Told()
        telling = TOLD.set(told)
        try:
            receive, onward = await self._admit(scope, receive, answer, route)
        except RefusedError as error:
            await self._tell(scope, answer, error.refusal.code)
            await _explain(error.refusal, scope)(scope, receive, answer.send)
        else:
            await self._answer(scope, receive, onward, answer)
        finally:
            TOLD.reset(telling)
            if answer.status >= FIRST_REFUSAL and not (told.events or answer.told):
                await self._tell(scope, answer, answer.code or f"http_{answer.status}")
            answer.log(scope)

    async def _answer(
        self, scope: Scope, receive: Receive, onward: Send, answer: "_Answer"
    ) -> None:
        """Let the application answer, for as long as the right to it lasts."""
        secret = scope.pop(SECRET, None)
        if secret is None:
            await self.app(scope, receive, onward)
            return
        request = Open(scope[ACTOR], lambda: secret.find(seen=False))
        answering = asyncio.ensure_future(self.app(scope, request.receiving(receive), onward))
        await self.watch.run(request, answering)
        if request.cut.is_set() and not answer.finished:
            await self._tell(scope, answer, ACCESS_ENDED)
            if not answer.status:
                await _explain(NOT_SIGNED_IN, scope)(scope, receive, answer.send)
            elif answer.open_ended:
                await answer.send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _tell(self, scope: Scope, answer: "_Answer", code: str) -> None:
        """Leave an event of a refusal that no use case saw."""
        answer.told = True
        actor, came_from = scope.get(ACTOR), scope[CAME_FROM]
        if self.trail.is_single(actor, came_from):
            path = answer.route.path[:LONGEST_ABOUT] if answer.route else ""
            attempt = Attempt(code, answer.request_id, came_from, ("route", path))
            await run_sync(self.trail.refused, actor, attempt)

    async def _admit(
        self, scope: Scope, receive: Receive, answer: "_Answer", route: Route | None
    ) -> tuple[Receive, Send]:
        """Return `receive` and `send` to go on with.

        Raises:
            RefusedError: the request goes no further.
        """
        if not ((route and route.any_host) or self.doorway.serves(scope)):
            raise RefusedError(UNKNOWN_HOST)
        if route is None or route.roles is not None:
            secret = self._secret(scope, answer.request_id)
            seen = route is not None and route.attended
            actor = await run_sync(lambda: secret.find(seen=seen)) if secret.value else None
            if actor is None:
                raise RefusedError(NOT_SIGNED_IN)
            actor = replace(actor, came_from=scope[CAME_FROM])
            scope[SECRET], scope[ACTOR] = secret, actor
            if secret.is_token:
                self._check_rate(actor)
            _check_role(route, actor)
        if scope["method"] not in SAFE_METHODS and "authorization" not in Headers(scope=scope):
            self._check_origin(scope)
        upload = route is not None and route.upload
        limit = self.limits.upload if upload else self.limits.small

        async def cut_off(refusal: Refusal) -> None:
            answer.code = answer.code or refusal.code
            await _explain(refusal, scope)(scope, receive, answer.send)
            answer.closed = True

        async def too_large() -> None:
            await drain(scope, in_time, self.limits.drained if upload else 0)
            await cut_off(TOO_LARGE)

        in_time = paced(receive, self.limits, lambda: cut_off(TOO_SLOW))
        if announced(scope) > limit:
            await too_large()
            raise RefusedError(TOO_LARGE)
        counted = limited(in_time, limit, too_large)
        if route is None or not route.page_ids:
            return counted, answer.send
        bound = await bind(self.page_sessions, scope[ACTOR].id, scope, counted, answer.send)
        if bound is None:
            raise RefusedError(NO_SUCH_ROUTE)
        own, learning = bound
        return own, in_one_shape(scope, own, learning)

    def _secret(self, scope: Scope, request_id: str) -> "_Secret":
        """Return by what the request says who asks: the bearer token if any, else the cookie."""
        connection = HTTPConnection(scope)
        if (authorization := connection.headers.get("authorization")) is not None:
            kind, _, given = authorization.partition(" ")
            value = given.strip() if kind.lower() == "bearer" else ""
            return _Secret(value, self.doorkeeper, request_id, is_token=True)
        cookie = connection.cookies.get(self.doorway.cookie_name(scope), "")
        return _Secret(cookie, self.doorkeeper, request_id, is_token=False)

    def _check_rate(self, actor: Actor) -> None:
        try:
            self.rates.check(actor, Paced.TOKEN_REQUESTS)
        except TooManyRequestsError as error:
            raise RefusedError(Refusal(429, error.code, str(error), error.wait_seconds)) from None

    def _check_origin(self, scope: Scope) -> None:
        if not self.doorway.is_own_request(scope):
            raise RefusedError(FOREIGN_ORIGIN)


def _check_role(route: Route | None, actor: Actor) -> None:
    if actor.must_change_password and not (route and route.first_password):
        raise RefusedError(NEW_PASSWORD_FIRST)
    if route is None or not route.roles:
        raise RefusedError(NO_SUCH_ROUTE)
    if actor.role not in route.roles:
        raise RefusedError(NOT_ALLOWED)


def _explain(refusal: Refusal, scope: Scope) -> Response:
    """Answer a refusal: a person on the way to a page is led on, everything else gets JSON."""
    is_person = not scope["path"].startswith(f"{API}/") and (
        "text/html" in Headers(scope=scope).get("accept", "")
    )
    wants_page = is_person and scope["method"] == "GET"
    if is_person and refusal is NOT_SIGNED_IN and scope["method"] in {"GET", "POST"}:
        query = scope["query_string"].decode("latin-1")
        here = quote(scope["path"]) + (f"?{query}" if query else "")
        here = here if wants_page else "/"  # what a form had to say is not said again
        return RedirectResponse(f"/login?next={quote(here, safe='/')}", status_code=303)
    if wants_page and refusal is NEW_PASSWORD_FIRST:
        return RedirectResponse("/account/password", status_code=303)
    headers = {"retry-after": str(refusal.retry_after_s)} if refusal.retry_after_s else {}
    if wants_page:
        response = page("refused.html", refusal.status, message=refusal.message)
        response.headers.update(headers)
        return response
    if refusal is NOT_SIGNED_IN:
        headers["www-authenticate"] = "Bearer"
    return JSONResponse(
        {"error": {"code": refusal.code, "message": refusal.message}},
        status_code=refusal.status,
        headers=headers,
    )


@dataclass(frozen=True, slots=True)
class _Secret:
    """What a request showed, and whom it stands for at this moment."""

    value: str = field(repr=False)
    doorkeeper: Doorkeeper
    request_id: str
    is_token: bool

    def find(self, *, seen: bool) -> Actor | None:
        if self.is_token:
            return self.doorkeeper.actor_of_token(self.value, request_id=self.request_id)
        return self.doorkeeper.actor_of_session(self.value, request_id=self.request_id, seen=seen)


@dataclass(slots=True)
class _Answer:
    """The way out: security headers on everything, one log line without any id of a thing."""

    raw_send: Send
    route: Route | None
    request_id: str
    secure: bool
    status: int = 0
    code: str = ""  # of a refusal in the middle of a body
    closed: bool = False
    told: bool = False  # the trail knows
    open_ended: bool = False  # without an announced length
    finished: bool = False
    started: float = field(default_factory=time.perf_counter)

    async def send(self, message: Message) -> None:
        """Pass a message on; after an early refusal the route's own answer goes nowhere."""
        if self.closed or (message["type"] == "http.response.start" and self.status):
            return
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.open_ended = not any(name == b"content-length" for name, _ in message["headers"])
            headers = MutableHeaders(raw=list(message.get("headers", [])))
            surface = self.route.surface if self.route else Surface.SIGN_IN
            harden(headers, surface, secure=self.secure)
            headers["x-request-id"] = self.request_id
            message = {**message, "headers": headers.raw}
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            self.finished = True
        await self.raw_send(message)

    def log(self, scope: Scope) -> None:
        """Log the request by its template; paths and queries may hold ids and are not kept."""
        logger.info(
            "http.request",
            extra={
                "method": scope["method"] if self.route else "",
                "route": self.route.path if self.route else "",
                "status": self.status,
                "milliseconds": round((time.perf_counter() - self.started) * 1000),
                "request_id": self.request_id,
            },
        )
