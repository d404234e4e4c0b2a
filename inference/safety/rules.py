"""The safety rules as data: read once, applied to one sentence at a time.

A sentence is brought to one spelling before matching (compatibility forms, invisible characters,
white space, case, slips of one letter), so that look-alikes do not slip through. The rules are in
`rules.toml`, the critical findings in `critical.toml`, what takes a mention back in
`language.toml`.
"""

import re
import tomllib
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

from inference.safety.context import Context, contexts
from inference.safety.spelling import Speller

WITHHELD: Final = {  # kind -> what stands in a sentence's place
    "treatment": "[Treatment advice withheld.]",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `says` and `silent` are its examples."""

    id: str
    kind: str
    effect: Literal["withhold", "flag"]
    message: str
    patterns: tuple[re.Pattern[str], ...]
    unless: tuple[re.Pattern[str], ...]
    silenced_by: tuple[Context, ...]
    speller: Speller
    only_without_prior: bool
    case_sensitive: bool
    says: tuple[str, ...]
    silent: tuple[str, ...]

    def speaks(self, sentence: str, *, has_prior: bool = False) -> bool:
        """Tell whether the rule applies to a sentence, given as it was written."""
        if self.only_without_prior and has_prior:
            return False
        plain = _plain(sentence)
        if not self.case_sensitive:
            plain = self.speller.corrected(plain.casefold())
        if any(pattern.search(plain) for pattern in self.unless):
            return False
        return any(
            not any(context.covers(plain, *match.span()) for context in self.silenced_by)
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
    fields, language, critical = _read("rules"), _read("language"), _read("critical")
    known = contexts(language)
    speller = Speller.of(**language["spelling"])
    findings = [pattern for finding in critical["finding"] for pattern in finding["patterns"]]
    words = fields["words"]

    def rule(given: Mapping[str, Any]) -> Rule:
        own = given.get("patterns", findings)
        return Rule(
            id=given["id"],
            kind=given["kind"],
            effect=given["effect"],
            message=given["message"],
            patterns=_compiled(own, words),
            unless=_compiled(given.get("unless", []), words),
            silenced_by=tuple(known[name] for name in given.get("silenced_by", [])),
            speller=speller,
            only_without_prior=given.get("only_without_prior", False),
            case_sensitive=given.get("case_sensitive", False),
            says=tuple(given["says"]),
            silent=tuple(given["silent"]),
        )

    return Policy(fields["policy"], tuple(rule(given) for given in fields["rule"]))


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath(f"{name}.toml").read_text("utf-8"))


def _compiled(patterns: Sequence[str], words: Mapping[str, str]) -> tuple[re.Pattern[str], ...]:
    return tuple(re.compile(_filled(pattern, words)) for pattern in patterns)


def _filled(pattern: str, words: Mapping[str, str]) -> str:
    for name, expression in words.items():
        pattern = pattern.replace("{" + name + "}", f"(?:{expression})")
    return pattern


def _plain(sentence: str) -> str:
    composed = unicodedata.normalize("NFKC", sentence)
    visible = "".join(c for c in composed if unicodedata.category(c) != "Cf")
    return " ".join(visible.split())
