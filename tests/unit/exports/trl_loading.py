"""Load an export as its users will, with TRL itself, and take one training step on a tiny LLaVA.

    python -m tests.unit.exports.trl_loading FORMAT FOLDER [FORMAT FOLDER ...]

Prints JSON for each format. Its own process, because TRL takes seconds to import.
"""

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from datasets import Image as ImageFeature
from datasets import List as ListFeature
from peft import LoraConfig
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaProcessor,
    PreTrainedTokenizerFast,
)
from trl import (  # type: ignore[attr-defined] # its module is lazy
    DPOConfig,
    DPOTrainer,
    KTOConfig,
    KTOTrainer,
    SFTConfig,
    SFTTrainer,
)

PIXELS, PATCH = 28, 14
SPECIAL = ["<pad>", "<s>", "</s>", "<image>"]
IMAGE_ID = SPECIAL.index("<image>")
TEMPLATE = (
    "{% for turn in messages %}{{ turn['role'] }}: "
    "{% for block in turn['content'] %}"
    "{% if block['type'] == 'image' %}<image>\n{% else %}{{ block['text'] }}{% endif %}"
    "{% endfor %}{% if turn['role'] == 'assistant' %}{{ eos_token }}{% endif %}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)
TRAINERS: dict[str, tuple[Any, Any]] = {
    "trl-sft": (SFTConfig, SFTTrainer),
    "trl-dpo": (DPOConfig, DPOTrainer),
    "trl-kto": (KTOConfig, KTOTrainer),
}


def dataset(folder: Path) -> Dataset:
    """Read the training split; `datasets` decodes the pictures."""
    rows = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    for row in rows:
        row["images"] = [str(folder / name) for name in row["images"]]
    return Dataset.from_list(rows).cast_column("images", ListFeature(ImageFeature(mode="RGB")))


def processor() -> LlavaProcessor:
    """Make a processor whose tokenizer reads bytes."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: number for number, token in enumerate([*SPECIAL, *letters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return LlavaProcessor(  # type: ignore[no-untyped-call] # transformers' own
        image_processor=CLIPImageProcessorPil(
            size={"shortest_edge": PIXELS}, crop_size={"height": PIXELS, "width": PIXELS}
        ),
        tokenizer=PreTrainedTokenizerFast(  # type: ignore[no-untyped-call] # the same
            tokenizer_object=tokenizer,
            pad_token="<pad>",
            bos_token="<s>",
            eos_token="</s>",
            additional_special_tokens=["<image>"],
            padding_side="left",
        ),
        patch_size=PATCH,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=TEMPLATE,
    )


def model(vocabulary_size: int) -> LlavaForConditionalGeneration:
    """Make a LLaVA of a few thousand random weights."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    return LlavaForConditionalGeneration(
        LlavaConfig(
            vision_config=CLIPVisionConfig(**sizes, image_size=PIXELS, patch_size=PATCH),
            text_config=LlamaConfig(**sizes, vocab_size=vocabulary_size, pad_token_id=0),
            image_token_index=IMAGE_ID,
            vision_feature_layer=-1,
        )
    )


def trained(format_: str, folder: Path) -> dict[str, Any]:
    """Let TRL prepare the rows and take one step; tell what it saw."""
    config, trainer_class = TRAINERS[format_]
    rows, reader = dataset(folder), processor()
    with tempfile.TemporaryDirectory() as out:
        trainer = trainer_class(
            model=model(len(reader.tokenizer)),
            args=config(
                output_dir=out,
                max_steps=1,
                per_device_train_batch_size=len(rows),
                max_length=None,
                use_cpu=True,
                bf16=False,
                report_to=[],
                save_strategy="no",
                disable_tqdm=True,
            ),
            train_dataset=rows,
            processing_class=reader,
            peft_config=LoraConfig(r=2, target_modules=r".*language_model.*(q_proj|v_proj)"),
        )
        batch = next(iter(trainer.get_train_dataloader()))
        loss = trainer.train().metrics["train_loss"]
    ids = batch.get("input_ids", batch.get("completion_input_ids"))
    learnt = batch["labels"] != -100 if "labels" in batch else batch["completion_mask"] == 1
    return {
        "rows": len(trainer.train_dataset),
        "images": sum(len(row["images"]) for row in rows),
        "image_tokens": int((ids == IMAGE_ID).sum()),
        "pictures": int(batch["pixel_values"].shape[0]),
        "learnt": [reader.tokenizer.decode(i[m]) for i, m in zip(ids, learnt, strict=True)],
        "labels": [bool(one) for one in batch.get("label", ())],
        "loss": loss,
    }


if __name__ == "__main__":
    torch.set_num_threads(1)
    pairs = zip(sys.argv[1::2], sys.argv[2::2], strict=True)
    print(json.dumps({name: trained(name, Path(folder)) for name, folder in pairs}))  # noqa: T201 - its purpose
