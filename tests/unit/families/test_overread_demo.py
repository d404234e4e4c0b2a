"""Our own model's folder, from training to loading."""

from pathlib import Path

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from inference.families.efficientnet_lite import EfficientNetLiteConfig
from inference.families.folder import check_folder
from inference.families.llava import LlavaLoaded
from inference.families.overread_demo import BOS, EOS, IMAGE, write_model
from inference.families.preparing import CLIP_MEAN, CLIP_STD, Preparation
from inference.families.registry import load_model
from inference.protocol import Turn


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a tiny untrained model."""
    place = tmp_path_factory.mktemp("demo")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.train_from_iterator(
        ["USER: is there an effusion? ASSISTANT: yes"],
        trainers.BpeTrainer(
            vocab_size=280,
            special_tokens=["<pad>", BOS, EOS, IMAGE],
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    tokenizer.save(str(place / "tokenizer.json"))
    model = LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=EfficientNetLiteConfig(image_size=32, feature_stages=[2], grid=2),
            text_config=LlamaConfig(
                vocab_size=tokenizer.get_vocab_size(),
                hidden_size=16,
                intermediate_size=24,
                num_hidden_layers=1,
                num_attention_heads=2,
                eos_token_id=2,
                tie_word_embeddings=True,
            ),
            image_token_index=3,
            image_seq_length=4,
            vision_feature_layer=-1,
            vision_feature_select_strategy="full",
        )
    )
    image = Preparation("pad", 32, CLIP_MEAN, CLIP_STD)
    write_model(
        model, place / "tokenizer.json", place / "model", revision="r1", image=image, context=64
    )
    return place / "model"


def test_written_folder_is_sealed_and_in_half_precision(folder: Path) -> None:
    manifest = check_folder(folder)
    assert manifest.family == "overread-demo"
    assert manifest.revision == "r1"
    assert "_name_or_path" not in (folder / "config.json").read_text()


def test_written_model_answers(folder: Path) -> None:
    model = load_model(folder)
    assert isinstance(model, LlavaLoaded)
    prompt = model.render([Turn("user", "is there an effusion?", images=(b"",))])
    assert prompt == "USER: <image>\nis there an effusion? ASSISTANT:"
    ids = model.encode(prompt)
    assert ids[0] == 1
    assert ids.count(-200) == 1
    assert model.image_features(torch.zeros(3, 32, 32)).shape == (4, 16)
    assert model.limits.image_tokens == 4
    assert model.eos_token_ids == {2}
    assert model.decode([5, 6, 2]) == model.tokenizer.decode([5, 6]).strip()
