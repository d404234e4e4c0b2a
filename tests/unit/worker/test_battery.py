"""Several questions about one study, handed in at once."""

import queue
from dataclasses import replace

import pytest
import torch
from PIL import Image

from inference.errors import InferenceError, RequestRefusedError, WorkerBusyError
from inference.protocol import Ask
from inference.worker.engine.battery import BatteryTicket
from inference.worker.engine.engine import Engine
from inference.worker.engine.figures import Outcome
from inference.worker.engine.messages import Ended, Event, Started
from tests.unit.worker.conftest import SMALL, StartEngine
from tests.unit.worker.fake import FakeModel
from tests.unit.worker.plain import plain_answer
from tests.unit.worker.receiving import Receiver
from tests.unit.worker.samples import question

FINDINGS = [f"finding {n}?" for n in range(14)]


class CountingModel(FakeModel):
    """Counts how often pixels are prepared."""

    def __init__(self) -> None:
        super().__init__(eos=False)
        self.prepared = 0

    def pixel_values(self, image: Image.Image) -> torch.Tensor:
        self.prepared += 1
        return super().pixel_values(image)


class _Battery:
    """Hands questions in and collects what comes back."""

    def __init__(self, engine: Engine, asks: list[Ask]) -> None:
        self.events: queue.SimpleQueue[tuple[int, Event]] = queue.SimpleQueue()
        self.started: dict[int, Started] = {}
        self.order: list[int] = []
        self.ticket: BatteryTicket = engine.submit_battery(
            [(ask, None) for ask in asks], lambda index, event: self.events.put((index, event))
        )

    def ended(self, count: int) -> dict[int, Ended]:
        """Wait until so many have ended."""
        found: dict[int, Ended] = {}
        while len(found) < count:
            index, event = self.events.get(timeout=20)
            if isinstance(event, Started):
                self.started[index] = event
            if isinstance(event, Ended):
                found[index] = event
                self.order.append(index)
        return found


def test_every_question_gets_its_own_answer(start_engine: StartEngine) -> None:
    model = CountingModel()
    outcomes: list[Outcome] = []
    engine = start_engine(model, on_end=outcomes.append)
    asks = [question(text, 1, max_tokens=6 + n) for n, text in enumerate(FINDINGS)]
    battery = _Battery(engine, asks)
    ended = battery.ended(14)
    assert model.prepared == 1
    assert len(model.looked) == 1
    for index, ask in enumerate(asks):
        assert ended[index].token_ids == plain_answer(model, ask, 6 + index)
    assert len(outcomes) == 14


def test_the_study_is_computed_once(model: FakeModel, engine: Engine) -> None:
    battery = _Battery(engine, [question(text, 1, max_tokens=4) for text in FINDINGS])
    battery.ended(14)
    cached = [battery.started[index].cached_tokens for index in range(14)]
    shared = len(model.encode("USER: <image>\nfinding ")) - 1 + model.limits.image_tokens
    assert cached[0] == 0
    assert all(count >= shared for count in cached[1:])


def test_short_answers_come_before_long_ones(engine: Engine) -> None:
    asks = [question("a", 1, max_tokens=40), question("b", 1, max_tokens=2)]
    battery = _Battery(engine, asks)
    battery.ended(2)
    assert battery.order == [1, 0]


def test_a_refused_question_leaves_the_others_alone(engine: Engine) -> None:
    good = question("fine", 1, max_tokens=4)
    bad = replace(good, stop=("",))
    battery = _Battery(engine, [bad, good, bad, good])
    refused = battery.ticket.rules[0]
    assert isinstance(refused, RequestRefusedError)
    assert [isinstance(rule, InferenceError) for rule in battery.ticket.rules] == [
        True,
        False,
        True,
        False,
    ]
    assert sorted(battery.ended(2)) == [1, 3]


def test_a_battery_larger_than_the_queue_passes_its_places_on(
    model: FakeModel, start_engine: StartEngine
) -> None:
    engine = start_engine(model, replace(SMALL, max_running=2, max_queued=3))
    asks = [question(text, 1, max_tokens=5) for text in FINDINGS]
    ended = _Battery(engine, asks).ended(14)
    assert [ended[n].token_ids for n in range(14)] == [plain_answer(model, ask, 5) for ask in asks]


def test_a_battery_leaves_places_for_others(model: FakeModel, start_engine: StartEngine) -> None:
    engine = start_engine(model, replace(SMALL, max_running=2, max_queued=3))
    battery = _Battery(engine, [question(text, 1, max_tokens=200) for text in FINDINGS])
    single = Receiver(engine, question("beside", max_tokens=1))
    battery.ticket.cancel()
    assert single.ended().finish_reason == "length"
    battery.ended(14)


def test_a_battery_is_refused_only_if_not_one_question_fits(
    model: FakeModel, start_engine: StartEngine
) -> None:
    engine = start_engine(model, replace(SMALL, max_running=1, max_queued=2))
    first = Receiver(engine, question("talk for long", max_tokens=400))
    first.until_piece()
    waiting = Receiver(engine, question("wait", max_tokens=1))
    asks = [question(text, max_tokens=1) for text in FINDINGS]
    battery = _Battery(engine, asks)  # one place is left
    with pytest.raises(WorkerBusyError):
        _Battery(engine, asks)
    first.ticket.cancel()
    waiting.ended()
    assert len(battery.ended(14)) == 14


def test_cancelling_ends_all_of_them(model: FakeModel, start_engine: StartEngine) -> None:
    engine = start_engine(model, replace(SMALL, max_running=3))
    battery = _Battery(engine, [question(text, 1, max_tokens=400) for text in FINDINGS])
    while not battery.started:
        index, event = battery.events.get(timeout=20)
        if isinstance(event, Started):
            battery.started[index] = event
    battery.ticket.cancel()
    ended = battery.ended(14)
    assert {each.finish_reason for each in ended.values()} == {"cancelled"}
    assert engine.load().running == 0
    assert len(model.passes) < 100


def test_stopping_drains_what_a_battery_has_left(
    model: FakeModel, start_engine: StartEngine
) -> None:
    engine = start_engine(model, replace(SMALL, max_running=2))
    asks = [question(text, 1, max_tokens=3) for text in FINDINGS]
    battery = _Battery(engine, asks)
    assert engine.stop(drain_seconds=20)
    assert {each.finish_reason for each in battery.ended(14).values()} == {"length"}


def test_stopping_at_once_ends_what_a_battery_has_left(
    model: FakeModel, start_engine: StartEngine
) -> None:
    engine = start_engine(model, replace(SMALL, max_running=2))
    battery = _Battery(engine, [question(text, 1, max_tokens=400) for text in FINDINGS])
    assert not engine.stop(drain_seconds=0.0)
    assert {each.finish_reason for each in battery.ended(14).values()} == {"cancelled"}


def test_a_lost_accelerator_ends_what_a_battery_has_left(start_engine: StartEngine) -> None:
    model = FakeModel(eos=False)

    def lose(*_: object) -> None:
        raise torch.AcceleratorError("gone")

    lost: list[bool] = []
    engine = start_engine(model, replace(SMALL, max_running=2), on_lost=lambda: lost.append(True))
    model.decoder.register_forward_pre_hook(lose)
    ended = _Battery(engine, [question(text, 1) for text in FINDINGS]).ended(14)
    assert {each.finish_reason for each in ended.values()} == {"error"}
