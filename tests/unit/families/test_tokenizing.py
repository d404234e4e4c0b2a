"""Ids around the image, special tokens inside the text, and back."""

from pathlib import Path

import pytest
import sentencepiece

from inference.errors import ModelFolderRefusedError
from inference.families.tokenizing import (
    BytePairTokenizer,
    SentencePieceTokenizer,
    encode_around,
)
from tests.unit.families.conftest import GOLDENS

MODEL = (GOLDENS / "llava15/checkpoint/tokenizer.model").read_bytes()
PIECES = sentencepiece.SentencePieceProcessor(model_proto=MODEL)


@pytest.mark.parametrize("legacy", [True, False])
def test_plain_text_has_the_ids_of_sentencepiece(*, legacy: bool) -> None:
    tokenizer = SentencePieceTokenizer(MODEL, legacy=legacy)
    for text in ("Is the heart enlarged?", " leading", "two  spaces", "\nline", "5 µm ≥ ₂", ""):
        assert tokenizer.encode(text) == PIECES.encode(text)


def test_word_behind_an_end_mark_gets_a_space_only_in_the_legacy_reading() -> None:
    end, space = PIECES.eos_id(), PIECES.piece_to_id("▁")
    x = PIECES.piece_to_id("x")
    legacy = SentencePieceTokenizer(MODEL, legacy=True).encode("</s>x")
    newer = SentencePieceTokenizer(MODEL, legacy=False).encode("</s>x")
    assert legacy == [end, space, x]
    assert newer == [end, x]


def test_space_before_an_end_mark_is_kept() -> None:
    tokenizer = SentencePieceTokenizer(MODEL, legacy=True)
    assert tokenizer.encode("x </s>")[-2:] == [PIECES.piece_to_id("▁"), PIECES.eos_id()]


def test_each_stretch_around_the_image_is_tokenised_by_itself() -> None:
    tokenizer = SentencePieceTokenizer(MODEL, legacy=True)
    ids = encode_around("USER: <image>\nQ", "<image>", -200, tokenizer)
    assert ids == [1, *PIECES.encode("USER: "), -200, *PIECES.encode("\nQ")]
    assert ids[ids.index(-200) + 1] == PIECES.piece_to_id("▁")  # lost when tokenised in one go


def test_text_comes_back_without_special_tokens() -> None:
    tokenizer = SentencePieceTokenizer(MODEL, legacy=True)
    ids = [1, *PIECES.encode("The lungs are clear."), 0, 2]
    assert tokenizer.decode(ids).strip() == "The lungs are clear."


def test_broken_character_becomes_the_replacement_mark() -> None:
    half = PIECES.piece_to_id("<0xC3>")  # the first byte of "é"
    assert SentencePieceTokenizer(MODEL, legacy=True).decode([half]) == "\N{REPLACEMENT CHARACTER}"


@pytest.mark.parametrize("content", [b"", b"not a model", MODEL[: len(MODEL) // 2]])
def test_damaged_sentencepiece_model_is_refused(content: bytes) -> None:
    with pytest.raises(ModelFolderRefusedError):
        SentencePieceTokenizer(content, legacy=True).encode("x")


def test_damaged_tokenizer_json_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}")
    with pytest.raises(ModelFolderRefusedError):
        BytePairTokenizer.from_file(tmp_path / "tokenizer.json")
