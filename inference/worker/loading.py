"""From what the operator named to a model that can be asked."""

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers.utils.logging import disable_progress_bar

from inference.catalog import catalog
from inference.errors import ModelFolderRefusedError
from inference.families.base import LoadedModel, Quantize
from inference.families.folder import read_manifest
from inference.families.loading import stored_shapes
from inference.families.registry import find_folder, load_model
from inference.protocol import ServedModel
from inference.worker.adapters import Adapters, find_adapters, load_adapter
from inference.worker.engine.config import MIB, EngineConfig
from inference.worker.engine.engine import Engine
from inference.worker.engine.figures import Outcome
from inference.worker.memory import Budget, estimate
from inference.worker.state import Served

logger = logging.getLogger(__name__)

CPU_KV_BYTES, CPU_PREFIX_BYTES = 4096 * MIB, 2048 * MIB  # a laptop has other things to do


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """Which model, and how."""

    model: str  # folder in our layout, or a catalogue id
    family: str | None = None
    adapter: Path | None = None  # an adapter's folder, or a folder of them
    quantize: Quantize | None = None
    adapters_later: bool = False  # load each when it is first asked for
    beside: int = 1  # workers that share this machine's memory


def open_model(options: LoadOptions) -> tuple[LoadedModel, Budget]:
    """Load a model if it fits; float32 on the CPU, 16 bits on an accelerator.

    Raises:
        ModelFolderRefusedError: see `load_model`.
        NotEnoughMemoryError: it would not fit; nothing was loaded.
    """
    folder = find_folder(options.model)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    dtype = torch.float32
    if device.type == "cuda":
        dtype = torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    shapes = stored_shapes(folder, read_manifest(folder))
    budget = estimate(shapes, dtype=dtype, device=device, quantize=options.quantize)
    logger.info(
        "worker.memory", extra={"needed_gb": _gb(budget.needed), "free_gb": _gb(budget.free)}
    )
    budget.check()
    disable_progress_bar()  # type: ignore[no-untyped-call]  # as transformers has it
    model = load_model(
        folder, family=options.family, dtype=dtype, device=device, quantize=options.quantize
    )
    return model, budget


def engine_config(budget: Budget, *, beside: int = 1) -> EngineConfig:
    """Share what the weights leave free between running requests and what is kept for later.

    Args:
        budget: What is free and what the weights need of it.
        beside: Workers that share a CPU's memory; an accelerator belongs to one.
    """
    kv, prefix = int(budget.spare * 0.4), int(budget.spare * 0.3)
    if budget.device == "cpu":
        kv, prefix = kv // beside, prefix // beside
        return EngineConfig(
            kv_bytes=min(kv, CPU_KV_BYTES),
            prefix_bytes=min(prefix, CPU_PREFIX_BYTES),
        )
    return EngineConfig(chunk_tokens=512, join_tokens=2048, kv_bytes=kv, prefix_bytes=prefix)


def serve_model(
    options: LoadOptions,
    *,
    on_end: Callable[[Outcome], None],
    on_lost: Callable[[], None],
) -> Served:
    """Load a model with its adapters and start its engine.

    Raises:
        ModelFolderRefusedError: the model or an adapter cannot be used.
        NotEnoughMemoryError: it would not fit.
    """
    if options.beside > 1:
        torch.set_num_threads(max(1, (os.cpu_count() or 1) // options.beside))
    model, budget = open_model(options)
    adapters = _adapters(options, model)
    config = engine_config(budget, beside=options.beside)
    engine = Engine(model, config, adapters=adapters, on_end=on_end, on_lost=on_lost)
    served = describe(options, model, adapters.names)
    if served.id in adapters.names:
        raise ModelFolderRefusedError("An adapter must not have the model's own name.")
    engine.start()
    return Served(engine, served, model.revision)


def _adapters(options: LoadOptions, model: LoadedModel) -> Adapters:
    found = find_adapters(options.adapter) if options.adapter else []
    if options.adapters_later:
        return Adapters(model, later={folder.name: folder for folder in found})
    return Adapters(model, [load_adapter(folder, model) for folder in found])


def describe(
    options: LoadOptions, model: LoadedModel, adapters: tuple[str, ...] = ()
) -> ServedModel:
    """Say what is served, as `/v1/models` lists it."""
    entry = catalog().get(model.family)
    name = options.model if options.model in catalog() else Path(options.model).resolve().name
    return ServedModel(
        id=name,
        family=model.family,
        weights_sha256=model.weights_sha256,
        description=f"{entry.title}: {entry.reads}" if entry else "",
        licence=read_manifest(find_folder(options.model)).licence,
        adapters=adapters,
    )


def _gb(count: int) -> float:
    return round(count / 10**9, 2)
