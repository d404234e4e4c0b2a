"""Many replicas of one engine, as the process that people reach sees them.

Nothing here needs Ray: a replica is whatever sends a `Report` every second. One that has not been
heard of for a while is gone.
"""

import secrets
import time
from argparse import ArgumentTypeError
from collections.abc import Callable, Iterable, Mapping
from dataclasses import astuple, dataclass, field
from typing import Self

from inference.protocol import ServedModel
from inference.worker.engine.figures import Load
from inference.worker.state import State

CLUSTER = "RAY_ADDRESS"  # in the environment: join this cluster instead of starting one
REPORT_SECONDS = 1.0
SILENCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class ReplicaOptions:
    """How many replicas, and how much they take in."""

    fewest: int
    most: int
    at_once: int = 16  # questions of one replica; what its engine runs in one batch
    waiting: int = 64  # questions that wait for a replica; one more is refused

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `2` or `1-4`.

        Raises:
            ArgumentTypeError: it is neither.
        """
        fewest, dash, most = text.partition("-")
        try:
            found = cls(int(fewest), int(most if dash else fewest))
        except ValueError:
            found = cls(0, 0)
        if not 1 <= found.fewest <= found.most:
            raise ArgumentTypeError("a number of replicas such as 2, or a range such as 1-4")
        return found


@dataclass(frozen=True, slots=True)
class Report:
    """What one replica says about itself."""

    state: State
    reason: str = ""
    model: ServedModel | None = None
    load: Load | None = None
    metrics: str = ""


@dataclass(slots=True)
class Board:
    """The newest report of each replica that is still heard of."""

    now: Callable[[], float] = time.monotonic
    _posted: dict[str, tuple[float, Report]] = field(default_factory=dict)

    def post(self, replica: str, report: Report) -> None:
        """Take a report in."""
        self._posted[replica] = (self.now(), report)

    def read(self) -> dict[str, Report]:
        """Return the reports, and forget the replicas that have fallen silent."""
        oldest = self.now() - SILENCE_SECONDS
        self._posted = {name: (at, r) for name, (at, r) in self._posted.items() if at >= oldest}
        return {name: report for name, (_, report) in sorted(self._posted.items())}


def ray_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Return what Ray reads when it is imported, so that it tells nobody and nobody tells it.

    Whoever reaches Ray's ports may run programs. A cluster of our own listens on the loopback
    address, apart from one port of each replica that Ray binds to every address, and wants
    a token that is made anew for each run. An operator's cluster keeps its own rules.
    """
    always = {
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",
        "RAY_SERVE_LOG_TO_STDERR": "0",
        "RAY_DISABLE_WORKER_LOG_PREFIX": "1",
        "RAY_DEDUP_LOGS": "0",
        "RAY_DISABLE_FAILURE_SIGNAL_HANDLER": "1",  # SIGTERM is ours: it drains
    }
    if environ.get(CLUSTER):
        return always
    return always | {
        "RAY_AUTH_MODE": "token",
        "RAY_AUTH_TOKEN": secrets.token_hex(32),
        "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",  # by this name, Ray listens on loopback only
    }


def total(loads: Iterable[Load]) -> Load:
    """Add loads up."""
    rows = [astuple(load) for load in loads]
    return Load(*(sum(column) for column in zip(*rows, strict=True))) if rows else Load(*[0] * 6)


def merged(texts: Mapping[str, str]) -> str:
    """Put several processes' metrics into one text; each line says whose it is.

    Args:
        texts: Prometheus' text format, as `Metrics.text` writes it, by the process's name.
    """
    heads: dict[str, list[str]] = {}
    values: dict[str, list[str]] = {}
    for replica, text in texts.items():
        metric = ""
        for line in text.splitlines():
            if line.startswith("# HELP "):
                metric = line.split()[2]
                heads[metric] = []
            if line.startswith("#"):
                heads[metric].append(line)
            else:
                values.setdefault(metric, []).append(_labelled(line, replica))
    lines = [line for metric, head in heads.items() for line in [*head, *values.get(metric, [])]]
    return "\n".join(lines) + "\n"


def _labelled(line: str, replica: str) -> str:
    name, _, value = line.rpartition(" ")
    if name.endswith("}"):
        return f'{name[:-1]},replica="{replica}"}} {value}'
    return f'{name}{{replica="{replica}"}} {value}'
