"""Refusals in words for whoever runs Overread, where those for a person at a page would mislead.

At a page a full disk is the administrator's to mend; at the terminal, the administrator reads it.
"""

from collections.abc import Mapping
from typing import Final

from storage.blobs import NO_ROOM
from storage.errors import StorageFullError, StoreBusyError

FULL: Final = (
    "There is no space left on the disk. Nothing was changed; free some space, then run this again."
)
SAYS: Final[Mapping[str, str]] = {
    StorageFullError.code: FULL,
    StoreBusyError.code: (
        "The database cannot be used: another process holds it, it is read-only, or its server "
        "does not answer. Nothing was changed; if OVERREAD_DATABASE_URL is set, see that it is "
        "right."
    ),
}


def counted(number: int, thing: str) -> str:
    """Return how many there are of a thing, such as `1 object` or `2,000 objects`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def for_operator(error: Exception) -> str:
    """Return what a refusal says at the terminal."""
    return SAYS.get(getattr(error, "code", ""), str(error))


def of_the_system(error: OSError) -> tuple[str, str]:
    """Return code and sentence for what the operating system refused."""
    if error.errno in NO_ROOM:
        return StorageFullError.code, FULL
    about = f" ({error.filename})" if error.filename else ""
    return "system_refused", f"The system refused: {error.strerror or type(error).__name__}{about}."
