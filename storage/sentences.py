"""Where the sentences of a report begin and end.

Marks and exports name sentences by index, so the same text must give the same spans for ever:
a change of these rules is a new `VERSION`. Spans are stored with the draft for the same reason.
"""

import re
from typing import Final

VERSION: Final = "1"

Span = tuple[int, int]  # [start, end) in characters

_CANDIDATE: Final = re.compile(r"(?P<stop>[.!?]+[\"')\]”’»]*)(?=\s)|(?P<line>[^\S\n]*\n\s*)")
_LIST_ITEM: Final = re.compile(r"(?:[-*•–]|\(?(?:\d{1,2}|[A-Za-z])[.)])\s")
_MARKER: Final = re.compile(r"\(?(?:\d{1,2}|[A-Za-z])")
_NEVER_LAST: Final = frozenset(
    {
        "approx",
        "ca",
        "cf",
        "dr",
        "e.g",
        "esp",
        "excl",
        "i.e",
        "incl",
        "mr",
        "mrs",
        "ms",
        "prof",
        "resp",
        "viz",
        "vs",
    }
)
_BEFORE_NUMBER: Final = frozenset(
    {"fig", "figs", "gr", "im", "img", "no", "nos", "p", "pp", "ref", "se", "ser", "vol"}
)
_MAY_CONTINUE: Final = frozenset(
    {"al", "cm", "etc", "h", "hr", "kg", "m", "mg", "min", "ml", "mm", "msec", "s", "sec"}
)


def split(text: str) -> list[Span]:
    """Return the spans of the sentences in `text`, in order and without overlap.

    Everything outside the spans is white space; no span begins or ends with it. A line break
    ends a sentence unless the next line goes on in lower case.
    """
    spans: list[Span] = []
    start = 0
    for candidate in _CANDIDATE.finditer(text):
        rest = text[candidate.end() :].lstrip()
        if candidate["line"] is not None:
            ends = _line_ends(candidate["line"], rest)
        else:
            ends = _stop_ends(text[start : candidate.start()].strip(), candidate["stop"], rest)
        if ends:
            spans.append((start, candidate.end()))
            start = candidate.end()
    spans.append((start, len(text)))
    return [span for span in (_trimmed(text, span) for span in spans) if span[0] < span[1]]


def _line_ends(line: str, rest: str) -> bool:
    blank = line.count("\n") > 1
    return blank or not rest[:1].islower() or _LIST_ITEM.match(rest) is not None


def _stop_ends(head: str, stop: str, rest: str) -> bool:
    if stop[0] in "!?":
        return True
    if _MARKER.fullmatch(head):
        return False  # "2. Effusion": the number belongs to what follows
    word = re.split(r"[\s(\[/]", head)[-1].lower()
    if word in _NEVER_LAST:
        return False
    if rest[:1].isdigit():
        return word not in _BEFORE_NUMBER
    goes_on = stop.startswith("..") or "." in word or word in _MAY_CONTINUE
    return not (rest[:1].islower() and goes_on)


def _trimmed(text: str, span: Span) -> Span:
    start, end = span
    piece = text[start:end]
    return start + len(piece) - len(piece.lstrip()), end - (len(piece) - len(piece.rstrip()))
