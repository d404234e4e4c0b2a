"""From a stored question to a stored draft: what every way of asking has in common.

The question is stored before the worker hears of it, and whatever came of it after.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from inference.prompts import render, room_to_explain, template
from inference.prompts.battery import Battery, BatteryQuestion
from inference.protocol import Ask, Decoding, ServedModel
from inference.safety import screen
from storage.blobs import BlobStore
from storage.cases import images_of, instances_of
from storage.engine import Store
from storage.errors import IdempotencyConflictError, StorageError
from storage.reading import conversation, draft_of_message, message_by_key
from storage.tables import Case, Draft, Image, Instance, Message
from webapp.services import inputs
from webapp.services.access import readable_case, require_own_read
from webapp.services.actor import Actor
from webapp.services.answers import Answer
from webapp.services.consistency import OtherWay, other_way
from webapp.services.errors import InvalidRequestError
from webapp.services.policy import Action
from webapp.services.present import draft_view
from webapp.services.questions import (
    Sent,
    as_stored,
    checked_question,
    history_of,
    pictures_of,
)
from webapp.services.rates import Paced, Rates
from webapp.services.serving import WorkerPort
from webapp.services.views import DraftView
from webapp.services.work import Work, use_case

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Asked:
    """A stored question, with what it takes to ask it."""

    message: Message
    draft: DraftView | None  # the answer of an earlier attempt
    history: Sequence[tuple[str, str]]
    rows: dict[str, tuple[Image, Sequence[Instance]]]


@dataclass(frozen=True, slots=True)
class Sending:
    """What goes to the worker, and how a draft tells of it."""

    ask: Ask
    images: list[dict[str, Any]]
    turns: list[dict[str, Any]]
    other_way: OtherWay | None  # None where a question cannot be checked for consistency
    has_prior: bool  # whether an earlier image goes along


@dataclass(frozen=True, slots=True)
class Part:
    """Which list a question comes from, and which one of it it is."""

    battery: Battery
    question: BatteryQuestion

    def as_stored(self) -> dict[str, Any]:
        """Return it as the question keeps it."""
        return {
            "id": self.battery.id,
            "version": self.battery.version,
            "sha256": self.battery.sha256,
            "question": self.question.id,
            "finding": self.question.finding,
        }

    def check(self, case: Case) -> None:
        """Refuse a case that the battery is not about.

        Raises:
            InvalidRequestError: it says of itself that it shows something else.
        """
        if self.battery.suits(case.modality, case.body_part) is False:
            raise InvalidRequestError(
                "These questions are about chest films; this study is something else."
            )


@dataclass(frozen=True, slots=True)
class Drafting:
    """What the use cases of asking stand on."""

    store: Store
    blobs: BlobStore
    now: Callable[[], datetime]
    worker: WorkerPort
    decoding: Decoding = field(default_factory=Decoding)  # where a question says nothing
    answering: set[UUID] = field(default_factory=set)  # message ids, in this process
    rates: Rates = field(default_factory=Rates)

    async def served(self, model: str | None) -> ServedModel | None:
        """Return what the server lists of the model that will answer, if it lists it."""
        for served in await self.worker.models():
            if model is None or model == served.id or model in served.adapters:
                return served
        return None

    def keep_question(
        self,
        actor: Actor | None,
        case_id: UUID,
        text: str,
        idempotency_key: str,
        given: Mapping[str, Any],
        part: Part | None = None,
    ) -> Asked:
        """Store a question, or find it by its key with what came of it.

        A part of a battery goes without the conversation.
        """
        with use_case(self, actor, Action.ASK, ("case", case_id)) as work:
            self.rates.check(work.actor, Paced.QUESTIONS)
            case, collection = readable_case(work.session, work.actor, case_id)
            require_own_read(work.session, work.actor, case, collection)
            if part is not None:
                part.check(case)
            images = images_of(work.session, case_id)
            question = checked_question(text=text, of_case=images, **given)
            content = {
                "case_id": case_id,
                "battery": None if part is None else part.as_stored(),
                **asdict(question),
            }
            message, draft = _message(work, inputs.key(idempotency_key), content)
            work.about = ("message", message.id)
            instances = instances_of(work.session, [image.id for image in images])
            return Asked(
                message=message,
                draft=None if draft is None else draft_view(draft, work.actor.role),
                history=()
                if part is not None
                else history_of(conversation(work.session, case_id, work.actor.id), asked=message),
                rows={str(image.id): (image, instances[image.id]) for image in images},
            )

    def prepare(
        self, asked: Asked, served: ServedModel | None, decoding: Decoding, *, check: bool
    ) -> Sending:
        """Draw the pictures and put the question into the words that go to the worker."""
        pictures = pictures_of(self.blobs, asked.message.images, asked.rows)
        return self.worded(asked, served, decoding, pictures, check=check)

    def worded(
        self,
        asked: Asked,
        served: ServedModel | None,
        decoding: Decoding,
        pictures: Sequence[Sent],
        *,
        check: bool,
    ) -> Sending:
        """Put the question into the words that go to the worker, pictures drawn already."""
        message = asked.message
        family = None if served is None else served.family
        turns = render(
            message.template_id,
            message.text,
            asked.history,
            choices=message.choices or (),
            images=[picture.png for picture in pictures],
            family=family,
        )
        put_by = template(message.template_id)
        ask = Ask(
            tuple(turns),
            message.model,
            decoding,
            tuple(message.choices or ()),
            explain_tokens=room_to_explain(put_by.id, family) if message.choices else 0,
        )
        return Sending(
            ask=ask,
            images=[picture.about for picture in pictures],
            turns=as_stored(turns, pictures),
            other_way=other_way(
                ask, message.template_id, message.text, wanted=check, family=family
            ),
            has_prior=put_by.compares and len({image["image_id"] for image in message.images}) > 1,
        )

    def keep_draft(
        self, actor: Actor | None, asked: Asked, sending: Sending, answer: Answer
    ) -> DraftView:
        """Store what was answered, unless another process has done so meanwhile."""
        message = asked.message
        with use_case(self, actor, Action.STORE_DRAFT, ("message", message.id)) as work:
            earlier = draft_of_message(work.session, message.id)
            if earlier is not None:
                return draft_view(earlier, work.actor.role)
            fields = answer.as_fields(_decoding(sending.ask))
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

    async def keep_stopped(
        self, actor: Actor | None, asked: Asked, sending: Sending, answer: Answer
    ) -> None:
        """Store what was said, though the one who waits may be cancelled again meanwhile.

        The thread starts at once and runs to its end, whatever becomes of the awaiting task.
        """
        keeping = asyncio.get_running_loop().run_in_executor(
            None, self.keep_draft, actor, asked, sending, answer
        )
        try:
            await asyncio.shield(keeping)
        except StorageError as error:
            logger.warning("draft.not_kept", extra={"code": error.code})


def _decoding(ask: Ask) -> dict[str, Any]:
    explained = {"explain_tokens": ask.explain_tokens} if ask.explain_tokens else {}
    return asdict(ask.decoding) | explained


def _message(work: Work, key: str, content: Mapping[str, Any]) -> tuple[Message, Draft | None]:
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
