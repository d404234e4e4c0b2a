"""The safety rules as data: read once, applied to one sentence at a time.

A sentence is read once for all rules: brought to one spelling, slips of one letter mended, its
words put into their classes. The rules are in `rules.toml`, the words they know in
`lexicon.toml`, the critical findings in `critical.toml`, what takes a mention back in
`language.toml`.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final, Literal

from inference.safety.context import Context, contexts
from inference.safety.opinion import Opinion, features, opinions
from inference.safety.plain import readings
from inference.safety.slots import Lexicon, Pattern
from inference.safety.spelling import Speller

WITHHELD: Final = {  # kind -> what stands in a sentence's place
    "treatment": "[Treatment advice withheld.]",
}
ENOUGH_ONCE: Final = frozenset({*WITHHELD, "urgent"})  # kinds: one rule of them says it all


@dataclass(frozen=True, slots=True)
class Reading:
    """A sentence as the rules see it; more than one of each where it may be read in two ways."""

    cased: tuple[str, ...]  # in plain letters
    lower: tuple[str, ...]  # and in lower case, misspelt words mended
    statements: tuple[str, ...]  # and in words with their classes
    features: frozenset[str]  # what the second opinion weighs


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads sentences for the rules."""

    speller: Speller
    lexicon: Lexicon
    told: tuple[Pattern, ...]

    def read(self, sentence: str) -> Reading:
        """Return a sentence, given as it was written, as the rules see it."""
        cased = readings(sentence)
        lower = tuple(self.speller.corrected(reading.casefold()) for reading in cased)
        statements = [s for reading in lower for s in self.lexicon.statements(reading)]
        for pattern in self.told:
            statements = [pattern.untag(statement) for statement in statements]
        return Reading(cased, lower, tuple(statements), features(statements))


@dataclass(frozen=True, slots=True)
class Pair:
    """Two things that mean something where they stand near each other."""

    one: re.Pattern[str]
    other: re.Pattern[str]
    within: int  # words between

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> "Pair":
        """Read a pair as `critical.toml` writes it."""
        one, other = (re.compile(rf"\b(?:{fields[name]})(?!\w)") for name in ("one", "other"))
        return cls(one, other, fields["within"])

    def spans(self, plain: str) -> Iterator[tuple[int, int]]:
        """Return where it is met, from the first of the two to the end of the second."""
        for one in self.one.finditer(plain):
            for other in self.other.finditer(plain):
                first, second = sorted((one.span(), other.span()))
                between = plain[first[1] : second[0]]
                apart = first[1] > second[0] or _APART.search(between)
                if not apart and len(_GAP_WORDS.findall(between)) <= self.within:
                    yield first[0], second[1]


_APART: Final = re.compile(r"[;?!]|[.] ")
_GAP_WORDS: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `says` and `silent` are its examples."""

    id: str
    kind: str
    effect: Literal["withhold", "flag"]
    message: str
    slots: tuple[Pattern, ...]
    unless_slots: tuple[Pattern, ...]
    patterns: tuple[re.Pattern[str], ...]
    pairs: tuple[Pair, ...]
    opinion: Opinion | None  # speaks by itself where that says yes
    doubt: Opinion | None  # is silent where that says no
    unless: tuple[re.Pattern[str], ...]
    silenced_by: tuple[Context, ...]
    only_without_prior: bool
    case_sensitive: bool
    says: tuple[str, ...]
    silent: tuple[str, ...]

    def speaks(self, sentence: str | Reading, *, has_prior: bool = False) -> bool:
        """Tell whether the rule applies to a sentence, as it was written or as read before."""
        if self.only_without_prior and has_prior:
            return False
        reading = policy().reader.read(sentence) if isinstance(sentence, str) else sentence
        if self.opinion is not None:
            return self.opinion.says_yes(reading.features) and not self._excused(reading)
        plain = reading.cased if self.case_sensitive else reading.lower
        return (any(map(self._fills, reading.statements)) or any(map(self._matches, plain))) and (
            self.doubt is None or not self.doubt.says_no(reading.features)
        )

    def _excused(self, reading: Reading) -> bool:
        return any(slots.search(s) for slots in self.unless_slots for s in reading.statements)

    def _fills(self, statement: str) -> bool:
        return any(slots.search(statement) for slots in self.slots) and not any(
            slots.search(statement) for slots in self.unless_slots
        )

    def _matches(self, plain: str) -> bool:
        if any(pattern.search(plain) for pattern in self.unless):
            return False
        return any(
            not any(context.covers(plain, *span) for context in self.silenced_by)
            for span in self._spans(plain)
        )

    def _spans(self, plain: str) -> Iterator[tuple[int, int]]:
        for pattern in self.patterns:
            for match in pattern.finditer(plain):
                yield match.span()
        for pair in self.pairs:
            yield from pair.spans(plain)


@dataclass(frozen=True, slots=True)
class Policy:
    """A version of the rules."""

    version: str
    reader: Reader
    rules: tuple[Rule, ...]

    def speaking(self, reading: Reading, *, has_prior: bool = False) -> list[Rule]:
        """Return the rules that apply; of a kind of `ENOUGH_ONCE`, the first."""
        found: list[Rule] = []
        said: set[str] = set()
        for rule in self.rules:
            if rule.kind in said:
                continue
            if rule.speaks(reading, has_prior=has_prior):
                found.append(rule)
                said |= {rule.kind} & ENOUGH_ONCE
        return found


@cache
def policy() -> Policy:
    """Return the rules of this release."""
    fields, language, critical = _read("rules"), _read("language"), _read("critical")
    lexicon = _read("lexicon")
    known = contexts(language)
    pairs = tuple(map(Pair.of, critical["pair"]))
    findings = [pattern for finding in critical["finding"] for pattern in finding["patterns"]]
    classes = fields["classes"]
    asked = opinions()

    def slots(written: Sequence[str]) -> tuple[Pattern, ...]:
        return tuple(Pattern.of(_filled(pattern, classes)) for pattern in written)

    def rule(given: Mapping[str, Any]) -> Rule:
        by_slots = "slots" in given or "by_opinion" in given
        own = given.get("patterns", [] if by_slots else findings)
        unless = given.get("unless", [])
        return Rule(
            id=given["id"],
            kind=given["kind"],
            effect=given["effect"],
            message=given["message"],
            slots=slots(given.get("slots", [])),
            unless_slots=slots(unless if by_slots else []),
            patterns=tuple(map(re.compile, own)),
            pairs=pairs if own is findings else (),
            opinion=asked.get(given.get("by_opinion", "")),
            doubt=asked.get(given.get("doubted_by", "")),
            unless=tuple(map(re.compile, [] if by_slots else unless)),
            silenced_by=tuple(known[name] for name in given.get("silenced_by", [])),
            only_without_prior=given.get("only_without_prior", False),
            case_sensitive=given.get("case_sensitive", False),
            says=tuple(given["says"]),
            silent=tuple(given["silent"]),
        )

    spelling = language["spelling"]
    own_words = [word for name in spelling["classes"] for word in lexicon["words"][name]]
    words = Lexicon.of(lexicon)
    speller = Speller.of(
        [*spelling["words"], *(word for word in own_words if word.isalpha() and len(word) > 7)],
        [*spelling["kept"], *spelling["whole"], *words.words],
        [
            entry.split()[0].removesuffix("+")
            for name in spelling["joined_verbs"]
            for entry in lexicon["verbs"][name]
        ],
    )
    reader = Reader(speller, words, slots(fields["told"]))
    return Policy(fields["policy"], reader, tuple(rule(given) for given in fields["rule"]))


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads(files(__package__).joinpath(f"{name}.toml").read_text("utf-8"))


def _filled(pattern: str, classes: Mapping[str, str]) -> str:
    while "{" in pattern:
        for name, expression in classes.items():
            pattern = pattern.replace("{" + name + "}", expression)
    return pattern
