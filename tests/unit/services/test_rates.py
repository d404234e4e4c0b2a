"""How often one person and one network may do what costs the machine much."""

from dataclasses import replace
from datetime import timedelta
from uuid import UUID

import pytest

from storage.vocabulary import Role
from tests.unit.services.world import Clock
from webapp.services import rates as module
from webapp.services.actor import Actor
from webapp.services.errors import TooManyRequestsError
from webapp.services.rates import LIMITS, Limit, Paced, Rate, Rates

ANNA = Actor(UUID(int=1), "anna", Role.READER, "session", came_from="192.0.2.0/24")
BEN = replace(ANNA, id=UUID(int=2), name="ben")
FAR_BEN = replace(BEN, came_from="198.51.100.0/24")
A_MINUTE = timedelta(minutes=1)
THREE_AND_FIVE = Limit(Rate(3, A_MINUTE), Rate(5, A_MINUTE), "a test counts them")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rates(clock: Clock) -> Rates:
    return Rates(clock, dict.fromkeys(Paced, THREE_AND_FIVE))


def waits(rates: Rates, actor: Actor, times: int, what: Paced = Paced.QUESTIONS) -> list[int]:
    return [rates.wait(actor, what) for _ in range(times)]


def test_so_many_at_once_then_evenly(rates: Rates, clock: Clock) -> None:
    assert waits(rates, ANNA, 5) == [0, 0, 0, 20, 20]
    clock.forward(seconds=19)
    assert waits(rates, ANNA, 1) == [1]
    clock.forward(seconds=1)
    assert waits(rates, ANNA, 2) == [0, 20]
    clock.forward(minutes=10)
    assert waits(rates, ANNA, 4) == [0, 0, 0, 20]


def test_one_person_uses_up_nothing_of_anothers_elsewhere(rates: Rates) -> None:
    waits(rates, ANNA, 9)
    assert waits(rates, FAR_BEN, 3) == [0, 0, 0]


def test_a_network_has_a_limit_of_its_own(rates: Rates) -> None:
    assert waits(rates, ANNA, 3) == [0, 0, 0]
    assert waits(rates, BEN, 3) == [0, 0, 12]
    assert waits(rates, FAR_BEN, 2) == [0, 20]  # what was refused was not counted


def test_kinds_are_counted_apart(rates: Rates) -> None:
    assert [waits(rates, ANNA, 1, what) for what in Paced] == [[0], [0], [0], [0]]
    waits(rates, ANNA, 2)
    assert waits(rates, ANNA, 1) == [20]


def test_the_command_line_is_not_counted(rates: Rates) -> None:
    assert set(waits(rates, replace(ANNA, via="cli"), 20)) == {0}


def test_a_refusal_has_a_sentence(rates: Rates) -> None:
    waits(rates, ANNA, 3)
    with pytest.raises(TooManyRequestsError) as refusal:
        rates.check(ANNA, Paced.QUESTIONS)
    assert str(refusal.value) == "Too many questions in a short time. Try again in 20 seconds."
    assert (refusal.value.code, refusal.value.wait_seconds) == ("too_many_requests", 20)


def test_memory_stays_bounded_and_lets_people_in(
    rates: Rates, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 4)
    waits(rates, ANNA, 3)
    clock.forward(hours=1)
    for number in range(10, 20):
        assert waits(rates, replace(ANNA, id=UUID(int=number), came_from=""), 1) == [0]
    assert len(rates._due) == 4


def test_every_kind_has_a_limit_with_a_reason_and_a_wider_one_for_a_network() -> None:
    assert set(LIMITS) == set(Paced)
    for limit in LIMITS.values():
        assert limit.reason
        assert limit.network.period == limit.person.period
        assert limit.network.times >= 3 * limit.person.times
