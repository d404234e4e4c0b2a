"""Who holds which slot.

Slots 0 to n - 1 belong to the answers being written, in the order of `decoding`; the prompts
being computed follow. A slot is freed at once, by moving the last answer into it.
"""

from inference.worker.engine.prefix import PrefixTree
from inference.worker.engine.request import Request
from inference.worker.engine.slots import Slots


class Batch:
    """The requests that hold a slot."""

    def __init__(self, slots: Slots, prefixes: PrefixTree) -> None:
        self.decoding: list[Request] = []  # index = slot
        self.prefilling: Request | None = None  # one prompt that takes several chunks
        self.prefixes = prefixes
        self._slots = slots

    @property
    def running(self) -> int:
        """How many requests hold a slot."""
        return len(self.decoding) + (self.prefilling is not None)

    def place(self, request: Request, joining: list[Request]) -> None:
        """Give a request the slot after `joining`, with what is known of its prompt in it."""
        slot = len(self.decoding) + len(joining)
        longest = max(other.reserve for other in [*self.decoding, *joining, request])
        self._slots.ensure(slot + 1, longest, live=slot)
        keys = request.prompt.keys[: self.known(request)]
        kept = self.prefixes.fetch(request.adapter, keys)
        request.filled = request.cached = self._slots.write(slot, 0, kept)

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
        self.prefixes.insert(
            request.adapter,
            request.keys,
            lambda start, end: self._slots.read(slot, start, end),
        )

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
        if self.prefilling:
            self._slots.move(last + 1, last, self.prefilling.filled)
        return request

    def forget_prompts(self, *, keep: int = 0) -> None:
        """Make the slots after a failed pass finite, but for `keep` prompts placed before it."""
        self.prefilling = None
        self._slots.wipe(len(self.decoding) + keep)

    def empty(self) -> list[Request]:
        """Take everyone out at once and keep nothing."""
        everyone = [*self.decoding, *([self.prefilling] if self.prefilling else [])]
        self.decoding, self.prefilling = [], None
        return everyone
