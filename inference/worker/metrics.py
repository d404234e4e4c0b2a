"""Counters of one worker in Prometheus' text format."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from threading import Lock

from inference.worker.engine.figures import Load, Outcome

SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)
RATES = (1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 80.0, 160.0)  # tokens a second


class Histogram:
    """Observations counted in buckets."""

    def __init__(self, name: str, text: str, bounds: Sequence[float]) -> None:
        self.name, self.text, self.bounds = name, text, bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self.bounds, value)] += 1
        self._sum += value

    def lines(self) -> Iterator[str]:
        """Yield the text format."""
        yield from _head(self.name, self.text, "histogram")
        total = 0
        for bound, count in zip([*self.bounds, "+Inf"], self._counts, strict=True):
            total += count
            yield f'{self.name}_bucket{{le="{bound}"}} {total}'
        yield f"{self.name}_sum {self._sum:.6f}"
        yield f"{self.name}_count {total}"


class Metrics:
    """What operators watch. Observed in the engine's thread, read by the server's."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._ended: Counter[str] = Counter()
        self._tokens: Counter[str] = Counter()
        self._queue = Histogram("overread_queue_seconds", "Waiting for a place.", SECONDS)
        self._first = Histogram("overread_first_token_seconds", "To the first token.", SECONDS)
        self._rate = Histogram("overread_tokens_per_second", "Of one answer.", RATES)
        self._refused: Counter[str] = Counter()

    def observe(self, outcome: Outcome) -> None:
        """Count a request that has ended."""
        timing, rate = outcome.timing, outcome.tokens_per_second
        with self._lock:
            self._ended[outcome.finish_reason] += 1
            self._tokens["prompt"] += outcome.prompt_tokens
            self._tokens["prompt_cached"] += outcome.cached_tokens
            self._tokens["completion"] += outcome.completion_tokens
            self._queue.observe(timing.queue_ms / 1000)
            if timing.first_token_ms is not None:
                self._first.observe(timing.first_token_ms / 1000)
            if rate is not None:
                self._rate.observe(rate)

    def refuse(self, code: str) -> None:
        """Count a question that was not taken in."""
        with self._lock:
            self._refused[code] += 1

    def text(self, load: Load | None) -> str:
        """Return everything in Prometheus' text format 0.0.4."""
        with self._lock:
            lines = [
                *_counter("overread_requests_total", "Ended.", "finish_reason", self._ended),
                *_counter("overread_refused_total", "Not taken in.", "code", self._refused),
                *_counter("overread_tokens_total", "Positions.", "kind", self._tokens),
                *self._queue.lines(),
                *self._first.lines(),
                *self._rate.lines(),
            ]
        for name in Load.__dataclass_fields__ if load else ():
            lines += _head(f"overread_{name}", "Right now.", "gauge")
            lines.append(f"overread_{name} {getattr(load, name)}")
        return "\n".join(lines) + "\n"


def _counter(name: str, text: str, label: str, counts: Counter[str]) -> Iterator[str]:
    yield from _head(name, text, "counter")
    for key, value in sorted(counts.items()):
        yield f'{name}{{{label}="{key}"}} {value}'


def _head(name: str, text: str, kind: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]
