"""Numbers the engine reports: plain data, without a model library."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Timing:
    """What a request took, in milliseconds since it was handed in."""

    queue_ms: int
    first_token_ms: int | None
    total_ms: int


@dataclass(frozen=True, slots=True)
class Load:
    """How busy an engine is, and the bytes it holds."""

    queued: int
    running: int
    slot_bytes: int
    prefix_bytes: int
    feature_bytes: int
    memory_bytes: int  # of the process, weights included


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one request came to."""

    finish_reason: str
    prompt_tokens: int
    cached_tokens: int
    completion_tokens: int
    timing: Timing
    error: str | None = None

    @property
    def tokens_per_second(self) -> float | None:
        """Speed after the first token; None for answers of fewer than two."""
        first = self.timing.first_token_ms
        if first is None or self.completion_tokens < 2 or self.timing.total_ms <= first:
            return None
        return 1000 * (self.completion_tokens - 1) / (self.timing.total_ms - first)
