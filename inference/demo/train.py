"""Train the demo model from pictures and made-up studies to a sealed model folder.

    python -m storage.phantoms PHANTOMS --studies 1000 --seed 100 --size 512
    python -m inference.demo.train --data ../shared/data --phantoms PHANTOMS \
        --out inference/demo/model --seed 0

Stages, in order: read and decode the pictures; learn a byte-pair vocabulary from the questions and
answers; look at every picture with the frozen tower; train the projector to say where on a film
what is seen, and what the film shows as a whole; train the decoder, the projector following; write
the folder. Each stage leaves a file in `--work` and is not done twice; the last one saves its state
every hundred steps, and the same command goes on from there.
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

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import nn
from torch.nn import functional
from transformers import LlamaConfig, LlavaConfig, LlavaForConditionalGeneration

from inference.demo import labels
from inference.demo.dialogues import HARD, Dialogue, draw_dialogue
from inference.demo.features import Features, look
from inference.demo.metrics import seeded
from inference.demo.packing import IGNORED, Pack, pack
from inference.demo.pixels import MEAN, SIZE, STD, read_levels
from inference.demo.sources import Part, Picture, read_sources
from inference.families.efficientnet_lite import EfficientNetLiteConfig, load_published
from inference.families.overread_demo import BOS, EOS, IMAGE, write_model
from inference.families.preparing import Preparation
from inference.families.tokenizing import BytePairTokenizer

VOCABULARY, HIDDEN, LAYERS, HEADS, WIDE = 2048, 256, 4, 8, 768
STAGES_SEEN, GRID, CONTEXT = [2, 4, 6], 8, 1024
SOURCE_SHARES = {"nih": 0.31, "phantom": 0.41, "ct phantom": 0.04, "vqarad": 0.14,
                 "mednist": 0.06, "hannover": 0.02, "tcia": 0.02}  # fmt: skip
SEEING_STEPS, SEEING_PICTURES, SEEING_RATE, DROPPED = 500, 48, 1e-3, 0.15
PICTURES, DIALOGUES = 12, 11  # in a batch; drawn about each picture, of which some fit
RATE, FOLLOWING_RATE, WEIGHT_DECAY, WARM_UP, AVERAGED = 1.2e-3, 3e-4, 0.05, 100, 0.995
FACTS_LAYER = 2  # facts are read half way up the decoder, where words can still use them
CT_THINNED = 3  # one slice in so many is enough
SAVED_EVERY = 100  # steps


class Facts(nn.Module):
    """Layers that read known facts off the picture's tokens; thrown away after training."""

    def __init__(self) -> None:
        super().__init__()
        self.cells = nn.Linear(HIDDEN, len(labels.BOXED))  # of each token of the grid
        self.film = nn.Sequential(nn.LayerNorm(2 * HIDDEN), nn.Linear(2 * HIDDEN, labels.COUNT))
        self.half_way = nn.Sequential(nn.LayerNorm(HIDDEN), nn.Linear(HIDDEN, labels.COUNT))

    def seen(self, image: torch.Tensor, cells: torch.Tensor, film: torch.Tensor) -> torch.Tensor:
        """Return the loss of the projector's tokens [n, grid * grid + 2, HIDDEN]."""
        places = self.cells(image[:, :-2])
        whole = self.film(image[:, -2:].flatten(1))
        return known_loss(places, cells) + known_loss(whole, film)


@dataclass
class Training:
    """Everything that changes while training, and what is needed to go on."""

    model: LlavaForConditionalGeneration
    facts: Facts
    average: dict[str, torch.Tensor]  # the head is tied to the embeddings and not listed
    optimiser: torch.optim.Optimizer
    step: int = 0


@dataclass(frozen=True, slots=True)
class Batch:
    """Features, dialogues and facts of some pictures."""

    features: torch.Tensor
    talk: list[list[Dialogue]]
    film: torch.Tensor
    cells: torch.Tensor


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
    add("--steps", type=int, default=4600)
    add("--with-dev", action="store_true", help="learn from the dev part as well")
    add("--threads", type=int, default=1)
    add("--revision", default="2")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    torch.manual_seed(given.seed)
    given.work.mkdir(parents=True, exist_ok=True)
    pictures = read_sources(given.data, tuple(given.phantoms), given.seed)
    levels = read_levels(pictures, given.work / "levels.npy")
    learnt = {Part.TRAIN, Part.DEV} if given.with_dev else {Part.TRAIN}
    chosen = [
        index
        for index, picture in enumerate(pictures)
        if picture.part in learnt and (picture.source != "ct phantom" or index % CT_THINNED == 0)
    ]
    tokenizer_json = given.work / "tokenizer.json"
    if not tokenizer_json.exists():
        learn_vocabulary([pictures[i] for i in chosen], seeded(given.seed), tokenizer_json)
    tokenizer = BytePairTokenizer.from_file(tokenizer_json, bos=BOS)
    model = build(Tokenizer.from_file(str(tokenizer_json)).get_vocab())
    tower = model.model.vision_tower.eval().to(memory_format=torch.channels_last)
    tower.requires_grad_(requires_grad=False)
    used = [pictures[i] for i in chosen]
    features = look(tower, used, levels[chosen], given.work / "features.npy", given.seed)
    corpus = Corpus(used, features)
    training = prepare(model, given.work)
    if training.step == 0:
        learn_to_see(training, corpus, given)
    learn_to_speak(training, corpus, tokenizer, given)
    model.load_state_dict(training.average, strict=False)
    write_model(
        model, tokenizer_json, given.out, revision=given.revision, context=CONTEXT,
        image=Preparation(fit="stretch", size=SIZE, mean=(MEAN,) * 3, std=(STD,) * 3),
    )  # fmt: skip
    (given.out / "model.safetensors").chmod(0o644)  # written for the owner alone otherwise


class Corpus:
    """Pictures to draw batches from, with sources and patients in fixed proportions."""

    def __init__(self, pictures: list[Picture], features: Features) -> None:
        self.pictures = pictures
        self.features = features
        films = Counter(picture.group for picture in pictures)
        sizes = [
            films[picture.group] ** -0.5
            * max([HARD.get(site.finding, 1.0) for site in picture.sites], default=1.0)
            for picture in pictures
        ]
        totals = dict.fromkeys(SOURCE_SHARES, 0.0)
        for picture, size in zip(pictures, sizes, strict=True):
            totals[picture.source] += size
        self.shares = [
            SOURCE_SHARES[picture.source] * size / totals[picture.source]
            for picture, size in zip(pictures, sizes, strict=True)
        ]
        self.film = torch.stack([labels.label_row(picture) for picture in pictures])
        self.cells = torch.stack([labels.cell_rows(picture, GRID) for picture in pictures])

    def batch(self, rng: Random, pictures: int, dialogues: int) -> Batch:
        """Draw some pictures, one look at each, and dialogues about them."""
        drawn = rng.choices(range(len(self.pictures)), self.shares, k=pictures)
        features = self.features.draw(drawn, [rng.random() for _ in drawn])
        talk = [[draw_dialogue(self.pictures[i], rng) for _ in range(dialogues)] for i in drawn]
        return Batch(features, talk, self.film[drawn], self.cells[drawn])


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


def build(ids: dict[str, int]) -> LlavaForConditionalGeneration:
    """Make the model with the published tower and everything else random."""
    vision = EfficientNetLiteConfig(
        image_size=SIZE, grid=GRID, feature_stages=STAGES_SEEN, placed=True
    )
    text = LlamaConfig(
        vocab_size=len(ids), hidden_size=HIDDEN, intermediate_size=WIDE,
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


def prepare(model: LlavaForConditionalGeneration, work: Path) -> Training:
    """Set up the optimiser, and load the last saved state if there is one."""
    facts = Facts()
    following = list(model.model.multi_modal_projector.parameters())
    rest = [*model.model.language_model.parameters(), *facts.parameters()]
    optimiser = torch.optim.AdamW(
        [{"params": rest, "rate": RATE}, {"params": following, "rate": FOLLOWING_RATE}],
        lr=RATE, betas=(0.9, 0.98), weight_decay=WEIGHT_DECAY,
    )  # fmt: skip
    average = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    training = Training(model, facts, average, optimiser)
    saved = work / "state.pt"
    if saved.exists():
        state: dict[str, Any] = torch.load(saved, weights_only=True)
        model.load_state_dict(state["model"])
        facts.load_state_dict(state["facts"])
        optimiser.load_state_dict(state["optimiser"])
        training.average, training.step = state["average"], state["step"]
    return training


def learn_to_see(training: Training, corpus: Corpus, given: argparse.Namespace) -> None:
    """Train the projector on facts alone: which cells show what, and what the film shows."""
    projector, facts = training.model.model.multi_modal_projector, training.facts
    learning = [*projector.parameters(), *facts.parameters()]
    optimiser = torch.optim.AdamW(learning, lr=SEEING_RATE, weight_decay=WEIGHT_DECAY)
    told = Progress()
    for step in range(SEEING_STEPS):
        batch = corpus.batch(seeded(f"{given.seed}:see:{step}"), SEEING_PICTURES, 0)
        with torch.autocast("cpu", torch.bfloat16):
            image = projector(functional.dropout(batch.features, DROPPED))
            loss = facts.seen(image, batch.cells, batch.film)
        for group in optimiser.param_groups:
            group["lr"] = SEEING_RATE * schedule(step, SEEING_STEPS)
        torch.autograd.backward(loss)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        told.tell(step + 1, facts=loss.item())
    for name, weight in training.model.named_parameters():
        training.average[name] = weight.detach().clone()


def learn_to_speak(
    training: Training, corpus: Corpus, tokenizer: BytePairTokenizer, given: argparse.Namespace
) -> None:
    """Train the decoder to the last step, the projector following; save now and then."""
    told = Progress()
    while training.step < given.steps:
        batch = corpus.batch(seeded(f"{given.seed}:{training.step}"), PICTURES, DIALOGUES)
        packed = pack(batch.talk, tokenizer, training.model.config.image_seq_length)
        words, seen = losses_of(training, batch, packed)
        torch.autograd.backward(words + seen)
        nn.utils.clip_grad_norm_(training.model.parameters(), 1.0)
        for group in training.optimiser.param_groups:
            group["lr"] = group["rate"] * schedule(training.step, given.steps)
        training.optimiser.step()
        training.optimiser.zero_grad(set_to_none=True)
        training.step += 1
        follow_average(training)
        told.tell(training.step, words=words.item(), facts=seen.item())
        if training.step % SAVED_EVERY == 0 or training.step == given.steps:
            save(training, given.work / "state.pt")


def losses_of(training: Training, batch: Batch, packed: Pack) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the losses of the words to come and of the facts."""
    model = training.model.model
    with torch.autocast("cpu", torch.bfloat16):
        image = model.multi_modal_projector(functional.dropout(batch.features, DROPPED))
        embedded = model.get_input_embeddings()(packed.ids)
        end = packed.image_at + image.shape[1]
        embedded = torch.cat((embedded[:, : packed.image_at], image, embedded[:, end:]), dim=1)
        states = model.language_model(
            inputs_embeds=embedded, attention_mask=packed.mask, position_ids=packed.positions,
            use_cache=False, output_hidden_states=True,
        )  # fmt: skip
        learnt = packed.targets != IGNORED
        logits = training.model.lm_head(states.last_hidden_state[learnt])
        half_way = training.facts.half_way(states.hidden_states[FACTS_LAYER][:, end - 1])
        seen = training.facts.seen(image, batch.cells, batch.film)
    weights = packed.weights[learnt]
    words = functional.cross_entropy(logits.float(), packed.targets[learnt], reduction="none")
    return (words * weights).sum() / weights.sum(), seen + known_loss(half_way, batch.film)


def known_loss(logits: torch.Tensor, facts: torch.Tensor) -> torch.Tensor:
    """Return the binary cross-entropy of those facts that are known."""
    known = facts != labels.UNKNOWN
    return functional.binary_cross_entropy_with_logits(logits.float()[known], facts[known])


class Progress:
    """Running losses, printed every 50 steps."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._losses: dict[str, float] = {}

    def tell(self, step: int, **losses: float) -> None:
        """Take in one step's losses."""
        for name, loss in losses.items():
            self._losses[name] = 0.97 * self._losses.get(name, loss) + 0.03 * loss
        if step % 50 == 0:
            said = " ".join(f"{name} {loss:.3f}" for name, loss in self._losses.items())
            sys.stdout.write(f"{step} {said} {time.monotonic() - self._started:.0f} s\n")
            sys.stdout.flush()


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
        "model": training.model.state_dict(), "facts": training.facts.state_dict(),
        "optimiser": training.optimiser.state_dict(), "average": training.average,
        "step": training.step,
    }  # fmt: skip
    torch.save(state, path.with_suffix(".new"))
    path.with_suffix(".new").replace(path)


if __name__ == "__main__":
    main()
