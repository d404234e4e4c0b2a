"""What is served, and whether the parts answer."""

import asyncio
import shutil

import anyio
import pytest

from inference.errors import WorkerUnavailableError
from storage.vocabulary import Role
from tests.unit.services.fake_worker import FakeWorker
from tests.unit.services.world import World
from webapp.services.errors import NotSignedInError
from webapp.services.serving import Serving


@pytest.fixture
def worker() -> FakeWorker:
    return FakeWorker()


@pytest.fixture
def serving(world: World, worker: FakeWorker) -> Serving:
    world.blobs.put(b"makes the folder")
    return Serving(world.store, world.blobs, worker, world.clock)


def test_everybody_signed_in_sees_the_models(world: World, serving: Serving) -> None:
    (model,) = serving.models(world.make_actor(Role.TRAINEE))
    assert (model.id, model.family, model.adapters) == (
        "overread-demo",
        "overread-demo",
        ("chest-v2",),
    )
    with pytest.raises(NotSignedInError):
        serving.models(None)


def test_models_of_a_worker_that_is_down_are_refused(
    world: World, serving: Serving, worker: FakeWorker
) -> None:
    worker.down = WorkerUnavailableError()
    with pytest.raises(WorkerUnavailableError):
        serving.models(world.make_actor(Role.READER))


def test_all_parts_answer(serving: Serving) -> None:
    ready = serving.ready()
    assert (ready.database, ready.blobs, ready.worker, ready.ready) == (True, True, True, True)
    assert ready.worker_reason == ""
    assert ready.details == {"model": "overread-demo"}


def test_people_can_work_while_the_model_is_away(serving: Serving, worker: FakeWorker) -> None:
    worker.down = WorkerUnavailableError()
    ready = serving.ready()
    assert (ready.ready, ready.worker, ready.worker_reason) == (True, False, "nothing answers")


def test_missing_blobs_are_noticed(world: World, serving: Serving) -> None:
    shutil.rmtree(world.blobs.root)
    ready = serving.ready()
    assert (ready.blobs, ready.ready) == (False, False)


async def test_thread_of_a_request_asks_on_the_loop_that_serves_it(serving: Serving) -> None:
    ready = await anyio.to_thread.run_sync(serving.ready)
    assert ready.worker


async def test_other_threads_make_do_with_what_was_seen_last(
    serving: Serving, worker: FakeWorker
) -> None:
    await anyio.to_thread.run_sync(serving.ready)
    worker.down = WorkerUnavailableError()
    ready = await asyncio.to_thread(serving.ready)
    assert ready.worker
