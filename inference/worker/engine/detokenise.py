"""Text as it grows, never cut inside a character and never showing part of a stop string."""

from collections.abc import Callable, Sequence

UNFINISHED = "\N{REPLACEMENT CHARACTER}"

Decode = Callable[[Sequence[int]], str]


class Detokeniser:
    """Emits what a new token adds; the pieces joined are exactly `decode(all ids)`.

    Decoding strips the ends, so a trailing space is held back until something follows it, and
    so are the bytes of a character that is not complete yet. With stop strings, text that one of
    them may begin with is held back too, and once one is there the text ends before it; spaces
    between the two are left out.
    """

    def __init__(
        self, decode: Decode, *, stop: Sequence[str] = (), decode_open: Decode | None = None
    ) -> None:
        """Take the family's `decode`, and `decode_open`, which keeps the space at the end."""
        self._decode = decode
        self._decode_open = decode_open or decode
        self._stop = tuple(stop)
        self._ids: list[int] = []
        self._sent = ""
        self._end: int | None = None  # characters before a stop string

    @property
    def stopped(self) -> bool:
        """Whether a stop string has come."""
        return self._end is not None

    def push(self, token_id: int) -> str:
        """Add one id and return the text that is now certain, often empty."""
        self._ids.append(token_id)
        if not self._stop:
            return self._advance(self._decode(self._ids).rstrip(UNFINISHED).rstrip())
        text = self._decode_open(self._ids).rstrip(UNFINISHED)
        self._end = min((at for s in self._stop if (at := text.find(s)) >= 0), default=None)
        end = len(text) - max(_begun(text, s) for s in self._stop)
        return self._advance(text[: end if self._end is None else self._end].rstrip())

    def finish(self) -> tuple[str, str]:
        """Return the last piece and the whole text."""
        text = self._decode(self._ids)
        if self._end is not None:
            text = self._decode_open(self._ids)[: self._end].rstrip()
        return self._advance(text), text

    def _advance(self, text: str) -> str:
        if not text.startswith(self._sent):
            return ""
        piece = text[len(self._sent) :]
        self._sent = text
        return piece


def _begun(text: str, stop: str) -> int:
    """Count the characters at the end of `text` that `stop` may begin with."""
    return next((n for n in range(len(stop) - 1, 0, -1) if text.endswith(stop[:n])), 0)
