"""What every use case shares: one transaction with its event, whatever happens inside."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from typing import Any

import pytest

from storage.audit_check import check_chain
from storage.errors import StaleRevisionError, StorageFullError
from storage.tables import Collection, Review
from storage.vocabulary import Protocol, Role
from tests.unit.services.world import World, done
from webapp.services.collections import Collections, make_collection
from webapp.services.policy import Action
from webapp.services.reading import Reading
from webapp.services.reviewing import Reviewing, ReviewInput
from webapp.services.views import ReviewView
from webapp.services.work import use_case


def at_once(*calls: Callable[[], ReviewView]) -> list[Any]:
    """Run the calls in threads; return each result, or the refusal it raised."""

    def outcome(call: Callable[[], ReviewView]) -> object:
        try:
            return call()
        except StaleRevisionError as refusal:
            return refusal

    with ThreadPoolExecutor(len(calls)) as threads:
        return list(threads.map(outcome, calls))


def test_unexpected_failure_undoes_the_change_and_leaves_an_event(world: World) -> None:
    service = Collections(world.store, world.clock)
    reader = world.make_actor(Role.READER)

    def breaks() -> None:
        with use_case(service, reader, Action.ENSURE_COLLECTION) as work:
            make_collection(work.session, work.actor, "Chest", Protocol.AI_FIRST, work.at)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        breaks()
    assert world.rows(Collection) == []
    assert world.events() == [("collection.ensured", "failed", "")]


def test_event_tells_who_when_and_in_which_request(world: World) -> None:
    reader = world.make_actor(Role.READER)
    Collections(world.store, world.clock).list(reader)
    event = world.last_event()
    assert (event.actor_id, event.role, event.at) == (reader.id, "reader", world.clock())
    assert (event.request_id, event.app_version) == ("request-1", version("overread"))
    with world.store.read() as session:
        assert check_chain(session, {}).broken is None


def test_full_disk_is_said_to_be_so_and_what_was_saved_stays(world: World) -> None:
    reader = world.make_actor(Role.READER)
    case = world.make_case(world.make_collection(reader), reader)
    reading = Reading(world.store, world.clock)
    reading.save_progress(reader, case.id, {"text": "kept"})
    with world.store.engine.connect() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 2}")
    with pytest.raises(StorageFullError, match="Nothing was changed"):
        reading.save_progress(reader, case.id, {"text": "x" * 100_000})
    assert reading.progress(reader, case.id) == {"text": "kept"}


def test_double_submit_at_the_same_moment_saves_once(world: World) -> None:
    reader = world.make_actor(Role.READER)
    draft = world.make_draft(world.make_case(world.make_collection(reader), reader), reader)
    reviewing = Reviewing(world.store, world.clock)
    first, second = at_once(
        *[lambda: reviewing.submit(reader, draft.id, ReviewInput("k", 0)) for _ in range(2)]
    )
    assert first == second
    assert len(world.rows(Review)) == 1
    assert world.events() == [done("review.submitted")] * 2


def test_of_two_windows_deciding_at_once_one_is_told(world: World) -> None:
    reader = world.make_actor(Role.READER)
    draft = world.make_draft(world.make_case(world.make_collection(reader), reader), reader)
    reviewing = Reviewing(world.store, world.clock)
    outcomes = at_once(
        lambda: reviewing.submit(reader, draft.id, ReviewInput("a", 0)),
        lambda: reviewing.submit(reader, draft.id, ReviewInput("b", 0, verdict="reject")),
    )
    assert sorted(isinstance(outcome, StaleRevisionError) for outcome in outcomes) == [False, True]
    assert len(world.rows(Review)) == 1
