"""Check what came from outside before it is stored: text, keys, and whatever JSON carries.

A database keeps no NUL and no lone surrogate, and its JSON no NaN; such input is refused with
a sentence, so that it is never cut or changed silently.
"""

import json
import math
import unicodedata
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from itertools import chain
from typing import Any, Final, TypeVar

from webapp.services.errors import InvalidRequestError

MAX_TEXT: Final = 20_000  # characters of a report or a comment
MAX_KEY: Final = 128
MAX_JSON: Final = 256 * 1024  # characters of one JSON value
MAX_DEPTH: Final = 12

_UNSEEN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})  # Unicode's categories
_BLANK: Final = frozenset(  # letters, marks and signs that are drawn as nothing
    chain(
        map(chr, (0x34F, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0)),
        map(chr, range(0x180B, 0x1810)),
        map(chr, range(0xFE00, 0xFE10)),
        map(chr, range(0xE0100, 0xE01F0)),
    )
)

Word = TypeVar("Word", bound=StrEnum)


def text(value: object, what: str, *, limit: int = MAX_TEXT, required: bool = False) -> str:
    """Return a text with its line ends made the same, or refuse it; None is no text.

    Raises:
        InvalidRequestError: not a text, too long, empty though required, or not storable.
    """
    if value is None:
        value = ""
    if not isinstance(value, str):
        raise InvalidRequestError(f"The {what} must be text.")
    if len(value) > limit:
        raise InvalidRequestError(f"The {what} is longer than {limit:,} characters.")
    _storable(value, what)
    result = value.replace("\r\n", "\n").replace("\r", "\n")
    if required and not result.strip():
        raise InvalidRequestError(f"The {what} is missing.")
    return result


def line(value: object, what: str, *, limit: int, required: bool = False) -> str:
    """Return a name or label: a text of one line in which every character can be seen.

    A control character moves a terminal's cursor, a bidirectional one turns what follows it
    around, and of two names one of which holds an invisible one nobody can tell which is which.

    Raises:
        InvalidRequestError: not a text, too long, empty though required, or with such a one.
    """
    result = text(value, what, limit=limit, required=required)
    if not is_visible(result):
        raise InvalidRequestError(
            f"The {what} holds a line break or a character that cannot be seen."
        )
    return result


def is_visible(value: str) -> bool:
    """Tell whether each character is a space or one that leaves a mark."""
    return not any(
        unicodedata.category(character) in _UNSEEN or character in _BLANK for character in value
    )


def key(value: object) -> str:
    """Return an idempotency key.

    Raises:
        InvalidRequestError: missing, too long, or with characters that cannot be stored.
    """
    return text(value, "idempotency key", limit=MAX_KEY, required=True)


def confidence(value: object) -> int | None:
    """Return a confidence from 1 to 5, or None.

    Raises:
        InvalidRequestError: anything else.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= 5:
        raise InvalidRequestError("The confidence is a whole number from 1 to 5.")
    return value


def flag(value: object, what: str, *, default: bool) -> bool:
    """Return a yes or no.

    Raises:
        InvalidRequestError: anything else.
    """
    if value is None:
        return default
    if not isinstance(value, bool):
        raise InvalidRequestError(f"{what} is true or false.")
    return value


def word(value: object, vocabulary: type[Word], what: str) -> Word:
    """Return a word of a closed set.

    Raises:
        InvalidRequestError: another word; the message lists the set.
    """
    for member in vocabulary:
        if value == member.value:
            return member
    words = ", ".join(member.value for member in vocabulary)
    raise InvalidRequestError(f"The {what} is one of {words}.")


def optional_word(value: object, vocabulary: type[Word], what: str) -> Word | None:
    """Return a word of a closed set, or None.

    Raises:
        InvalidRequestError: another word.
    """
    return None if value is None else word(value, vocabulary, what)


def sequence(value: object, what: str, *, limit: int) -> Sequence[Any]:
    """Return a list; None is an empty one.

    Raises:
        InvalidRequestError: not a list, or too long.
    """
    if value is None:
        return ()
    if not isinstance(value, list | tuple):
        raise InvalidRequestError(f"The {what} must be a list.")
    if len(value) > limit:
        raise InvalidRequestError(f"There are more than {limit} {what}.")
    return value


def mapping(value: object, what: str) -> Mapping[str, Any]:
    """Return an object with named fields.

    Raises:
        InvalidRequestError: not one.
    """
    if not isinstance(value, Mapping):
        raise InvalidRequestError(f"The {what} must be an object with named fields.")
    return value


def only(fields: Mapping[str, Any], allowed: frozenset[str], what: str) -> None:
    """Refuse fields nobody reads: a misspelt one would be lost silently.

    Raises:
        InvalidRequestError: there is one; the message says what is allowed, not what came.
    """
    if set(fields) - allowed:
        raise InvalidRequestError(
            f"The {what} has a field that is not known; known are {', '.join(sorted(allowed))}."
        )


def json_object(value: object, what: str) -> dict[str, Any]:
    """Return a storable JSON object; None is an empty one.

    Raises:
        InvalidRequestError: not an object, too large, too deep, or not storable.
    """
    if value is None:
        return {}
    plain = _plain(mapping(value, what), what, MAX_DEPTH)
    if len(json.dumps(plain)) > MAX_JSON:
        raise InvalidRequestError(f"The {what} is too large.")
    return dict(plain)


def number(value: object, what: str) -> float:
    """Return a finite number.

    Raises:
        InvalidRequestError: anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
        raise InvalidRequestError(f"{what} must be a number.")
    return value


def instant(value: str) -> datetime:
    """Return an instant with its offset, in UTC.

    Raises:
        ValueError: not one, without its offset, or in UTC beyond the years that can be kept.
    """
    moment = datetime.fromisoformat(value)
    if moment.tzinfo is None:
        raise ValueError
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise ValueError from None


def _plain(value: Any, what: str, depth: int) -> Any:  # noqa: ANN401 - JSON
    if depth == 0:
        raise InvalidRequestError(f"The {what} is nested too deeply.")
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return number(value, f"Every number in the {what}")
    if isinstance(value, str):
        _storable(value, what)
        return value
    if isinstance(value, list | tuple):
        return [_plain(item, what, depth - 1) for item in value]
    if isinstance(value, Mapping):
        return {text(name, what): _plain(item, what, depth - 1) for name, item in value.items()}
    raise InvalidRequestError(f"The {what} holds something that is not JSON.")


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        return False


def _storable(value: str, what: str) -> None:
    if "\x00" in value or any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidRequestError(f"The {what} holds a character that cannot be stored.")
