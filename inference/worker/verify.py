"""Golden cases against a family: does it give what its authors' code gave from the same files?

A folder of goldens holds published-layout checkpoints with tiny sizes and the values that the
original code computed from them. Each is imported and asked through the ordinary path, in
float32 on the CPU, with a plain greedy loop: this checks loading, prompt, tokenizer, pixels and
weights, and leaves the engine's own shortcuts to the engine's tests.
"""

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
import PIL
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.numpy import load_file
from transformers import DynamicCache

from inference.errors import InferenceError, ModelFolderRefusedError
from inference.families.base import LoadedModel
from inference.families.llava import LlavaLoaded
from inference.families.registry import load_model
from inference.protocol import Turn
from inference.worker.checkpoints import import_checkpoint

FEATURE_TOLERANCE = 1e-4
LOGIT_TOLERANCE = 1e-3
FAMILY_IDS = {"llava-1.5-original": "llava-1.5", "llava-rad-bundle": "llava-rad"}
TOWER_SLICES = slice(None, 32, 8)  # which slices of a volume the goldens keep tower features of
PILLOW_13 = int(PIL.__version__.split(".")[0]) >= 13


@dataclass(slots=True)
class Row:
    """One checkpoint's result; `faults` say in words what differed, case by case."""

    family: str
    variant: str = ""
    cases: int = 0
    levels_differing: int = 0  # pixels, of all inputs
    feature_difference: float = 0.0  # largest, tower and projected
    logit_difference: float = 0.0  # largest, last position of the prompt
    ids_equal: bool = True  # prompt, input ids, generated ids and text
    faults: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether everything was there and within tolerance."""
        return self.cases > 0 and not self.faults


def verify(folder: Path) -> list[Row]:
    """Run every golden checkpoint under a folder, in each dialect of its config.

    Args:
        folder: Holds `expected.json`, or folders that do.

    Raises:
        ModelFolderRefusedError: there are no goldens in it.
    """
    found = sorted(p.parent for p in folder.glob("**/expected.json"))
    if not found:
        raise ModelFolderRefusedError("There are no golden cases in that folder.")
    return [row for place in found for row in _verify_place(place)]


def print_table(rows: Sequence[Row], stream: TextIO = sys.stdout) -> None:
    """Print one line a checkpoint, and below it what differed."""
    line = "{:<18} {:<8} {:>5} {:>7} {:>9} {:>9} {:>6}  {}\n"
    titles = ("family", "variant", "cases", "levels", "features", "logits", "ids", "verdict")
    stream.write(line.format(*titles))
    for row in rows:
        stream.write(
            line.format(
                row.family,
                row.variant,
                row.cases,
                row.levels_differing,
                f"{row.feature_difference:.1e}",
                f"{row.logit_difference:.1e}",
                "equal" if row.ids_equal else "differ",
                "pass" if row.passed else "FAIL",
            )
        )
        stream.writelines(f"    {fault}\n" for fault in row.faults)


def _verify_place(place: Path) -> Iterator[Row]:
    expected = json.loads((place / "expected.json").read_text(encoding="utf-8"))
    tensors = load_file(place / "expected.safetensors")
    yield _verify_checkpoint(place, place / "checkpoint", expected, tensors, "")
    for config in sorted(place.glob("config_variants/config.*.json")):
        with tempfile.TemporaryDirectory() as made:
            source = Path(made) / "checkpoint"
            shutil.copytree(place / "checkpoint", source)
            (source / "config.json").unlink()
            shutil.copyfile(config, source / "config.json")
            variant = config.name.split(".")[1]
            yield _verify_checkpoint(place, source, expected, tensors, variant)


def _verify_checkpoint(
    place: Path,
    source: Path,
    expected: Mapping[str, Any],
    tensors: Mapping[str, NDArray[Any]],
    variant: str,
) -> Row:
    family = FAMILY_IDS.get(expected["family"], expected["family"])
    row = Row(family, variant)
    dims = place / "tower_dims.json"
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "model"
        try:
            import_checkpoint(
                family, source, folder, place / "hub", dims if dims.is_file() else None
            )
            model = load_model(folder, family=family)
        except InferenceError as refusal:
            row.faults.append(f"not loaded: {refusal}")
            return row
        if not isinstance(model, LlavaLoaded):
            row.faults.append("this family's tower cannot be looked at")
            return row
        check = _Check(row, model, expected, tensors)
        features = {
            name: check.input(name, place / described["file"])
            for name, described in expected["inputs"].items()
        }
        for case in expected["cases"]:
            check.case(case, features.get(case["image"]))
    return row


@dataclass(frozen=True, slots=True)
class _Check:
    row: Row
    model: LlavaLoaded
    expected: Mapping[str, Any]
    tensors: Mapping[str, NDArray[Any]]

    def input(self, name: str, path: Path) -> torch.Tensor:
        """Compare one image or volume's levels and features; return the projected ones."""
        described = self.expected["inputs"][name]
        levels = described
        if PILLOW_13 and "pillow13" in described:
            levels = described["pillow13"]
        volume = path.suffix == ".npy"
        values = _prepare(self.model, path)
        slices = values.movedim(1, 0) if volume else values[None]
        tower = self.model.tower_features(slices)
        features = self.model.image_features(values)
        differing = int((self._levels(values) != self._stored(levels["pixel_levels"])).sum())
        self.row.levels_differing += differing
        if differing:
            self.row.faults.append(f"{name}: {differing} pixel levels differ")
        self._features(
            f"{name} tower",
            tower[TOWER_SLICES] if volume else tower[0],
            described["tower_features"],
        )
        self._features(f"{name} projected", features, described["image_features"])
        return features

    def _levels(self, values: torch.Tensor) -> NDArray[np.uint8]:
        norm = self.expected["pixel_normalisation"]
        shape = (-1,) + (1,) * (values.ndim - 1)
        mean, std = (torch.tensor(norm[key]).reshape(shape) for key in ("mean", "std"))
        levels = ((values * std + mean) * 255).round().numpy().astype(np.uint8)
        # a volume's three channels are one; the goldens keep it once
        return np.asarray(levels[0] if values.ndim == 4 else levels)

    def _stored(self, name: str) -> NDArray[Any]:
        return np.asarray(self.tensors[name])

    def _features(self, what: str, found: torch.Tensor, name: str) -> None:
        stored = self._stored(name)
        if tuple(found.shape) != stored.shape:
            self.row.faults.append(f"{what}: shape {tuple(found.shape)}, not {stored.shape}")
            return
        difference = float(np.abs(found.numpy() - stored).max())
        self.row.feature_difference = max(self.row.feature_difference, difference)
        if difference > FEATURE_TOLERANCE:
            self.row.faults.append(f"{what}: features differ by {difference:.1e}")

    def case(self, case: Mapping[str, Any], features: torch.Tensor | None) -> None:
        """Compare one conversation from prompt to text."""
        self.row.cases += 1
        prompt = self.model.render([_turn(m, self.model) for m in case["messages"]])
        ids = self.model.encode(prompt)
        expected = {**case, **self._alternative(case, ids)}
        embeddings = splice(self.model, ids, features)
        logits, generated = greedy(
            self.model, embeddings, int(self.expected["generation"]["max_new_tokens"])
        )
        found = {
            "prompt": prompt,
            "input_ids": ids,
            "expanded_length": embeddings.shape[0],
            "generated_ids": generated,
            "generated_text": self.model.decode(generated),
        }
        for key, value in found.items():
            if value != expected[key]:
                self.row.ids_equal = False
                self.row.faults.append(f"{case['id']}: {key} differs")
        stored = self._stored(expected["logits_last"])
        difference = float(np.abs(logits.numpy()[:: case["logits_stride"]] - stored).max())
        self.row.logit_difference = max(self.row.logit_difference, difference)
        if difference > LOGIT_TOLERANCE:
            self.row.faults.append(f"{case['id']}: logits differ by {difference:.1e}")

    def _alternative(self, case: Mapping[str, Any], ids: list[int]) -> dict[str, Any]:
        newer = case.get("newer_tokenizer")
        if newer is not None and ids == newer["input_ids"]:
            return dict(newer)
        return dict(case["pillow13"]) if PILLOW_13 and "pillow13" in case else {}


def _prepare(model: LoadedModel, path: Path) -> torch.Tensor:
    if path.suffix == ".npy":
        return model.volume_values(np.load(path, allow_pickle=False))
    with Image.open(path) as image:
        return model.pixel_values(image)


def _turn(message: Mapping[str, Any], model: LoadedModel) -> Turn:
    held = (b"",) if message.get("image") else ()
    if model.limits.volumes:
        return Turn(message["role"], message["content"], volumes=held)
    return Turn(message["role"], message["content"], images=held)


def splice(model: LoadedModel, ids: Sequence[int], features: torch.Tensor | None) -> torch.Tensor:
    """Put features in the placeholder's place: [positions, hidden]."""
    parts: list[torch.Tensor] = []
    start = 0
    for place, number in enumerate(ids):
        if number < 0:
            if features is None:
                raise ModelFolderRefusedError("A case names an image that it does not have.")
            parts += [model.embed(torch.tensor(ids[start:place], dtype=torch.long)), features]
            start = place + 1
    parts.append(model.embed(torch.tensor(ids[start:], dtype=torch.long)))
    return torch.cat(parts)


@torch.no_grad()
def greedy(
    model: LoadedModel, embeddings: torch.Tensor, max_new_tokens: int
) -> tuple[torch.Tensor, list[int]]:
    """Continue a prompt by the likeliest token; return the prompt's last logits and the ids."""
    cache = DynamicCache()
    hidden = model.decoder(inputs_embeds=embeddings[None], past_key_values=cache, use_cache=True)
    first = logits = model.logits(hidden.last_hidden_state[0, -1])
    generated: list[int] = []
    while len(generated) < max_new_tokens:
        generated.append(int(logits.argmax()))
        if generated[-1] in model.eos_token_ids:
            break
        step = model.embed(torch.tensor(generated[-1:], dtype=torch.long))
        hidden = model.decoder(inputs_embeds=step[None], past_key_values=cache, use_cache=True)
        logits = model.logits(hidden.last_hidden_state[0, -1])
    return first.float(), generated
