"""Train the demo model from pictures and made-up studies to a sealed model folder.

    python -m storage.phantoms PHANTOMS --studies 1000 --seed 100 --size 512
    python -m inference.demo.train --data ../shared/data --phantoms PHANTOMS \
        --out inference/demo/model --seed 0

Stages, in order: read and decode the pictures (kept in `--work`), learn a byte-pair vocabulary
from the questions and answers, measure the tower's channels, train projector and decoder (the
tower frozen, then with its last stages following at a tenth of the rate), write the folder. The
state is saved every few hundred steps; the same command goes on from there.
"""

import argparse
import math
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn
from torch.nn import functional
from transformers import LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from inference.demo import labels
from inference.demo.dialogues import Dialogue, draw_dialogue
from inference.demo.metrics import seeded
from inference.demo.packing import IGNORED, Pack, pack
from inference.demo.pixels import MEAN, SIZE, STD, read_levels, standardised, varied
from inference.demo.sources import Part, Picture, read_sources
from inference.families.efficientnet_lite import (
    EfficientNetLiteConfig,
    EfficientNetLiteModel,
    load_published,
)
from inference.families.overread_demo import BOS, EOS, IMAGE, write_model
from inference.families.preparing import Preparation
from inference.families.tokenizing import BytePairTokenizer

VOCABULARY, HIDDEN, LAYERS, HEADS, WIDE = 2048, 256, 4, 8, 768
STAGES_SEEN, GRID, CONTEXT = [2, 4, 6], 8, 1024
PICTURES, DIALOGUES = 12, 11  # in a batch; drawn about each picture, of which some fit
RATE, WEIGHT_DECAY, WARM_UP, AVERAGED = 1.2e-3, 0.05, 100, 0.995
FOLLOWING_STAGES, FOLLOWING_RATE = ("stages.5", "stages.6"), 1e-4
LABEL_LOSS, LABEL_LAYER, DROPPED = 1.0, 2, 0.1  # facts are read half way, where words can use them
SOURCE_SHARES = {"nih": 0.36, "phantom": 0.28, "ct phantom": 0.05, "vqarad": 0.18,
                 "mednist": 0.08, "hannover": 0.03, "tcia": 0.02}  # fmt: skip
SAVED_EVERY = 100  # steps


@dataclass
class Training:
    """Everything that changes while training, and what is needed to go on."""

    model: LlavaForConditionalGeneration
    reader: nn.Module  # of label facts, discarded afterwards
    average: dict[str, torch.Tensor]
    optimiser: torch.optim.Optimizer
    step: int = 0


def main() -> None:
    """Read the command line and run the stages."""
    parser = argparse.ArgumentParser(
        prog="python -m inference.demo.train",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--data", type=Path, required=True)
    add("--phantoms", type=Path, nargs="+", required=True)
    add("--out", type=Path, required=True, help="model folder to write")
    add("--work", type=Path, default=Path("demo-work"), help="state and caches")
    add("--seed", type=int, default=0)
    add("--steps", type=int, default=1500)
    add("--follow-from", type=int, help="step from which the tower's last stages learn too")
    add("--with-dev", action="store_true", help="learn from the dev part as well")
    add("--threads", type=int, default=1)
    add("--revision", default="1")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(given.seed)
    given.work.mkdir(parents=True, exist_ok=True)
    pictures = read_sources(given.data, tuple(given.phantoms), given.seed)
    levels = read_levels(pictures, given.work / "levels.npy")
    learnt = {Part.TRAIN, Part.DEV} if given.with_dev else {Part.TRAIN}
    chosen = [index for index, picture in enumerate(pictures) if picture.part in learnt]
    tokenizer_json = given.work / "tokenizer.json"
    if not tokenizer_json.exists():
        learn_vocabulary([pictures[i] for i in chosen], seeded(given.seed), tokenizer_json)
    tokenizer = BytePairTokenizer.from_file(tokenizer_json, bos=BOS)
    corpus = Corpus([pictures[i] for i in chosen], levels[chosen])
    training = prepare(corpus, tokenizer_json, given)
    run(training, corpus, tokenizer, given)
    training.model.load_state_dict(training.average, strict=False)
    write_model(
        training.model, tokenizer_json, given.out, revision=given.revision, context=CONTEXT,
        image=Preparation(fit="stretch", size=SIZE, mean=(MEAN,) * 3, std=(STD,) * 3),
    )  # fmt: skip
    (given.out / "model.safetensors").chmod(0o644)  # written for the owner alone otherwise


class Corpus:
    """Pictures to draw batches from, with sources and patients in fixed proportions."""

    def __init__(self, pictures: list[Picture], levels: NDArray[np.uint8]) -> None:
        self.pictures = pictures
        self.levels = levels
        films = Counter(picture.group for picture in pictures)
        sizes = [films[picture.group] ** -0.5 for picture in pictures]
        totals = dict.fromkeys(SOURCE_SHARES, 0.0)
        for picture, size in zip(pictures, sizes, strict=True):
            totals[picture.source] += size
        self.shares = [
            SOURCE_SHARES[picture.source] * size / totals[picture.source]
            for picture, size in zip(pictures, sizes, strict=True)
        ]
        self.facts = torch.stack([labels.label_row(picture) for picture in pictures])

    def batch(
        self, seed: int, step: int
    ) -> tuple[torch.Tensor, list[list[Dialogue]], torch.Tensor]:
        """Draw step `step`'s pixels, dialogues and label facts; the same for the same seed."""
        rng = seeded(f"{seed}:{step}")
        drawn = rng.choices(range(len(self.pictures)), self.shares, k=PICTURES)
        pixels = standardised(varied(self.levels[drawn], rng))
        talk = [[draw_dialogue(self.pictures[i], rng) for _ in range(DIALOGUES)] for i in drawn]
        return pixels, talk, self.facts[drawn]


def learn_vocabulary(pictures: list[Picture], rng: Random, path: Path) -> None:
    """Learn a byte-level BPE from dialogues as they will be drawn, and write it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Digits(individual_digits=True),
        pre_tokenizers.ByteLevel(add_prefix_space=True),
    ])  # fmt: skip
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=["<pad>", BOS, EOS, IMAGE],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_lines(pictures, rng), trainer)
    tokenizer.save(str(path))


def _lines(pictures: list[Picture], rng: Random) -> Iterator[str]:
    for picture in pictures:
        for _ in range(8):
            for question, answer in draw_dialogue(picture, rng).pairs:
                yield f"USER: {question} ASSISTANT: {answer}"
        for question, answer in picture.questions:
            yield f"{question} {answer}"


def build(vocabulary: int, ids: dict[str, int]) -> LlavaForConditionalGeneration:
    """Make the model with the published tower and everything else random."""
    vision = EfficientNetLiteConfig(
        image_size=SIZE, grid=GRID, feature_stages=STAGES_SEEN, placed=True
    )
    text = LlamaConfig(
        vocab_size=vocabulary, hidden_size=HIDDEN, intermediate_size=WIDE,
        num_hidden_layers=LAYERS, num_attention_heads=HEADS, num_key_value_heads=HEADS,
        max_position_embeddings=CONTEXT, tie_word_embeddings=True, attention_dropout=0.0,
        bos_token_id=ids[BOS], eos_token_id=ids[EOS], pad_token_id=ids["<pad>"],
    )  # fmt: skip
    config = LlavaConfig(
        vision_config=vision, text_config=text, image_token_index=ids[IMAGE],
        image_seq_length=vision.tokens, vision_feature_layer=-1, tie_word_embeddings=True,
        vision_feature_select_strategy="full", projector_hidden_act="gelu",
    )  # fmt: skip
    model = LlavaForConditionalGeneration(config)
    load_published(model.model.vision_tower)
    return model


def prepare(corpus: Corpus, tokenizer_json: Path, given: argparse.Namespace) -> Training:
    """Build the model, measure the tower, and load the last saved state if there is one."""
    tokenizer = Tokenizer.from_file(str(tokenizer_json))
    model = build(tokenizer.get_vocab_size(), tokenizer.get_vocab())
    tower = model.model.vision_tower.eval().to(memory_format=torch.channels_last)
    tower.requires_grad_(requires_grad=False)
    measure(tower, corpus)
    reader = nn.Sequential(nn.LayerNorm(HIDDEN), nn.Linear(HIDDEN, labels.COUNT))
    following = [p for n, p in tower.named_parameters() if n.startswith(FOLLOWING_STAGES)]
    rest = [p for p in model.parameters() if p.requires_grad]
    optimiser = torch.optim.AdamW(
        [{"params": [*rest, *reader.parameters()], "rate": RATE},
         {"params": following, "rate": FOLLOWING_RATE}],
        lr=RATE, betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY,
    )  # fmt: skip
    average = {n: t.detach().clone() for n, t in model.state_dict().items()}
    training = Training(model, reader, average, optimiser)
    saved = given.work / "state.pt"
    if saved.exists():
        state: dict[str, Any] = torch.load(saved, weights_only=True)
        model.load_state_dict(state["model"])
        reader.load_state_dict(state["reader"])
        optimiser.load_state_dict(state["optimiser"])
        training.average, training.step = state["average"], state["step"]
    return training


@torch.no_grad()
def measure(tower: EfficientNetLiteModel, corpus: Corpus) -> None:
    """Store each channel's mean and deviation over some pictures, so that all weigh the same."""
    rng = seeded(0)
    drawn = rng.choices(range(len(corpus.pictures)), corpus.shares, k=256)
    rows = [
        tower(standardised(torch.from_numpy(corpus.levels[drawn[at : at + 32]]))).last_hidden_state
        for at in range(0, len(drawn), 32)
    ]
    tokens = torch.cat(rows).flatten(0, 1)
    tower.channel_mean.copy_(tokens.mean(dim=0))
    tower.channel_std.copy_(tokens.std(dim=0).clamp(min=0.05))


def run(
    training: Training, corpus: Corpus, tokenizer: BytePairTokenizer, given: argparse.Namespace
) -> None:
    """Train to the last step, saving now and then."""
    started, losses = time.monotonic(), [0.0, 0.0]
    while training.step < given.steps:
        if given.follow_from is not None and training.step == given.follow_from:
            for name, weight in training.model.model.vision_tower.named_parameters():
                weight.requires_grad_(name.startswith(FOLLOWING_STAGES))
        pixels, talk, facts = corpus.batch(given.seed, training.step)
        batch = pack(talk, tokenizer, training.model.config.image_seq_length)
        words, seen = losses_of(training, pixels, batch, facts)
        torch.autograd.backward(words + LABEL_LOSS * seen)
        nn.utils.clip_grad_norm_(training.model.parameters(), 1.0)
        for group in training.optimiser.param_groups:
            group["lr"] = group["rate"] * schedule(training.step, given.steps)
        training.optimiser.step()
        training.optimiser.zero_grad(set_to_none=True)
        training.step += 1
        follow_average(training)
        losses = [0.98 * losses[0] + 0.02 * words.item(), 0.98 * losses[1] + 0.02 * seen.item()]
        if training.step % 50 == 0:
            seconds = time.monotonic() - started
            said = f"{training.step} words {losses[0]:.3f} facts {losses[1]:.3f} {seconds:.0f} s"
            sys.stdout.write(f"{said}\n")
            sys.stdout.flush()
        if training.step % SAVED_EVERY == 0 or training.step == given.steps:
            save(training, given.work / "state.pt")


def losses_of(
    training: Training, pixels: torch.Tensor, batch: Pack, facts: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the losses of the words to come and of the label facts."""
    model = training.model.model
    with torch.autocast("cpu", torch.bfloat16):
        features = model.vision_tower(pixels).last_hidden_state
        features = functional.dropout(features, DROPPED)
        image = model.multi_modal_projector(features)
        embedded = model.get_input_embeddings()(batch.ids)
        end = batch.image_at + image.shape[1]
        embedded = torch.cat((embedded[:, : batch.image_at], image, embedded[:, end:]), dim=1)
        states = model.language_model(
            inputs_embeds=embedded, attention_mask=batch.mask, position_ids=batch.positions,
            use_cache=False,
            output_hidden_states=True,
        )  # fmt: skip
        learnt = batch.targets != IGNORED
        logits = training.model.lm_head(states.last_hidden_state[learnt])
        told = training.reader(states.hidden_states[LABEL_LAYER][:, end - 1])
    weights = batch.weights[learnt]
    words = functional.cross_entropy(logits.float(), batch.targets[learnt], reduction="none")
    known = facts != labels.UNKNOWN
    seen = functional.binary_cross_entropy_with_logits(told.float()[known], facts[known])
    return (words * weights).sum() / weights.sum(), seen


def schedule(step: int, steps: int) -> float:
    """Warm up, then fall along a cosine to a fiftieth."""
    if step < WARM_UP:
        return (step + 1) / WARM_UP
    done = (step - WARM_UP) / max(steps - WARM_UP, 1)
    return 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * done))


@torch.no_grad()
def follow_average(training: Training) -> None:
    """Keep a running average of the weights; that is what is written in the end."""
    keep = min(AVERAGED, (training.step + 1) / (training.step + 10))
    for name, weight in training.model.named_parameters():
        if weight.requires_grad:
            training.average[name].lerp_(weight, 1 - keep)


def save(training: Training, path: Path) -> None:
    """Write the state through a temporary name."""
    state = {
        "model": training.model.state_dict(), "reader": training.reader.state_dict(),
        "optimiser": training.optimiser.state_dict(), "average": training.average,
        "step": training.step,
    }  # fmt: skip
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


if __name__ == "__main__":
    main()
