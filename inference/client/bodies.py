"""Questions in OpenAI's shapes."""

import base64
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from inference.protocol import Ask, Turn

JPEG_MAGIC = b"\xff\xd8\xff"


def as_body(ask: Ask, model: str | None) -> dict[str, Any]:
    """Put a question into the shape of a chat completion."""
    return {
        **as_question(ask, model),
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def as_question(ask: Ask, model: str | None) -> dict[str, Any]:
    """Put a question into the shape of one of a battery's."""
    decoding = ask.decoding
    body: dict[str, Any] = {
        "model": model,
        "messages": [_message(turn) for turn in ask.turns],
        "max_tokens": decoding.max_tokens,
        "temperature": decoding.temperature,
        "top_p": decoding.top_p,
        "seed": decoding.seed,
    }
    if ask.stop:
        body["stop"] = list(ask.stop)
    if ask.choices:
        body["structured_outputs"] = {"choice": list(ask.choices)}
    if ask.json_schema:
        schema = {"name": "answer", "schema": _parsed(ask.json_schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    if ask.explain_tokens:
        body["overread"] = {"explain_tokens": ask.explain_tokens}
    return {key: value for key, value in body.items() if value is not None}


def as_messages(turns: Sequence[Turn]) -> list[dict[str, Any]]:
    """Put turns into the shape of messages."""
    return [_message(turn) for turn in turns]


def split(asks: Sequence[Ask]) -> tuple[tuple[Turn, ...], list[Ask]]:
    """Take off what all questions begin with, so that it is sent once.

    Where the first turn that differs is the user's and shows everywhere the same pictures, those
    are taken off too: the shared turns then end with a user's turn without a text, to which each
    question adds its own.
    """
    first = asks[0].turns
    same = 0
    while all(same + 1 < len(a.turns) and a.turns[same] == first[same] for a in asks):
        same += 1
    shared, rests = first[:same], [ask.turns[same:] for ask in asks]
    shown = [(rest[0].role, rest[0].images, rest[0].volumes) for rest in rests if rest]
    role, images, volumes = shown[0] if shown else ("user", (), ())
    if role == "user" and (images or volumes) and shown == [shown[0]] * len(asks):
        shared = (*shared, Turn(role, "", images, volumes))
        rests = [(replace(rest[0], images=(), volumes=()), *rest[1:]) for rest in rests]
    return shared, [replace(ask, turns=rest) for ask, rest in zip(asks, rests, strict=True)]


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
    if turn.text:
        parts.append({"type": "text", "text": turn.text})
    return {"role": turn.role, "content": parts}


def _parsed(schema: str) -> Any:  # noqa: ANN401  # JSON
    """Read a schema; what is no JSON goes out as it is, and the server refuses it."""
    try:
        return json.loads(schema)
    except (ValueError, RecursionError):
        return schema
