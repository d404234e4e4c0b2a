"""Search what is about to be stored for anything the sender's header said in words.

The allow-list should make a hit impossible. This net is for the day it does not: it works on
the bytes that were written and knows nothing of how they came about.
"""

import re
from collections.abc import Iterable
from typing import Final

from storage.intake.refusals import RefusedFileError

SHORTEST: Final = 4  # characters; initials and units are everywhere
_SHORT_NUMBER: Final = 6  # digits below which a number is also a plain measurement
_SEPARATORS: Final = re.compile(rb"[\^=\\\s,;:()\[\]<>|\"'\0]+")
_NUMBER: Final = re.compile(rb"[-+]?\d*\.?\d*")  # not a UID, which has more dots
_WELL_KNOWN: Final = b"1.2.840.10008."  # DICOM's own UIDs name no one


def tokens(texts: Iterable[tuple[int, str, bytes]]) -> set[bytes]:
    """Return every word of the header's text values, names, ids, dates and UIDs among them.

    Args:
        texts: Tag, value representation and raw bytes, as `scan_dicom` found them.
    """
    found: set[bytes] = set()
    for _, vr, value in texts:
        whole = value.strip(b" \0")
        parts = whole.split(b"\\") if vr == "UI" else [whole, *_SEPARATORS.split(whole)]
        found.update(part.strip(b" \0.") for part in parts)
    return {
        token for token in found if len(token) >= SHORTEST and not token.startswith(_WELL_KNOWN)
    }


def check(header: bytes, words: bytes, found: set[bytes], own: Iterable[str]) -> None:
    """Refuse when a token is in the output.

    Args:
        header: The output without its pixel data, preamble and file meta included.
        words: The text values of the output; short and fractional numbers are looked for
            only here, since `1200` may be an exposure as well as a room.
        found: As `tokens` returned.
        own: Strings that this program put there: pseudonyms, closed terms, its own name.

    Raises:
        RefusedFileError: `identifier_left`.
    """
    for text in sorted(set(own), key=len, reverse=True):
        if len(text) >= SHORTEST:
            header = header.replace(text.encode(), b"\0")
            words = words.replace(text.encode(), b"\0")
    for token in found:
        number = _NUMBER.fullmatch(token)
        where = words if number and (b"." in token or len(token) < _SHORT_NUMBER) else header
        if any(spelling in where for spelling in _spellings(token)):
            raise RefusedFileError("identifier_left")


def _spellings(token: bytes) -> set[bytes]:
    """Return a token as it stands and as other encodings would have it."""
    try:
        text = token.decode("utf-8")
    except UnicodeDecodeError:
        text = token.decode("latin-1")
    spellings = {token, text.encode("utf-8"), text.encode("utf-16-le"), text.encode("utf-16-be")}
    return spellings | {text.encode("latin-1", "ignore") or token}
