"""Brings text to one spelling before it is judged, so that look-alikes do not slip through.

What a reader sees as the same letters counts as the same: compatibility forms, letters of other
alphabets drawn alike, invisible characters, accents, mark-up, entities, letters spaced out.
"""

import html
import re
import unicodedata
from typing import Final

_DRAWN_ALIKE: Final = (  # Cyrillic and Greek letters, and the Latin ones they look like
    ("АВЕЅІЈКМНОРСТХУ", "ABESIJKMHOPCTXY"),
    ("аеѕіјорсухһӏԁԛԝ", "aesijopcyxhldqw"),
    ("ΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "ABEZHIKMNOPTYX"),
    ("αικνορτυχ", "aikvoptux"),
    ("ıɑɡ‐‑‒−’‘", "iag----''"),
)
_LETTERS: Final = str.maketrans(
    {
        **{ord(a): b for alike, latin in _DRAWN_ALIKE for a, b in zip(alike, latin, strict=True)},
        **dict.fromkeys(map(ord, "\u115f\u1160\u3164\uffa0\u2800™®©`\\"), ""),
        **{ord("œ"): "oe", ord("æ"): "ae", ord("ø"): "o", ord("ß"): "ss"},
    }
)
_TAG: Final = re.compile(r"</?[A-Za-z!][^<>]{0,80}>")
_LINK: Final = re.compile(r"!?\[([^\[\]]{0,200})\]\([^()]{0,300}\)")
_SPACED_OUT: Final = re.compile(r"(?<!\w)\w(?:([ .\-·])\w(?:\1\w){2,})(?!\w)")
_MARKS: Final = re.compile(r"[*~_]+")
_INNER_MARKS: Final = re.compile(r"(?<=[^\W_])[*~_]+(?=[^\W_])")
_BROKEN_WORD: Final = re.compile(r"(?<=[a-z])-?[ \t]*[\r\n]+[ \t]*(?=[a-z])")


def readings(text: str) -> tuple[str, ...]:
    """Return every way `text` may be read, in plain letters and single spaces, case kept.

    A line break or a mark inside a word may split it or be nothing: then there are more than one.
    """
    lettered = _lettered(text)
    read = (
        lettered,
        _BROKEN_WORD.sub("", lettered),
        _INNER_MARKS.sub(" ", lettered),
    )
    return tuple(dict.fromkeys(" ".join(_MARKS.sub("", way).split()) for way in read))


def _lettered(text: str) -> str:
    decoded = _LINK.sub(r"\1", _TAG.sub("", html.unescape(html.unescape(text))))
    apart = unicodedata.normalize("NFKD", decoded.translate(_LETTERS))
    visible = "".join(c for c in apart if unicodedata.category(c) not in {"Cf", "Mn"})
    return _SPACED_OUT.sub(_closed_up, visible.translate(_LETTERS))


def _closed_up(match: re.Match[str]) -> str:
    letters = match[0][::2]
    return letters if letters.isalpha() else match[0]
