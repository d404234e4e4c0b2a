"""Tensors that are still on disk, their names in a release and in our layout, and their shapes.

transformers only warns when tensors are missing or left over and then answers from random
numbers. Here either is an error that names them.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

import torch

from inference.errors import ModelFolderRefusedError

NAMES_SHOWN = 5

SAFETENSORS_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor that is still on disk."""

    shape: tuple[int, ...]
    dtype: torch.dtype
    read: Callable[[], torch.Tensor]

    @property
    def nbytes(self) -> int:
        """Size on disk in bytes."""
        return torch.Size(self.shape).numel() * self.dtype.itemsize

    @classmethod
    def of(cls, tensor: torch.Tensor) -> "StoredTensor":
        """Wrap a tensor that is in memory or memory-mapped."""
        return cls(tuple(tensor.shape), tensor.dtype, lambda: tensor)


@dataclass(frozen=True, slots=True)
class Names:
    """How a release spells the names of our layout, and what in it is of no use.

    `prefixes` pairs a published prefix with ours; the longest that fits decides. `unused` are the
    named exceptions to "nothing may be left over": prefixes, or suffixes when they start with "*".
    """

    prefixes: tuple[tuple[str, str], ...]
    unused: tuple[str, ...] = ()

    def published(self, ours: str) -> str:
        """Return the release's name of one of our tensors."""
        fitting = [(o, p) for p, o in self.prefixes if ours.startswith(o)]
        if not fitting:
            return ours
        our_prefix, prefix = max(fitting, key=lambda pair: len(pair[0]))
        return prefix + ours[len(our_prefix) :]

    def is_unused(self, name: str) -> bool:
        """Say whether a published tensor is one of the named exceptions."""
        return any(
            name.endswith(mark[1:]) if mark.startswith("*") else name.startswith(mark)
            for mark in self.unused
        )


def pick(
    expected: Mapping[str, tuple[int, ...]], stored: Mapping[str, StoredTensor], names: Names
) -> dict[str, StoredTensor]:
    """Match a release's tensors with the model's, one to one.

    Raises:
        ModelFolderRefusedError: naming, in the release's own spelling, what is missing, left over
            or mis-shaped.
    """
    spelt = {names.published(ours): ours for ours in expected}
    useful = {name: t for name, t in stored.items() if not names.is_unused(name)}
    compare_shapes(
        {name: expected[ours] for name, ours in spelt.items()},
        {name: tensor.shape for name, tensor in useful.items()},
    )
    return {ours: useful[name] for name, ours in spelt.items()}


def compare_shapes(
    expected: Mapping[str, tuple[int, ...]], found: Mapping[str, tuple[int, ...]]
) -> None:
    """Insist on the model's tensors, all of them and no others.

    Raises:
        ModelFolderRefusedError: naming those that are missing, unexpected or mis-shaped.
    """
    if missing := expected.keys() - found.keys():
        raise ModelFolderRefusedError(f"Missing tensors: {shorten(missing)}.")
    if extra := found.keys() - expected.keys():
        raise ModelFolderRefusedError(f"Unexpected tensors: {shorten(extra)}.")
    if wrong := [name for name, shape in expected.items() if found[name] != shape]:
        described = [f"{n} is {list(found[n])}, not {list(expected[n])}" for n in wrong]
        raise ModelFolderRefusedError(f"Mis-shaped tensors: {shorten(described)}.")


def shorten(names: Iterable[str]) -> str:
    """List the first few names and count the rest."""
    names = sorted(names)
    rest = len(names) - NAMES_SHOWN
    return ", ".join(names[:NAMES_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
