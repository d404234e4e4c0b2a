"""Dialogues side by side in one sequence must read as each does alone."""

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from inference.demo.dialogues import Dialogue
from inference.demo.packing import IGNORED, ROOM, pack
from inference.families.overread_demo import BOS, EOS, IMAGE
from inference.families.templates import TEMPLATES
from inference.families.tokenizing import BytePairTokenizer, encode_around
from inference.protocol import Turn

IMAGE_TOKENS = 4
ONE = Dialogue((("Is it normal?", "Yes."),))
TWO = Dialogue((("AP or PA?", "AP"), ("Is it normal?", "No.")))
BLIND = Dialogue((("What is it?", "There is no image."),), looks=False)


@pytest.fixture
def tokenizer(tmp_path: Path) -> BytePairTokenizer:
    """A byte-level BPE of the demo model's kind, without merges."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    inner.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=300, special_tokens=["<pad>", BOS, EOS, IMAGE], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    inner.train_from_iterator(["USER ASSISTANT normal"], trainer)
    inner.save(str(tmp_path / "tokenizer.json"))
    return BytePairTokenizer.from_file(tmp_path / "tokenizer.json", bos=BOS)


def rendered(dialogue: Dialogue, tokenizer: BytePairTokenizer) -> list[int]:
    """Return the ids that the family makes of a finished conversation."""
    turns: list[Turn] = []
    for question, answer in dialogue.pairs:
        turns += [Turn("user", question), Turn("assistant", answer)]
    if dialogue.looks:
        turns[0] = Turn("user", turns[0].text, images=(b"",))
    return encode_around(TEMPLATES["overread_demo"](turns, IMAGE), IMAGE, -200, tokenizer)


def alone(dialogue: Dialogue, tokenizer: BytePairTokenizer) -> list[int]:
    """Return the ids of the family's prompt, each image token written as -200."""
    ids: list[int] = []
    for token in rendered(dialogue, tokenizer):
        ids += [token] * (IMAGE_TOKENS if token == -200 else 1)
    return ids


@pytest.mark.parametrize("number", [0, 1, 2])
def test_each_dialogue_sees_what_it_would_see_alone(
    tokenizer: BytePairTokenizer, number: int
) -> None:
    group = [ONE, TWO, BLIND]
    packed = pack([group], tokenizer, IMAGE_TOKENS)
    ids = packed.ids[0].clone()
    ids[packed.image_at : packed.image_at + IMAGE_TOKENS] = -200
    lengths = [len(alone(each, tokenizer)) for each in group]
    start = packed.image_at + IMAGE_TOKENS
    ends = [start]
    for dialogue, length in zip(group, lengths, strict=True):
        ends.append(ends[-1] + length - (start if dialogue.looks else 1))
    last = ends[number + 1] - 1
    seen = packed.mask[0, 0, last]
    assert ids[seen].tolist() == alone(group[number], tokenizer)
    assert packed.positions[0][seen].tolist() == list(range(lengths[number]))


def test_only_answers_and_their_ends_are_learnt(tokenizer: BytePairTokenizer) -> None:
    packed = pack([[TWO]], tokenizer, IMAGE_TOKENS)
    learnt = packed.targets[0][packed.targets[0] != IGNORED].tolist()
    said = [*tokenizer.encode(" AP</s>"), *tokenizer.encode(" No.</s>")]
    assert learnt == said


def test_a_long_answer_weighs_more_than_a_word_but_not_by_its_length(
    tokenizer: BytePairTokenizer,
) -> None:
    packed = pack([[Dialogue((("q", "abc"),))]], tokenizer, IMAGE_TOKENS)
    weights = packed.weights[packed.targets != IGNORED]
    assert torch.allclose(weights, torch.full_like(weights, len(weights) ** -0.5))


def test_what_finds_no_room_is_left_out(tokenizer: BytePairTokenizer) -> None:
    long = Dialogue((("q" * (ROOM + 1), "a"),))
    packed = pack([[long, ONE]], tokenizer, IMAGE_TOKENS)
    assert packed.ids.shape[1] <= packed.image_at + IMAGE_TOKENS + ROOM
    assert (packed.targets != IGNORED).sum() == len(tokenizer.encode(" Yes.</s>"))
