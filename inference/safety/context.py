"""Whether a sentence means what it names: here, now, in this patient.

Triggers before and behind what is named, cut at the end of its clause, as NegEx and ConText do
it. Doubt takes nothing back: "cannot be excluded" suggests.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

CONTEXTS: Final = ("denied", "past", "hypothetical", "defined", "family")
NOTHING: Final = re.compile(r"(?!)")


@dataclass(frozen=True, slots=True)
class Context:
    """One way of taking back; `reach` in characters on either side."""

    before: re.Pattern[str]
    after: re.Pattern[str]
    pseudo: re.Pattern[str]  # looks like a trigger and is none
    ends: re.Pattern[str]  # where a clause ends
    reach: int

    def covers(self, sentence: str, start: int, end: int) -> bool:
        """Tell whether `sentence[start:end]` is taken back; triggers inside it count too."""
        lead = self.pseudo.sub(" ", sentence[max(0, start - self.reach) : end])
        if self.before.search(self.ends.split(lead)[-1]):
            return True
        tail = self.pseudo.sub(" ", sentence[end : end + self.reach])
        return self.after.search(tail) is not None


def contexts(fields: Mapping[str, Any]) -> dict[str, Context]:
    """Return the contexts by name, from the parsed `language.toml`."""
    return {
        name: Context(
            before=any_of(fields[name]["before"]),
            after=any_of(fields[name]["after"]),
            pseudo=any_of(fields[name]["pseudo"]),
            ends=re.compile(fields[name]["ends"]),
            reach=fields["reach"],
        )
        for name in CONTEXTS
    }


def any_of(patterns: Sequence[str]) -> re.Pattern[str]:
    """Return one pattern for several; for none, one that never matches."""
    return re.compile("|".join(f"(?:{pattern})" for pattern in patterns)) if patterns else NOTHING
