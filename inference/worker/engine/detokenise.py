"""Text as it grows, never cut inside a character."""

from collections.abc import Callable, Sequence

UNFINISHED = "\N{REPLACEMENT CHARACTER}"


class Detokeniser:
    """Emits what a new token adds; the pieces joined are exactly `decode(all ids)`.

    Decoding strips the ends, so a trailing space is held back until something follows it, and
    so are the bytes of a character that is not complete yet.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._sent = ""

    def push(self, token_id: int) -> str:
        """Add one id and return the text that is now certain, often empty."""
        self._ids.append(token_id)
        return self._advance(self._decode(self._ids).rstrip(UNFINISHED).rstrip())

    def finish(self) -> tuple[str, str]:
        """Return the last piece and the whole text."""
        text = self._decode(self._ids)
        return self._advance(text), text

    def _advance(self, text: str) -> str:
        if not text.startswith(self._sent):
            return ""
        piece = text[len(self._sent) :]
        self._sent = text
        return piece
