"""One training row from one review, in each format; or the reason why there is none.

An edit teaches by example and by preference, an acceptance and a rejection by their label; an
abstention, a teaching read and a superseded revision teach nothing. Nor does a draft of which
a safety rule withheld a part: nobody judged what the model really said.
"""

from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final

from storage.exports.readings import Reading
from storage.exports.records import picture_path
from storage.exports.text import escaped, folded
from storage.notice import NOTICE
from storage.tables import Draft, Review
from storage.vocabulary import CaseState, ExportFormat, Protocol, Verdict

Row = dict[str, Any]
Turn = Mapping[str, Any]  # role, text, images: what was sent to the model

EDITS: Final = frozenset({Verdict.MINOR_EDIT, Verdict.MAJOR_EDIT})
LABELS: Final = {Verdict.ACCEPT_AS_IS: True, Verdict.REJECT: False}


class Skipped(StrEnum):
    """Why a review gives no row in a format."""

    NOT_REVIEWED = "not_reviewed"
    SUPERSEDED = "superseded"
    NOT_ADMITTED = "case_not_admitted"
    IDENTIFYING = "identifier_in_text"
    TEACHING = "teaching"
    ABSTAINED = "abstained"
    OTHER_VERDICT = "verdict_not_used_by_this_format"
    UNCHANGED = "chosen_equals_rejected"
    NO_TEXT = "no_text"
    WITHHELD = "part_of_draft_withheld"
    SEVERAL_IMAGES = "several_images"
    BROKEN_TURNS = "turns_do_not_alternate"


def training_row(format_: ExportFormat, reading: Reading) -> Row | Skipped:
    """Return the row of a training format, or why this reading gives none."""
    review, draft = reading.review, reading.draft
    if review is None or draft is None:
        return Skipped.NOT_REVIEWED
    for reason, applies in (
        (Skipped.SUPERSEDED, not reading.newest),
        (Skipped.NOT_ADMITTED, reading.case.state is not CaseState.ADMITTED),
        (Skipped.IDENTIFYING, reading.identifying),
        (Skipped.TEACHING, reading.collection.protocol is Protocol.TEACHING),
        (Skipped.ABSTAINED, review.verdict is Verdict.ABSTAIN),
        (Skipped.WITHHELD, folded(draft.raw_text) != folded(draft.shown_text)),
        (Skipped.BROKEN_TURNS, not _alternate(draft.messages)),
    ):
        if applies:
            return reason
    made = _MAKERS[format_](draft, review)
    if isinstance(made, Skipped):
        return made
    return made | {
        "review_id": str(review.id),
        "made_up": reading.case.made_up,
        "notice": NOTICE,
    }


def _sft(draft: Draft, review: Review) -> Row | Skipped:
    if review.verdict is Verdict.REJECT:
        return Skipped.OTHER_VERDICT
    if not folded(review.final_text):
        return Skipped.NO_TEXT
    return _prompted(draft) | {"completion": _answer(review.final_text)}


def _dpo(draft: Draft, review: Review) -> Row | Skipped:
    if review.verdict not in EDITS:
        return Skipped.OTHER_VERDICT
    if not folded(review.final_text) or not folded(draft.shown_text):
        return Skipped.NO_TEXT
    if folded(review.final_text) == folded(draft.shown_text):
        return Skipped.UNCHANGED
    return _prompted(draft) | {
        "chosen": _answer(review.final_text),
        "rejected": _answer(draft.shown_text),
    }


def _kto(draft: Draft, review: Review) -> Row | Skipped:
    if review.verdict not in LABELS:
        return Skipped.OTHER_VERDICT
    if not folded(draft.shown_text):
        return Skipped.NO_TEXT
    return _prompted(draft) | {
        "completion": _answer(draft.shown_text),
        "label": LABELS[review.verdict],
    }


def _llava(draft: Draft, review: Review) -> Row | Skipped:
    """Original LLaVA code reads one image a sample, and no system turn."""
    if review.verdict is Verdict.REJECT:
        return Skipped.OTHER_VERDICT
    if not folded(review.final_text):
        return Skipped.NO_TEXT
    pictures = _pictures(draft.messages)
    if len(pictures) > 1:
        return Skipped.SEVERAL_IMAGES
    speakers = {"user": "human", "assistant": "gpt"}
    conversation = [
        {
            "from": speakers[turn["role"]],
            "value": "<image>\n" * len(turn["images"]) + escaped(turn["text"]),
        }
        for turn in draft.messages
        if turn["role"] in speakers
    ]
    answer = {"from": "gpt", "value": escaped(review.final_text)}
    picture = {"image": pictures[0]} if pictures else {}
    return {"id": str(review.id), **picture, "conversations": [*conversation, answer]}


def _prompted(draft: Draft) -> Row:
    return {
        "images": _pictures(draft.messages),
        "prompt": [
            {
                "role": turn["role"],
                # never an "image" key in here: Arrow would fill it with None in every block
                "content": [{"type": "image"}] * len(turn["images"])
                + [{"type": "text", "text": escaped(turn["text"])}],
            }
            for turn in draft.messages
        ],
    }


def _answer(text: str) -> list[Row]:
    return [{"role": "assistant", "content": [{"type": "text", "text": escaped(text)}]}]


def _pictures(turns: list[dict[str, Any]]) -> list[str]:
    return [picture_path(sha256) for turn in turns for sha256 in turn["images"]]


def _alternate(turns: list[dict[str, Any]]) -> bool:
    roles = [turn["role"] for turn in turns if turn["role"] != "system"]
    expected = ["assistant" if number % 2 else "user" for number in range(len(roles))]
    return roles == expected and len(roles) % 2 == 1


_MAKERS: Final[Mapping[ExportFormat, Callable[[Draft, Review], Row | Skipped]]] = {
    ExportFormat.LLAVA: _llava,
    ExportFormat.TRL_SFT: _sft,
    ExportFormat.TRL_DPO: _dpo,
    ExportFormat.TRL_KTO: _kto,
}
