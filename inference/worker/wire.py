"""The body of a chat completion, in OpenAI's shape, to an `Ask`.

Images are data URIs and volumes base64: never a path and never an address, so a worker reads
nothing that was not in the request. A parameter that might change the answer and is not
supported is refused rather than ignored, and so is every one that is not known.
"""

import base64
import binascii
import json
import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictInt, ValidationError

from inference.errors import RequestRefusedError
from inference.protocol import Ask, Decoding, Role, Turn

DATA_URI = re.compile(r"data:image/(?:png|jpeg);base64,")
GZIP_MAGIC = b"\x1f\x8b"
MAX_QUESTIONS = 64  # of a battery


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A question and how its answer is to be sent."""

    ask: Ask
    stream: bool

    @property
    def model(self) -> str | None:
        """The model or adapter asked for."""
        return self.ask.model


@dataclass(frozen=True, slots=True)
class BatteryRequest:
    """Questions that share what their conversations begin with; some may be unusable."""

    questions: tuple[Ask | RequestRefusedError, ...]
    stream: bool = True  # always

    @property
    def model(self) -> str | None:
        """The model or adapter that the first question asks for."""
        return next((found.model for found in self.questions if isinstance(found, Ask)), None)


Wanted = ChatRequest | BatteryRequest


class _Shape(BaseModel):
    """Accepts a message's other fields; those of a completion are listed, or refused."""

    model_config = ConfigDict(extra="ignore", frozen=True, hide_input_in_errors=True)


class _Text(_Shape):
    type: Literal["text"]
    text: str


class _ImageUrl(_Shape):
    url: str


class _Image(_Shape):
    type: Literal["image_url"]
    image_url: _ImageUrl


class _VolumeData(_Shape):
    data: str


class _Volume(_Shape):
    type: Literal["volume"]
    volume: _VolumeData


class _Message(_Shape):
    role: Role
    content: str | list[Annotated[_Text | _Image | _Volume, Field(discriminator="type")]]


class _StructuredOutputs(_Shape):
    model_config = ConfigDict(extra="forbid")

    choice: list[str] = Field(default=[], min_length=1)
    schema_: dict[str, Any] | None = Field(default=None, alias="json")


class _NamedSchema(_Shape):
    name: str = ""
    schema_: dict[str, Any] = Field(alias="schema")


class _ResponseFormat(_Shape):
    type: Literal["text", "json_schema"]
    json_schema: _NamedSchema | None = None


class _Overread(_Shape):
    model_config = ConfigDict(extra="forbid")

    explain_tokens: int = Field(default=0, ge=0)


class _Completion(_Shape):
    model_config = ConfigDict(extra="forbid")

    messages: list[_Message] = Field(min_length=1, max_length=1000)
    model: str | None = None
    stream: bool = False
    max_tokens: StrictInt | None = None
    max_completion_tokens: StrictInt | None = None
    temperature: float | None = None
    top_p: float | None = None
    seed: StrictInt | None = None
    stop: str | list[str] | None = None
    structured_outputs: _StructuredOutputs | None = None
    response_format: _ResponseFormat | None = None
    overread: _Overread | None = None
    n: Literal[1] | None = None
    # OpenAI's and vLLM's that would change the answer: only the values that change nothing.
    tools: list[Any] | None = Field(default=None, max_length=0)
    tool_choice: Literal["none", "auto"] | None = None
    logprobs: Literal[False] | None = None
    top_logprobs: Literal[0] | None = None
    logit_bias: dict[str, Any] | None = Field(default=None, max_length=0)
    frequency_penalty: Literal[0] | None = None
    presence_penalty: Literal[0] | None = None
    repetition_penalty: Literal[1] | None = None
    length_penalty: Literal[1] | None = None
    top_k: Literal[-1, 0] | None = None
    min_p: Literal[0] | None = None
    min_tokens: Literal[0] | None = None
    best_of: Literal[1] | None = None
    ignore_eos: Literal[False] | None = None
    # These change nothing here.
    user: Any = None
    metadata: Any = None
    store: Any = None
    stream_options: Any = None
    service_tier: Any = None
    parallel_tool_calls: Any = None
    safety_identifier: Any = None
    prompt_cache_key: Any = None


class _Battery(_Shape):
    messages: list[_Message] = Field(default=[], max_length=1000)
    questions: list[Any] = Field(min_length=1, max_length=MAX_QUESTIONS)


def parse_chat(body: bytes) -> ChatRequest:
    """Read the body of `POST /v1/chat/completions`.

    Raises:
        RequestRefusedError: the message names the field and never repeats its content.
    """
    try:
        found = _Completion.model_validate_json(body)
    except ValidationError as error:
        raise _unusable(error) from None
    return ChatRequest(_ask(found, ()), found.stream)


def parse_battery(body: bytes) -> BatteryRequest:
    """Read the body of `POST /v1/chat/batteries`.

    Raises:
        RequestRefusedError: what concerns all questions cannot be used; what concerns one stands
            in its place.
    """
    try:
        found = _Battery.model_validate_json(body)
    except ValidationError as error:
        raise _unusable(error) from None
    shared = tuple(_turn(message) for message in found.messages)
    return BatteryRequest(tuple(_question(each, shared) for each in found.questions))


def _question(body: Any, shared: tuple[Turn, ...]) -> Ask | RequestRefusedError:  # noqa: ANN401  # JSON
    try:
        return _ask(_Completion.model_validate(body), shared)
    except ValidationError as error:
        return _unusable(error)
    except RequestRefusedError as error:
        return error


def _unusable(error: ValidationError) -> RequestRefusedError:
    first = error.errors()[0]
    if first["type"] == "extra_forbidden":
        return RequestRefusedError("The request holds a parameter that this worker does not know.")
    where = ".".join(str(part) for part in first["loc"][:6]) or "body"
    return RequestRefusedError(f"The request cannot be used: see {_known(where)}.")


def _joined(shared: tuple[Turn, ...], own: tuple[Turn, ...]) -> tuple[Turn, ...]:
    """Put two parts of a conversation together, in one turn where both sides are the user's."""
    if not shared or (shared[-1].role, own[0].role) != ("user", "user"):
        return shared + own
    last, first = shared[-1], own[0]
    both = Turn(
        "user",
        "\n".join(text for text in (last.text, first.text) if text),
        last.images + first.images,
        last.volumes + first.volumes,
    )
    return (*shared[:-1], both, *own[1:])


def _ask(found: _Completion, shared: tuple[Turn, ...]) -> Ask:
    turns = _joined(shared, tuple(_turn(message) for message in found.messages))
    limit = found.max_tokens if found.max_completion_tokens is None else found.max_completion_tokens
    decoding = Decoding(
        max_tokens=limit, temperature=found.temperature, top_p=found.top_p, seed=found.seed
    )
    return Ask(
        turns,
        found.model,
        decoding,
        choices=tuple(found.structured_outputs.choice) if found.structured_outputs else (),
        json_schema=_schema(found),
        stop=(found.stop,) if isinstance(found.stop, str) else tuple(found.stop or ()),
        explain_tokens=found.overread.explain_tokens if found.overread else 0,
    )


def _schema(found: _Completion) -> str:
    """Return the one schema of a request as text."""
    outputs, wanted = found.structured_outputs, found.response_format
    schemas = [outputs.schema_] if outputs and outputs.schema_ is not None else []
    if wanted and wanted.type == "json_schema":
        if wanted.json_schema is None:
            raise RequestRefusedError("The request cannot be used: see response_format.")
        schemas.append(wanted.json_schema.schema_)
    if len(schemas) > 1:
        raise RequestRefusedError("The request holds two schemas.")
    return json.dumps(schemas[0]) if schemas else ""


def _known(where: str) -> str:
    """Keep a location only if it is made of names from the shapes above."""
    parts = [part for part in where.split(".") if re.fullmatch(r"[a-z_]{1,24}|\d{1,4}", part)]
    return ".".join(part for part in parts if part.isdigit() or part in _NAMES) or "body"


def _turn(message: _Message) -> Turn:
    if isinstance(message.content, str):
        return Turn(message.role, message.content)
    texts = [part.text for part in message.content if isinstance(part, _Text)]
    images = [_image(part.image_url.url) for part in message.content if isinstance(part, _Image)]
    volumes = [_volume(part.volume.data) for part in message.content if isinstance(part, _Volume)]
    if (images or volumes) and message.role != "user":
        raise RequestRefusedError("Only a user's turn may hold an image or a volume.")
    return Turn(message.role, "\n".join(texts), tuple(images), tuple(volumes))


def _image(url: str) -> bytes:
    head = DATA_URI.match(url[:64])
    if head is None:
        raise RequestRefusedError("An image must be sent as a base64 data URI of a PNG or JPEG.")
    return _decoded(url[head.end() :])


def _volume(data: str) -> bytes:
    volume = _decoded(data)
    if not volume.startswith(GZIP_MAGIC):
        raise RequestRefusedError("A volume must be sent as base64 of a gzipped NIfTI-1 file.")
    return volume


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise RequestRefusedError("An image or volume is not valid base64.") from None


_NAMES = frozenset(
    field.alias or name
    for shape in (
        _Completion,
        _Message,
        _Text,
        _Image,
        _ImageUrl,
        _Volume,
        _VolumeData,
        _StructuredOutputs,
        _NamedSchema,
        _ResponseFormat,
        _Overread,
        _Battery,
    )
    for name, field in shape.model_fields.items()
)
