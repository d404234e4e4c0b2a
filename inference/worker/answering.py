"""From a parsed question to what goes back over HTTP, whoever computes it.

The HTTP side sees only `Answering`: one engine in its own process, or replicas elsewhere that each
run `replies` on theirs. What a reply holds is final, so that nothing but plain data crosses a
process boundary.
"""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from inference.errors import InferenceError
from inference.protocol import ServedModel
from inference.worker.answers import DONE, Answer, as_error
from inference.worker.engine.figures import Load
from inference.worker.engine.messages import Ended, Event, Piece, Sink, Started
from inference.worker.metrics import Metrics
from inference.worker.state import Served
from inference.worker.wire import ChatRequest

if TYPE_CHECKING:  # the server answers before any model library is loaded
    from inference.worker.engine.engine import Engine, Ticket

KEEP_ALIVE_SECONDS = 10.0
KEEP_ALIVE = ": waiting\n\n"

Events = asyncio.Queue[Event]


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

    def replies(self, wanted: ChatRequest) -> Replies:
        """Answer; closing the iterator ends the computation.

        Yields one `Refused` or `Whole`, or the events of a stream.
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

    def replies(self, wanted: ChatRequest) -> Replies:
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


async def replies(served: Served, wanted: ChatRequest) -> Replies:
    """Answer with this process's engine; see `Answering.replies`."""
    events: Events = asyncio.Queue()
    loop = asyncio.get_running_loop()

    def sink(event: Event) -> None:
        loop.call_soon_threadsafe(events.put_nowait, event)

    try:
        adapter = served.adapter_for(wanted.ask.model)
        ticket = await _submit(served.engine, wanted, sink, adapter)
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


async def _submit(
    engine: "Engine", wanted: ChatRequest, sink: Sink, adapter: str | None
) -> "Ticket":
    """Hand a question in; one whose asker leaves meanwhile is cancelled once it is in."""
    handing_in = asyncio.ensure_future(
        asyncio.to_thread(engine.submit, wanted.ask, sink, adapter=adapter)
    )
    try:
        return await asyncio.shield(handing_in)
    except asyncio.CancelledError:
        handing_in.add_done_callback(_cancel)
        raise


def _cancel(handed_in: "asyncio.Future[Ticket]") -> None:
    if not handed_in.cancelled() and handed_in.exception() is None:
        handed_in.result().cancel()


async def _whole(answer: Answer, events: Events) -> Whole:
    while True:
        event = await events.get()
        if isinstance(event, Started):
            answer.started = event
        if isinstance(event, Ended):
            if event.error is not None:
                return Whole(*as_error(event.error))
            return Whole(200, answer.whole(event))
