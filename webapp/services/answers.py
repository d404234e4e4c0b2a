"""An answer on its way: what the model said, what of it was shown, and how it ended."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from inference.protocol import Finished, Provenance, ServedModel
from inference.safety import StreamFilter
from storage import sentences
from storage.vocabulary import FinishReason
from webapp.services.views import FlagEvent, TokenEvent


@dataclass(slots=True)
class Answer:
    """Collects an answer; every text goes through the safety filter before it is shown."""

    model: str
    served: ServedModel | None
    started: float = field(default_factory=time.monotonic)
    raw: str = ""
    shown: str = ""
    finished: Finished | None = None
    reason: FinishReason = FinishReason.CANCELLED  # until it is known better
    _filter: StreamFilter = field(default_factory=StreamFilter)
    _first_token_s: float | None = None
    _told: int = 0  # flags

    def take(self, text: str) -> list[TokenEvent | FlagEvent]:
        """Take in more of what the model says and return what may be shown of it now."""
        if self._first_token_s is None:
            self._first_token_s = time.monotonic() - self.started
        self.raw += text
        return self._events(self._filter.feed(text))

    def end(
        self, reason: FinishReason, finished: Finished | None = None
    ) -> list[TokenEvent | FlagEvent]:
        """Close the answer and return what may be shown of the rest."""
        events: list[TokenEvent | FlagEvent] = []
        if finished is not None and finished.text.startswith(self.raw):
            events += self.take(finished.text[len(self.raw) :])
        self.finished, self.reason = finished, reason
        rest, _ = self._filter.finish()
        return events + self._events(rest)

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
            "flags": [flag.as_json() for flag in self._filter.flags],
            "raw_text": self.raw,
            "shown_text": self.shown,
            "sentences": [list(span) for span in sentences.split(self.shown)],
            "finish_reason": self.reason,
            "first_token_ms": first_token_ms,
            "latency_ms": round((time.monotonic() - self.started) * 1000),
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
