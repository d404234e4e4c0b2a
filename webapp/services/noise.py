"""How many refusals get an event of their own, and what becomes of the rest.

Every event is a row for ever and a turn at the writers' lock. Whoever keeps knocking without
being let in must not be able to fill the disk or to keep readers from saving. So within a
minute only so many refusals of one origin are written one by one; the rest are counted in
memory and written as one event that says how many there were. Nobody's refusals can use up
what another origin has: a named person's are bounded by themselves, those without a name by
their network and all together.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock
from typing import Final
from uuid import UUID

MINUTE: Final = timedelta(minutes=1)
DAY: Final = timedelta(days=1)
OF_ONE_NETWORK: Final = 20  # a minute, without a name
OF_ONE_PERSON: Final = 60  # a minute
OF_ALL_NETWORKS: Final = 60  # a minute, without a name
OF_A_DAY: Final = 5_000  # without a name
SEVERAL: Final = "several"


@dataclass(frozen=True, slots=True)
class Origin:
    """Whose refusals these are: a person's, or those of a network's nameless callers."""

    person_id: UUID | None
    network: str


@dataclass(frozen=True, slots=True)
class Counted:
    """Refusals that were not written one by one; without a name all networks together."""

    origin: Origin
    count: int


@dataclass(slots=True)
class Noise:
    """Counts refusals; one object in a process, used by all its threads."""

    _minute: datetime | None = None  # when the present one began
    _day: datetime | None = None
    _this_minute: Counter[Origin | None] = field(default_factory=Counter)  # None: the nameless
    _today: int = 0  # written one by one without a name
    _unwritten: dict[Origin, int] = field(default_factory=dict)
    _first_unwritten: datetime | None = None
    _lock: Lock = field(default_factory=Lock)

    def is_single(self, origin: Origin, at: datetime) -> bool:
        """Tell whether a refusal gets its own event; otherwise it is counted here."""
        with self._lock:
            single = self._has_room(origin, at)
            if not single:
                self._count(origin, 1, at)
            return single

    def take_due(self, at: datetime, *, all_of_them: bool = False) -> list[Counted]:
        """Hand over what was counted, a minute after the first of it; whoever asks writes it."""
        with self._lock:
            first = self._first_unwritten
            if first is None or not (all_of_them or at - first >= MINUTE):
                return []
            taken = [Counted(origin, count) for origin, count in self._unwritten.items()]
            self._unwritten, self._first_unwritten = {}, None
            return taken

    def give_back(self, counted: Counted, at: datetime) -> None:
        """Count again what could not be written."""
        with self._lock:
            self._count(counted.origin, counted.count, at)

    def _has_room(self, origin: Origin, at: datetime) -> bool:
        self._turn_the_page(at)
        self._this_minute[origin] += 1
        if origin.person_id is not None:
            return self._this_minute[origin] <= OF_ONE_PERSON
        if self._this_minute[origin] > OF_ONE_NETWORK or self._today >= OF_A_DAY:
            return False
        self._this_minute[None] += 1
        self._today += self._this_minute[None] <= OF_ALL_NETWORKS
        return self._this_minute[None] <= OF_ALL_NETWORKS

    def _turn_the_page(self, at: datetime) -> None:
        if self._minute is None or not self._minute <= at < self._minute + MINUTE:
            self._minute = at
            self._this_minute.clear()
        if self._day is None or not self._day <= at < self._day + DAY:
            self._day, self._today = at, 0

    def _count(self, origin: Origin, count: int, at: datetime) -> None:
        self._first_unwritten = self._first_unwritten or at
        if origin.person_id is None:
            others = [each for each in self._unwritten if each.person_id is None]
            if others and others[0] != origin:
                count += self._unwritten.pop(others[0])
                origin = Origin(None, SEVERAL)
        self._unwritten[origin] = self._unwritten.get(origin, 0) + count
