"""The worker over HTTP: OpenAI's chat completions, the models served, health and metrics."""

import asyncio
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass
from typing import Any

from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.exceptions import HTTPException
from starlette.types import Receive, Scope, Send

from inference.errors import InferenceError
from inference.worker.answering import Refused, Replies, Reply, Whole
from inference.worker.answers import as_error
from inference.worker.metrics import Metrics
from inference.worker.state import WorkerState
from inference.worker.wire import Wanted, parse_battery, parse_chat

MAX_BODY_BYTES = 256 * 2**20


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
        body: dict[str, Any] = {"state": state.state, "reason": state.reason, "queued": 0}
        if state.served and state.state == "ready":
            body |= state.served.condition()
        if state.served:
            load = state.served.load()
            body |= {"queued": load.queued, "load": asdict(load)}
        return JSONResponse(body, 200 if body["state"] == "ready" else 503)

    @guarded.get("/metrics")
    async def prometheus() -> PlainTextResponse:
        text = state.served.metrics(metrics) if state.served else metrics.text(None)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")

    @guarded.get("/v1/models")
    async def models() -> dict[str, Any]:
        model = state.require().model
        base = {"object": "model", "owned_by": "overread", **asdict(model)}
        adapters = [{**base, "id": name, "adapters": []} for name in model.adapters]
        return {"object": "list", "data": [base, *adapters]}

    @guarded.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        return await answer(request, parse_chat)

    @guarded.post("/v1/chat/batteries")
    async def battery(request: Request) -> Response:
        return await answer(request, parse_battery)

    async def answer(request: Request, parse: Callable[[bytes], Wanted]) -> Response:
        served = state.require()
        body = await _read(request, options.max_body_bytes)
        replies = served.replies(await asyncio.to_thread(parse, body))
        first = await _first(request, replies)
        match first:
            case Refused(status, refusal):
                metrics.refuse(refusal["error"]["code"])
                return JSONResponse(refusal, status)
            case Whole(status, answer):
                return JSONResponse(answer, status)
            case str():
                return _Stream(first, replies, metrics)

    app.include_router(guarded)
    return app


class _Stream(StreamingResponse):
    """Server-sent events; the computation ends when the client is gone, however that shows."""

    def __init__(self, first: str, replies: Replies, metrics: Metrics) -> None:
        super().__init__(
            _events(first, replies, metrics),
            media_type="text/event-stream",
            headers={"Cache-Control": "no-store"},
        )
        self._replies = replies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._replies.aclose()


async def _events(first: str, replies: Replies, metrics: Metrics) -> AsyncIterator[str]:
    yield first
    async for reply in replies:
        if isinstance(reply, str):
            yield reply
        else:  # too late for a status of its own
            metrics.refuse(reply.body["error"]["code"])
            yield f"data: {json.dumps(reply.body)}\n\n"


async def _first(request: Request, replies: Replies) -> Reply:
    """Await the first reply, but no longer than the client does."""

    async def gone() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass

    waiting, leaving = asyncio.ensure_future(anext(replies)), asyncio.ensure_future(gone())
    try:
        await asyncio.wait({waiting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done():
            raise HTTPException(499)
        return waiting.result()
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
