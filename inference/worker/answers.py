"""An answer in OpenAI's shapes: chunks of a stream, or one object."""

import json
import time
import uuid
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from inference.errors import (
    AnswerFailedError,
    InferenceError,
    RequestRefusedError,
    WorkerBusyError,
    WorkerUnavailableError,
)
from inference.protocol import Provenance
from inference.worker.engine.messages import Ended, Started
from inference.worker.state import Served, UnknownModelError

ENGINE = "overread"
DONE = "data: [DONE]\n\n"

_STATUS: tuple[tuple[type[InferenceError], int, str], ...] = (
    (UnknownModelError, 404, "invalid_request_error"),
    (RequestRefusedError, 400, "invalid_request_error"),
    (WorkerBusyError, 429, "rate_limit_error"),
    (WorkerUnavailableError, 503, "server_error"),
    (AnswerFailedError, 500, "server_error"),
    (InferenceError, 500, "server_error"),
)


def engine_version() -> str:
    """Return the installed release, or `unreleased` outside an installation."""
    try:
        return version("overread")
    except PackageNotFoundError:
        return "unreleased"


def as_error(error: InferenceError) -> tuple[int, dict[str, Any]]:
    """Return the HTTP status and body of an error; the body repeats nothing of the request."""
    status, kind = next((s, kind) for cls, s, kind in _STATUS if isinstance(error, cls))
    body = {"message": str(error), "type": kind, "code": error.code}
    if isinstance(error, WorkerUnavailableError):
        body["reason"] = error.reason
    return status, {"error": body}


class Answer:
    """Puts one answer's events into words that an OpenAI client understands."""

    def __init__(self, served: Served, *, adapter: str | None, rule: dict[str, Any]) -> None:
        self._id = f"chatcmpl-{uuid.uuid4().hex}"
        self._created = int(time.time())
        self._served = served
        self._adapter = adapter
        self._rule = rule
        self.started: Started | None = None

    def opening(self) -> str:
        """The first chunk of a stream."""
        return self._chunk({"role": "assistant", "content": ""})

    def piece(self, text: str) -> str:
        """A chunk of text."""
        return self._chunk({"content": text})

    def closing(self, ended: Ended) -> str:
        """The last chunk, with usage and provenance; or the error that ended the answer."""
        if ended.error is not None:
            return _event(as_error(ended.error)[1])
        return self._chunk({}, finish_reason=ended.finish_reason, **self._account(ended))

    def whole(self, ended: Ended) -> dict[str, Any]:
        """The answer as one object."""
        message = {"role": "assistant", "content": ended.text}
        choice = {"index": 0, "message": message, "finish_reason": ended.finish_reason}
        return {**self._head("chat.completion"), "choices": [choice], **self._account(ended)}

    def numbered(self, index: int, ended: Ended) -> str:
        """One question's event in the stream of a battery."""
        if ended.error is not None:
            return _event({"index": index, **as_error(ended.error)[1]})
        return _event({"index": index, "completion": self.whole(ended)})

    def _account(self, ended: Ended) -> dict[str, Any]:
        prompt = self.started.prompt_tokens if self.started else 0
        made = len(ended.token_ids)
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": made,
            "total_tokens": prompt + made,
        }
        overread = asdict(self._provenance(ended))
        return {"usage": usage, "overread": {**overread, "choices": ended.choices}}

    def _provenance(self, ended: Ended) -> Provenance:
        model, engine = self._served.model, self._served.engine
        decoding = {key: value for key, value in self._rule.items() if key != "seed"}
        return Provenance(
            model=model.id,
            family=model.family,
            weights_revision=self._served.revision,
            weights_sha256=model.weights_sha256,
            adapter=self._adapter,
            adapter_sha256=engine.adapters.sha256(self._adapter),
            engine=ENGINE,
            engine_version=engine_version(),
            rendered_prompt=self.started.prompt if self.started else None,
            decoding=decoding,
            seed=self._rule["seed"],
            prompt_tokens=self.started.prompt_tokens if self.started else None,
            completion_tokens=len(ended.token_ids),
            cached_tokens=self.started.cached_tokens if self.started else None,
            queue_ms=ended.timing.queue_ms,
            first_token_ms=ended.timing.first_token_ms,
            total_ms=ended.timing.total_ms,
        )

    def _chunk(self, delta: dict[str, str], finish_reason: str | None = None, **more: Any) -> str:  # noqa: ANN401  # JSON
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return _event({**self._head("chat.completion.chunk"), "choices": [choice], **more})

    def _head(self, kind: str) -> dict[str, Any]:
        name = self._adapter or self._served.model.id
        return {"id": self._id, "object": kind, "created": self._created, "model": name}


def _event(body: dict[str, Any]) -> str:
    return f"data: {json.dumps(body, ensure_ascii=False)}\n\n"
