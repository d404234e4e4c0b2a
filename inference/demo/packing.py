"""Several dialogues about one picture in one sequence, none seeing another.

The picture's tokens are by far the longest part of a sequence, and a decoder's work on them is
the same for every question. So one sequence is `<s>USER: `, the picture, and then dialogues side
by side: each attends to the picture and to itself, with positions as if it stood there alone.
"""

from dataclasses import dataclass

import torch

from inference.demo.dialogues import Dialogue
from inference.families.tokenizing import BytePairTokenizer

BEFORE_IMAGE = "USER: "
IGNORED = -100
ROOM = 180  # tokens behind the picture; sequences of one length waste no work on padding


@dataclass(frozen=True, slots=True)
class Pack:
    """A batch of sequences, without the picture's embeddings.

    Attributes:
        ids: int64 [n, T]; 0 where the picture's tokens and padding are.
        mask: bool [n, 1, T, T], true where a query (row) may attend to a key.
        positions: int64 [n, T].
        targets: int64 [n, T], the token to come, IGNORED where nothing is learnt.
        weights: float32 [n, T], of each target in the loss.
        image_at: First position of the picture's tokens, the same in all.
    """

    ids: torch.Tensor
    mask: torch.Tensor
    positions: torch.Tensor
    targets: torch.Tensor
    weights: torch.Tensor
    image_at: int


def spell(dialogue: Dialogue, tokenizer: BytePairTokenizer) -> tuple[list[int], list[int]]:
    """Tokenise a dialogue after the picture: its ids, and for each the length of its answer or 0.

    A token of an answer (its end mark included) carries the answer's length in tokens.
    """
    ids: list[int] = []
    lengths: list[int] = []
    opening = "\n" if dialogue.looks else "USER: "
    for question, answer in dialogue.pairs:
        asked = tokenizer.encode(f"{opening}{question} ASSISTANT:")
        said = tokenizer.encode(f" {answer}</s>")
        ids += asked + said
        lengths += [0] * len(asked) + [len(said)] * len(said)
        opening = "USER: "
    return ids, lengths


def pack(batch: list[list[Dialogue]], tokenizer: BytePairTokenizer, image_tokens: int) -> Pack:
    """Lay out the dialogues about each picture behind it, leaving out what finds no room."""
    if tokenizer.bos_id is None:
        raise ValueError("the demo model's tokenizer has a BOS token")
    prefix = [tokenizer.bos_id, *tokenizer.encode(BEFORE_IMAGE)]
    start = len(prefix) + image_tokens
    spelt = [_fitting(group, tokenizer) for group in batch]
    longest = start + max(sum(len(ids) for ids, _, _ in group) for group in spelt)
    shape = (len(batch), longest)
    ids = torch.zeros(shape, dtype=torch.long)
    positions = torch.zeros(shape, dtype=torch.long)
    targets = torch.full(shape, IGNORED)
    weights = torch.zeros(shape)
    segment = torch.full(shape, -1)
    sees_image = torch.zeros(shape, dtype=torch.bool)
    ids[:, : len(prefix)] = torch.tensor(prefix)
    positions[:, :start] = torch.arange(start)
    segment[:, :start] = 0
    sees_image[:, :start] = True
    for row, group in enumerate(spelt):
        at = start
        for number, (tokens, lengths, looks) in enumerate(group, 1):
            end, first = at + len(tokens), start if looks else 1
            ids[row, at:end] = torch.tensor(tokens)
            positions[row, at:end] = torch.arange(first, first + len(tokens))
            segment[row, at:end] = number
            sees_image[row, at:end] = looks
            answer = torch.tensor(lengths[1:])  # of the token to come
            learnt = answer > 0
            targets[row, at : end - 1][learnt] = torch.tensor(tokens[1:])[learnt]
            weights[row, at : end - 1][learnt] = answer[learnt].float().rsqrt()
            at = end
    causal = torch.ones(longest, longest, dtype=torch.bool).tril()
    same = segment[:, :, None] == segment[:, None, :]
    shared = (segment[:, None, :] == 0) & sees_image[:, :, None]
    shared[:, :, 0] = True
    mask = causal & (same | shared)
    return Pack(ids, mask[:, None], positions, targets, weights, len(prefix))


def _fitting(
    group: list[Dialogue], tokenizer: BytePairTokenizer
) -> list[tuple[list[int], list[int], bool]]:
    """Spell dialogues and keep, in order, those that still fit."""
    kept: list[tuple[list[int], list[int], bool]] = []
    used = 0
    for dialogue in group:
        ids, lengths = spell(dialogue, tokenizer)
        if used + len(ids) <= ROOM:
            kept.append((ids, lengths, dialogue.looks))
            used += len(ids)
    return kept
