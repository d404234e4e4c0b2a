"""From a parsed question to what goes back over HTTP, whoever computes it.

The HTTP side sees only `Answering`: one engine in its own process, or replicas elsewhere that each
run `replies` on theirs. What a reply holds is final, so that nothing but plain data crosses a
process boundary.
"""

import asyncio
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from inference.errors import InferenceError, RequestRefusedError
from inference.protocol import Ask, ServedModel
from inference.worker.answers import DONE, Answer, as_error
from inference.worker.engine.figures import Load
from inference.worker.engine.messages import Ended, Event, Piece, Started
from inference.worker.metrics import Metrics
from inference.worker.state import Served
from inference.worker.wire import BatteryRequest, ChatRequest, Wanted

if TYPE_CHECKING:  # the server answers before any model library is loaded
    from inference.worker.engine.battery import BatteryTicket
    from inference.worker.engine.engine import Ticket

KEEP_ALIVE_SECONDS = 10.0
KEEP_ALIVE = ": waiting\n\n"

TicketKind = TypeVar("TicketKind", "Ticket", "BatteryTicket")


@dataclass(frozen=True, slots=True)
class Refused:
    """The question was not taken in; `body` repeats nothing of it."""

    status: int
    body: dict[str, Any]

    @classmethod
    def because(cls, error: InferenceError) -> "Refused":
        """Put an error into OpenAI's shape."""
        return cls(*as_error(error))


@dataclass(frozen=True, slots=True)
class Whole:
    """The one answer to a question that wants no stream."""

    status: int
    body: dict[str, Any]


Reply = Refused | Whole | str  # str: server-sent events
Replies = AsyncGenerator[Reply, None]


class Answering(Protocol):
    """Whatever answers questions about one model."""

    @property
    def model(self) -> ServedModel:
        """What is served."""

    def replies(self, wanted: Wanted) -> Replies:
        """Answer; closing the iterator ends the computation.

        Yields one `Refused` or `Whole`, or the events of a stream; within a battery's stream
        a `Refused` stands for one question.
        """

    def load(self) -> Load:
        """How busy it is right now."""

    def condition(self) -> dict[str, Any]:
        """What `/health` adds, or says in place of the worker's own state."""

    def metrics(self, own: Metrics) -> str:
        """Return `own` and whatever else was counted, in Prometheus' text format."""

    def stop(self) -> None:
        """End what still runs."""


@dataclass(frozen=True, slots=True)
class OneEngine:
    """The engine of this process."""

    served: Served

    @property
    def model(self) -> ServedModel:
        """What is served."""
        return self.served.model

    def replies(self, wanted: Wanted) -> Replies:
        """Answer from this process; see `Answering.replies`."""
        return replies(self.served, wanted)

    def load(self) -> Load:
        """How busy the engine is right now."""
        return self.served.engine.load()

    def condition(self) -> dict[str, Any]:
        """Nothing: the worker's state says it all."""
        return {}

    def metrics(self, own: Metrics) -> str:
        """Return `own` with the engine's load."""
        return own.text(self.load())

    def stop(self) -> None:
        """End what still runs."""
        self.served.engine.stop(drain_seconds=0.0)


def replies(served: Served, wanted: Wanted) -> Replies:
    """Answer with this process's engine; see `Answering.replies`."""
    return _chat(served, wanted) if isinstance(wanted, ChatRequest) else _battery(served, wanted)


async def _chat(served: Served, wanted: ChatRequest) -> Replies:
    events: asyncio.Queue[Event] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def sink(event: Event) -> None:
        loop.call_soon_threadsafe(events.put_nowait, event)

    try:
        adapter = served.adapter_for(wanted.ask.model)
        submit = partial(served.engine.submit, wanted.ask, sink, adapter=adapter)
        ticket = await _handed_in(submit)
    except InferenceError as error:
        yield Refused.because(error)
        return
    answer = Answer(served, adapter=adapter, rule=ticket.rule.as_dict())
    try:
        if not wanted.stream:
            yield await _whole(answer, events)
            return
        yield answer.opening()
        while True:
            try:
                event = await asyncio.wait_for(events.get(), KEEP_ALIVE_SECONDS)
            except TimeoutError:
                yield KEEP_ALIVE
                continue
            match event:
                case Started():
                    answer.started = event
                case Piece(text):
                    yield answer.piece(text)
                case Ended():
                    yield answer.closing(event)
                    yield DONE
                    return
    finally:
        ticket.cancel()


async def _battery(served: Served, wanted: BatteryRequest) -> Replies:
    """Tell each question's answer, or its refusal, as it is there."""
    events: asyncio.Queue[tuple[int, Event]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def sink(number: int, event: Event) -> None:
        loop.call_soon_threadsafe(events.put_nowait, (number, event))

    refused: dict[int, InferenceError] = {}
    indices: list[int] = []  # of the questions that are handed in
    asked: list[tuple[Ask, str | None]] = []
    for index, found in enumerate(wanted.questions):
        try:
            if isinstance(found, RequestRefusedError):
                raise found
            asked.append((found, served.adapter_for(found.model)))
            indices.append(index)
        except InferenceError as error:
            refused[index] = error
    try:
        for adapter in {name for _, name in asked if name is not None}:
            await asyncio.to_thread(served.engine.adapters.load, adapter)
        ticket = await _handed_in(partial(served.engine.submit_battery, asked, sink))
    except InferenceError as error:
        yield Refused.because(error)
        return
    answers: dict[int, Answer] = {}
    for number, rule in enumerate(ticket.rules):
        if isinstance(rule, InferenceError):
            refused[indices[number]] = rule
        else:
            answers[number] = Answer(served, adapter=asked[number][1], rule=rule.as_dict())
    try:
        yield KEEP_ALIVE
        for index, reason in refused.items():
            status, body = as_error(reason)
            yield Refused(status, {"index": index, **body})
        while answers:
            try:
                number, event = await asyncio.wait_for(events.get(), KEEP_ALIVE_SECONDS)
            except TimeoutError:
                yield KEEP_ALIVE
                continue
            if isinstance(event, Started):
                answers[number].started = event
            if isinstance(event, Ended):
                yield answers.pop(number).numbered(indices[number], event)
        yield DONE
    finally:
        ticket.cancel()


async def _handed_in(submit: Callable[[], TicketKind]) -> TicketKind:
    """Hand in what may take a while; if its asker leaves meanwhile, cancel it once it is in."""
    handing_in = asyncio.ensure_future(asyncio.to_thread(submit))
    try:
        return await asyncio.shield(handing_in)
    except asyncio.CancelledError:
        handing_in.add_done_callback(_cancel)
        raise


def _cancel(handed_in: "asyncio.Future[TicketKind]") -> None:
    if not handed_in.cancelled() and handed_in.exception() is None:
        handed_in.result().cancel()


async def _whole(answer: Answer, events: asyncio.Queue[Event]) -> Whole:
    while True:
        event = await events.get()
        if isinstance(event, Started):
            answer.started = event
        if isinstance(event, Ended):
            if event.error is not None:
                return Whole(*as_error(event.error))
            return Whole(200, answer.whole(event))
