"""Is this one of the passwords that are guessed first?

Long passwords that people choose alike are made of few pieces: a favourite word, a row of keys, a
year, an exclamation mark. So no list of whole passwords is kept but one of words, ours, and what
counts is how few pieces a password has. A sentence of ordinary words has many.
"""

import unicodedata
from functools import cache
from pathlib import Path
from typing import Final

FEWEST_PIECES: Final = 5
LONGEST_LOOKED_AT: Final = 64
SHORTEST_RUN: Final = 3
ROWS: Final = (
    "abcdefghijklmnopqrstuvwxyz",
    "012345678901234567890",
    "qwertyuiop",
    "asdfghjkl",
    "zxcvbnm",
    "qwertzuiop",
    "azertyuiop",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm",
    "!@#$%^&*()",
)
BETWEEN_WORDS: Final = frozenset(" -_.,+/")
LOOKALIKES: Final = (
    str.maketrans("013457@$!", "oieastasi"),
    str.maketrans("013457@$!", "oleastasl"),
)


def is_common(password: str, *own: str) -> bool:
    """Tell whether a password is made of few well-known pieces.

    Args:
        password: As chosen.
        own: Words anybody would try for this account, such as its name.
    """
    plain = _once(unicodedata.normalize("NFKC", password).casefold())[:LONGEST_LOOKED_AT]
    known = _words() | {word.casefold() for word in own if len(word) >= SHORTEST_RUN}
    return _pieces(plain, known) < FEWEST_PIECES


def _pieces(text: str, known: frozenset[str]) -> int:
    """Return the least number of pieces a text can be cut into; what is unknown counts singly."""
    spelt = {text, *(text.translate(table) for table in LOOKALIKES)}
    fewest = [0] * (len(text) + 1)
    longest = max(map(len, known))
    for end in range(1, len(text) + 1):
        fewest[end] = fewest[end - 1] + (text[end - 1] not in BETWEEN_WORDS)
        for start in range(max(0, end - longest), end - SHORTEST_RUN + 1):
            if _is_run(text[start:end]) or any(each[start:end] in known for each in spelt):
                fewest[end] = min(fewest[end], fewest[start] + 1)
    return fewest[-1]


def _is_run(piece: str) -> bool:
    """Whether a piece is one character again and again, a row of keys, or a year."""
    if len(set(piece)) == 1 or (
        len(piece) == 4 and piece.isdecimal() and piece[:2] in {"18", "19", "20"}
    ):
        return True
    return any(piece in row or piece[::-1] in row for row in ROWS)


def _once(text: str) -> str:
    """Return what a text repeats, or the text itself."""
    size = (text + text).find(text, 1)
    return text[:size]


@cache
def _words() -> frozenset[str]:
    text = Path(__file__).with_name("common_words.txt").read_text(encoding="utf-8")
    lines = (line for line in text.splitlines() if not line.startswith("#"))
    return frozenset(word for line in lines for word in line.split())
