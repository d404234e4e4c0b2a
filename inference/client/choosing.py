"""Holding a server to the answers on offer.

A worker of ours and vLLM can say nothing else. Other servers refuse the parameter, or ignore it and
answer freely, and a free answer must not pass for a choice: so nothing is passed on until it is
sure to be one of the answers.
"""

from inference.errors import ChoicesNotKeptError
from inference.protocol import Ask

PARAMETER = b"structured_outputs"  # what a server names that does not know it


class Chosen:
    """Keeps an answer back until it is one of those on offer. Without any, it keeps nothing."""

    def __init__(self, ask: Ask) -> None:
        self._choices = ask.choices
        self._explained = ask.explain_tokens > 0
        self._held = ""
        self._open = not ask.choices  # whether everything may pass

    def take(self, text: str) -> str:
        """Take in more of the answer and return what may be passed on.

        Raises:
            ChoicesNotKeptError: it is not going to be one of the answers.
        """
        if self._open:
            return text
        self._held += text
        said = self._held.lstrip()
        if self._explained and any(said.startswith(f"{choice}\n") for choice in self._choices):
            return self._release()
        if any(choice.startswith(said) or choice == said.rstrip() for choice in self._choices):
            return ""
        raise ChoicesNotKeptError

    def end(self) -> str:
        """Return what is left to be passed on.

        Raises:
            ChoicesNotKeptError: it is none of the answers.
        """
        if self._open:
            return ""
        self._held = self._held.strip()
        if self._held not in self._choices:
            raise ChoicesNotKeptError
        return self._release()

    def _release(self) -> str:
        self._open = True
        released, self._held = self._held.lstrip(), ""
        return released
