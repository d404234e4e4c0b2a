"""Asking a worker over HTTP: ours, or any server that speaks OpenAI's chat completions.

What a server does not report stays None in the provenance. A server's own error text is passed
on only if the server is one of ours, since others repeat parts of the request in theirs.
"""

import base64
import json
from collections.abc import AsyncGenerator, Mapping
from dataclasses import fields
from typing import Any, Literal

import httpx

from inference.errors import RequestRefusedError, WorkerBusyError, WorkerUnavailableError
from inference.protocol import (
    Ask,
    Finished,
    Provenance,
    ServedModel,
    Token,
    Turn,
    WorkerHealth,
)

JPEG_MAGIC = b"\xff\xd8\xff"
OUR_REFUSALS = frozenset({"request_refused", "model_not_found", "body_too_large"})
FINISH_REASONS: dict[str, Literal["stop", "length", "cancelled", "error"]] = {
    "stop": "stop",
    "length": "length",
    "cancelled": "cancelled",
}


class WorkerClient:
    """One server. Safe to share between tasks; close it when done."""

    def __init__(
        self,
        base_url: str,
        key: str | None = None,
        *,
        connect_seconds: float = 5.0,
        read_seconds: float = 120.0,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        """Prepare to talk to `base_url`, with or without `/v1` at its end.

        Args:
            base_url: For example `http://127.0.0.1:8000`.
            key: Sent as a bearer token.
            connect_seconds: Longest wait for a connection.
            read_seconds: Longest silence within an answer; a worker of ours is never silent for
                more than 10 s.
            transport: Replaces the network.
        """
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.AsyncClient(
            base_url=base_url.rstrip("/").removesuffix("/v1"),
            headers=headers,
            timeout=httpx.Timeout(read_seconds, connect=connect_seconds),
            transport=transport,
            trust_env=False,
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def stream(self, ask: Ask) -> AsyncGenerator[Token | Finished, None]:
        """Ask, and yield the answer as it is made; the last item is `Finished`.

        Closing the iterator closes the connection, and a worker of ours then stops computing.

        Raises:
            WorkerUnavailableError: nothing answers, or the answer broke off.
            WorkerBusyError: the queue is full.
            RequestRefusedError: the server cannot serve this request as it is.
        """
        body = as_body(ask, ask.model or await self._default_model())
        answer = _Reading()
        try:
            async with self._http.stream("POST", "/v1/chat/completions", json=body) as response:
                if response.status_code != httpx.codes.OK:
                    raise _refusal(response.status_code, await response.aread())
                async for line in response.aiter_lines():
                    if not line.startswith("data:"):
                        continue
                    data = line.removeprefix("data:").strip()
                    if data == "[DONE]":
                        break
                    if text := answer.read(data):
                        yield Token(text)
        except httpx.HTTPError as error:
            raise WorkerUnavailableError(_reason(error)) from error
        yield answer.finished()

    async def models(self) -> list[ServedModel]:
        """List what can be asked, adapters included.

        Raises:
            WorkerUnavailableError: nothing answers, or it is still loading.
        """
        data = (await self._get("/v1/models")).get("data")
        if not isinstance(data, list):
            raise WorkerUnavailableError("it lists no models")
        return [_served(item) for item in data if isinstance(item, dict) and item.get("id")]

    async def health(self) -> WorkerHealth:
        """Say whether questions can be asked; never raises."""
        try:
            response = await self._http.get("/health")
            if response.status_code == httpx.codes.NOT_FOUND:  # not every server has it
                response = await self._http.get("/v1/models")
        except httpx.HTTPError as error:
            return WorkerHealth("unreachable", _reason(error))
        body = _json(response.content)
        state = body.get("state")
        if state in ("loading", "ready", "failed", "stopping"):
            return WorkerHealth(state, str(body.get("reason", "")), body.get("queued"))
        if response.is_success:
            return WorkerHealth("ready")
        return WorkerHealth("unreachable", f"HTTP {response.status_code}")

    async def _default_model(self) -> str | None:
        """Name the first model served: other servers insist on a name."""
        models = await self.models()
        return models[0].id if models else None

    async def _get(self, path: str) -> dict[str, Any]:
        try:
            response = await self._http.get(path)
        except httpx.HTTPError as error:
            raise WorkerUnavailableError(_reason(error)) from error
        if not response.is_success:
            raise _refusal(response.status_code, response.content)
        return _json(response.content)


def as_body(ask: Ask, model: str | None) -> dict[str, Any]:
    """Put a question into OpenAI's shape."""
    decoding = ask.decoding
    body: dict[str, Any] = {
        "model": model,
        "messages": [_message(turn) for turn in ask.turns],
        "stream": True,
        "stream_options": {"include_usage": True},
        "max_tokens": decoding.max_tokens,
        "temperature": decoding.temperature,
        "top_p": decoding.top_p,
        "seed": decoding.seed,
    }
    if ask.choices:
        body["structured_outputs"] = {"choice": list(ask.choices)}
    return {key: value for key, value in body.items() if value is not None}


def _message(turn: Turn) -> dict[str, Any]:
    if not turn.images and not turn.volumes:
        return {"role": turn.role, "content": turn.text}
    parts: list[dict[str, Any]] = []
    for data in turn.images:
        kind = "jpeg" if data.startswith(JPEG_MAGIC) else "png"
        url = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
        parts.append({"type": "image_url", "image_url": {"url": url}})
    parts += [
        {"type": "volume", "volume": {"data": base64.b64encode(data).decode()}}
        for data in turn.volumes
    ]
    parts.append({"type": "text", "text": turn.text})
    return {"role": turn.role, "content": parts}


class _Reading:
    """What the chunks of one answer have said so far."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._model = ""
        self._reason: Literal["stop", "length", "cancelled", "error"] | None = None
        self._usage: dict[str, Any] = {}
        self._overread: dict[str, Any] = {}

    def read(self, data: str) -> str:
        """Take in one event's data and return the text it adds."""
        chunk = _json(data.encode())
        if "error" in chunk:
            self._reason = "error"
            return ""
        self._model = str(chunk.get("model") or self._model)
        self._usage = chunk.get("usage") or self._usage
        self._overread = chunk.get("overread") or self._overread
        choice: dict[str, Any] = next(iter(chunk.get("choices") or ()), {})
        if reason := choice.get("finish_reason"):
            self._reason = FINISH_REASONS.get(str(reason), "stop")
        text = str((choice.get("delta") or {}).get("content") or "")
        self._pieces.append(text)
        return text

    def finished(self) -> Finished:
        """The end of the answer.

        Raises:
            WorkerUnavailableError: the server stopped without saying why.
        """
        if self._reason is None:
            raise WorkerUnavailableError("the answer broke off")
        reported = {
            "model": self._model,
            "prompt_tokens": self._usage.get("prompt_tokens"),
            "completion_tokens": self._usage.get("completion_tokens"),
            **self._overread,
        }
        known = {field.name for field in fields(Provenance)}
        provenance = Provenance(**{key: reported[key] for key in reported.keys() & known})
        choices = self._overread.get("choices")
        return Finished("".join(self._pieces), self._reason, provenance, choices)


def _served(item: Mapping[str, Any]) -> ServedModel:
    return ServedModel(
        id=str(item["id"]),
        family=item.get("family"),
        weights_sha256=item.get("weights_sha256"),
        description=str(item.get("description") or ""),
        licence=str(item.get("licence") or ""),
        adapters=tuple(item.get("adapters") or ()),
    )


def _refusal(status: int, content: bytes) -> Exception:
    error = _json(content).get("error")
    said = error if isinstance(error, dict) else {}
    if status == httpx.codes.TOO_MANY_REQUESTS:
        return WorkerBusyError()
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return WorkerUnavailableError("it does not accept our key")
    if status >= httpx.codes.INTERNAL_SERVER_ERROR:
        ours = said.get("code") == WorkerUnavailableError.code
        return WorkerUnavailableError(str(said.get("reason", "")) if ours else f"HTTP {status}")
    if said.get("code") in OUR_REFUSALS:
        return RequestRefusedError(str(said.get("message")))
    return RequestRefusedError(f"The model server refused this question (HTTP {status}).")


def _reason(error: httpx.HTTPError) -> str:
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return "nothing answers at its address"
    if isinstance(error, httpx.TimeoutException):
        return "it did not answer in time"
    return "the connection broke"


def _json(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
