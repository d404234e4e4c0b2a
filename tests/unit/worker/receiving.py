"""What a caller of the engine does with its events, for tests."""

import queue

from inference.protocol import Ask
from inference.worker.engine.engine import Engine, Ticket
from inference.worker.engine.messages import Ended, Event, Piece, Started


class Receiver:
    """Hands a question in and collects what comes back."""

    def __init__(
        self, engine: Engine, ask: Ask, adapter: str | None = None, *, patience: float = 20
    ) -> None:
        self._patience = patience  # seconds without any event
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.started: Started | None = None
        self.pieces: list[str] = []
        self.ticket: Ticket = engine.submit(ask, self._events.put, adapter=adapter)

    def next(self) -> Event:
        """Wait for one event."""
        event = self._events.get(timeout=self._patience)
        if isinstance(event, Started):
            self.started = event
        if isinstance(event, Piece):
            self.pieces.append(event.text)
        return event

    def until_started(self) -> None:
        """Wait until the prompt is computed."""
        while self.started is None:
            self.next()

    def until_piece(self) -> None:
        """Wait until some text has come."""
        while not self.pieces:
            self.next()

    def ended(self) -> Ended:
        """Wait for the last word."""
        while True:
            event = self.next()
            if isinstance(event, Ended):
                return event
