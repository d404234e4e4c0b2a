"""JSON schemas with the vocabulary of every family: sentencepiece and byte-level BPE."""

import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
import tokenizers
import torch

from inference.families.llava import LlavaLoaded
from inference.families.registry import load_model
from inference.families.tokenizing import BytePairTokenizer
from inference.worker.engine.grammars import Grammars
from tests.unit.families.conftest import FAMILY_OF

SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "finding": {"enum": ["pleural effusion", "größer → 5 µm", 'a "b"']},
        "why": {"type": "string"},
        "lines": {"type": "array", "items": {"type": "string", "maxLength": 9}, "maxItems": 3},
        "size": {"type": ["number", "null"]},
        "present": {"type": "boolean"},
    },
    "required": ["finding", "why"],
}
TEXTS = ("Is the heart enlarged?", "two  spaces", "\nline\n\n", "5 µm ≥ ₂", "日本 🫁")


@pytest.fixture(params=[*FAMILY_OF, "overread-demo"])
def model(request: pytest.FixtureRequest, loaded: Callable[[str], LlavaLoaded]) -> LlavaLoaded:
    if request.param in FAMILY_OF:
        return loaded(request.param)
    found = load_model(request.param)
    assert isinstance(found, LlavaLoaded)
    return found


def test_what_tokens_write_joined_is_the_text(model: LlavaLoaded) -> None:
    written = model.token_bytes()
    for text in TEXTS:
        ids = model.tokenizer.encode(text)
        joined = b"".join(written[i] or b"" for i in ids).decode()
        decoded = model.tokenizer.decode(ids)
        assert joined in (decoded, f" {decoded}")  # sentencepiece drops the first word's space


def test_whatever_the_logits_are_a_finished_answer_is_valid(model: LlavaLoaded) -> None:
    grammars = Grammars(model)
    head = model.embed(torch.tensor([0]))
    size = model.logits(head).shape[-1]
    quotes = [i for i, text in enumerate(model.token_bytes()) if text == b'"']
    for seed in range(6):
        generator = torch.Generator().manual_seed(seed)
        path = grammars.begin(json.dumps(SCHEMA))
        made: list[int] = []
        while not path.complete and len(made) < 3000:
            logits = torch.randn(size, generator=generator)
            logits[quotes] += 2.0  # a large vocabulary would else rarely end a string
            made.append(int(path.restrict(logits).argmax()))
            path.advance(made[-1])
        text = model.decode(made)
        assert path.complete
        jsonschema.validate(json.loads(text), SCHEMA)


def test_a_tokenizer_that_is_not_spelt_in_bytes_says_nothing() -> None:

    inner = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0}, unk_token="a"))
    assert BytePairTokenizer(inner).token_bytes() == []
