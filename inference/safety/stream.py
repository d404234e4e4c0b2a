"""The filter between a model and a reader: what is shown has been judged first.

The text is held back a sentence at a time. Shown text is only ever appended to, and it is the
same however the model's output was cut into tokens.
"""

import re
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from inference.safety.rules import WITHHELD, Policy, Rule, policy
from inference.safety.units import cut

_HEADING: Final = re.compile(r"(?:[^.?!]{1,60}:|#{1,6} [^.?!]{1,60})[\s*_]*")
_BULLET: Final = re.compile(r"\s*(?:[-*•+>]|\(?(?:\d{1,2}|[a-z])[.)])\s+")


@dataclass(frozen=True, slots=True)
class Flag:
    """A rule spoke about `[start, end)` of the text named by `where`."""

    rule: str
    kind: str
    effect: Literal["withhold", "flag"]
    message: str
    where: str  # answer: positions in the shown text; else the name of what was typed
    start: int
    end: int

    def as_json(self) -> dict[str, Any]:
        """Return the flag as it is stored and sent."""
        return {
            "rule": self.rule,
            "kind": self.kind,
            "effect": self.effect,
            "message": self.message,
            "where": self.where,
            "start": self.start,
            "end": self.end,
        }


@dataclass(slots=True)
class StreamFilter:
    """Feed it the model's text as it comes; show what it returns. One answer each."""

    has_prior: bool = False  # whether the model was given an earlier image to compare with
    rules: Policy = field(default_factory=policy)
    flags: list[Flag] = field(default_factory=list, init=False)
    _pending: str = field(default="", init=False)
    _shown: int = field(default=0, init=False)
    _last_withheld: str = field(default="", init=False)
    _heading: str = field(default="", init=False)  # what the items of a list stand under
    _in_list: bool = field(default=False, init=False)

    @property
    def policy_version(self) -> str:
        """Which rules judged."""
        return self.rules.version

    def feed(self, text: str) -> str:
        """Take more of the answer and return what may be shown now, perhaps nothing."""
        pieces, self._pending = cut(self._pending + text)
        return "".join(self._judged(piece) for piece in pieces)

    def finish(self) -> tuple[str, list[Flag]]:
        """Judge what is left, because no more comes; return it with every flag of the answer."""
        rest, self._pending = self._pending, ""
        return self._judged(rest) if rest else "", self.flags

    def _judged(self, piece: str) -> str:
        speaking = self._speaking(piece)
        withheld = next((rule for rule in speaking if rule.effect == "withhold"), None)
        if withheld is None:
            shown, self._last_withheld = piece, ""
        else:
            space = piece[len(piece.rstrip()) :]
            again = withheld.kind == self._last_withheld
            shown = "" if again else WITHHELD[withheld.kind] + space
            self._last_withheld = withheld.kind
        start, self._shown = self._shown, self._shown + len(shown)
        end = start + len(shown.rstrip())
        self.flags += [
            Flag(rule.id, rule.kind, rule.effect, rule.message, "answer", start, end)
            for rule in speaking
        ]
        return shown

    def _speaking(self, piece: str) -> list[Rule]:
        read = self.rules.reader.read
        speaking = self.rules.speaking(read(piece), has_prior=self.has_prior)
        bullet = _BULLET.match(piece)
        if self._in_list and not bullet:
            self._heading = ""
        if self._heading and not any(rule.effect == "withhold" for rule in speaking):
            item = piece[bullet.end() :] if bullet else piece
            under = self.rules.speaking(read(f"{self._heading} {item}"))
            speaking += [rule for rule in under if rule.effect == "withhold"]
        self._in_list = bullet is not None
        if _HEADING.fullmatch(piece):
            self._heading = _BULLET.sub("", piece, count=1).strip("\n\t #*_:") + ":"
            self._in_list = False
        elif not bullet:
            self._heading = ""
        return speaking


def screen(text: str, *, where: str) -> list[Flag]:
    """Return flags on what a person typed: identities are pointed out, nothing is withheld."""
    flags = []
    pieces, rest = cut(text)
    start = 0
    for piece in [*pieces, rest]:
        end = start + len(piece.rstrip())
        reading = policy().reader.read(piece)
        flags += [
            Flag(rule.id, rule.kind, rule.effect, rule.message, where, start, end)
            for rule in policy().rules
            if rule.kind == "identifier" and rule.speaks(reading)
        ]
        start += len(piece)
    return flags
