"""What passes between the web side and a worker, apart from how it travels.

The wire format is OpenAI's chat completions with server-sent events. A worker of ours adds an
`overread` object to the last chunk, from which `Provenance` is read; a foreign server sends
none, and what it does not report stays None.
"""

from dataclasses import dataclass, field
from typing import Any, Literal

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation. Images are PNG bytes and stand before the turn's text."""

    role: Role
    text: str
    images: tuple[bytes, ...] = ()
    volumes: tuple[bytes, ...] = ()  # NIfTI-1 .nii.gz, int16 HU


@dataclass(frozen=True, slots=True)
class Decoding:
    """How tokens are chosen. Temperature 0 is greedy; None leaves the family's default."""

    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Ask:
    """One question to a worker.

    With `explain_tokens` the model goes on freely behind the choice, on a line of its own;
    `Finished.text` is then both, and `Finished.choices` the probabilities of the choice.
    """

    turns: tuple[Turn, ...]
    model: str | None = None
    decoding: Decoding = field(default_factory=Decoding)
    choices: tuple[str, ...] = ()
    stop: tuple[
        str, ...
    ] = ()  # the answer ends before the first of these; up to 8 of 100 characters
    json_schema: str = ""  # as text; the answer is a JSON value that it describes
    explain_tokens: int = 0  # only with choices


@dataclass(frozen=True, slots=True)
class Token:
    """A piece of the answer as it is made."""

    text: str


@dataclass(frozen=True, slots=True)
class Provenance:
    """Which weights answered, how, and what it took."""

    model: str
    family: str | None = None
    weights_revision: str | None = None
    weights_sha256: str | None = None
    adapter: str | None = None
    adapter_sha256: str | None = None
    engine: str | None = None
    engine_version: str | None = None
    rendered_prompt: str | None = None
    decoding: dict[str, Any] = field(default_factory=dict)
    seed: int | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    cached_tokens: int | None = None  # prompt positions that were not computed again
    queue_ms: int | None = None
    first_token_ms: int | None = None
    total_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """The end of an answer. `choices` maps each offered string to its probability."""

    text: str
    finish_reason: Literal["stop", "length", "cancelled", "error"]
    provenance: Provenance
    choices: dict[str, float] | None = None


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One entry of /v1/models. The last four are ours; a foreign server leaves them empty."""

    id: str
    family: str | None = None
    weights_sha256: str | None = None
    description: str = ""
    licence: str = ""
    adapters: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class WorkerHealth:
    """What a worker says about itself; `reason` is safe to show, `queued` counts waiting asks."""

    state: Literal["loading", "ready", "failed", "stopping", "unreachable"]
    reason: str = ""
    queued: int | None = None
