"""The allow-list of `profile.toml` as values, and the checks each kept value must pass.

Default deny: an element without an entry is dropped at every depth, and an entry's rule
decides which values stay. Numbers are written anew from their value and words come from closed
lists, so no byte of a kept element is the sender's own.
"""

import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Final

from pydicom.valuerep import DSfloat

_AGE: Final = re.compile(r"(\d{3})([DWMY])")
OLDEST_YEARS: Final = 89  # PS3.15 E.1-1 note on ages: all above are one group


@dataclass(frozen=True, slots=True)
class Entry:
    """One kept element: `kind` is the rule's first word, the rest are its parameters."""

    tag: int
    keyword: str
    vr: str
    rule: str
    section: str
    reason: str
    kind: str
    words: frozenset[str] = frozenset()
    low: float = 0.0
    high: float = 0.0
    counts: range = range(0)
    holds: tuple[str, ...] = ()
    kept_empty: bool = False  # present without a value where none of the source's may stay


@dataclass(frozen=True, slots=True)
class Profile:
    """The whole allow-list, by tag."""

    edition: str
    entries: Mapping[int, Entry]
    words: Mapping[str, tuple[str, ...]]

    def named(self, keywords: Iterable[str]) -> list[Entry]:
        """Return the entries of these keywords, in the order of tags."""
        wanted = set(keywords)
        return [entry for entry in self.entries.values() if entry.keyword in wanted]


@cache
def profile() -> Profile:
    """Return the profile that is part of this release."""
    text = files("storage.intake").joinpath("profile.toml").read_text(encoding="utf-8")
    source = tomllib.loads(text)
    words = {name: tuple(values) for name, values in source["words"].items()}
    empty = frozenset(source["kept_empty"])
    entries = [_entry(row, words, empty) for row in source["elements"]]
    by_tag = {entry.tag: entry for entry in sorted(entries, key=lambda entry: entry.tag)}
    return Profile(source["edition"], by_tag, words)


def explain() -> str:
    """Return the profile as the Markdown table that the README shows."""
    lines = [
        "| tag | element | VR | what is kept | section | why |",
        "|---|---|---|---|---|---|",
    ]
    for entry in profile().entries.values():
        tag = f"({entry.tag >> 16:04X},{entry.tag & 0xFFFF:04X})"
        kept = _kept(entry) + ("; else no value" if entry.kept_empty else "")
        cells = (tag, entry.keyword, entry.vr, kept, entry.section, entry.reason)
        lines.append(f"| {' | '.join(cells)} |")
    lines.append("| all others | | | nothing | PS3.15 E.1-1 | default deny, at every depth |")
    return "\n".join(lines) + "\n"


def kept_words(entry: Entry, values: Iterable[Any]) -> list[str]:
    """Return values up to the first one that the entry's list does not know."""
    kept = []
    for value in values:
        word = str(value).strip().upper()
        if word not in entry.words:
            break
        kept.append(word)
    return kept


def kept_numbers(entry: Entry, values: Iterable[Any]) -> list[Any]:
    """Return all values as fresh numbers, or none when one of them is out of order."""
    try:
        numbers = [float(value) for value in values]
    except (TypeError, ValueError, OverflowError):
        return []
    if len(numbers) not in entry.counts:
        return []
    if not all(math.isfinite(n) and entry.low <= n <= entry.high for n in numbers):
        return []
    if entry.vr == "DS":
        return [DSfloat(number, auto_format=True) for number in numbers]
    return [int(number) for number in numbers] if all(map(float.is_integer, numbers)) else []


def kept_age(value: Any) -> str | None:  # noqa: ANN401 - whatever the header holds
    """Return an age string (PS3.5 6.2, AS), ages above 89 years as `090Y`."""
    match = _AGE.fullmatch(str(value).strip())
    if match is None:
        return None
    number, unit = int(match[1]), match[2]
    years = number / {"D": 365.25, "W": 52.18, "M": 12, "Y": 1}[unit]
    return match[0] if years < OLDEST_YEARS + 1 else f"{OLDEST_YEARS + 1:03d}Y"


def _entry(row: list[str], words: Mapping[str, tuple[str, ...]], empty: frozenset[str]) -> Entry:
    """Read one line of the table."""
    tag, keyword, vr, rule, section, reason = row
    kind, *rest = rule.split()
    number = int(tag[1:5] + tag[6:10], 16)
    entry = Entry(number, keyword, vr, rule, section, reason, kind)
    fields = {name: getattr(entry, name) for name in Entry.__slots__}
    fields["kept_empty"] = keyword in empty
    match kind:
        case "words":
            fields["words"] = frozenset(words[rest[0]])
        case "number":
            low, high = rest[0].split("..")
            least, _, most = rest[1].partition("-")
            fields |= {"low": float(low), "high": float(high)}
            fields["counts"] = range(int(least), int(most or least) + 1)
        case "items":
            fields["holds"] = tuple(rest)
    return Entry(**fields)


def _kept(entry: Entry) -> str:
    """Say in words what a rule keeps."""
    match entry.kind:
        case "words":
            listed = ", ".join(sorted(word for word in entry.words if word))
            return listed if len(entry.words) <= 12 else f"one of {len(entry.words)} terms"
        case "number":
            return f"numbers from {entry.low:g} to {entry.high:g}"
        case "items":
            return "only " + ", ".join(entry.holds)
        case kind:
            return {
                "uid": "a keyed pseudonym",
                "class": "as it is: an image class",
                "age": "as it is; above 89 years 090Y",
                "empty": "no value",
                "pseudonym": "a keyed pseudonym",
                "decoded": "as decoded",
                "fixed": "always the same",
            }[kind]
