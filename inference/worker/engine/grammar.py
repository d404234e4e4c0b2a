"""Which tokens may come next, so that what is written stays within a grammar."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray

MAX_MASKS = 1024  # of one grammar; some kilobytes each
LONGEST_TOKEN = 48  # bytes; longer ones, mostly runs of spaces and dashes, are never allowed


@dataclass(frozen=True, slots=True)
class Grammar:
    """An automaton over bytes, of any model."""

    steps: NDArray[np.int32]  # [states, 256] the next state, -1 where there is none
    final: NDArray[np.bool_]  # [states]
    start: int
    masks: dict[int, NDArray[np.uint8]] = field(default_factory=dict)  # the engine's thread only

    @classmethod
    def from_bytes(cls, data: bytes) -> "Grammar":
        """Read what `automaton` writes."""
        words = np.frombuffer(data, dtype="<i4")
        rows = words[2:].reshape(int(words[0]), 257).astype(np.int32)
        return cls(rows[:, :256].copy(), rows[:, 256] != 0, int(words[1]))


class Tokens:
    """What each token of a model writes, laid out for walking all of them at once."""

    def __init__(self, token_bytes: Sequence[bytes | None], ends: frozenset[int]) -> None:
        """Take what each id writes and the ids that end an answer."""
        self.ends = np.array(sorted(ends))
        self.usable = any(token_bytes)
        self.size = max([len(token_bytes), *(end + 1 for end in ends)])
        self._texts = [text or b"" for text in token_bytes]
        usable = [i for i, text in enumerate(self._texts) if 0 < len(text) <= LONGEST_TOKEN]
        usable.sort(key=lambda i: -len(self._texts[i]))
        self._ids = np.array(usable, dtype=np.int64)
        lengths = np.array([len(self._texts[i]) for i in usable])
        self._bytes = np.zeros((int(lengths.max(initial=0)), len(usable)), dtype=np.uint8)
        for column, token_id in enumerate(usable):
            text = self._texts[token_id]
            self._bytes[: len(text), column] = np.frombuffer(text, dtype=np.uint8)
        # Tokens are ordered by length, so those with a byte at a position come first.
        self._reach = [int((lengths > position).sum()) for position in range(len(self._bytes))]

    def allowed(self, grammar: Grammar, state: int) -> NDArray[np.bool_]:
        """Return which tokens may follow in a state: bool [size]."""
        packed = grammar.masks.get(state)
        if packed is None:
            if len(grammar.masks) >= MAX_MASKS:
                grammar.masks.clear()
            packed = grammar.masks[state] = np.packbits(self._walk(grammar, state))
        return np.unpackbits(packed, count=self.size).astype(np.bool_)

    def after(self, grammar: Grammar, state: int, token_id: int) -> int:
        """Return the state behind a token that is allowed and ends nothing."""
        for byte in self._texts[token_id]:
            state = int(grammar.steps[state, byte])
        return state

    def _walk(self, grammar: Grammar, state: int) -> NDArray[np.bool_]:
        alive = np.arange(len(self._ids))
        states = np.full(len(self._ids), state, dtype=np.int32)
        for position, reach in enumerate(self._reach):
            going = alive[alive < reach] if position else alive
            states[going] = grammar.steps[states[going], self._bytes[position, going]]
            alive = alive[states[alive] >= 0]
        mask = np.zeros(self.size, dtype=np.bool_)
        mask[self._ids[alive]] = True
        if grammar.final[state]:
            mask[self.ends] = True
        return mask


class Path:
    """Where one answer is in its grammar."""

    def __init__(self, grammar: Grammar, tokens: Tokens) -> None:
        self._grammar = grammar
        self._tokens = tokens
        self._state = grammar.start

    def restrict(self, logits: torch.Tensor) -> torch.Tensor:
        """Rule out what may not follow, in float32 logits [vocabulary]."""
        allowed = torch.zeros(len(logits), dtype=torch.bool)
        found = torch.from_numpy(self._tokens.allowed(self._grammar, self._state))
        allowed[: len(found)] = found
        return logits.masked_fill(~allowed.to(logits.device), float("-inf"))

    def advance(self, token_id: int) -> None:
        """Take a token that does not end the answer."""
        self._state = self._tokens.after(self._grammar, self._state, token_id)

    @property
    def complete(self) -> bool:
        """Whether nothing may follow but the end."""
        grammar = self._grammar
        return bool(grammar.final[self._state] and (grammar.steps[self._state] < 0).all())
