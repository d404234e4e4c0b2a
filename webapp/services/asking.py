"""Use cases of asking a model. The question is stored first, and whatever came of it after.

A person may stop, close the page or lose the network at any moment, and a worker may die: what
was said by then is stored as a draft that tells how it ended. Nothing is shown that a safety
rule withholds. Database work runs in threads, so that a slow disk delays no other stream.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from uuid import UUID

from inference.errors import InferenceError, WorkerUnavailableError
from inference.protocol import Decoding, Finished
from storage.vocabulary import FinishReason, Outcome
from webapp.services.access import open_draft
from webapp.services.actor import Actor
from webapp.services.answers import Answer
from webapp.services.consistency import STOPPED
from webapp.services.drafting import Asked, Drafting, Sending
from webapp.services.errors import QuestionInProgressError
from webapp.services.policy import Action
from webapp.services.present import draft_view
from webapp.services.views import AskEvent, DoneEvent, DraftView, FlagEvent, TokenEvent
from webapp.services.work import REFUSALS, record, use_case


@dataclass(frozen=True, slots=True)
class Asking(Drafting):
    """Questions to a model, and the drafts it gave."""

    async def ask(
        self,
        actor: Actor | None,
        case_id: UUID,
        *,
        text: str,
        idempotency_key: str,
        template: str | None = None,
        choices: Sequence[str] | None = None,
        model: str | None = None,
        images: Sequence[object] | None = None,
        decoding: Decoding | None = None,
        check: bool = True,
    ) -> AsyncGenerator[AskEvent, None]:
        """Ask about a case and yield the answer as it may be shown; the last event has the draft.

        A closed question is asked the other way round as well, once its answer was shown; an
        answer that contradicts it gets a flag. Closing the generator stops the worker and stores
        the draft as `cancelled`, or as it was when only the check was left. The same key again
        replays a stored draft, or asks anew when there was none.

        Args:
            actor: Who asks.
            case_id: An admitted case.
            text: Up to 4,000 characters.
            idempotency_key: The client's own.
            template: How the question is put; `closed_question` when there are choices, else
                `free_chat`.
            choices: Two or more strings of which the answer is one.
            model: A model or adapter that the worker serves; None: its default.
            images: Objects with `image_id` and perhaps `frame` and `window`; by default the
                first image, its middle frame and first window.
            decoding: In place of the installation's own.
            check: Whether a closed answer is checked by its negated question.

        Raises:
            NotFoundError: there is no such case, or it is not the actor's.
            HeldError: the case is not admitted yet.
            OwnReadRequiredError: the protocol wants the actor's own findings first.
            EmptyQuestionError: there are no words.
            QuestionTooLongError: there are too many.
            InvalidRequestError: something else cannot be what was meant.
            IdempotencyConflictError: the key came before with something else.
            QuestionInProgressError: the same question is being answered now.
            WorkerUnavailableError: no model answers, or it died; the question is kept, and what
                it had said by then.
        """
        given = {"template_id": template, "choices": choices, "model": model, "images": images}
        asked = await asyncio.to_thread(
            self.keep_question, actor, case_id, text, idempotency_key, given
        )
        if asked.draft is not None:
            yield TokenEvent(asked.draft.shown_text)
            yield DoneEvent(asked.draft)
            return
        if asked.message.id in self.answering:
            raise QuestionInProgressError
        self.answering.add(asked.message.id)
        try:
            answering = self._answer(actor, asked, decoding or self.decoding, check=check)
            async with aclosing(answering) as events:
                async for event in events:
                    yield event
        except REFUSALS as refusal:
            about = ("message", asked.message.id)
            await asyncio.to_thread(
                record, self, actor, Action.ASK, about, refusal.code, Outcome.FAILED
            )
            raise
        finally:
            self.answering.discard(asked.message.id)

    def draft(self, actor: Actor | None, draft_id: UUID) -> DraftView:
        """Return a draft.

        Raises:
            NotFoundError: there is none, or it is not the actor's to see.
            OwnReadRequiredError: the protocol wants the actor's own findings first.
        """
        with use_case(self, actor, Action.OPEN_DRAFT, ("draft", draft_id)) as work:
            draft, _, _ = open_draft(work.session, work.actor, draft_id)
            return draft_view(draft, work.actor.role)

    async def _answer(
        self, actor: Actor | None, asked: Asked, decoding: Decoding, *, check: bool
    ) -> AsyncGenerator[AskEvent, None]:
        served = await self.served(asked.message.model)
        sending = await asyncio.to_thread(self.prepare, asked, served, decoding, check=check)
        model = asked.message.model or ("" if served is None else served.id)
        answer = Answer(model, served, sending.other_way, sending.has_prior)
        finished, failure = None, None
        try:
            async with aclosing(self.worker.stream(sending.ask)) as stream:
                async for item in stream:
                    if isinstance(item, Finished):
                        finished = item
                        break
                    for event in answer.take(item.text):
                        yield event
            broken = finished is None or finished.finish_reason == "error"
        except InferenceError as error:
            failure, broken = error, True
        except (GeneratorExit, asyncio.CancelledError):
            answer.end(FinishReason.CANCELLED)
            await self.keep_stopped(actor, asked, sending, answer)
            raise
        if finished is None and not answer.raw:
            raise failure or WorkerUnavailableError("the answer broke off")
        reason = FinishReason(finished.finish_reason) if finished else FinishReason.ERROR
        try:
            for event in answer.end(reason, finished):
                yield event
            told = [] if broken else await self._checked(sending, answer)
        except (GeneratorExit, asyncio.CancelledError):
            answer.not_checked(STOPPED)
            await self.keep_stopped(actor, asked, sending, answer)
            raise
        draft = await asyncio.to_thread(self.keep_draft, actor, asked, sending, answer)
        if broken:
            raise WorkerUnavailableError("the answer broke off") from failure
        for flag in told:
            yield flag
        yield DoneEvent(draft)

    async def _checked(self, sending: Sending, answer: Answer) -> list[FlagEvent]:
        """Ask the other way round; a worker that fails at it leaves the answer unchecked."""
        if sending.other_way is None or sending.other_way.ask is None:
            return []
        finished = None
        try:
            async with aclosing(self.worker.stream(sending.other_way.ask)) as stream:
                async for item in stream:
                    finished = item if isinstance(item, Finished) else None
        except InferenceError as error:
            answer.not_checked(error.code)
            return []
        return answer.check(finished)
