"""How a question is put to a model: versioned templates, and the turns made from one.

A template is data with a version and a hash, both kept with every draft, so that an answer can
be traced to the words that asked for it. A family renders the turns its own way; its literal
prompt is not made here. A changed template is a new version.
"""

import hashlib
import json
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Final

from inference.errors import InferenceError
from inference.protocol import Turn

FREE_CHAT: Final = "free_chat"
CLOSED_QUESTION: Final = "closed_question"

# Families trained with one literal prompt: another system text is unlike anything they saw.
WITHOUT_SYSTEM_TEXT: Final = frozenset(
    {"overread-demo", "llava-rad", "medm-vl-2d", "medm-vl-ct-chest"}
)


class UnknownTemplateError(InferenceError):
    """A template id that this release does not have."""

    code = "unknown_template"

    def __init__(self) -> None:
        """List the known ones."""
        super().__init__(f"There is no such template; known are {', '.join(template_ids())}.")


@dataclass(frozen=True, slots=True)
class Template:
    """One way of asking; `sha256` covers everything that reaches a model."""

    id: str
    version: int
    title: str  # as a page offers it
    preset: str  # a question to begin with
    system: str
    user: str  # {question} stands for what was typed, {choices} for the offered answers
    choices: tuple[str, ...]  # offered when the asker offers none
    one_line: bool  # line breaks in the question become spaces
    text_only: bool  # the question is all there is to read: no image goes along
    compares: bool  # the second image is an earlier one
    explain_tokens: int  # room for an explanation behind the chosen answer
    sha256: str


def template_ids() -> tuple[str, ...]:
    """Return the known ids, in order."""
    return tuple(_templates())


def template(template_id: str) -> Template:
    """Return a template.

    Raises:
        UnknownTemplateError: this release does not have it.
    """
    try:
        return _templates()[template_id]
    except KeyError:
        raise UnknownTemplateError from None


def render(
    template_id: str,
    question: str,
    history: Sequence[tuple[str, str]] = (),
    *,
    choices: Sequence[str] = (),
    images: Sequence[bytes] = (),
    family: str | None = None,
) -> list[Turn]:
    """Return the turns to send.

    Args:
        template_id: Which template puts the question.
        question: As typed.
        history: Earlier (question as it was sent, answer as it was shown) pairs, oldest first.
        choices: The answers on offer; none: the template's own.
        images: PNG files; they go with the first user turn, where every family expects them;
            none go with a template that is about a text.
        family: The model's, when known: some were trained without a system text and get none.

    Raises:
        UnknownTemplateError: this release does not have the template.
    """
    chosen = template(template_id)
    asked = [*(earlier for earlier, _ in history), _put(chosen, question, choices)]
    answers = [answer for _, answer in history]
    turns = [] if family in WITHOUT_SYSTEM_TEXT else [Turn("system", chosen.system)]
    sent = () if chosen.text_only else tuple(images)
    for number, text in enumerate(asked):
        turns.append(Turn("user", text, images=sent if number == 0 else ()))
        if number < len(answers):
            turns.append(Turn("assistant", answers[number]))
    return turns


def room_to_explain(template_id: str, family: str | None) -> int:
    """Return how many tokens an explanation behind a chosen answer may take.

    None for a family that gets no system text, which is what asks for the explanation: whatever
    such a model says behind the word is unlike anything it was trained to say.

    Raises:
        UnknownTemplateError: this release does not have the template.
    """
    return 0 if family in WITHOUT_SYSTEM_TEXT else template(template_id).explain_tokens


def _put(chosen: Template, question: str, choices: Sequence[str]) -> str:
    typed = " ".join(question.split()) if chosen.one_line else question
    offered = ", ".join(choices or chosen.choices)
    before, after = chosen.user.split("{question}")  # so that braces in a question stay braces
    return (before + typed + after.replace("{choices}", offered)).strip()


@cache
def _templates() -> dict[str, Template]:
    found = (
        (entry.name.removesuffix(".toml"), entry.read_text("utf-8"))
        for entry in files(__name__).joinpath("templates").iterdir()
        if entry.name.endswith(".toml")
    )
    return {name: _parsed(name, text) for name, text in sorted(found)}


def _parsed(template_id: str, text: str) -> Template:
    fields = tomllib.loads(text)
    sent = {name: fields[name] for name in ("version", "system", "user")}
    sent |= {"id": template_id, "choices": fields.get("choices", [])}
    sent |= {"one_line": fields.get("one_line", False)}
    if fields.get("text_only", False):
        sent |= {"text_only": True}
    explain_tokens = fields.get("explain_tokens", 0)
    if explain_tokens:
        sent |= {"explain_tokens": explain_tokens}
    canonical = json.dumps(sent, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return Template(
        id=template_id,
        version=fields["version"],
        title=fields["title"],
        preset=fields["preset"],
        system=fields["system"],
        user=fields["user"],
        choices=tuple(fields.get("choices", [])),
        one_line=fields.get("one_line", False),
        text_only=fields.get("text_only", False),
        compares=fields.get("compares", False),
        explain_tokens=explain_tokens,
        sha256=hashlib.sha256(canonical.encode()).hexdigest(),
    )
