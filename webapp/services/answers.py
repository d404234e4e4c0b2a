"""An answer on its way: what the model said, what of it was shown, and how it ended."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from inference.errors import AnswerFailedError
from inference.protocol import Finished, Provenance, ServedModel
from inference.safety import Flag, StreamFilter
from inference.safety.contradiction import flag as contradiction_flag
from storage import sentences
from storage.vocabulary import FinishReason
from webapp.services.consistency import ANSWER_INCOMPLETE, Consistency, OtherWay
from webapp.services.views import FlagEvent, TokenEvent


@dataclass(slots=True)
class Answer:
    """Collects an answer; every text goes through the safety filter before it is shown."""

    model: str
    served: ServedModel | None
    other_way: OtherWay | None = None  # of a closed question
    has_prior: bool = False  # whether the model was given an earlier image
    started: float = field(default_factory=time.monotonic)
    raw: str = ""
    shown: str = ""
    finished: Finished | None = None
    reason: FinishReason = FinishReason.CANCELLED  # until it is known better
    _filter: StreamFilter = field(init=False)
    _first_token_s: float | None = None
    _latency_s: float = 0.0
    _told: int = 0  # flags
    _consistency: Consistency | None = None
    _of_check: list[Flag] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Begin unchecked, with the rules that hold for what is sent."""
        self._filter = StreamFilter(has_prior=self.has_prior)
        self.not_checked(ANSWER_INCOMPLETE)

    def take(self, text: str) -> list[TokenEvent | FlagEvent]:
        """Take in more of what the model says and return what may be shown of it now."""
        if self._first_token_s is None:
            self._first_token_s = time.monotonic() - self.started
        return self._add(text)

    def _add(self, text: str) -> list[TokenEvent | FlagEvent]:
        self.raw += text
        return self._events(self._filter.feed(text))

    def end(
        self, reason: FinishReason, finished: Finished | None = None
    ) -> list[TokenEvent | FlagEvent]:
        """Close the answer and return what may be shown of the rest."""
        events: list[TokenEvent | FlagEvent] = []
        if finished is not None and finished.text.startswith(self.raw):
            events += self._add(finished.text[len(self.raw) :])
        self.finished, self.reason = finished, reason
        rest, _ = self._filter.finish()
        self._latency_s = time.monotonic() - self.started
        return events + self._events(rest)

    def not_checked(self, reason: str) -> None:
        """Say why a closed answer stands without a check."""
        if self.other_way is not None:
            self._consistency = self.other_way.unchecked(reason)

    def check(self, other: Finished | None) -> list[FlagEvent]:
        """Compare with what was said the other way round; return the flags to tell of."""
        if self.other_way is None:
            return []
        if other is None or other.finish_reason in {"error", "cancelled"}:
            self.not_checked(AnswerFailedError.code)
            return []
        self._consistency, self._of_check = self.other_way.compared(
            self.raw, other, has_prior=self.has_prior
        )
        if self._consistency["contradicts"]:
            chosen = self.shown.partition("\n")[0].rstrip()
            self._of_check.insert(0, contradiction_flag(len(chosen)))
        return [FlagEvent(flag.as_json()) for flag in self._of_check]

    def _events(self, shown: str) -> list[TokenEvent | FlagEvent]:
        self.shown += shown
        new = self._filter.flags[self._told :]
        self._told += len(new)
        events: list[TokenEvent | FlagEvent] = [TokenEvent(shown)] if shown else []
        return events + [FlagEvent(flag.as_json()) for flag in new]

    def as_fields(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Return the answer's columns of a draft; what no server reported stays null.

        Args:
            asked: The decoding parameters that were asked for; those reported as used win.

        A stopped answer has no last chunk and so no report: then what the server lists about
        the model says which weights spoke.
        """
        made_by = self.finished.provenance if self.finished is not None else self._listed()
        first_token_ms = made_by.first_token_ms
        if first_token_ms is None and self._first_token_s is not None:
            first_token_ms = round(self._first_token_s * 1000)
        return {
            "model_id": made_by.model or self.model,
            "family": made_by.family,
            "weights_revision": made_by.weights_revision,
            "weights_sha256": made_by.weights_sha256,
            "adapter": made_by.adapter,
            "adapter_sha256": made_by.adapter_sha256,
            "engine": made_by.engine,
            "engine_version": made_by.engine_version,
            "rendered_prompt": made_by.rendered_prompt,
            "decoding": {**asked, **made_by.decoding},
            "seed": asked.get("seed") if made_by.seed is None else made_by.seed,
            "prompt_tokens": made_by.prompt_tokens,
            "completion_tokens": made_by.completion_tokens,
            "choices": None if self.finished is None else self.finished.choices,
            "safety_policy": self._filter.policy_version,
            "flags": [flag.as_json() for flag in (*self._filter.flags, *self._of_check)],
            "consistency": self._consistency,
            "raw_text": self.raw,
            "shown_text": self.shown,
            "sentences": [list(span) for span in sentences.split(self.shown)],
            "finish_reason": self.reason,
            "first_token_ms": first_token_ms,
            "latency_ms": round(self._latency_s * 1000),
        }

    def _listed(self) -> Provenance:
        if self.served is None:
            return Provenance(self.model)
        is_adapter = self.model in self.served.adapters
        return Provenance(
            self.model,
            family=self.served.family,
            weights_sha256=self.served.weights_sha256,
            adapter=self.model if is_adapter else None,
        )
