"""Whether a model holds to what it said when it is asked the other way round.

"Is there an effusion?" and "Is there no effusion?" have answers that must agree. A model that
says yes to both was led by the question and not by the image.
"""

import re
from typing import Final, Literal

Claim = Literal["present", "absent"]

OPPOSITE: Final[dict[Claim, Claim]] = {"present": "absent", "absent": "present"}
# What an answer says of the finding, whichever way the question was put.
STATED: Final[tuple[tuple[re.Pattern[str], Claim | None], ...]] = (
    (
        re.compile(
            r"\b(?:indeterminate|uncertain|unclear|cannot be (?:told|judged|excluded|ruled out)"
            r"|(?:can|could)(?: ?not|n't) (?:tell|say|judge|exclude|rule out)"
            r"|not (?:sure|certain)|possibl[ey]|may be|might be)\b"
        ),
        None,
    ),
    (
        re.compile(
            r"\b(?:absent|no evidence|without|none|not (?:present|seen|visible|identified|shown)"
            r"|(?:is|are) no\b)"
        ),
        "absent",
    ),
    (re.compile(r"\b(?:present|there (?:is|are)|visible|seen|shows?|identified)\b"), "present"),
)
YES_OR_NO: Final = re.compile(r"\W*(yes|no|true|false|correct|incorrect)\b(?=\W|$)(?! \w)")


def contradicts(positive_answer: str, negated_answer: str) -> bool:
    """Tell whether two answers exclude each other.

    Args:
        positive_answer: What was said to "Is there …?".
        negated_answer: What was said to "Is there no …?". The words `present` and `absent`, and
            sentences, speak of the finding itself; `yes` and `no` alone speak to the question.

    Returns:
        False also when either answer leaves it open, or says neither.
    """
    claims = {_claim(positive_answer), _claim(negated_answer, negated=True)}
    return claims == {"present", "absent"}


def _claim(answer: str, *, negated: bool = False) -> Claim | None:
    words = " ".join(answer.casefold().split())
    short = YES_OR_NO.match(words)
    if short is not None:
        said: Claim = "present" if short[1] in {"yes", "true", "correct"} else "absent"
        return OPPOSITE[said] if negated else said
    for pattern, claim in STATED:
        if pattern.search(words):
            return claim
    return "absent" if words.startswith("no ") else None
