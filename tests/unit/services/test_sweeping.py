"""Objects that no row names: what a killed process left is removed, and nothing else."""

import logging
import os
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from storage.blobs import BlobStore
from storage.clock import utc_now
from storage.errors import StoreBusyError, TooMuchUnnamedError
from storage.keys import alone
from storage.sweeping import ALWAYS_SWEPT, UNDER_WAY, sweep
from storage.vocabulary import CaseState, Role
from tests.unit.services.world import World
from webapp.services.keeping import Keeping, Place

LATER = UNDER_WAY + timedelta(minutes=1)


def _kept(world: World) -> set[str]:
    return set(world.blobs.addresses())


def _later() -> datetime:
    return utc_now() + LATER


def test_what_no_row_names_is_removed_and_what_one_names_stays(world: World) -> None:
    reader = world.make_actor(Role.READER)
    films = world.make_collection(reader)
    world.make_case(films, reader)
    named = _kept(world)
    left = world.blobs.put(b"an original, as it was before a name was masked")

    assert sweep(world.store, world.blobs, _later()) == 1
    assert _kept(world) == named
    assert not world.blobs.exists(left)


def test_a_refused_study_leaves_nothing(world: World) -> None:
    reader = world.make_actor(Role.READER)
    films = world.make_collection(reader)
    world.make_case(films, reader, state=CaseState.REFUSED)

    assert sweep(world.store, world.blobs, _later()) == 2
    assert _kept(world) == set()


def test_objects_of_another_database_are_not_removed(world: World) -> None:
    for number in range(ALWAYS_SWEPT + 1):
        world.blobs.put(f"object {number} of a newer database".encode())

    with pytest.raises(TooMuchUnnamedError):
        sweep(world.store, world.blobs, _later())
    assert len(_kept(world)) == ALWAYS_SWEPT + 1


def test_what_is_on_its_way_stays(world: World) -> None:
    address = world.blobs.put(b"its row comes in a moment")

    assert sweep(world.store, world.blobs, utc_now() + UNDER_WAY - timedelta(minutes=1)) == 0
    assert world.blobs.exists(address)


def test_bytes_that_come_again_are_on_their_way_again(world: World) -> None:
    address = world.blobs.put(b"refused once")
    long_ago = (utc_now() - 2 * UNDER_WAY).timestamp()
    os.utime(world.blobs.path(address), (long_ago, long_ago))
    assert world.blobs.put(b"refused once") == address

    assert sweep(world.store, world.blobs, utc_now()) == 0
    assert world.blobs.exists(address)


def test_half_written_files_are_removed(world: World) -> None:
    world.blobs.put(b"whole")
    (folder,) = world.blobs.root.glob("??/??")
    half: Path = folder / f".{'ab' * 32}.0011223344556677"
    half.write_bytes(b"half")

    assert sweep(world.store, world.blobs, _later()) == 2
    assert not half.exists()


def test_while_something_comes_in_nothing_is_removed(world: World) -> None:
    address = world.blobs.put(b"nobody's")

    with alone(world.blobs.root, shared=True):
        assert sweep(world.store, world.blobs, _later()) == 0
    assert world.blobs.exists(address)


def test_a_place_where_nothing_was_stored_is_fine(world: World) -> None:
    assert sweep(world.store, world.blobs, _later()) == 0


@pytest.fixture
def keeping(world: World, tmp_path: Path) -> Keeping:
    place = Place(tmp_path, tmp_path / "keys.json", None, "", tmp_path / "heads")
    return Keeping(world.store, _later, place, world.blobs)


def test_the_log_has_the_count(
    world: World, keeping: Keeping, caplog: pytest.LogCaptureFixture
) -> None:
    world.blobs.put(b"nobody's")
    with caplog.at_level(logging.INFO):
        keeping.sweep_if_possible()
        keeping.sweep_if_possible()  # there is nothing more to say

    assert [(each.message, each.__dict__["count"]) for each in caplog.records] == [
        ("blobs.swept", 1)
    ]


def test_a_sweep_that_cannot_be_is_logged_and_tried_again_another_time(
    keeping: Keeping, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def busy(_store: object, _blobs: BlobStore, _at: datetime) -> int:
        raise StoreBusyError

    monkeypatch.setattr("webapp.services.keeping.sweep", busy)
    keeping.sweep_if_possible()

    assert [each.message for each in caplog.records] == ["blobs.not_swept"]
