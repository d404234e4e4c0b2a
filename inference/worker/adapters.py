"""LoRA adapters, loaded once and chosen per request, several in one batch.

An adapter's product is added to the output of each linear layer it was trained on, for the rows
that asked for it. The weights stay as they are, quantised or not, and nothing is reloaded
between requests.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from inference.errors import ModelFolderRefusedError
from inference.families.base import LoadedModel

CONFIG = "adapter_config.json"
WEIGHTS = "adapter_model.safetensors"
_NAME = re.compile(r"base_model\.model\.(?P<module>.+)\.lora_(?P<side>[AB])\.weight")
_DECODER_PREFIXES = ("model.language_model.", "language_model.model.", "language_model.", "model.")
_UNSUPPORTED = ("use_dora", "modules_to_save", "rank_pattern", "alpha_pattern", "fan_in_fan_out")


@dataclass(frozen=True, slots=True)
class Adapter:
    """One trained adapter; `layers` maps a decoder module to its two matrices."""

    name: str
    sha256: str
    scale: float
    layers: dict[str, tuple[torch.Tensor, torch.Tensor]]  # A [rank, in], B [out, rank]


class Adapters:
    """All adapters of a loaded model, those included that are loaded when first asked for."""

    def __init__(
        self,
        model: LoadedModel,
        adapters: Sequence[Adapter] = (),
        *,
        later: Mapping[str, Path] | None = None,
    ) -> None:
        self._model = model
        self._by_name = {adapter.name: adapter for adapter in adapters}
        self._later = dict(later or {})
        self._rows: dict[str, torch.Tensor] = {}  # of the pass in progress
        hooked = {path for adapter in adapters for path in adapter.layers}
        if self._later:  # no hook may be added once the engine's thread runs through them
            hooked |= set(_linear_layers(model))
        modules = dict(model.decoder.named_modules())
        for path in sorted(hooked):
            modules[path].register_forward_hook(self._hook(path))

    @property
    def names(self) -> tuple[str, ...]:
        """Names a request may ask for."""
        return tuple(sorted({*self._by_name, *self._later}))

    def load(self, name: str) -> None:
        """Load an adapter that was left for later; nothing happens if it is loaded.

        Raises:
            ModelFolderRefusedError: it cannot be used.
        """
        if name not in self._by_name:
            self._by_name[name] = load_adapter(self._later[name], self._model)

    def sha256(self, name: str | None) -> str | None:
        """Return the hash of an adapter's weights; None for the base model."""
        return None if name is None else self._by_name[name].sha256

    @contextmanager
    def chosen(self, names: Sequence[str | None]) -> Iterator[None]:
        """Apply each batch row's adapter while the context lasts."""
        self._rows = {
            name: torch.tensor([row for row, other in enumerate(names) if other == name])
            for name in {name for name in names if name is not None}
        }
        try:
            yield
        finally:
            self._rows = {}

    def _hook(self, path: str) -> Any:  # noqa: ANN401  # torch's hook type is a union of callables
        def add(_module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
            for name, rows in self._rows.items():
                adapter = self._by_name[name]
                if path in adapter.layers:
                    down, up = adapter.layers[path]
                    rows = rows.to(output.device)
                    change = (inputs[0][rows].to(down.dtype) @ down.T) @ up.T
                    output[rows] += (change * adapter.scale).to(output.dtype)

        return add


def find_adapters(folder: Path) -> list[Path]:
    """Return the adapter folders at `folder`: itself, or those directly inside it.

    Raises:
        ModelFolderRefusedError: there is none.
    """
    if (folder / CONFIG).is_file():
        return [folder]
    found = sorted(path.parent for path in folder.glob(f"*/{CONFIG}"))
    if not found:
        raise ModelFolderRefusedError(f"There is no adapter in the folder {folder.name}.")
    return found


def load_adapter(folder: Path, model: LoadedModel) -> Adapter:
    """Load an adapter as peft saves it.

    Raises:
        ModelFolderRefusedError: it is no plain, whole LoRA on this model's decoder, or one of its
            files is a link that leaves the folder.
    """
    name = folder.name
    for file in (CONFIG, WEIGHTS):
        if not (folder / file).resolve().is_relative_to(folder.resolve()):
            raise ModelFolderRefusedError(f"{file} of the adapter {name} is a link that leaves it.")
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        data = (folder / WEIGHTS).read_bytes()
    except (OSError, ValueError, RecursionError) as error:
        raise ModelFolderRefusedError(
            f"The adapter {name} needs {CONFIG} and {WEIGHTS}."
        ) from error
    try:
        plain = (
            config["peft_type"] == "LORA"
            and config.get("bias", "none") == "none"
            and not any(config.get(key) for key in _UNSUPPORTED)
        )
        rank, alpha = int(config["r"]), float(config["lora_alpha"])
        tensors = load(data)
    except (AttributeError, KeyError, TypeError, ValueError, SafetensorError) as error:
        raise ModelFolderRefusedError(f"The adapter {name} is damaged.") from error
    if not plain or not tensors or not (rank > 0 and math.isfinite(alpha)):
        raise ModelFolderRefusedError(f"The adapter {name} is not a plain LoRA.")
    sides: dict[str, dict[str, torch.Tensor]] = {}
    for key, tensor in tensors.items():
        match = _NAME.fullmatch(key)
        if match is None:
            raise ModelFolderRefusedError(f"The adapter {name} holds {key}.")
        if not bool(torch.isfinite(tensor).all()):
            raise ModelFolderRefusedError(f"The adapter {name} holds weights that are no numbers.")
        path = _in_decoder(match["module"])
        sides.setdefault(path, {})[match["side"]] = tensor.to(model.device, model.dtype)
    root = rank**0.5 if config.get("use_rslora") else rank
    return Adapter(
        name=name,
        sha256=hashlib.sha256(data).hexdigest(),
        scale=alpha / root,
        layers={path: _pair(name, path, pair, rank, model) for path, pair in sides.items()},
    )


def _linear_layers(model: LoadedModel) -> list[str]:
    modules = model.decoder.named_modules()
    return [path for path, module in modules if hasattr(module, "in_features")]


def _in_decoder(module: str) -> str:
    prefix = next((p for p in _DECODER_PREFIXES if module.startswith(p)), "")
    return module.removeprefix(prefix)


def _pair(
    name: str, path: str, pair: dict[str, torch.Tensor], rank: int, model: LoadedModel
) -> tuple[torch.Tensor, torch.Tensor]:
    target = dict(model.decoder.named_modules()).get(path)
    if target is None or not hasattr(target, "in_features") or set(pair) != {"A", "B"}:
        raise ModelFolderRefusedError(f"The adapter {name} does not fit this model at {path}.")
    expected = (rank, target.in_features), (target.out_features, rank)
    if (tuple(pair["A"].shape), tuple(pair["B"].shape)) != expected:
        raise ModelFolderRefusedError(f"The adapter {name} does not fit this model at {path}.")
    return pair["A"], pair["B"]
