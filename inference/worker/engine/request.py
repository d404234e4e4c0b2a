"""One request while the engine works on it."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch

from inference.errors import AnswerFailedError, InferenceError
from inference.worker.engine.detokenise import Detokeniser
from inference.worker.engine.figures import Outcome, Timing
from inference.worker.engine.grammar import Path
from inference.worker.engine.messages import Ended, FinishReason, Piece, Sink, Started
from inference.worker.engine.prefix import Keys
from inference.worker.engine.prepare import Prompt
from inference.worker.engine.sampling import Rule

LINE_BREAK = "\n"


@dataclass(slots=True, eq=False)
class Request:
    """A prompt, how to answer it, where its words go, and how far it has come."""

    prompt: Prompt
    rule: Rule
    adapter: str | None
    sink: Sink
    detokeniser: Detokeniser
    path: Path | None = None  # in the grammar that the answer keeps to
    clock: Callable[[], float] = time.monotonic
    cancelled: bool = False  # set by any thread
    alone: bool = False  # a pass it shared has failed: it is tried by itself
    retried: bool = False  # memory was freed for it once
    embeds: torch.Tensor | None = None  # [not yet computed, hidden]
    cached: int = 0  # positions taken from earlier prompts
    filled: int = 0  # positions in its slot
    token_ids: list[int] = field(default_factory=list)
    generator: torch.Generator = field(init=False)
    submitted: float = field(init=False)
    admitted: float | None = None
    first_token: float | None = None
    choices: dict[str, float] | None = None  # once one is chosen
    chosen: str = ""
    forced: deque[int] = field(default_factory=deque)  # tokens that are not the model's to choose
    ended: Ended | None = None
    _free: int = 0  # tokens that the model chose
    _joint: str = ""  # between what was said and what comes next

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.rule.seed)
        self.submitted = self.clock()

    @property
    def length(self) -> int:
        """Positions of the prompt."""
        return len(self.prompt.keys)

    @property
    def branches(self) -> int:
        """Positions that the choices need after the prompt."""
        return len(self.prompt.tree.tokens) if self.prompt.tree else 0

    @property
    def reserve(self) -> int:
        """Positions its slot must have room for."""
        return self.length + max(self.branches, self.most_tokens)

    @property
    def most_tokens(self) -> int:
        """Tokens after which the answer ends in any case."""
        if self.prompt.openings:
            return self.prompt.longest_opening + self.rule.explain_tokens
        return self.rule.max_tokens

    @property
    def finished(self) -> bool:
        """Whether a stop string has come, or its grammar lets nothing follow."""
        return self.detokeniser.stopped or (self.path is not None and self.path.complete)

    @property
    def at_limit(self) -> bool:
        """Whether no further token may follow."""
        if self.prompt.openings:
            return self._free == self.rule.explain_tokens
        return len(self.token_ids) >= self.rule.max_tokens

    @property
    def keys(self) -> Keys:
        """Names of the positions in the slot."""
        if self.filled <= self.length:
            return self.prompt.keys[: self.filled]
        made = np.array(self.token_ids[: self.filled - self.length], dtype=np.int64)
        return np.concatenate([self.prompt.keys, made])

    def admit(self) -> None:
        """Stop the clock of the queue."""
        if self.admitted is None:
            self.admitted = self.clock()

    def begin(self, logits: torch.Tensor) -> None:
        """Tell that the prompt is computed."""
        self.first_token = self.clock()
        prompt = self.prompt
        self.emit(
            Started(
                prompt=prompt.text,
                input_ids=prompt.token_ids,
                prompt_tokens=self.length,
                cached_tokens=self.cached,
                logits=logits,
            )
        )

    def emit(self, event: Started | Piece | Ended) -> None:
        """Hand an event over; a receiver that is gone cancels the request."""
        try:
            self.sink(event)
        except RuntimeError:  # its event loop has closed
            self.cancelled = True

    def accept(self, token_id: int) -> None:
        """Add a token and emit the text it makes certain."""
        self.token_ids.append(token_id)
        self._free += 1
        if piece := self.detokeniser.push(token_id):
            self._say(piece)

    def accept_forced(self) -> None:
        """Add the next token of a choice that has been told already."""
        self.token_ids.append(self.forced.popleft())

    def choose(self, index: int, shares: list[float]) -> None:
        """Answer with one of the offered choices; an explanation may follow."""
        tree = self.prompt.tree
        if tree is None:
            raise ValueError("no choices were offered")
        self.choices = dict(zip(self.prompt.choices, shares, strict=True))
        self.chosen = self.prompt.choices[index]
        self.emit(Piece(self.chosen))
        if self.prompt.openings:
            self.forced.extend(self.prompt.openings[index])
            self._joint = LINE_BREAK
        else:
            self.token_ids = list(tree.own[index])

    def end(self, reason: FinishReason, *, error: InferenceError | None = None) -> None:
        """Say the last word."""
        text = ""
        if self._free:
            try:
                piece, text = self.detokeniser.finish()
            except Exception:  # noqa: BLE001  # an answer that cannot be decoded still ends
                piece, reason, error = "", "error", error or AnswerFailedError()
            if piece:
                self._say(piece)
        self.ended = Ended(
            text=LINE_BREAK.join(part for part in (self.chosen, text) if part),
            finish_reason=reason,
            token_ids=tuple(self.token_ids),
            timing=self._timing(),
            choices=self.choices,
            error=error,
        )
        self.emit(self.ended)

    @property
    def outcome(self) -> Outcome:
        """What it came to, in numbers; only once it has ended."""
        if self.ended is None:
            raise ValueError("the request has not ended")
        return Outcome(
            finish_reason=self.ended.finish_reason,
            prompt_tokens=self.length,
            cached_tokens=self.cached,
            completion_tokens=len(self.ended.token_ids),
            timing=self.ended.timing,
            error=self.ended.error.code if self.ended.error else None,
        )

    def _say(self, piece: str) -> None:
        self.emit(Piece(self._joint + piece))
        self._joint = ""

    def _timing(self) -> Timing:
        now = self.clock()
        return Timing(
            queue_ms=_ms((now if self.admitted is None else self.admitted) - self.submitted),
            first_token_ms=None
            if self.first_token is None
            else _ms(self.first_token - self.submitted),
            total_ms=_ms(now - self.submitted),
        )


def _ms(seconds: float) -> int:
    return round(1000 * seconds)
