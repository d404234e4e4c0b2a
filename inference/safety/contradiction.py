"""Whether a model holds to what it said when it is asked the other way round.

"Is there an effusion?" and "Is there no effusion?" have answers that must agree. A model that
says yes to both was led by the question and not by the image. Only questions whose opposite is
certain are put the other way round: a clumsy negation would test the model's grammar.
"""

import re
from collections.abc import Sequence
from typing import Final, Literal

from inference.safety.stream import Flag

Claim = Literal["present", "absent"]

RULE: Final = "contradiction.negated_question"
VERSION: Final = 1  # of the negation and of the comparison, together
MESSAGE: Final = "Asked the other way round, the model contradicted this answer."

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
CLAIMS: Final = (frozenset({"present", "absent"}), frozenset({"yes", "no"}))
_NEGATION: Final = re.compile(
    r"\b(?:no|not|none|nor|never|without|absent|absence|neither|free of)\b|n['’]t\b", re.IGNORECASE
)
_SEVERAL: Final = re.compile(r"\b(?:and|or|versus|vs)\b|[,;:/]", re.IGNORECASE)
_LONGEST: Final = 400  # characters; what is longer is not one plain question
_LAST_SENTENCE: Final = re.compile(r"(?P<before>(?:.*[.!] )?)(?P<asked>[^.!?]+?) ?\?")
_STATES: Final = (
    "abnormal|blunted|calcified|clear|collapsed|detectable|deviated|dilated|displaced|elevated"
    "|enlarged|fractured|hyperinflated|identified|intact|intubated|normal|obscured|present|seen"
    "|shown|thickened|visible|widened"
)
_PLACE: Final = r"(?: (?:above|at|behind|below|beside|for|in|on|under|within) .+)?"
_NOT_A_THING: Final = (
    r"(?!(?:an?|any\w*|some\w*|the|more|other|that|if|also|just|likely|only|possibly|probably"
    r"|really|still)\b)"
)
# (a question that can be denied, the same denied); the first that fits is taken
_DENIED: Final = tuple(
    (re.compile(pattern, re.IGNORECASE), other)
    for pattern, other in (
        (rf"((?:is|are) there) (?:(?:an?|any|some) )?{_NOT_A_THING}(.+)", r"\1 no \2"),
        (
            r"((?:does|do|did) .+? (?:show|demonstrate|reveal|contain|suggest|indicate|have)"
            r"|(?:do|can|could) you (?:see|find|identify|detect|recogni[sz]e)) "
            rf"(?:(?:an?|any|some) )?{_NOT_A_THING}(.+)",
            r"\1 no \2",
        ),
        (rf"(is|are) (?:an?|any) (.+? (?:{_STATES}){_PLACE})", r"\1 no \2"),
        (rf"((?:is|are) (?!there\b).+?) ((?:{_STATES}){_PLACE})", r"\1 not \2"),
    )
)
YES_OR_NO: Final = re.compile(r"\W*(yes|no|true|false|correct|incorrect)\b(?=\W|$)(?! \w)")


def contradicts(positive_answer: str, negated_answer: str) -> bool:
    """Tell whether two answers exclude each other.

    Args:
        positive_answer: What was said to "Is there …?"; the first line of it counts, since an
            explanation may follow.
        negated_answer: What was said to "Is there no …?". The words `present` and `absent`, and
            sentences, speak of the finding itself; `yes` and `no` alone speak to the question.

    Returns:
        False also when either answer leaves it open, or says neither.
    """
    claims = {_claim(positive_answer), _claim(negated_answer, negated=True)}
    return claims == {"present", "absent"}


def _claim(answer: str, *, negated: bool = False) -> Claim | None:
    words = " ".join(answer.strip().partition("\n")[0].casefold().split())
    short = YES_OR_NO.match(words)
    if short is not None:
        said: Claim = "present" if short[1] in {"yes", "true", "correct"} else "absent"
        return OPPOSITE[said] if negated else said
    for pattern, claim in STATED:
        if pattern.search(words):
            return claim
    return "absent" if words.startswith("no ") else None


def is_claim(choices: Sequence[str]) -> bool:
    """Tell whether the offered answers hold both a claim and its denial."""
    offered = {choice.casefold() for choice in choices}
    return any(pair <= offered for pair in CLAIMS)


def negated(question: str) -> str | None:
    """Return the question put the other way round: "Is there no …?" for "Is there …?".

    Returns:
        None where that is not certain: a question about two things, one that is negated
        already, one that is not answered by yes or no, or one in another language.
    """
    if len(question) > _LONGEST:
        return None
    found = _LAST_SENTENCE.fullmatch(" ".join(question.split()))
    if found is None:
        return None
    asked = found["asked"]
    if _NEGATION.search(asked) or _SEVERAL.search(asked):
        return None
    for pattern, other in _DENIED:
        fitting = pattern.fullmatch(asked)
        if fitting is not None:
            return f"{found['before']}{fitting.expand(other)}?"
    return None


def flag(end: int) -> Flag:
    """Return the flag on an answer of `end` characters that its negated question contradicts."""
    return Flag(RULE, "contradiction", "flag", MESSAGE, "answer", 0, end)
