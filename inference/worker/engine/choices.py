"""Which of several given answers the model would begin with, from one forward pass.

The token sequences of all choices form a tree. Its nodes follow the prompt as extra positions
of the same pass, each seeing the prompt and its own ancestors, so the probability of every
choice is exact and costs a few positions, not a pass a choice. A choice gets the mass that
stops at its last token: what goes on into a longer choice belongs to that one.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from inference.errors import RequestRefusedError
from inference.worker.engine.vocabulary import Vocabulary

MAX_CHOICES = 64
MAX_CHOICE_LENGTH = 200  # characters
MAX_EXTRA_NODES = 32  # positions spent on other spellings than the family's own


@dataclass(frozen=True, slots=True)
class ChoiceTree:
    """Token sequences as a tree; parents come before their children, -1 is the prompt."""

    tokens: tuple[int, ...]
    parents: tuple[int, ...]
    depths: tuple[int, ...]  # 0 for the first token of an answer
    ends: tuple[tuple[int, ...], ...]  # for each choice, the nodes that complete it
    own: tuple[tuple[int, ...], ...]  # for each choice, the family's own token ids

    def ancestry(self, device: torch.device) -> torch.Tensor:
        """Which nodes each node sees: bool [nodes, nodes], itself included."""
        size = len(self.tokens)
        sees = torch.eye(size, dtype=torch.bool)
        for node, parent in enumerate(self.parents):
            if parent >= 0:
                sees[node] |= sees[parent]
        return sees.to(device)

    def probabilities(self, logits: torch.Tensor) -> list[float]:
        """Return each choice's share, together 1.

        Args:
            logits: Float32 [1 + nodes, vocabulary], after the prompt and after each node.
        """
        steps = torch.log_softmax(logits.double(), dim=-1)
        rows = torch.tensor([parent + 1 for parent in self.parents], device=logits.device)
        columns = torch.tensor(self.tokens, device=logits.device)
        step_of = steps[rows, columns].tolist()
        reach: list[float] = []
        leaving = [1.0] * len(self.tokens)
        for node, parent in enumerate(self.parents):
            reach.append(step_of[node] + (reach[parent] if parent >= 0 else 0.0))
            if parent >= 0:
                leaving[parent] -= math.exp(step_of[node])
        masses = [
            [reach[node] + math.log(max(leaving[node], 1e-12)) for node in nodes]
            for nodes in self.ends
        ]
        totals = torch.tensor([_logsumexp(mass) for mass in masses], dtype=torch.float64)
        shares: list[float] = torch.softmax(totals, dim=0).tolist()
        return shares


def usable(choices: Sequence[str]) -> list[str]:
    """Return the choices as they are written, without the spaces around them.

    Raises:
        RequestRefusedError: a choice is empty, repeated or too long, or there are too many.
    """
    texts = [choice.strip() for choice in choices]
    if not 1 <= len(texts) <= MAX_CHOICES or len(set(texts)) != len(texts):
        raise RequestRefusedError(f"Offer 1 to {MAX_CHOICES} different choices.")
    if not all(0 < len(text) <= MAX_CHOICE_LENGTH for text in texts):
        raise RequestRefusedError(f"A choice has 1 to {MAX_CHOICE_LENGTH} characters.")
    return texts


def plant(
    choices: Sequence[str], own: Sequence[tuple[int, ...]], vocabulary: Vocabulary
) -> ChoiceTree:
    """Build the tree of all choices; `own` has the family's own token ids of each."""
    spellings = [vocabulary.spellings(text, ids) for text, ids in zip(choices, own, strict=True)]
    nodes: dict[tuple[int, ...], int] = {}  # path from the prompt to a node's number
    ends: list[list[int]] = [[] for _ in choices]
    for choice, ids in enumerate(own):
        ends[choice].append(_grow(nodes, ids))
    bound = len(nodes) + MAX_EXTRA_NODES
    others = [
        (len(path), choice, path) for choice, (_, *rest) in enumerate(spellings) for path in rest
    ]
    for _, choice, path in sorted(others):
        missing = sum(path[: depth + 1] not in nodes for depth in range(len(path)))
        if len(nodes) + missing <= bound:
            ends[choice].append(_grow(nodes, path))
    return ChoiceTree(
        tokens=tuple(path[-1] for path in nodes),
        parents=tuple(nodes.get(path[:-1], -1) for path in nodes),
        depths=tuple(len(path) - 1 for path in nodes),
        ends=tuple(map(tuple, ends)),
        own=tuple(own),
    )


def _grow(nodes: dict[tuple[int, ...], int], path: tuple[int, ...]) -> int:
    for depth in range(1, len(path) + 1):
        nodes.setdefault(path[:depth], len(nodes))
    return nodes[path]


def _logsumexp(values: Sequence[float]) -> float:
    top = max(values)
    return top + math.log(sum(math.exp(value - top) for value in values))
