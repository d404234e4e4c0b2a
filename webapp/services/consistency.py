"""Whether a model holds to a closed answer when it is asked the other way round.

The negated question goes to the same model with the same picture and the same turns before it,
decoded greedily, once the answer has been shown. What it said and what made it are kept with the
draft, also where the two agree; where there was no check, the draft says why.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

from inference.prompts import render, template
from inference.protocol import Ask, Decoding, Finished, Turn
from inference.safety import Flag, StreamFilter, contradicts
from inference.safety.contradiction import RULE, VERSION, is_claim, negated

SKIPPED: Final = "skipped"  # whoever asked did not want it
NO_NEGATED_FORM: Final = "no_negated_form"
ANSWER_INCOMPLETE: Final = "answer_incomplete"
STOPPED: Final = "stopped"
WHERE: Final = "consistency"  # in flags: the other answer, as it is stored

Consistency = dict[str, Any]  # as a draft stores it


@dataclass(frozen=True, slots=True)
class OtherWay:
    """A closed question put the other way round; `ask` is None where it is not, for `reason`."""

    ask: Ask | None
    reason: str = ""

    def unchecked(self, reason: str) -> Consistency:
        """Say that the answer stands without a check, and why."""
        return _stored(self.ask, reason=self.reason or reason)

    def compared(
        self, answer: str, finished: Finished, *, has_prior: bool
    ) -> tuple[Consistency, list[Flag]]:
        """Say whether the model's answer excludes what it said the other way round.

        The flags are those of the rules that spoke on the other answer, which is stored too.

        Args:
            answer: To the question as it was asked.
            finished: The answer to the other one; what a rule withholds of it is not kept.
            has_prior: Whether the model was given an earlier image.
        """
        judging = StreamFilter(has_prior=has_prior)
        shown = judging.feed(finished.text)
        rest, flags = judging.finish()
        shown += rest
        stored = _stored(
            self.ask,
            checked=True,
            contradicts=contradicts(answer, shown),
            answer=shown,
            choices=finished.choices,
            finish_reason=finished.finish_reason,
            made_by=asdict(finished.provenance),
        )
        return stored, [replace(flag, where=WHERE) for flag in flags]


def other_way(
    ask: Ask,
    template_id: str,
    question: str,
    *,
    wanted: bool,
    family: str | None,
) -> OtherWay | None:
    """Prepare the check of a closed question whose answers claim or deny; None for any other.

    Args:
        ask: What goes to the worker for the question itself.
        template_id: How the question is put, and so its opposite.
        question: As typed.
        wanted: Whether whoever asks wants the check.
        family: The model's, when known.
    """
    offered = ask.choices
    if not (template(template_id).choices and is_claim(offered)):
        return None
    if not wanted:
        return OtherWay(None, SKIPPED)
    opposite = negated(question)
    if opposite is None:
        return OtherWay(None, NO_NEGATED_FORM)
    put = render(template_id, opposite, choices=offered, family=family)[-1].text
    return OtherWay(
        replace(
            ask,
            turns=_with_last(ask.turns, put),
            decoding=Decoding(max_tokens=ask.decoding.max_tokens, temperature=0.0),
            explain_tokens=0,
        )
    )


def _with_last(turns: Sequence[Turn], text: str) -> tuple[Turn, ...]:
    return (*turns[:-1], replace(turns[-1], text=text))


def _stored(
    ask: Ask | None,
    *,
    checked: bool = False,
    contradicts: bool | None = None,
    reason: str | None = None,
    answer: str | None = None,
    choices: Mapping[str, float] | None = None,
    finish_reason: str | None = None,
    made_by: Mapping[str, Any] | None = None,
) -> Consistency:
    return {
        "rule": RULE,
        "version": VERSION,
        "checked": checked,
        "contradicts": contradicts,
        "reason": reason,
        "question": None if ask is None else ask.turns[-1].text,
        "answer": answer,
        "choices": choices,
        "finish_reason": finish_reason,
        "made_by": made_by,
    }
