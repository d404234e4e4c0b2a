"""What each token writes in the middle of a text, learnt from the family's own decoding."""

from collections.abc import Callable, Iterator, Sequence

EXTRA_TOKENS = 2  # a spelling may use this many tokens more than the shortest one
MAX_SPELLINGS = 16  # of one choice
SPELT_TOKENS = 24  # a text of more is taken only as the family writes it; the search is all Python


class Vocabulary:
    """Finds the token sequences that write a given text.

    A family can only decode, and decoding strips the ends; so a token is decoded between two
    anchors and the anchors are cut off again. Tokens that write nothing or part of a character
    are left out.
    """

    def __init__(
        self,
        *,
        encode: Callable[[str], list[int]],
        decode: Callable[[Sequence[int]], str],
        size: int,
    ) -> None:
        self._encode = encode
        self._decode = decode
        self._bos = encode("")
        anchor = self._anchor = self.own("x")
        head, joined = decode(anchor), decode([*anchor, *anchor])
        tail = self._tail = joined[len(head) :]
        self._ids: dict[str, list[int]] = {}
        for token_id in range(size):
            try:
                text = decode([*anchor, token_id, *anchor])
            except IndexError:  # embeddings are often padded beyond the tokenizer's last id
                break
            if len(text) > len(joined) and text.startswith(head) and text.endswith(tail):
                self._ids.setdefault(text[len(head) : len(text) - len(tail)], []).append(token_id)
        self._longest = max(map(len, self._ids), default=0)

    def decode_open(self, token_ids: Sequence[int]) -> str:
        """Decode the beginning of a text: the space at its end is kept."""
        text = self._decode([*token_ids, *self._anchor])
        return text[: -len(self._tail)] if text.endswith(self._tail) else ""

    def spellings(self, text: str, own: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Return token sequences that write `text`, `own`, the family's own one, first.

        A leading space is allowed, since most models begin an answer with one. Spellings much
        longer than the shortest, which a model gives next to no probability, are left out.
        """
        if len(own) > SPELT_TOKENS:
            return [own]
        found = [*self._paths(" " + text, len(own)), *self._paths(text, len(own))]
        shortest = min(map(len, found), default=len(own))
        others = [path for path in found if path != own and len(path) <= shortest + EXTRA_TOKENS]
        return [own, *sorted(others, key=len)[: MAX_SPELLINGS - 1]]

    def own(self, text: str) -> list[int]:
        """Return the family's own ids for a text, without BOS."""
        ids = self._encode(text)
        return ids[len(self._bos) :] if ids[: len(self._bos)] == self._bos else ids

    def _paths(self, text: str, tokens: int) -> Iterator[tuple[int, ...]]:
        """Yield spellings of up to `tokens + EXTRA_TOKENS` tokens, shortest first, bounded."""
        frontier: list[tuple[int, tuple[int, ...]]] = [(0, ())]
        for _ in range(tokens + EXTRA_TOKENS):
            following: list[tuple[int, tuple[int, ...]]] = []
            for done, path in frontier:
                for end in range(min(len(text), done + self._longest), done, -1):
                    for token_id in self._ids.get(text[done:end], ()):
                        if end == len(text):
                            yield (*path, token_id)
                        else:
                            following.append((end, (*path, token_id)))
            frontier = sorted(following, key=lambda step: -step[0])[: 4 * MAX_SPELLINGS]
