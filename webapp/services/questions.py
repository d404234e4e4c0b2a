"""What is asked: checked, with the pictures and the earlier turns that go along."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from inference.prompts import CLOSED_QUESTION, FREE_CHAT, UnknownTemplateError, template
from inference.protocol import Turn
from storage.blobs import BlobStore
from storage.identifying import identifying
from storage.tables import Draft, Image, Instance, Message
from storage.vocabulary import FinishReason
from webapp.services import inputs
from webapp.services.errors import EmptyQuestionError, InvalidRequestError, QuestionTooLongError
from webapp.services.pictures import checked_window, png

MAX_QUESTION: Final = 4_000  # characters
MAX_CHOICES: Final = 20
MAX_IMAGES: Final = 8
IMAGE_FIELDS: Final = frozenset({"image_id", "frame", "window"})
# How much of a conversation is sent again; models of this kind see 2,048 tokens in all.
REMEMBERED_TURNS: Final = 6
REMEMBERED_CHARACTERS: Final = 6_000
WORTH_REMEMBERING: Final = frozenset(
    {FinishReason.STOP, FinishReason.LENGTH, FinishReason.CANCELLED}
)


@dataclass(frozen=True, slots=True)
class Question:
    """A checked question; `images` are resolved to one frame and window each.

    A template that is about a text alone sends none, and so none are kept, whatever was on screen.
    """

    text: str
    template_id: str
    choices: list[str] | None
    model: str | None
    images: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Sent:
    """One picture as the model gets it."""

    png: bytes
    sha256: str
    about: dict[str, Any]  # image_id, frame, window, sha256, png_blob: as a draft keeps it


def checked_question(
    *,
    text: object,
    template_id: str | None,
    choices: object,
    model: object,
    images: object,
    of_case: Sequence[Image],
) -> Question:
    """Check what came from outside, and settle what was left open.

    Raises:
        EmptyQuestionError: there are no words.
        QuestionTooLongError: there are more than 4,000 characters.
        InvalidRequestError: anything else that cannot be what was meant.
    """
    if isinstance(text, str) and len(text) > MAX_QUESTION:
        raise QuestionTooLongError(limit=MAX_QUESTION)
    words = inputs.text(text, "question")
    if not words.strip():
        raise EmptyQuestionError
    offered = _choices(choices)
    chosen = template_id or (CLOSED_QUESTION if offered else FREE_CHAT)
    try:
        put_by = template(chosen)
    except UnknownTemplateError as error:
        raise InvalidRequestError(str(error)) from None
    return Question(
        text=words,
        template_id=chosen,
        choices=offered or (list(put_by.choices) or None),
        model=inputs.text(model, "model's name", limit=200) or None,
        images=[] if put_by.text_only else _images(images, of_case),
    )


def _choices(given: object) -> list[str] | None:
    choices = [
        inputs.text(choice, "choice", limit=200, required=True).strip()
        for choice in inputs.sequence(given, "choices", limit=MAX_CHOICES)
    ]
    if choices and len(set(choices)) < 2:
        raise InvalidRequestError("A closed question offers two different answers or more.")
    if len(set(choices)) != len(choices):
        raise InvalidRequestError("A choice is offered twice.")
    return choices or None


def _images(given: object, of_case: Sequence[Image]) -> list[dict[str, Any]]:
    """Resolve what to show; by default the first image, its middle frame and first window."""
    items = inputs.sequence(given, "images", limit=MAX_IMAGES)
    if not items and of_case:
        items = ({"image_id": of_case[0].id},)
    return [_one_image(item, of_case) for item in items]


def _one_image(item: object, of_case: Sequence[Image]) -> dict[str, Any]:
    fields = inputs.mapping(item, "image")
    inputs.only(fields, IMAGE_FIELDS, "image")
    image = next((i for i in of_case if str(i.id) == str(fields.get("image_id"))), None)
    if image is None:
        raise InvalidRequestError("The question names an image that is not of this case.")
    frame = fields.get("frame")
    if frame is None:
        frame = image.frames // 2
    if isinstance(frame, bool) or not isinstance(frame, int) or not 0 <= frame < image.frames:
        raise InvalidRequestError("The question names a frame that its image does not have.")
    window = checked_window(image, fields.get("window"))
    return {"image_id": str(image.id), "frame": frame, "window": window}


def history_of(
    conversation: Sequence[tuple[Message, Draft | None]], asked: Message
) -> list[tuple[str, str]]:
    """Return earlier questions as they were sent, with the answers as they were shown.

    Only the newest are sent again: a model sees so much and no more. What was sent is kept
    with every draft.
    """
    pairs: list[tuple[str, str]] = []
    for message, draft in conversation:
        if message.id == asked.id or message.created_at > asked.created_at:
            continue
        if message.battery is not None:  # a list of questions is no part of a conversation
            continue
        if draft is None or draft.finish_reason not in WORTH_REMEMBERING:
            continue
        if identifying(draft.flags):  # the question's own flags among them
            continue
        sent = [turn["text"] for turn in draft.messages if turn["role"] == "user"]
        if draft.shown_text.strip():
            pairs.append((sent[-1] if sent else message.text, draft.shown_text))
    kept: list[tuple[str, str]] = []
    room = REMEMBERED_CHARACTERS
    for asked_text, answer in reversed(pairs[-REMEMBERED_TURNS:]):
        room -= len(asked_text) + len(answer)
        if room < 0:
            break
        kept.insert(0, (asked_text, answer))
    return kept


def pictures_of(
    blobs: BlobStore,
    images: Sequence[Mapping[str, Any]],
    rows: Mapping[str, tuple[Image, Sequence[Instance]]],
) -> list[Sent]:
    """Draw the pictures of a question, without the notice, and keep them.

    Args:
        blobs: The image store.
        images: As `Question.images`.
        rows: Each image with its instances, by the image's id.

    Raises:
        BlobDamagedError: stored pixels fail their check.
        StorageFullError: no room for a picture.
    """
    return [_drawn(blobs, asked, *rows[asked["image_id"]]) for asked in images]


def _drawn(
    blobs: BlobStore, asked: Mapping[str, Any], image: Image, instances: Sequence[Instance]
) -> Sent:
    frame = asked["frame"]
    instance = next(i for i in reversed(instances) if i.first_frame <= frame)
    data = png(blobs, image, instance, frame, asked["window"], watermark=False)
    digest = hashlib.sha256(data).hexdigest()
    return Sent(data, digest, {**asked, "sha256": digest, "png_blob": blobs.put(data)})


def as_stored(turns: Sequence[Turn], pictures: Sequence[Sent]) -> list[dict[str, Any]]:
    """Return the turns as a draft keeps them, pictures by their hash."""
    digests = {picture.png: picture.sha256 for picture in pictures}
    return [
        {
            "role": turn.role,
            "text": turn.text,
            "images": [digests[data] for data in turn.images],
        }
        for turn in turns
    ]
