"""Questions that were handed in together: a few hold places, and pass them on as they end."""

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from inference.errors import InferenceError
from inference.worker.engine.messages import Ended, Event, Sink
from inference.worker.engine.request import Request
from inference.worker.engine.sampling import Rule

NumberedSink = Callable[[int, Event], None]  # called from the engine's thread; must not block


@dataclass(frozen=True, slots=True)
class BatteryTicket:
    """Questions that were taken in, each with its decoding parameters or its refusal."""

    rules: tuple[Rule | InferenceError, ...]
    cancel: Callable[[], None]  # from any thread; ends all computations within one token


class Battery:
    """What is left of a battery. Places are passed on in the engine's thread."""

    def __init__(self, put: Callable[[Request], None], sink: NumberedSink) -> None:
        self._put = put
        self._sink = sink
        self._lock = threading.Lock()
        self._waiting: deque[Request] = deque()
        self._requests: list[Request] = []

    def sink(self, index: int) -> Sink:
        """Return where the events of one question go."""

        def relay(event: Event) -> None:
            try:
                self._sink(index, event)
            finally:
                if isinstance(event, Ended):
                    self.put(1)

        return relay

    def add(self, request: Request) -> None:
        """Let a prepared question wait for its place."""
        self._requests.append(request)
        self._waiting.append(request)

    def put(self, places: int) -> None:
        """Hand the next questions in."""
        for _ in range(places):
            with self._lock:
                if not self._waiting:
                    return
                request = self._waiting.popleft()
            self._put(request)

    def cancel(self) -> None:
        """End every question, whether it has a place or not."""
        for request in self._requests:
            request.cancelled = True
