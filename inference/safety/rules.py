"""The safety rules as data: read once, applied to one sentence at a time.

A sentence is brought to one spelling before matching (compatibility forms, invisible characters,
white space, case), so that look-alikes do not slip through. The rules are in `rules.toml`.
"""

import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

WITHHELD: Final = {  # kind -> what stands in a sentence's place
    "treatment": "[Treatment advice withheld.]",
}


@dataclass(frozen=True, slots=True)
class Negation:
    """How a sentence denies something; `reach` in characters on either side of it."""

    before: re.Pattern[str]
    after: re.Pattern[str]
    pseudo: re.Pattern[str]
    ends: re.Pattern[str]
    reach: int

    def covers(self, sentence: str, start: int, end: int) -> bool:
        """Tell whether `sentence[start:end]` is denied."""
        lead = self.ends.split(sentence[:start])[-1][-self.reach :]
        if self.before.search(self.pseudo.sub("", lead)):
            return True
        tail = self.ends.split(sentence[end:])[0][: self.reach]
        return self.after.search(self.pseudo.sub("", tail)) is not None


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `says` and `silent` are its examples."""

    id: str
    kind: str
    effect: Literal["withhold", "flag"]
    message: str
    patterns: tuple[re.Pattern[str], ...]
    unless: tuple[re.Pattern[str], ...]
    negation: Negation | None
    only_without_prior: bool
    case_sensitive: bool
    says: tuple[str, ...]
    silent: tuple[str, ...]

    def speaks(self, sentence: str, *, has_prior: bool = False) -> bool:
        """Tell whether the rule applies to a sentence, given as it was written."""
        if self.only_without_prior and has_prior:
            return False
        plain = _plain(sentence, keep_case=self.case_sensitive)
        if any(pattern.search(plain) for pattern in self.unless):
            return False
        return any(
            self.negation is None or not self.negation.covers(plain, *match.span())
            for pattern in self.patterns
            for match in pattern.finditer(plain)
        )


@dataclass(frozen=True, slots=True)
class Policy:
    """A version of the rules."""

    version: str
    rules: tuple[Rule, ...]


@cache
def policy() -> Policy:
    """Return the rules of this release."""
    fields = tomllib.loads(files(__package__).joinpath("rules.toml").read_text("utf-8"))
    negation = fields["negation"]
    denial = Negation(
        before=_any_of(negation["before"]),
        after=_any_of(negation["after"]),
        pseudo=_any_of(negation["pseudo"]),
        ends=re.compile(negation["ends"]),
        reach=negation["reach"],
    )
    rules = tuple(_rule(rule, fields["words"], denial) for rule in fields["rule"])
    return Policy(fields["policy"], rules)


def _rule(fields: Mapping[str, Any], words: Mapping[str, str], denial: Negation) -> Rule:
    return Rule(
        id=fields["id"],
        kind=fields["kind"],
        effect=fields["effect"],
        message=fields["message"],
        patterns=_compiled(fields["patterns"], words),
        unless=_compiled(fields.get("unless", []), words),
        negation=denial if fields.get("negatable", False) else None,
        only_without_prior=fields.get("only_without_prior", False),
        case_sensitive=fields.get("case_sensitive", False),
        says=tuple(fields["says"]),
        silent=tuple(fields["silent"]),
    )


def _compiled(patterns: Sequence[str], words: Mapping[str, str]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(_filled(pattern, words)) for pattern in patterns)


def _filled(pattern: str, words: Mapping[str, str]) -> str:
    for name, expression in words.items():
        pattern = pattern.replace("{" + name + "}", f"(?:{expression})")
    return pattern


def _any_of(patterns: Sequence[str]) -> re.Pattern[str]:
    return re.compile("|".join(patterns))


def _plain(sentence: str, *, keep_case: bool) -> str:
    composed = unicodedata.normalize("NFKC", sentence)
    visible = "".join(c for c in composed if unicodedata.category(c) != "Cf")
    single = " ".join(visible.split())
    return single if keep_case else single.casefold()
