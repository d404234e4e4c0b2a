"""Where a text may be cut so that each piece can be judged by itself, while it still arrives.

A piece ends where a sentence surely does. In doubt it goes on: a longer piece is shown later,
but a piece that ends too early would separate a drug from its dose.
"""

import re
from typing import Final

_GAP: Final = re.compile(r"(?<!\s)\s++(?=\S)")
_STOP: Final = re.compile(r"([.!?])[\"')\]”’]{0,4}$")
_NEVER_LAST: Final = frozenset(
    {
        *("approx", "ca", "cf", "e.g", "i.e", "resp", "vs"),
        *("dr", "mme", "mr", "mrs", "ms", "mx", "prof", "sr", "sra"),  # a name follows
    }
)
_BEFORE_NUMBER: Final = frozenset({"fig", "im", "no", "nr", "se", "ser", "vol"})
_LIST_NUMBER: Final = re.compile(r"\(?(?:\d{1,2}|[A-Za-z])")
_LONGEST_WORD: Final = 24  # characters looked at


def cut(text: str) -> tuple[list[str], str]:
    """Return the finished pieces of `text`, white space behind each included, and the rest.

    Joined, they are the text again. What comes later never changes a finished piece.
    """
    pieces: list[str] = []
    start = 0
    for gap in _GAP.finditer(text):
        if _ends(text[start : gap.start()], gap.group(), text[gap.end()]):
            pieces.append(text[start : gap.end()])
            start = gap.end()
    return pieces, text[start:]


def _ends(head: str, gap: str, following: str) -> bool:
    if following.islower():
        return False
    if "\n" in gap:
        return True
    stop = _STOP.search(head[-_LONGEST_WORD:])
    if stop is None or stop[1] != ".":
        return stop is not None
    before = head[-_LONGEST_WORD:].rstrip("\"')]”’").rstrip(".")
    word = re.split(r"[\s(\[/]", before)[-1].lower()
    if following.isdigit() and word in _BEFORE_NUMBER:
        return False
    initial = len(word) == 1 and word.isalpha()
    listed = _LIST_NUMBER.fullmatch(head.strip().rstrip(".)"))
    return not (word in _NEVER_LAST or initial or listed)
