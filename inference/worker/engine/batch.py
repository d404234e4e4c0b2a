"""Who holds which slot.

Slots 0 to n - 1 belong to the answers being written, in the order of `decoding`; the prompts
being computed follow. A slot is freed at once, by moving the last answer into it.
"""

import torch

from inference.worker.engine.prefix import PrefixTree
from inference.worker.engine.request import Request
from inference.worker.engine.slots import Slots


class Batch:
    """The requests that hold a slot."""

    def __init__(self, slots: Slots, prefixes: PrefixTree) -> None:
        self.decoding: list[Request] = []  # index = slot
        self.prefilling: list[Request] = []  # in the slots after them; between steps at most one
        self.prefixes = prefixes
        self._slots = slots

    @property
    def running(self) -> int:
        """How many requests hold a slot."""
        return len(self.decoding) + len(self.prefilling)

    def place(self, request: Request) -> None:
        """Give a request the next slot, with what is known of its prompt in it."""
        slot = self.running
        self.prefilling.append(request)
        longest = max(other.reserve for other in [*self.decoding, *self.prefilling])
        self._slots.ensure(slot + 1, longest, live=slot)
        keys = request.prompt.keys[: self.known(request)]
        kept = self.prefixes.fetch(request.adapter, keys)
        request.filled = request.cached = self._slots.write(slot, 0, kept)

    def take_back(self, run: list[Request]) -> None:
        """Take the last placed requests out again, and make their slots finite."""
        del self.prefilling[len(self.prefilling) - len(run) :]
        self._slots.wipe(self.running)

    def promote(self) -> None:
        """Count the placed requests among the answers: their prompts are computed."""
        self.decoding.extend(self.prefilling)
        self.prefilling.clear()

    def known(self, request: Request) -> int:
        """Count leading positions that need not be computed; the last one always is."""
        kept = self.prefixes.longest(request.adapter, request.prompt.keys)
        return min(kept, request.length - 1)

    def has_room(self, joining: list[Request], *, most: int) -> bool:
        """Whether `joining` fit beside the answers being written."""
        everyone = [*self.decoding, *joining]
        longest = max(request.reserve for request in everyone)
        return len(everyone) <= most and self._slots.fits(len(everyone), longest)

    def keep_prefix(self, slot: int) -> None:
        """Keep what a slot holds for later prompts that begin alike."""
        request = self.decoding[slot]
        try:
            self.prefixes.insert(
                request.adapter,
                request.keys,
                lambda start, end: self._slots.read(slot, start, end),
            )
        except (torch.OutOfMemoryError, MemoryError):  # the answers are worth more
            self.prefixes.clear()

    def leave(self, slot: int, *, sound: bool) -> Request:
        """Take a request out; what it computed is kept only if it was `sound`."""
        request = self.decoding[slot]
        if sound:
            self.keep_prefix(slot)
        else:
            self._slots.wipe(slot, slot + 1)
        last = len(self.decoding) - 1
        if slot != last:
            self.decoding[slot] = self.decoding[last]
            self._slots.move(last, slot, self.decoding[slot].filled)
        self.decoding.pop()
        for behind, other in enumerate(self.prefilling, last):
            self._slots.move(behind + 1, behind, other.filled)
        return request

    def empty(self) -> list[Request]:
        """Take everyone out at once and keep nothing."""
        everyone = [*self.decoding, *self.prefilling]
        self.decoding, self.prefilling = [], []
        return everyone
