"""What is computed next, and for whom.

A step computes some prompt positions and then one token for every answer, so a new question
joins at the next token and a long prompt holds the others up for one chunk at a time. What goes
wrong with one request ends that request alone.
"""

import logging
import traceback
from collections import deque
from collections.abc import Callable

import torch

from inference.errors import AnswerFailedError, InferenceError
from inference.families.base import LoadedModel
from inference.worker.engine.admission import choose
from inference.worker.engine.batch import Batch
from inference.worker.engine.config import EngineConfig
from inference.worker.engine.features import FeatureCache
from inference.worker.engine.figures import Outcome
from inference.worker.engine.messages import FinishReason
from inference.worker.engine.prefix import PrefixTree
from inference.worker.engine.request import Request
from inference.worker.engine.runner import Runner, Span
from inference.worker.engine.sampling import draw, draw_index

logger = logging.getLogger(__name__)


class Scheduler:
    """The requests of one engine. Everything here runs in the engine's thread."""

    def __init__(
        self,
        model: LoadedModel,
        runner: Runner,
        features: FeatureCache,
        config: EngineConfig,
        *,
        on_end: Callable[[Outcome], None],
    ) -> None:
        self.waiting: deque[Request] = deque()
        self.batch = Batch(runner.slots, PrefixTree(config.prefix_bytes))
        self._model = model
        self._runner = runner
        self._features = features
        self._config = config
        self._on_end = on_end

    @property
    def idle(self) -> bool:
        """Whether there is nothing to compute."""
        return not (self.waiting or self.batch.running)

    def step(self) -> None:
        """Drop what was cancelled, compute prompt positions, then one token for each answer."""
        self._drop_cancelled()
        self._prefill()
        if self.batch.decoding:
            self._decode(0, len(self.batch.decoding))

    def end_all(self, reason: FinishReason, error: InferenceError | None = None) -> None:
        """End every request, computed or not."""
        everyone = [*self.batch.empty(), *self.waiting]
        self.waiting.clear()
        for request in everyone:
            self._end(request, reason, error=error)

    # Prompts

    def _prefill(self) -> None:
        batch = self.batch
        if not batch.prefilling:
            self._start()
        run = list(batch.prefilling)
        if not run:
            return
        first = len(batch.decoding)
        limit = self._config.chunk_tokens if batch.decoding else self._model.limits.context
        try:
            spans = [_next_span(request, limit) for request in run]
            logits = self._runner.extend(first, spans)
        except Exception as error:  # noqa: BLE001  # no request may end the others
            self._try_again(run, error)
            return
        for request, span in zip(run, spans, strict=True):
            request.filled += span.width
        if run[0].filled < run[0].length:
            return
        batch.promote()
        for slot, rows in reversed(list(enumerate(logits, first))):
            self._begin(slot, rows)

    def _start(self) -> None:
        """Give waiting requests their slots."""
        for request in choose(self.waiting, self.batch, self._config):
            self.waiting.remove(request)
            try:
                self.batch.place(request)
                request.embeds = self._embed(request)
            except Exception as error:  # noqa: BLE001  # no request may end the others
                self._try_again([request], error)
                continue
            request.admit()

    def _embed(self, request: Request) -> torch.Tensor:
        """Embeddings of the positions not yet computed, and of the choices: [n, hidden]."""
        prompt = request.prompt
        tokens = torch.tensor(prompt.keys, device=self._model.device)
        embeds = self._model.embed(tokens.clamp_min(0))
        for picture in prompt.pictures:
            end = picture.start + self._model.limits.image_tokens
            if end <= request.filled:
                continue
            features = self._features.get(picture.digest)
            if features is None:
                pixels = picture.prepare() if picture.pixels is None else picture.pixels
                features = self._model.image_features(pixels)
                self._features.put(picture.digest, features)
            embeds[picture.start : end] = features.to(embeds.dtype)
        embeds = embeds[request.filled :]
        if prompt.tree:
            nodes = torch.tensor(prompt.tree.tokens, device=self._model.device)
            embeds = torch.cat([embeds, self._model.embed(nodes)])
        return embeds

    def _begin(self, slot: int, rows: torch.Tensor) -> None:
        """Answer with a choice, or take the first token. `rows`: [1, or 1 + nodes, vocabulary]."""
        request = self.batch.decoding[slot]
        request.filled, request.embeds = request.length, None
        if not bool(torch.isfinite(rows).all()):
            self._leave(slot, "error", error=AnswerFailedError())
            return
        self.batch.keep_prefix(slot)
        request.begin(rows[0])
        if request.prompt.tree is not None:
            shares = request.prompt.tree.probabilities(rows)
            request.choose(draw_index(shares, request.rule, request.generator), shares)
            if not request.forced:
                self._leave(slot, "stop")
                return
        self._accept(slot, rows[0])

    # Tokens

    def _decode(self, first: int, end: int) -> None:
        """Compute one token for the answers in slots `first` to `end - 1`."""
        rows = self.batch.decoding[first:end]
        try:
            logits = self._runner.decode(
                first,
                [request.filled for request in rows],
                [request.token_ids[-1] for request in rows],
                [request.adapter for request in rows],
            )
        except Exception as error:  # noqa: BLE001  # no request may end the others
            self._decode_alone(first, end, error)
            return
        for slot in reversed(range(first, end)):
            self.batch.decoding[slot].filled += 1
            self._accept(slot, logits[slot - first])

    def _decode_alone(self, first: int, end: int, error: Exception) -> None:
        """Find out whose token failed: each is computed by itself, with memory freed."""
        _raise_if_lost(error)
        self._free_memory(error)
        if end - first == 1:
            self._leave(first, "error", error=_as_failure(error))
            return
        for slot in reversed(range(first, end)):
            self._decode(slot, slot + 1)

    def _accept(self, slot: int, logits: torch.Tensor) -> None:
        """Choose the next token of an answer from float32 logits [vocabulary]."""
        request = self.batch.decoding[slot]
        if request.forced:
            request.accept_forced()
            return
        if request.path is not None:
            logits = request.path.restrict(logits)
        top = logits.max(dim=-1)
        if not bool(torch.isfinite(top.values)):
            self._leave(slot, "error", error=AnswerFailedError())
            return
        rule = request.rule
        try:
            token_id = int(top.indices) if rule.greedy else draw(logits, rule, request.generator)
            request.accept(token_id)
            if request.path is not None and token_id not in self._model.eos_token_ids:
                request.path.advance(token_id)
        except Exception as error:  # noqa: BLE001  # no request may end the others
            self._leave(slot, "error", error=_as_failure(error))
            return
        if token_id in self._model.eos_token_ids or request.finished:
            self._leave(slot, "stop")
        elif request.at_limit:
            self._leave(slot, "length")

    # Endings

    def _drop_cancelled(self) -> None:
        for request in [request for request in self.waiting if request.cancelled]:
            self.waiting.remove(request)
            self._end(request, "cancelled")
        batch = self.batch
        for request in [request for request in batch.prefilling if request.cancelled]:
            batch.prefilling.remove(request)
            self._end(request, "cancelled")
        for slot in reversed(range(len(batch.decoding))):
            if batch.decoding[slot].cancelled:
                self._leave(slot, "cancelled")

    def _leave(
        self, slot: int, reason: FinishReason, *, error: InferenceError | None = None
    ) -> None:
        self._end(self.batch.leave(slot, sound=error is None), reason, error=error)

    def _end(
        self, request: Request, reason: FinishReason, *, error: InferenceError | None = None
    ) -> None:
        request.end(reason, error=error)
        self._on_end(request.outcome)

    def _try_again(self, run: list[Request], error: Exception) -> None:
        """Put back those whose prompts failed: each alone, then once with memory freed."""
        _raise_if_lost(error)
        self.batch.take_back(run)
        self._free_memory(error)
        for request in reversed(run):
            if request.retried or isinstance(error, InferenceError):
                self._end(request, "error", error=_as_failure(error))
                continue
            request.retried = len(run) == 1
            request.alone = True
            request.embeds, request.filled = None, 0
            self.waiting.appendleft(request)

    def _free_memory(self, error: Exception) -> None:
        self.batch.prefixes.clear()
        self._features.clear()
        traceback.clear_frames(error.__traceback__)  # its frames hold what was being computed
        if self._model.device.type == "cuda":
            torch.cuda.empty_cache()


def _next_span(request: Request, limit: int) -> Span:
    """Cut the next positions to compute; the choices go with the last of them."""
    embeds = request.embeds
    if embeds is None:
        raise ValueError("the request has not been placed")
    if len(embeds) - request.branches <= limit:
        return Span(request.filled, embeds, request.adapter, request.prompt.tree)
    request.embeds = embeds[limit:]
    return Span(request.filled, embeds[:limit], request.adapter)


def _as_failure(error: Exception) -> InferenceError:
    """Keep what may be shown; the class of anything else goes to the log, its text nowhere."""
    if isinstance(error, InferenceError):
        return error
    logger.error("worker.answer_failed", extra={"error": type(error).__name__})
    return AnswerFailedError()


def _raise_if_lost(error: Exception) -> None:
    """Pass on an error after which the accelerator answers nobody."""
    if isinstance(error, torch.AcceleratorError) and not isinstance(error, torch.OutOfMemoryError):
        raise error
