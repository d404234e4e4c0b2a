"""Stopping and refusing: at once, and one request's business only."""

import threading

import pytest

from inference.errors import RequestRefusedError, WorkerBusyError, WorkerUnavailableError
from inference.worker.engine.config import EngineConfig
from inference.worker.engine.engine import Engine
from inference.worker.engine.figures import Outcome
from inference.worker.engine.messages import Event
from tests.unit.worker.conftest import SMALL, StartEngine
from tests.unit.worker.fake import IMAGE_TOKENS, FakeModel
from tests.unit.worker.plain import plain_answer
from tests.unit.worker.receiving import Receiver
from tests.unit.worker.samples import question


def test_after_cancel_the_decoder_runs_at_most_once_more(model: FakeModel, engine: Engine) -> None:
    receiver = Receiver(engine, question("talk for long", max_tokens=400))
    receiver.until_piece()
    receiver.ticket.cancel()
    passes = len(model.passes)
    ended = receiver.ended()
    assert ended.finish_reason == "cancelled"
    assert len(model.passes) - passes <= 1
    assert engine.load().running == 0


def test_a_cancelled_place_is_taken_at_once(model: FakeModel, start_engine: StartEngine) -> None:
    engine = start_engine(model, EngineConfig(max_running=1, kv_bytes=SMALL.kv_bytes))
    first = Receiver(engine, question("talk for long", max_tokens=400))
    first.until_piece()
    second = Receiver(engine, question("next", max_tokens=3))
    first.ticket.cancel()
    assert second.ended().token_ids == plain_answer(model, question("next"), 3)


def test_a_waiting_request_can_be_cancelled(model: FakeModel, start_engine: StartEngine) -> None:
    engine = start_engine(model, EngineConfig(max_running=1, kv_bytes=SMALL.kv_bytes))
    first = Receiver(engine, question("talk for long", max_tokens=300))
    first.until_piece()
    second = Receiver(engine, question("never mind"))
    second.ticket.cancel()
    ended = second.ended()
    assert (ended.finish_reason, ended.text) == ("cancelled", "")
    assert first.ended().finish_reason == "length"


def test_leaving_from_the_middle_of_a_batch_leaves_the_others_alone(
    model: FakeModel, engine: Engine
) -> None:
    asks = [question(f"request {n}", n % 3, max_tokens=40) for n in range(5)]
    receivers = [Receiver(engine, ask) for ask in asks]
    for receiver in receivers:
        receiver.until_piece()
    receivers[1].ticket.cancel()
    receivers[3].ticket.cancel()
    for n in (0, 2, 4):
        assert receivers[n].ended().token_ids == plain_answer(model, asks[n], 40)


def test_a_receiver_that_is_gone_stops_its_request(model: FakeModel, engine: Engine) -> None:
    called = threading.Event()

    def sink(_: Event) -> None:
        called.set()
        raise RuntimeError("Event loop is closed")

    engine.submit(question("is anybody there", max_tokens=400), sink)
    assert called.wait(10)
    Receiver(engine, question("next", max_tokens=2)).ended()
    assert engine.load().running == 0
    assert len(model.passes) < 20


def test_a_full_queue_refuses_one_more(model: FakeModel, start_engine: StartEngine) -> None:
    config = EngineConfig(max_running=1, max_queued=2, kv_bytes=SMALL.kv_bytes)
    engine = start_engine(model, config)
    first = Receiver(engine, question("talk for long", max_tokens=400))
    first.until_piece()
    waiting = [Receiver(engine, question("wait", max_tokens=1)) for _ in range(2)]
    with pytest.raises(WorkerBusyError):
        Receiver(engine, question("one too many"))
    first.ticket.cancel()
    for receiver in waiting:
        receiver.ended()
    assert Receiver(engine, question("room again", max_tokens=1)).ended().text is not None


def test_a_request_that_memory_cannot_hold_is_refused(
    model: FakeModel, start_engine: StartEngine
) -> None:
    engine = start_engine(model, EngineConfig(kv_bytes=40_000))
    with pytest.raises(RequestRefusedError, match="memory"):
        Receiver(engine, question("x" * 100, max_tokens=100))


def test_requests_that_do_not_fit_together_wait_for_each_other(
    model: FakeModel, start_engine: StartEngine
) -> None:
    position_bytes = 2 * 2 * 2 * 12 * 4  # layers, keys and values, heads, size, float32
    engine = start_engine(model, EngineConfig(kv_bytes=2 * 64 * position_bytes))
    asks = [question(f"number {n}", max_tokens=20) for n in range(5)]
    for receiver, ask in zip([Receiver(engine, a) for a in asks], asks, strict=True):
        assert receiver.ended().token_ids == plain_answer(model, ask, 20)
    assert engine.load().slot_bytes <= 2 * 64 * position_bytes


def test_stopping_finishes_what_was_taken_in_and_refuses_the_rest(
    model: FakeModel, start_engine: StartEngine
) -> None:
    engine = start_engine(model)
    asks = [question(f"request {n}", max_tokens=20) for n in range(12)]
    receivers = [Receiver(engine, ask) for ask in asks]
    assert engine.stop(drain_seconds=20)
    for receiver, ask in zip(receivers, asks, strict=True):
        assert receiver.ended().token_ids == plain_answer(model, ask, 20)
    with pytest.raises(WorkerUnavailableError):
        Receiver(engine, question("too late"))


def test_stopping_ends_what_takes_too_long(engine: Engine) -> None:
    receivers = [Receiver(engine, question("talk for long", max_tokens=450)) for _ in range(9)]
    receivers[0].until_piece()
    assert not engine.stop(drain_seconds=0.0)
    assert {receiver.ended().finish_reason for receiver in receivers} == {"cancelled"}


def test_every_ending_is_reported_with_its_numbers(
    model: FakeModel, start_engine: StartEngine
) -> None:
    outcomes: list[Outcome] = []
    engine = start_engine(model, on_end=outcomes.append)
    Receiver(engine, question("hello", 1, max_tokens=5)).ended()
    outcome = outcomes[0]
    assert outcome.finish_reason == "length"
    assert outcome.completion_tokens == 5
    assert outcome.prompt_tokens == len(b"USER: \nhello\nASSISTANT:") + 1 + IMAGE_TOKENS
    assert outcome.error is None
    timing = outcome.timing
    assert timing.first_token_ms is not None
    assert 0 <= timing.queue_ms <= timing.first_token_ms <= timing.total_ms
