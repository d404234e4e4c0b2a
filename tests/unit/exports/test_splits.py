"""Patients and pictures never cross from one split to another."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.exports.splits import Split, split_of, splits
from storage.tables import Case
from tests.world import World

# By `printf "patient 0" | sha256sum`: the first byte over 256, where 0.8 is 0xcc and 0.9 is 0xe6.
IN_TRAIN, IN_VALIDATION, IN_TEST = "patient 0", "patient 44", "patient 1"  # cb, d0, fe


def _splits(world: World, *cases: Case) -> list[Split]:
    with world.store.read() as session:
        found = splits(session)
    return [found[case.id] for case in cases]


@pytest.mark.parametrize(
    ("key", "split"),
    [(IN_TRAIN, Split.TRAIN), (IN_VALIDATION, Split.VALIDATION), (IN_TEST, Split.TEST)],
)
def test_the_hash_of_the_patient_decides(key: str, split: Split) -> None:
    assert split_of(key) is split


def test_shares_are_80_10_10() -> None:
    counted = Counter(split_of(f"patient {number}") for number in range(10_000))
    assert abs(counted[Split.TRAIN] - 8000) < 160  # four standard deviations
    assert abs(counted[Split.VALIDATION] - 1000) < 120
    assert abs(counted[Split.TEST] - 1000) < 120


@given(st.text())
def test_every_key_has_a_split(key: str) -> None:
    assert split_of(key) in set(Split)


def test_all_cases_of_a_patient_are_in_one_split(world: World) -> None:
    reader, collection = world.person(), world.collection()
    other = world.collection("other")
    cases = [world.case(place, reader, patient="p") for place in (collection, other, collection)]
    assert len(set(_splits(world, *cases))) == 1


def test_patients_with_the_same_pixels_share_the_split_of_the_oldest(sqlite_world: World) -> None:
    world = sqlite_world
    reader, collection = world.person(), world.collection()
    first = world.case(collection, reader, patient=IN_TEST, pixels="x")
    second = world.case(collection, reader, patient=IN_TRAIN, pixels="x")
    third = world.case(collection, reader, patient=IN_TRAIN)
    assert _splits(world, first, second, third) == [Split.TEST] * 3


def test_a_picture_that_was_shown_twice_joins_its_cases(sqlite_world: World) -> None:
    world = sqlite_world
    reader, collection = world.person(), world.collection()
    first = world.case(collection, reader, patient=IN_VALIDATION)
    second = world.case(collection, reader, patient=IN_TRAIN)
    assert _splits(world, first, second) == [Split.VALIDATION, Split.TRAIN]
    for case in (first, second):
        world.draft(case, reader, pictures=[world.picture(5)])
    assert _splits(world, first, second) == [Split.VALIDATION, Split.VALIDATION]


def test_splits_stay_when_data_are_added(sqlite_world: World) -> None:
    world = sqlite_world
    reader, collection = world.person(), world.collection()
    cases = [world.case(collection, reader, patient=f"p{number}") for number in range(12)]
    before = _splits(world, *cases)
    for number in range(6, 18):
        world.case(collection, reader, patient=f"p{number}", pixels=f"new {number}")
    assert _splits(world, *cases) == before
