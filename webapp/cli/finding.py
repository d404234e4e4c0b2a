"""What `overread check` finds, and what several of its looks ask."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from webapp.auth.doorway import is_loopback
from webapp.settings import WebSettings

State = Literal["ok", "note", "problem"]


@dataclass(frozen=True, slots=True)
class Finding:
    """What one look found; a note is worth reading and no reason to fail."""

    name: str
    state: State
    detail: str


Look = Callable[[WebSettings], Iterator[Finding]]


def is_public(settings: WebSettings) -> bool:
    """Tell whether others than this machine are meant to reach it."""
    return settings.public_url is not None or not is_loopback(settings.host)
