"""What a server sent, in our words; nothing of it is trusted to be there."""

import json
from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal

import httpx

from inference.errors import (
    AnswerFailedError,
    InferenceError,
    RequestRefusedError,
    WorkerBusyError,
    WorkerUnavailableError,
)
from inference.protocol import Finished, Provenance, ServedModel

OUR_REFUSALS = frozenset({"request_refused", "model_not_found", "body_too_large"})

Reason = Literal["stop", "length", "cancelled", "error"]
FINISH_REASONS: dict[str, Reason] = {"stop": "stop", "length": "length", "cancelled": "cancelled"}


class Reading:
    """What the chunks of one answer have said so far."""

    def __init__(self) -> None:
        self._pieces: list[str] = []
        self._reason: Reason | None = None
        self._account: dict[str, Any] = {}

    def read(self, data: str) -> str:
        """Take in one event's data and return the text it adds."""
        chunk = parse(data.encode())
        if "error" in chunk:
            self._reason = "error"
            return ""
        self._account |= {k: chunk[k] for k in ("model", "usage", "overread") if chunk.get(k)}
        choice = first_choice(chunk)
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
        return _finished("".join(self._pieces), self._reason, self._account)


def whole(completion: Mapping[str, Any]) -> Finished:
    """Read an answer that came as one object."""
    choice = first_choice(completion)
    text = str((choice.get("message") or {}).get("content") or "")
    reason = FINISH_REASONS.get(str(choice.get("finish_reason")), "stop")
    return _finished(text, reason, completion)


def failure(said: Mapping[str, Any]) -> InferenceError:
    """Read the error of one answer of a worker of ours."""
    code = said.get("code")
    if code == WorkerBusyError.code:
        return WorkerBusyError()
    if code == WorkerUnavailableError.code:
        return WorkerUnavailableError(str(said.get("reason", "")))
    if code in OUR_REFUSALS:
        return RequestRefusedError(str(said.get("message")))
    return AnswerFailedError()


def refusal(status: int, content: bytes) -> InferenceError:
    """Read a whole response that is no answer."""
    error = parse(content).get("error")
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


def served(item: Mapping[str, Any]) -> ServedModel:
    """Read one entry of `/v1/models`."""
    return ServedModel(
        id=str(item["id"]),
        family=item.get("family"),
        weights_sha256=item.get("weights_sha256"),
        description=str(item.get("description") or ""),
        licence=str(item.get("licence") or ""),
        adapters=tuple(item.get("adapters") or ()),
    )


def reason_of(error: httpx.HTTPError) -> str:
    """Say in plain words why nothing came."""
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return "nothing answers at its address"
    if isinstance(error, httpx.TimeoutException):
        return "it did not answer in time"
    return "the connection broke"


def parse(content: bytes) -> dict[str, Any]:
    """Read a JSON object; anything else is an empty one."""
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def first_choice(chunk: Mapping[str, Any]) -> dict[str, Any]:
    """Return the only choice of a completion or chunk, or an empty one."""
    choice: dict[str, Any] = next(iter(chunk.get("choices") or ()), {})
    return choice


def _finished(text: str, reason: Reason, account: Mapping[str, Any]) -> Finished:
    usage, overread = account.get("usage") or {}, account.get("overread") or {}
    reported = {
        "model": str(account.get("model") or ""),
        "prompt_tokens": usage.get("prompt_tokens"),
        "completion_tokens": usage.get("completion_tokens"),
        **overread,
    }
    known = {field.name for field in fields(Provenance)}
    provenance = Provenance(**{key: reported[key] for key in reported.keys() & known})
    return Finished(text, reason, provenance, overread.get("choices"))
