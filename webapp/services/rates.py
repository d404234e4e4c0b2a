"""How often one person, and one network, may do what costs the machine much: one table.

Whoever asks more often is told how long to wait. Counted in memory: a restart forgets it, and
each of several web processes counts for itself. A network stands for everybody behind it, a
whole department behind a proxy perhaps, so its limit is wide. The command line is not counted:
whoever works there owns the machine.
"""

import math
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final
from uuid import UUID

from storage.clock import utc_now
from webapp.services.actor import Actor
from webapp.services.errors import TooManyRequestsError

REMEMBERED: Final = 10_000


class Paced(StrEnum):
    """What is counted, as a refusal names it."""

    QUESTIONS = "questions"
    UPLOADS = "uploads"
    EXPORTS = "exports"
    TOKEN_REQUESTS = "requests with an API token"  # noqa: S105 - words of a sentence


@dataclass(frozen=True, slots=True)
class Rate:
    """So many at once; then, evenly, so many in each period."""

    times: int
    period: timedelta


@dataclass(frozen=True, slots=True)
class Limit:
    """How often, and why not more."""

    person: Rate
    network: Rate
    reason: str


MINUTE: Final = timedelta(minutes=1)
HOUR: Final = timedelta(hours=1)
LIMITS: Final[Mapping[Paced, Limit]] = {
    Paced.QUESTIONS: Limit(
        Rate(90, MINUTE), Rate(600, MINUTE), "each keeps the model busy; six lists of findings"
    ),
    Paced.UPLOADS: Limit(
        Rate(600, HOUR), Rate(3_000, HOUR), "each decodes files; a program that sends an archive"
    ),
    Paced.EXPORTS: Limit(
        Rate(20, 10 * MINUTE), Rate(60, 10 * MINUTE), "each reads everything; data leave the house"
    ),
    Paced.TOKEN_REQUESTS: Limit(
        Rate(1_200, MINUTE), Rate(6_000, MINUTE), "20 a second, so that a loop starves nobody"
    ),
}

Key = tuple[Paced, UUID | str]


@dataclass(frozen=True, slots=True)
class Rates:
    """The counts of one process, used by all its threads."""

    now: Callable[[], datetime] = utc_now
    limits: Mapping[Paced, Limit] = field(default_factory=lambda: LIMITS)
    _due: dict[Key, datetime] = field(default_factory=dict)  # when all that was done is paid for
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self, actor: Actor, what: Paced) -> None:
        """Count one, or refuse it.

        Raises:
            TooManyRequestsError: the person or the network was too fast; nothing was counted.
        """
        if (wait := self.wait(actor, what)) > 0:
            raise TooManyRequestsError(what.value, wait_seconds=wait)

    def wait(self, actor: Actor, what: Paced) -> int:
        """Count one and return 0, or count nothing and return how many seconds to wait."""
        if actor.via == "cli":
            return 0
        limit, at = self.limits[what], self.now()
        keys: list[tuple[Key, Rate]] = [((what, actor.id), limit.person)]
        if actor.came_from:
            keys.append(((what, actor.came_from), limit.network))
        with self._lock:
            due = {key: self._after_one_more(key, rate, at) for key, rate in keys}
            late = max(due[key] - rate.period for key, rate in keys) - at
            if late > timedelta():
                return math.ceil(late.total_seconds())
            for key, when in due.items():
                self._due.pop(key, None)
                self._due[key] = when
            self._forget(at)
        return 0

    def _after_one_more(self, key: Key, rate: Rate, at: datetime) -> datetime:
        return max(self._due.get(key, at), at) + rate.period / rate.times

    def _forget(self, at: datetime) -> None:
        """Drop what is paid for, then the oldest: a full memory lets people in, not out."""
        if len(self._due) <= REMEMBERED:
            return
        for key in [key for key, due in self._due.items() if due <= at]:
            del self._due[key]
        while len(self._due) > REMEMBERED:
            del self._due[next(iter(self._due))]
