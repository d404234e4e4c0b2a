"""Keys and values of earlier prompts, kept for the next question about the same study.

A tree over positions: each node holds the keys and values of a run of positions, and prompts
that begin alike share the nodes of their common beginning. A position is named by its token id
or, inside an image, by a number that depends on the image's content, so the system text and
image of a study are found again whoever asks. Bounded by bytes; leaves unused for longest go
first.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count

import numpy as np
import torch
from numpy.typing import NDArray

Keys = NDArray[np.int64]


@dataclass(slots=True, eq=False)
class _Node:
    """A run of positions after those of its parent."""

    keys: Keys
    kv: torch.Tensor | None  # [layers, 2, heads, len(keys), head_dim]; None only in a root
    parent: "_Node | None"
    used: int
    children: dict[int, "_Node"] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        return 0 if self.kv is None else self.kv.nbytes


class PrefixTree:
    """One tree for the base weights and one for each adapter, under a common bound."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._roots: dict[str | None, _Node] = {}
        self._clock = count()
        self.nbytes = 0

    def longest(self, adapter: str | None, keys: Keys) -> int:
        """Count the leading positions of `keys` that are kept."""
        return sum(shared for _, shared in self._walk(adapter, keys))

    def fetch(self, adapter: str | None, keys: Keys) -> list[torch.Tensor]:
        """Return what is kept of `keys`, as segments [layers, 2, heads, n, head_dim] in order."""
        segments = []
        for node, shared in self._walk(adapter, keys):
            node.used = next(self._clock)
            if node.kv is not None:
                segments.append(node.kv[:, :, :, :shared])
        return segments

    def insert(
        self, adapter: str | None, keys: Keys, read: Callable[[int, int], torch.Tensor]
    ) -> None:
        """Keep `keys`; `read(start, end)` copies the positions that are new."""
        root = self._roots.setdefault(adapter, _Node(keys[:0], None, None, 0))
        path = list(self._walk(adapter, keys))
        done = sum(shared for _, shared in path)
        for node, _ in path:
            node.used = next(self._clock)
        if done == len(keys):
            return
        last, shared = path[-1] if path else (root, 0)
        if shared < len(last.keys):
            last = self._split(last, shared)
        new = read(done, len(keys))
        if not self._make_room(new.nbytes, keep=last):
            return
        last.children[int(keys[done])] = _Node(keys[done:].copy(), new, last, next(self._clock))
        self.nbytes += new.nbytes

    def clear(self) -> None:
        """Forget everything."""
        self._roots.clear()
        self.nbytes = 0

    def _walk(self, adapter: str | None, keys: Keys) -> Iterator[tuple[_Node, int]]:
        """Yield the nodes along `keys` with the number of positions shared with each."""
        node = self._roots.get(adapter)
        done = 0
        while node is not None and done < len(keys):
            node = node.children.get(int(keys[done]))
            if node is None:
                return
            shared = common(node.keys, keys[done:])
            yield node, shared
            if shared < len(node.keys):
                return
            done += shared

    def _split(self, node: _Node, at: int) -> _Node:
        """Cut a node in two and return the upper half. Copies, so either half can be freed."""
        if node.kv is None or node.parent is None:
            raise ValueError("a root cannot be split")
        upper = _Node(node.keys[:at], node.kv[:, :, :, :at].clone(), node.parent, node.used)
        node.parent.children[int(upper.keys[0])] = upper
        node.keys, node.kv = node.keys[at:], node.kv[:, :, :, at:].clone()
        node.parent = upper
        upper.children[int(node.keys[0])] = node
        return upper

    def _make_room(self, nbytes: int, *, keep: _Node) -> bool:
        while self.nbytes + nbytes > self._max_bytes:
            leaves = [n for n in self._nodes() if not n.children and n is not keep and n.parent]
            if not leaves:
                return False
            oldest = min(leaves, key=lambda node: node.used)
            if oldest.parent is not None:
                del oldest.parent.children[int(oldest.keys[0])]
            self.nbytes -= oldest.nbytes
        return True

    def _nodes(self) -> Iterator[_Node]:
        stack = list(self._roots.values())
        while stack:
            node = stack.pop()
            yield node
            stack.extend(node.children.values())


def common(first: Keys, second: Keys) -> int:
    """Count the leading elements that two arrays share."""
    size = min(len(first), len(second))
    differs = first[:size] != second[:size]
    return int(differs.argmax()) if differs.any() else size
