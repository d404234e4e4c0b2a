"""A worker without a model: speaks the wire format on a real loopback port, as it is told.

It answers `script` word by word and tells what it was asked. `hold` makes it stop before the
word of that number and wait, as a model does that computes for a long time.
"""

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from tests.flow.served import served

KEY: Final = "the-key-between-web-and-worker"
MODEL: Final = "scripted"
SAYS: Final = "There is a right pleural effusion. The heart is not enlarged."


@dataclass
class FakeWorker:
    """What it says next, and what happened to it."""

    url: str = ""
    script: str = SAYS
    hold: int | None = None
    refuse: int | None = None  # an HTTP status instead of an answer
    break_after: int | None = None  # ends the connection after so many words
    asked: list[dict[str, Any]] = field(default_factory=list)
    stopped: threading.Event = field(default_factory=threading.Event)
    waiting: threading.Event = field(default_factory=threading.Event)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/health", self._health),
                Route("/v1/models", self._models),
                Route("/v1/chat/completions", self._chat, methods=["POST"]),
            ]
        )

    async def _health(self, _request: Request) -> Response:
        return JSONResponse({"state": "ready", "reason": "", "queued": 0})

    async def _models(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return _error(401, "unauthorised")
        model = {"id": MODEL, "object": "model", "family": "scripted", "weights_sha256": "0" * 64}
        more = {"description": "Says what a test told it.", "licence": "none", "adapters": []}
        return JSONResponse({"object": "list", "data": [model | more]})

    async def _chat(self, request: Request) -> Response:
        if request.headers.get("authorization") != f"Bearer {KEY}":
            return _error(401, "unauthorised")
        self.asked.append(await request.json())
        if self.refuse is not None:
            return _error(self.refuse, "model_busy" if self.refuse == 429 else "model_unavailable")
        return StreamingResponse(self._words(), media_type="text/event-stream")

    async def _words(self) -> AsyncIterator[str]:
        words = self.script.split(" ")
        try:
            for number, word in enumerate(words):
                if number == self.hold:
                    self.waiting.set()
                    await asyncio.Event().wait()
                if number == self.break_after:
                    raise ConnectionAbortedError
                yield _chunk({"content": word if number == 0 else f" {word}"})
            yield _chunk({}, finish_reason="stop", **self._account(len(words)))
            yield "data: [DONE]\n\n"
        except asyncio.CancelledError:
            self.stopped.set()
            raise

    def _account(self, tokens: int) -> dict[str, Any]:
        provenance = {
            "model": MODEL,
            "family": "scripted",
            "weights_revision": "r1",
            "weights_sha256": "0" * 64,
            "engine": "fake",
            "engine_version": "1",
            "rendered_prompt": "<image>",
            "decoding": {"temperature": 0.0},
            "seed": 7,
            "prompt_tokens": 5,
            "completion_tokens": tokens,
            "first_token_ms": 1,
            "choices": None,
        }
        usage = {"prompt_tokens": 5, "completion_tokens": tokens, "total_tokens": 5 + tokens}
        return {"usage": usage, "overread": provenance}


@contextmanager
def running_worker() -> Iterator[FakeWorker]:
    """Yield a worker that answers on a loopback port until the block ends."""
    worker = FakeWorker()
    with served(worker.app()) as url:
        worker.url = url
        yield worker


def _chunk(delta: dict[str, str], finish_reason: str | None = None, **more: Any) -> str:  # noqa: ANN401 - JSON
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 0, "model": MODEL}
    return f"data: {json.dumps({**head, 'choices': [choice], **more})}\n\n"


def _error(status: int, code: str) -> Response:
    body = {"message": "Not now.", "type": "server_error", "code": code}
    return JSONResponse({"error": body}, status_code=status)
