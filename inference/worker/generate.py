"""`overread-worker generate`: one answer from the command line, through the engine itself."""

import json
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from inference.errors import RequestRefusedError
from inference.families.base import LoadedModel
from inference.protocol import Ask, Decoding, Turn
from inference.worker.engine.engine import Engine
from inference.worker.engine.messages import Started
from inference.worker.loading import LoadOptions, engine_config, open_model
from inference.worker.pictures import read_image, read_volume


@dataclass(frozen=True, slots=True)
class GenerateOptions:
    """What the command line asked for."""

    model: str
    prompt: str
    family: str | None = None
    image: Path | None = None
    volume: Path | None = None
    history: Path | None = None
    max_tokens: int | None = None
    greedy: bool = False
    choices: tuple[str, ...] = ()
    json_schema: Path | None = None
    seed: int | None = None
    as_json: bool = False
    dump: Path | None = None


def generate(options: GenerateOptions) -> int:
    """Answer once and print the answer; return the exit code.

    Raises:
        InferenceError: the model, a file or the question was refused.
    """
    ask = Ask(
        turns=conversation(options),
        decoding=Decoding(
            max_tokens=options.max_tokens,
            temperature=0.0 if options.greedy else None,
            seed=options.seed,
        ),
        choices=options.choices,
        json_schema=_schema(options.json_schema),
    )
    model, budget = open_model(LoadOptions(options.model, options.family))
    engine = Engine(model, engine_config(budget))
    engine.start()
    try:
        before = time.perf_counter()
        started, ended = engine.answer(ask)
        seconds = time.perf_counter() - before
        if options.dump:
            save_file(_tensors(model, engine, ask, started), options.dump)
    finally:
        engine.stop(drain_seconds=0.0)
    result: dict[str, Any] = {
        "text": ended.text,
        "token_ids": list(ended.token_ids),
        "input_ids": list(started.input_ids),
        "prompt": started.prompt,
        "family": model.family,
        "model_revision": model.revision,
        "finish_reason": ended.finish_reason,
        "seconds": round(seconds, 3),
    }
    if ended.choices is not None:
        result["choices"] = ended.choices
    sys.stdout.write(json.dumps(result) if options.as_json else ended.text)
    sys.stdout.write("\n")
    return 0


def conversation(options: GenerateOptions) -> tuple[Turn, ...]:
    """Put the history before the prompt, and the picture on the first of the user's turns.

    Raises:
        RequestRefusedError: a file cannot be read or the history is no list of turns.
    """
    turns = [*_history(options.history), Turn("user", options.prompt)]
    first = next(index for index, turn in enumerate(turns) if turn.role == "user")
    images = (_bytes(options.image),) if options.image else ()
    volumes = (_bytes(options.volume),) if options.volume else ()
    turns[first] = replace(turns[first], images=images, volumes=volumes)
    return tuple(turns)


def _history(path: Path | None) -> list[Turn]:
    if path is None:
        return []
    try:
        return [
            Turn(_role(item["role"]), str(item["content"])) for item in json.loads(_bytes(path))
        ]
    except (ValueError, TypeError, KeyError) as error:
        raise RequestRefusedError(
            'The history must be a JSON list of {"role", "content"} objects.'
        ) from error


def _schema(path: Path | None) -> str:
    if path is None:
        return ""
    try:
        return _bytes(path).decode()
    except UnicodeDecodeError:
        raise RequestRefusedError("The schema cannot be read as JSON.") from None


def _role(name: str) -> Any:  # noqa: ANN401  # one of three literals
    if name not in ("system", "user", "assistant"):
        raise ValueError("no such role")
    return name


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise RequestRefusedError(f"{path.name} cannot be read.") from error


def _tensors(
    model: LoadedModel, engine: Engine, ask: Ask, started: Started
) -> dict[str, torch.Tensor]:
    """What the model saw and where its answer started, in float32."""
    tensors = {"last_logits": started.logits}
    for turn in ask.turns:
        pixels = [
            *(model.pixel_values(read_image(data)) for data in turn.images),
            *(model.volume_values(read_volume(data)) for data in turn.volumes),
        ]
        for values, data in zip(pixels, (*turn.images, *turn.volumes), strict=True):
            tensors["pixel_values"] = values
            tensors["image_features"] = engine.features_of(data)
    return {name: t.detach().float().cpu().clone() for name, t in tensors.items()}
