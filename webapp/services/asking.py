"""Use cases of asking a model. The question is stored first, and whatever came of it after.

A person may stop, close the page or lose the network at any moment, and a worker may die: what
was said by then is stored as a draft that tells how it ended. Nothing is shown that a safety
rule withholds. Database work runs in threads, so that a slow disk delays no other stream.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from inference.errors import InferenceError, WorkerUnavailableError
from inference.prompts import render, template
from inference.protocol import Ask, Decoding, Finished, ServedModel
from inference.safety import screen
from storage.blobs import BlobStore
from storage.cases import images_of, instances_of
from storage.engine import Store
from storage.errors import IdempotencyConflictError, StorageError
from storage.reading import conversation, draft_of_message, message_by_key
from storage.tables import Draft, Image, Instance, Message
from storage.vocabulary import FinishReason, Outcome
from webapp.services import inputs
from webapp.services.access import open_draft, readable_case, require_own_read
from webapp.services.actor import Actor
from webapp.services.answers import Answer
from webapp.services.errors import QuestionInProgressError
from webapp.services.policy import Action
from webapp.services.present import draft_view
from webapp.services.questions import as_stored, checked_question, history_of, pictures_of
from webapp.services.serving import WorkerPort
from webapp.services.views import AskEvent, DoneEvent, DraftView, TokenEvent
from webapp.services.work import REFUSALS, Work, record, use_case

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Asked:
    """A stored question, with what it takes to ask it."""

    message: Message
    draft: DraftView | None  # the answer of an earlier attempt
    history: Sequence[tuple[str, str]]
    rows: dict[str, tuple[Image, Sequence[Instance]]]


@dataclass(frozen=True, slots=True)
class _Sending:
    """What goes to the worker, and how a draft tells of it."""

    ask: Ask
    images: list[dict[str, Any]]
    turns: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Asking:
    """Questions to a model, and the drafts it gave."""

    store: Store
    blobs: BlobStore
    now: Callable[[], datetime]
    worker: WorkerPort
    decoding: Decoding = field(default_factory=Decoding)  # where a question says nothing
    _answering: set[UUID] = field(default_factory=set)  # message ids, in this process

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
    ) -> AsyncGenerator[AskEvent, None]:
        """Ask about a case and yield the answer as it may be shown; the last event has the draft.

        Closing the generator stops the worker and stores the draft as `cancelled`. The same key
        again replays a stored draft, or asks anew when there was none.

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
            self._keep_question, actor, case_id, text, idempotency_key, given
        )
        if asked.draft is not None:
            yield TokenEvent(asked.draft.shown_text)
            yield DoneEvent(asked.draft)
            return
        if asked.message.id in self._answering:
            raise QuestionInProgressError
        self._answering.add(asked.message.id)
        try:
            async with aclosing(self._answer(actor, asked, decoding or self.decoding)) as events:
                async for event in events:
                    yield event
        except REFUSALS as refusal:
            about = ("message", asked.message.id)
            await asyncio.to_thread(
                record, self, actor, Action.ASK, about, refusal.code, Outcome.FAILED
            )
            raise
        finally:
            self._answering.discard(asked.message.id)

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
        self, actor: Actor | None, asked: _Asked, decoding: Decoding
    ) -> AsyncGenerator[AskEvent, None]:
        served = await self._served(asked.message.model)
        sending = await asyncio.to_thread(self._prepare, asked, served, decoding)
        answer = Answer(asked.message.model or ("" if served is None else served.id), served)
        finished, failure = None, None
        try:
            async with aclosing(self.worker.stream(sending.ask)) as stream:
                async for item in stream:
                    if isinstance(item, Finished):
                        finished = item
                        break
                    for event in answer.take(item.text):
                        yield event
        except InferenceError as error:
            failure = error
        except (GeneratorExit, asyncio.CancelledError):
            answer.end(FinishReason.CANCELLED)
            await self._keep_stopped(actor, asked, sending, answer)
            raise
        if finished is None and not answer.raw:
            raise failure or WorkerUnavailableError("the answer broke off")
        broken = finished is None or finished.finish_reason == "error"
        reason = FinishReason(finished.finish_reason) if finished else FinishReason.ERROR
        rest = answer.end(reason, finished)
        draft = await asyncio.to_thread(self._keep_draft, actor, asked, sending, answer)
        for event in rest:
            yield event
        if broken:
            raise WorkerUnavailableError("the answer broke off") from failure
        yield DoneEvent(draft)

    async def _served(self, model: str | None) -> ServedModel | None:
        """Return what the server lists of the model that will answer, if it lists it."""
        for served in await self.worker.models():
            if model is None or model == served.id or model in served.adapters:
                return served
        return None

    async def _keep_stopped(
        self, actor: Actor | None, asked: _Asked, sending: _Sending, answer: Answer
    ) -> None:
        """Store what was said, though the one who waits may be cancelled again meanwhile.

        The thread starts at once and runs to its end, whatever becomes of the awaiting task.
        """
        keeping = asyncio.get_running_loop().run_in_executor(
            None, self._keep_draft, actor, asked, sending, answer
        )
        try:
            await asyncio.shield(keeping)
        except StorageError as error:
            logger.warning("draft.not_kept", extra={"code": error.code})

    def _keep_question(
        self,
        actor: Actor | None,
        case_id: UUID,
        text: str,
        idempotency_key: str,
        given: Mapping[str, Any],
    ) -> _Asked:
        with use_case(self, actor, Action.ASK, ("case", case_id)) as work:
            case, collection = readable_case(work.session, work.actor, case_id)
            require_own_read(work.session, work.actor, case, collection)
            images = images_of(work.session, case_id)
            question = checked_question(text=text, of_case=images, **given)
            content = {"case_id": case_id, **asdict(question)}
            message, draft = _message(work, inputs.key(idempotency_key), content)
            work.about = ("message", message.id)
            instances = instances_of(work.session, [image.id for image in images])
            return _Asked(
                message=message,
                draft=None if draft is None else draft_view(draft, work.actor.role),
                history=history_of(
                    conversation(work.session, case_id, work.actor.id), asked=message
                ),
                rows={str(image.id): (image, instances[image.id]) for image in images},
            )

    def _prepare(self, asked: _Asked, served: ServedModel | None, decoding: Decoding) -> _Sending:
        message = asked.message
        pictures = pictures_of(self.blobs, message.images, asked.rows)
        turns = render(
            message.template_id,
            message.text,
            asked.history,
            choices=message.choices or (),
            images=[picture.png for picture in pictures],
            family=None if served is None else served.family,
        )
        return _Sending(
            ask=Ask(tuple(turns), message.model, decoding, tuple(message.choices or ())),
            images=[picture.about for picture in pictures],
            turns=as_stored(turns, pictures),
        )

    def _keep_draft(
        self, actor: Actor | None, asked: _Asked, sending: _Sending, answer: Answer
    ) -> DraftView:
        message = asked.message
        with use_case(self, actor, Action.STORE_DRAFT, ("message", message.id)) as work:
            earlier = draft_of_message(work.session, message.id)
            if earlier is not None:  # another process was asked the same meanwhile
                return draft_view(earlier, work.actor.role)
            fields = answer.as_fields(asdict(sending.ask.decoding))
            fields["flags"] = [*message.flags, *fields["flags"]]
            draft = Draft.model_validate(
                {
                    **fields,
                    "message_id": message.id,
                    "case_id": message.case_id,
                    "person_id": message.person_id,
                    "template_id": message.template_id,
                    "template_sha256": template(message.template_id).sha256,
                    "messages": sending.turns,
                    "images": sending.images,
                    "created_at": work.at,
                }
            )
            work.session.add(draft)
            work.session.flush()
            work.about = ("draft", draft.id)
            return draft_view(draft, work.actor.role)


def _message(work: Work, key: str, content: Mapping[str, Any]) -> tuple[Message, Draft | None]:
    """Store a question, or find it by its key with what came of it."""
    repeated = message_by_key(work.session, work.actor.id, key)
    if repeated is not None:
        if any(getattr(repeated, name) != value for name, value in content.items()):
            raise IdempotencyConflictError
        return repeated, draft_of_message(work.session, repeated.id)
    message = Message.model_validate(
        {
            **content,
            "person_id": work.actor.id,
            "flags": [flag.as_json() for flag in screen(content["text"], where="question")],
            "idempotency_key": key,
            "created_at": work.at,
        }
    )
    work.session.add(message)
    work.session.flush()
    return message, None
