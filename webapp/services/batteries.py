"""Use cases of asking a whole list of questions about one study at once.

Each question is stored, asked, judged by the rules, checked and kept as a single one is; only
the conversation does not go along, so that a battery says the same whoever asked what before.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from hashlib import sha256
from uuid import UUID

from inference.errors import InferenceError, WorkerUnavailableError
from inference.prompts.battery import Battery, UnknownBatteryError, battery
from inference.protocol import Ask, Finished
from storage.vocabulary import FinishReason, Outcome
from webapp.services import inputs
from webapp.services.actor import Actor
from webapp.services.answers import Answer
from webapp.services.consistency import STOPPED
from webapp.services.drafting import Asked, Drafting, Part, Sending
from webapp.services.errors import InvalidRequestError, QuestionInProgressError
from webapp.services.policy import Action
from webapp.services.questions import pictures_of
from webapp.services.views import (
    BatteryDoneEvent,
    BatteryErrorEvent,
    BatteryEvent,
    BatteryQuestionView,
    BatteryResultEvent,
)
from webapp.services.work import REFUSALS, record


@dataclass(slots=True)
class _Open:
    """A question whose draft is not stored yet."""

    question: BatteryQuestionView
    asked: Asked
    sending: Sending
    answer: Answer
    checks: bool  # whether it is asked the other way round as well
    finished: Finished | None = None
    other: Finished | InferenceError | None = None

    @property
    def complete(self) -> bool:
        """True when everything that was asked for it has come."""
        return self.finished is not None and (not self.checks or self.other is not None)


@dataclass(slots=True)
class _Counts:
    asked: int
    finished: int = 0
    failed: int = 0
    replayed: int = 0
    flagged: int = 0

    def take(self, event: BatteryEvent) -> BatteryEvent:
        match event:
            case BatteryResultEvent():
                self.finished += 1
                self.replayed += event.replayed
                self.flagged += bool(event.draft.flags)
            case BatteryErrorEvent():
                self.failed += 1
            case _:
                pass
        return event


@dataclass(slots=True)
class _Running:
    """The questions that are with the worker, by their place in what it was given."""

    asks: list[Ask] = field(default_factory=list)
    places: list[tuple[_Open, bool]] = field(default_factory=list)  # (question, is its check)

    @classmethod
    def of(cls, open_: Sequence[_Open]) -> "_Running":
        """Put every question before every check: answers come first."""
        running = cls()
        for each in open_:
            running._add(each.sending.ask, each, is_check=False)
        for each in open_:
            if each.sending.other_way is not None and each.sending.other_way.ask is not None:
                running._add(each.sending.other_way.ask, each, is_check=True)
        return running

    def _add(self, ask: Ask, each: _Open, *, is_check: bool) -> None:
        self.asks.append(ask)
        self.places.append((each, is_check))


@dataclass(frozen=True, slots=True)
class Batteries(Drafting):
    """Lists of questions, asked together."""

    async def ask(
        self,
        actor: Actor | None,
        case_id: UUID,
        *,
        battery: str,
        idempotency_key: str,
        model: str | None = None,
        images: Sequence[object] | None = None,
        check: bool = True,
    ) -> AsyncGenerator[BatteryEvent, None]:
        """Ask every question of a battery and yield each result as it is there; then the counts.

        Closing the generator stops the worker; what finished by then is stored. The same key
        again yields what is stored and asks only what is missing.

        Args:
            actor: Who asks.
            case_id: An admitted case.
            battery: Which list, by its id.
            idempotency_key: The client's own.
            model: A model or adapter that the worker serves; None: its default.
            images: As for a single question.
            check: Whether closed answers are checked by their negated questions.

        Raises:
            InvalidRequestError: there is no such battery, or it is about other studies.
            QuestionInProgressError: the same battery is being answered now.
            Otherwise as for a single question.
        """
        chosen = _known(battery)
        given = {"model": model, "images": images}
        stored = await asyncio.to_thread(
            self._keep_questions, actor, case_id, chosen, idempotency_key, given
        )
        counts = _Counts(len(stored))
        missing = []
        for question, asked in stored:
            if asked.draft is None:
                missing.append((question, asked))
            else:
                yield counts.take(BatteryResultEvent(question, asked.draft, replayed=True))
        ids = {asked.message.id for _, asked in missing}
        if ids & self.answering:
            raise QuestionInProgressError
        self.answering.update(ids)
        try:
            if missing:
                async with aclosing(self._answers(actor, missing, check=check)) as events:
                    async for event in events:
                        yield counts.take(event)
        except REFUSALS as refusal:
            about = ("case", case_id)
            await asyncio.to_thread(
                record, self, actor, Action.ASK, about, refusal.code, Outcome.FAILED
            )
            raise
        finally:
            self.answering.difference_update(ids)
        yield BatteryDoneEvent(
            chosen.id,
            chosen.version,
            chosen.sha256,
            asked=counts.asked,
            finished=counts.finished,
            failed=counts.failed,
            replayed=counts.replayed,
            flagged=counts.flagged,
        )

    async def _answers(
        self,
        actor: Actor | None,
        missing: Sequence[tuple[BatteryQuestionView, Asked]],
        *,
        check: bool,
    ) -> AsyncGenerator[BatteryEvent, None]:
        open_ = await self._opened(missing, check=check)
        running = _Running.of(open_)
        waiting = {each.asked.message.id: each for each in open_}
        try:
            async with aclosing(self.worker.battery(running.asks)) as results:
                async for index, result in results:
                    each, is_check = running.places[index]
                    if each.asked.message.id not in waiting:
                        continue  # the check of a question that failed
                    if is_check:
                        each.other = result
                    elif isinstance(result, Finished):
                        each.finished = result
                        each.answer.end(FinishReason(result.finish_reason), result)
                    if isinstance(result, InferenceError) and not is_check:
                        event: BatteryEvent = await self._failed(actor, each, result)
                    elif each.finished is not None and each.finished.finish_reason == "error":
                        event = await self._broken(actor, each)
                    elif each.complete:
                        event = await self._kept(actor, each)
                    else:
                        continue
                    del waiting[each.asked.message.id]
                    yield event
            for each in waiting.values():  # a server that forgot some
                yield await self._failed(actor, each, WorkerUnavailableError("it said no more"))
        except (GeneratorExit, asyncio.CancelledError):
            for each in waiting.values():
                if each.finished is not None:
                    each.answer.not_checked(STOPPED)
                    with suppress(asyncio.CancelledError):
                        await self.keep_stopped(actor, each.asked, each.sending, each.answer)
            raise

    async def _opened(
        self, missing: Sequence[tuple[BatteryQuestionView, Asked]], *, check: bool
    ) -> list[_Open]:
        """Draw the pictures once and put every question into its words."""
        (_, first), *_ = missing
        served = await self.served(first.message.model)
        pictures = await asyncio.to_thread(
            pictures_of, self.blobs, first.message.images, first.rows
        )
        opened = []
        for question, asked in missing:
            sending = self.worded(asked, served, self.decoding, pictures, check=check)
            model = asked.message.model or ("" if served is None else served.id)
            answer = Answer(model, served, sending.other_way, sending.has_prior)
            checks = sending.other_way is not None and sending.other_way.ask is not None
            opened.append(_Open(question, asked, sending, answer, checks))
        return opened

    async def _kept(self, actor: Actor | None, each: _Open) -> BatteryResultEvent:
        if isinstance(each.other, Finished):
            each.answer.check(each.other)
        elif each.other is not None:
            each.answer.not_checked(each.other.code)
        draft = await asyncio.to_thread(
            self.keep_draft, actor, each.asked, each.sending, each.answer
        )
        return BatteryResultEvent(each.question, draft, replayed=False)

    async def _broken(self, actor: Actor | None, each: _Open) -> BatteryErrorEvent:
        if each.answer.raw:
            await asyncio.to_thread(self.keep_draft, actor, each.asked, each.sending, each.answer)
        return await self._failed(actor, each, WorkerUnavailableError("the answer broke off"))

    async def _failed(
        self, actor: Actor | None, each: _Open, error: InferenceError
    ) -> BatteryErrorEvent:
        about = ("message", each.asked.message.id)
        await asyncio.to_thread(record, self, actor, Action.ASK, about, error.code, Outcome.FAILED)
        return BatteryErrorEvent(each.question, error.code, str(error))

    def _keep_questions(
        self,
        actor: Actor | None,
        case_id: UUID,
        chosen: Battery,
        idempotency_key: str,
        given: Mapping[str, object],
    ) -> list[tuple[BatteryQuestionView, Asked]]:
        key = inputs.key(idempotency_key)
        return [
            (
                BatteryQuestionView(question.id, question.finding, question.text, number),
                self.keep_question(
                    actor,
                    case_id,
                    question.text,
                    _key_of(key, number),
                    {
                        **given,
                        "template_id": chosen.template_id,
                        "choices": list(question.choices) or None,
                    },
                    Part(chosen, question),
                ),
            )
            for number, question in enumerate(chosen.questions, start=1)
        ]


def _known(battery_id: object) -> Battery:
    try:
        return battery(inputs.text(battery_id, "battery", limit=100))
    except UnknownBatteryError as error:
        raise InvalidRequestError(str(error)) from None


def _key_of(key: str, number: int) -> str:
    """Return the key of one question: by its number, so that another battery's would conflict."""
    return f"battery {sha256(key.encode()).hexdigest()} {number}"
