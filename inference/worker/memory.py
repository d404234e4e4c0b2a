"""What a model will need and what is free, before a byte of it is loaded."""

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from inference.errors import NotEnoughMemoryError
from inference.families.base import Quantize

GB = 10**9
OVERHEAD = 1.1  # activations, buffers and the libraries, as a share of the weights
# Bytes of one weight of a quantised linear layer, its scales included.
QUANTISED_BYTES = {"nf4": 0.57, "int8": 1.01}


@dataclass(frozen=True, slots=True)
class Budget:
    """Bytes needed for the weights and bytes free on the device."""

    needed: int
    free: int
    device: str

    @property
    def spare(self) -> int:
        """Bytes left once the model is loaded."""
        return max(self.free - self.needed, 0)

    def check(self) -> None:
        """Refuse a model that would not fit.

        Raises:
            NotEnoughMemoryError: it would not.
        """
        if self.needed > self.free:
            raise NotEnoughMemoryError(
                needed_gb=self.needed / GB, free_gb=self.free / GB, device=self.device
            )


def estimate(
    shapes: Mapping[str, tuple[int, ...]],
    *,
    dtype: torch.dtype,
    device: torch.device,
    quantize: Quantize | None,
) -> Budget:
    """Estimate from the names and shapes of a model's tensors, by our layout's names."""
    needed = 0.0
    for name, shape in shapes.items():
        linear = ".language_model.layers." in name and name.endswith("proj.weight")
        each = QUANTISED_BYTES[quantize] if quantize and linear else dtype.itemsize
        needed += math.prod(shape) * each
    return Budget(int(needed * OVERHEAD), free_bytes(device), str(device))


def used_bytes(device: torch.device) -> int:
    """Bytes this process holds: on an accelerator, its tensors; else what is resident."""
    if device.type == "cuda":
        return int(torch.cuda.memory_allocated(device))
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def free_bytes(device: torch.device) -> int:
    """Bytes that may still be taken on a device; a control group's limit counts."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    meminfo = dict(
        line.split(":", 1)
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    )
    available = int(meminfo["MemAvailable"].split()[0]) * 1024
    limit, used = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")
    if limit.is_file() and used.is_file() and (text := limit.read_text().strip()).isdigit():
        available = min(available, int(text) - int(used.read_text()))
    return max(available, 0)
