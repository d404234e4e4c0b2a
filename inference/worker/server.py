"""The worker over HTTP: OpenAI's chat completions, the models served, health and metrics."""

import asyncio
import hmac
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from inference.errors import InferenceError
from inference.worker.answers import DONE, Answer, as_error
from inference.worker.engine.messages import Ended, Event, Piece, Started
from inference.worker.metrics import Metrics
from inference.worker.state import WorkerState
from inference.worker.wire import parse_chat

logger = logging.getLogger(__name__)

KEEP_ALIVE_SECONDS = 10.0
MAX_BODY_BYTES = 256 * 2**20

Events = asyncio.Queue[Event]


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How the server may be talked to."""

    key: str | None = None  # bearer key; None lets everybody ask who reaches the port
    max_body_bytes: int = MAX_BODY_BYTES


def create_app(state: WorkerState, metrics: Metrics, options: ServerOptions) -> FastAPI:
    """Build the application. It answers `/health` from the start, the rest once it is ready."""
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    guarded = APIRouter(dependencies=[Depends(_key_check(options.key))])

    @app.exception_handler(InferenceError)
    async def refuse(_request: Request, error: InferenceError) -> JSONResponse:
        metrics.refuse(error.code)
        status, body = as_error(error)
        return JSONResponse(body, status)

    @app.exception_handler(HTTPException)
    async def explain(_request: Request, error: HTTPException) -> JSONResponse:
        code, message = _HTTP.get(error.status_code, ("http_error", "This is not possible here."))
        body = {"message": message, "type": "invalid_request_error", "code": code}
        return JSONResponse({"error": body}, error.status_code)

    @app.get("/health")
    async def health() -> JSONResponse:
        load = state.served.engine.load() if state.served else None
        body = {"state": state.state, "reason": state.reason, "queued": load.queued if load else 0}
        if load:
            body["load"] = asdict(load)
        return JSONResponse(body, 200 if state.state == "ready" else 503)

    @guarded.get("/metrics")
    async def prometheus() -> PlainTextResponse:
        load = state.served.engine.load() if state.served else None
        return PlainTextResponse(metrics.text(load), media_type="text/plain; version=0.0.4")

    @guarded.get("/v1/models")
    async def models() -> dict[str, Any]:
        model = state.require().model
        base = {"object": "model", "owned_by": "overread", **asdict(model)}
        adapters = [{**base, "id": name, "adapters": []} for name in model.adapters]
        return {"object": "list", "data": [base, *adapters]}

    @guarded.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        served = state.require()
        body = await _read(request, options.max_body_bytes)
        wanted = await asyncio.to_thread(parse_chat, body)
        adapter = served.adapter_for(wanted.ask.model)
        events: Events = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def sink(event: Event) -> None:
            loop.call_soon_threadsafe(events.put_nowait, event)

        ticket = await asyncio.to_thread(served.engine.submit, wanted.ask, sink, adapter=adapter)
        answer = Answer(served, adapter=adapter, rule=ticket.rule.as_dict())
        if wanted.stream:
            return _Stream(_stream(answer, events), cancel=ticket.cancel)
        try:
            ended = await _unless_gone(request, _wait(answer, events))
        finally:
            ticket.cancel()
        if ended.error is not None:
            status, failure = as_error(ended.error)
            return JSONResponse(failure, status)
        return JSONResponse(answer.whole(ended))

    app.include_router(guarded)
    return app


class _Stream(StreamingResponse):
    """Server-sent events; the engine stops when the client is gone, however that shows."""

    def __init__(self, content: AsyncIterator[str], *, cancel: Callable[[], None]) -> None:
        super().__init__(
            content, media_type="text/event-stream", headers={"Cache-Control": "no-store"}
        )
        self._cancel = cancel

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._cancel()


async def _stream(answer: Answer, events: Events) -> AsyncIterator[str]:
    yield answer.opening()
    while True:
        try:
            event = await asyncio.wait_for(events.get(), KEEP_ALIVE_SECONDS)
        except TimeoutError:
            yield ": waiting\n\n"
            continue
        match event:
            case Started():
                answer.started = event
            case Piece(text):
                yield answer.piece(text)
            case Ended():
                yield answer.closing(event)
                yield DONE
                return


async def _wait(answer: Answer, events: Events) -> Ended:
    while True:
        event = await events.get()
        if isinstance(event, Started):
            answer.started = event
        if isinstance(event, Ended):
            return event


async def _unless_gone(request: Request, answer: Any) -> Ended:  # noqa: ANN401  # a coroutine
    """Await the answer, but no longer than the client does."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    waiting, leaving = asyncio.ensure_future(answer), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            raise HTTPException(499)
        ended: Ended = waiting.result()
        return ended
    finally:
        waiting.cancel()
        leaving.cancel()


async def _read(request: Request, limit: int) -> bytes:
    """Read a body up to `limit` bytes."""
    if int(request.headers.get("content-length") or 0) > limit:
        raise HTTPException(413)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise HTTPException(413)
    return bytes(body)


def _key_check(key: str | None) -> Callable[[Request], Awaitable[None]]:
    async def check(request: Request) -> None:
        sent = request.headers.get("authorization", "").encode()
        if key is not None and not hmac.compare_digest(sent, f"Bearer {key}".encode()):
            raise HTTPException(401)

    return check


_HTTP = {
    401: ("unauthorised", "This worker needs its key."),
    404: ("not_found", "There is nothing here."),
    405: ("method_not_allowed", "This address does not take that method."),
    413: ("body_too_large", "The request is too large."),
    499: ("cancelled", "The client is gone."),
}
