"""The engine as everyone else sees it: hand a question in, be told how it goes.

One thread owns the weights and runs the scheduler. Questions are prepared in the thread that
hands them in; events come back through the sink it gives.
"""

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from inference.errors import (
    AnswerFailedError,
    InferenceError,
    RequestRefusedError,
    WorkerBusyError,
    WorkerUnavailableError,
)
from inference.families.base import LoadedModel
from inference.protocol import Ask
from inference.worker.adapters import Adapters
from inference.worker.engine.battery import Battery, BatteryTicket, NumberedSink
from inference.worker.engine.config import EngineConfig
from inference.worker.engine.detokenise import Detokeniser
from inference.worker.engine.features import FeatureCache
from inference.worker.engine.figures import Load, Outcome
from inference.worker.engine.grammars import Grammars, sha256_of
from inference.worker.engine.messages import Ended, Event, FinishReason, Piece, Sink, Started
from inference.worker.engine.prepare import Album, Preparer, Prompt
from inference.worker.engine.request import Request
from inference.worker.engine.runner import Runner
from inference.worker.engine.sampling import Rule, resolve
from inference.worker.engine.scheduler import Scheduler
from inference.worker.engine.vocabulary import Vocabulary
from inference.worker.memory import used_bytes
from inference.worker.pictures import digest

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ticket:
    """A question that was taken in."""

    rule: Rule  # decoding parameters with nothing left open
    cancel: Callable[[], None]  # from any thread; ends the computation within one token


class Engine:
    """Continuous batching over one loaded model."""

    def __init__(
        self,
        model: LoadedModel,
        config: EngineConfig,
        *,
        adapters: Adapters | None = None,
        on_end: Callable[[Outcome], None] = lambda _: None,
        on_lost: Callable[[], None] = lambda: None,
    ) -> None:
        self.model = model
        self.adapters = adapters or Adapters(model)
        self.features = FeatureCache(config.feature_bytes)
        self._config = config
        self._runner = Runner(model, self.adapters, kv_bytes=config.kv_bytes)
        self._scheduler = Scheduler(model, self._runner, self.features, config, on_end=on_end)
        vocabulary = Vocabulary(
            encode=model.encode, decode=model.decode, size=_vocabulary_size(model)
        )
        self._grammars = Grammars(model)
        self._preparer = Preparer(model, vocabulary, self.features)
        self._inbox: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._on_lost = on_lost
        self._gate = threading.Lock()  # nothing enters the inbox once closing is set
        self._closing = threading.Event()
        self._abandoned = threading.Event()
        self._thread = threading.Thread(target=self._run, name="engine", daemon=True)

    def start(self) -> None:
        """Start the engine's thread."""
        self._thread.start()

    def submit(self, ask: Ask, sink: Sink, *, adapter: str | None = None) -> Ticket:
        """Take a question in.

        Args:
            ask: `ask.model` is not looked at; `adapter` says what to answer with.
            sink: Called from the engine's thread with `Started`, `Piece`s and one `Ended`.
            adapter: Name of a loaded adapter, or None for the base weights.

        Raises:
            RequestRefusedError: the question cannot be answered as it is.
            WorkerBusyError: the queue is full.
            WorkerUnavailableError: the engine is stopping.
            AnswerFailedError: the question made the family's own code fail.
        """
        if self._room() < 1:
            raise WorkerBusyError
        request = self._request(ask, sink, adapter)

        def cancel() -> None:
            request.cancelled = True

        self._enter(lambda: self._inbox.put(request))
        return Ticket(request.rule, cancel)

    def submit_battery(
        self, questions: Sequence[tuple[Ask, str | None]], sink: NumberedSink
    ) -> BatteryTicket:
        """Take several questions in, best about one study.

        A battery holds as many places in the queue as there are free, at most as many as one
        batch has, and keeps them until its last question: as one ends, the next takes its place.

        Args:
            questions: Each with the name of the adapter to answer with.
            sink: As for `submit`, with the question's index before the event; nothing comes for
                a question that is refused.

        Raises:
            WorkerBusyError: the queue has not one place left.
            WorkerUnavailableError: the engine is stopping.
        """
        room = min(self._room(), self._config.max_running)
        if room < 1:
            raise WorkerBusyError
        battery, album = Battery(self._inbox.put, sink), Album()
        rules: list[Rule | InferenceError] = []
        for index, (ask, adapter) in enumerate(questions):
            try:
                request = self._request(ask, battery.sink(index), adapter, album)
            except InferenceError as error:
                rules.append(error)
            else:
                rules.append(request.rule)
                battery.add(request)
        self._enter(lambda: battery.put(room))
        return BatteryTicket(tuple(rules), battery.cancel)

    def answer(self, ask: Ask, *, adapter: str | None = None) -> tuple[Started, Ended]:
        """Take a question in and wait for the whole answer.

        Raises:
            InferenceError: as `submit`, or what ended the request.
        """
        events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.submit(ask, events.put, adapter=adapter)
        started: Started | None = None
        while True:
            match events.get():
                case Started() as started:
                    pass
                case Ended(error=InferenceError() as error):
                    raise error
                case Ended() as ended if started is not None:
                    return started, ended
                case Ended():
                    raise WorkerUnavailableError("it is stopping")
                case Piece():
                    pass

    def features_of(self, data: bytes) -> torch.Tensor:
        """Return the features [image_tokens, hidden] last computed for an image's bytes.

        Raises:
            RequestRefusedError: the image was not asked about, or too long ago.
        """
        features = self.features.get(digest(data))
        if features is None:
            raise RequestRefusedError("The image's features are no longer kept.")
        return features

    def load(self) -> Load:
        """How busy the engine is right now."""
        scheduler = self._scheduler
        return Load(
            queued=self._queued(),
            running=scheduler.batch.running,
            slot_bytes=self._runner.slots.nbytes,
            prefix_bytes=scheduler.batch.prefixes.nbytes,
            feature_bytes=self.features.nbytes,
            memory_bytes=used_bytes(self.model.device),
        )

    def _request(
        self, ask: Ask, sink: Sink, adapter: str | None, album: Album | None = None
    ) -> Request:
        """Prepare a question; raises as `submit` does."""
        rule = resolve(ask.decoding, self.model.default_decoding)
        prompt = self._prepare(ask, album)
        room = self.model.limits.context - len(prompt.keys)
        rule = replace(
            rule,
            max_tokens=min(rule.max_tokens, room),
            stop=ask.stop,
            explain_tokens=min(ask.explain_tokens, room - prompt.longest_opening),
            json_schema_sha256=sha256_of(ask.json_schema) if ask.json_schema else "",
        )
        detokeniser = Detokeniser(
            self._preparer.decode, stop=ask.stop, decode_open=self._preparer.decode_open
        )
        path = self._grammars.begin(ask.json_schema) if ask.json_schema else None
        request = Request(prompt, rule, adapter, sink, detokeniser, path)
        if not self._runner.slots.fits(1, request.reserve):
            raise RequestRefusedError("The conversation is too long for this worker's memory.")
        return request

    def _enter(self, put: Callable[[], None]) -> None:
        with self._gate:
            if self._closing.is_set():
                raise WorkerUnavailableError("it is stopping")
            put()

    def _prepare(self, ask: Ask, album: Album | None) -> Prompt:
        try:
            return self._preparer.prepare(ask, album)
        except InferenceError:
            raise
        except Exception as error:  # noqa: BLE001  # no text of a foreign error may travel on
            logger.error("worker.prepare_failed", extra={"error": type(error).__name__})
            raise AnswerFailedError from None

    def _room(self) -> int:
        return self._config.max_queued - self._queued()

    def _queued(self) -> int:
        return self._inbox.qsize() + len(self._scheduler.waiting)

    def stop(self, *, drain_seconds: float) -> bool:
        """Refuse new questions, finish those taken in, and end what is left after the bound.

        Returns:
            Whether everything was finished.
        """
        self._close()
        self._thread.join(drain_seconds)
        drained = not self._thread.is_alive()
        self._abandoned.set()
        self._thread.join()
        return drained

    def _close(self) -> None:
        with self._gate:
            self._closing.set()
            self._inbox.put(None)

    def _run(self) -> None:
        try:
            with torch.inference_mode():
                while self._take_in():
                    self._scheduler.step()
        except Exception as error:  # noqa: BLE001  # whatever it was, nobody may wait for ever
            logger.error("worker.engine_lost", extra={"error": type(error).__name__})
            self._close()
            self._end_everyone("error", WorkerUnavailableError("it has to be restarted"))
            self._on_lost()
        else:
            self._end_everyone("cancelled")

    def _end_everyone(self, reason: FinishReason, error: InferenceError | None = None) -> None:
        self._take_all()
        while not self._scheduler.idle:
            self._scheduler.end_all(reason, error)
            self._take_all()  # what a battery has handed in for those that ended

    def _take_in(self) -> bool:
        """Move new questions to the scheduler; say whether to go on."""
        closing = self._closing.is_set()  # first: what came before it is in the inbox
        if self._scheduler.idle and not closing:
            self._take(self._inbox.get())
        self._take_all()
        return not self._abandoned.is_set() and not (closing and self._scheduler.idle)

    def _take_all(self) -> None:
        while not self._inbox.empty():
            self._take(self._inbox.get())

    def _take(self, request: Request | None) -> None:
        if request is not None:
            self._scheduler.waiting.append(request)


def _vocabulary_size(model: LoadedModel) -> int:
    """Count the rows of the language model head."""
    with torch.inference_mode():
        probe = model.embed(torch.zeros(1, dtype=torch.long, device=model.device))
        return model.logits(probe).shape[-1]
