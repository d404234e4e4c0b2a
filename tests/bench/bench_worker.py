"""The engine against the plain way: one transformers `generate` per question, from scratch.

Run with `python -m tests.bench.bench_worker`; a few minutes on two idle cores. On a busy machine,
`--cpu-time` counts one thread's processor time instead. Both ways use the same weights, cores and
prompts. Every figure of the plain way is the median of three
calls; where it answers many alike, one call's time is multiplied by their number. The floor of a
line is what its passes through the decoder cost alone, measured one by one on the same cores.
"""

import argparse
import io
import os
import queue
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from PIL import Image
from transformers.utils.logging import disable_progress_bar

from inference.catalog import catalog
from inference.families.registry import load_model
from inference.protocol import Ask, Decoding, Turn
from inference.worker.adapters import Adapters
from inference.worker.engine.config import EngineConfig
from inference.worker.engine.engine import Engine
from inference.worker.engine.messages import Ended, Event
from inference.worker.engine.runner import Runner
from inference.worker.pictures import read_image
from tests.bench.large_model import IMAGE_ID, IMAGE_TOKENS, LargeModel
from tests.unit.worker.receiving import Receiver

FINDINGS = (
    "enlarged cardiomediastinum", "cardiomegaly", "lung opacity", "lung lesion", "edema",
    "consolidation", "pneumonia", "atelectasis", "pneumothorax", "pleural effusion",
    "pleural other", "fracture", "support devices", "no finding",
)  # fmt: skip
ANSWER = 32  # tokens of an answer in the battery
CHAT_ANSWER = 48  # tokens of an answer in a chat
CHATS = 16
CHOICES = ("present", "absent", "indeterminate")
REPEATS = 3
PATIENCE = 600.0  # seconds


Clock = Callable[[], float]


def film(number: int) -> bytes:
    """Noise as a PNG of 512 pixels, another for each number."""
    levels = np.random.default_rng(number).integers(0, 256, (512, 512), dtype=np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(levels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


FILMS = [film(number) for number in range(CHATS)]


def about(text: str, *, image: int = 0, tokens: int, choices: tuple[str, ...] = ()) -> Ask:
    """One question about one film."""
    turn = Turn("user", text, (FILMS[image],))
    return Ask((turn,), decoding=Decoding(max_tokens=tokens, temperature=0.0), choices=choices)


def finding(name: str, tokens: int = ANSWER) -> Ask:
    """One question of the battery: about twenty words."""
    return about(
        f"Is there {name} in this frontal chest radiograph ? Say so and give the reason in one "
        "sentence .",
        tokens=tokens,
    )


@dataclass(frozen=True, slots=True)
class Line:
    """One figure of the report."""

    name: str
    plain: float  # seconds
    ours: float  # seconds
    floor: float  # seconds
    target: str
    at_least: float | None = None  # ratio plain / ours
    at_most: float | None = None  # ratio ours / plain

    def __str__(self) -> str:
        """The row of the table."""
        if self.at_least is not None:
            ratio, met = self.plain / self.ours, self.plain / self.ours >= self.at_least
            best = self.plain / self.floor
        else:
            ratio, met = self.ours / self.plain, self.ours / self.plain <= (self.at_most or 0)
            best = self.floor / self.plain
        return (
            f"{self.name:<46}{self.plain:>9.2f}{self.ours:>9.2f}{self.floor:>9.2f}"
            f"{ratio:>9.2f}{best:>9.2f}   {self.target:<8}{'met' if met else 'NOT MET'}"
        )


class Bench:
    """Both ways of answering, on one model."""

    def __init__(self, model: LargeModel, clock: Clock) -> None:
        self.model = model
        self.clock = clock
        config = EngineConfig(kv_bytes=2**31, prefix_bytes=2**31)
        self._config = config

    def engine(self) -> Engine:
        """A fresh engine: nothing is kept from an earlier question."""
        engine = Engine(self.model, self._config)
        engine.start()
        return engine

    def plain(self, ask: Ask, tokens: int) -> None:
        """Answer as the original evaluation scripts do."""
        with torch.inference_mode():
            ids = self.model.encode(self.model.render(ask.turns))
            expanded = [j for i in ids for j in ([IMAGE_ID] * IMAGE_TOKENS if i < 0 else [i])]
            pixels = [
                self.model.pixel_values(read_image(image))
                for turn in ask.turns
                for image in turn.images
            ]
            self.model.model.generate(  # type: ignore[misc]  # its mixin's own annotation
                input_ids=torch.tensor([expanded]),
                attention_mask=torch.ones(1, len(expanded), dtype=torch.long),
                pixel_values=torch.stack(pixels),
                max_new_tokens=tokens,
                min_new_tokens=tokens,
                do_sample=False,
                pad_token_id=0,
            )

    def ours(self, asks: Sequence[Ask], engine: Engine | None = None) -> float:
        """Answer all at once on a fresh engine; return the seconds."""
        used = engine or self.engine()
        before = self.clock()
        for receiver in [Receiver(used, ask, patience=PATIENCE) for ask in asks]:
            receiver.ended()
        seconds = self.clock() - before
        if engine is None:
            used.stop(drain_seconds=0.0)
        return seconds

    def single(self) -> tuple[Line, float]:
        """One question alone, and what a plain one costs."""
        ask = finding(FINDINGS[0])
        pairs = [
            (self.timed(lambda: self.plain(ask, ANSWER)), self.ours([ask])) for _ in range(REPEATS)
        ]
        plain, ours = (statistics.median(times) for times in zip(*pairs, strict=True))
        floor = self.prefill(self.length(ask)) + ANSWER * self.step(1, self.length(ask))
        line = Line("one question, 32 tokens", plain, ours, floor, "<= 1.10", at_most=1.10)
        return line, plain

    def together(self, asks: Sequence[Ask]) -> float:
        """Answer all as one battery on a fresh engine; return the seconds."""
        engine = self.engine()
        ended: queue.SimpleQueue[Ended] = queue.SimpleQueue()

        def sink(_: int, event: Event) -> None:
            if isinstance(event, Ended):
                ended.put(event)

        before = self.clock()
        engine.submit_battery([(ask, None) for ask in asks], sink)
        for _ in asks:
            ended.get(timeout=PATIENCE)
        seconds = self.clock() - before
        engine.stop(drain_seconds=0.0)
        return seconds

    def battery(self, plain: float) -> Line:
        """Fourteen questions about one film."""
        asks = [finding(name) for name in FINDINGS]
        ours = statistics.median(self.together(asks) for _ in range(REPEATS))
        length = self.length(asks[0])
        rest = length - IMAGE_TOKENS - 2
        floor = (
            self.prefill(length)
            + self.prefill(rest * (len(asks) - 1))
            + ANSWER * self.step(len(asks), length)
        )
        return Line(
            "14 questions about one film", len(asks) * plain, ours, floor, ">= 6", at_least=6
        )

    def chats(self, *, turns: int, images: int) -> Line:
        """Sixteen conversations at once; a next turn is asked when all have been answered."""
        asks = [
            about(f"chat {n} : describe this film please .", image=n % images, tokens=CHAT_ANSWER)
            for n in range(CHATS)
        ]
        engine = self.engine()
        plain, floor = 0.0, images * self.prefill(self.length(asks[0]))
        ours = 0.0
        for turn in range(turns):
            plain += CHATS * self.median_of(partial(self.plain, asks[0], CHAT_ANSWER))
            floor += CHAT_ANSWER * self.step(CHATS, self.length(asks[0]))
            floor += self.prefill(CHATS * 16) if turn else 0.0
            before = self.clock()
            receivers = [Receiver(engine, ask, patience=PATIENCE) for ask in asks]
            texts = [receiver.ended().text for receiver in receivers]
            ours += self.clock() - before
            asks = [next_turn(ask, text) for ask, text in zip(asks, texts, strict=True)]
        engine.stop(drain_seconds=0.0)
        films = "one film" if images == 1 else f"{images} films"
        name = f"{CHATS} chats of {turns} turns about {films}"
        return Line(name, plain, ours, floor, ">= 4", at_least=4)

    def second_turn(self) -> Line:
        """Time to the first token of a second turn."""
        first = about("Describe this film please .", tokens=ANSWER)
        found: list[float] = []
        for _ in range(REPEATS):
            engine = self.engine()
            answered = Receiver(engine, first, patience=PATIENCE).ended()
            ask = next_turn(first, answered.text)
            before = self.clock()
            Receiver(engine, ask, patience=PATIENCE).until_started()
            found.append(self.clock() - before)
            engine.stop(drain_seconds=0.0)
        plain = self.median_of(lambda: self.plain(ask, 1))
        floor = self.prefill(16)
        return Line(
            "second turn, to its first token", plain, statistics.median(found), floor, ">= 5",
            at_least=5,
        )  # fmt: skip

    def choice(self) -> Line:
        """Choosing among three answers, against computing the prompt alone."""
        ask = finding(FINDINGS[0], tokens=1)
        pairs = [
            (self.timed(lambda: self.plain(ask, 1)), self.ours([replace(ask, choices=CHOICES)]))
            for _ in range(REPEATS)
        ]
        plain, ours = (statistics.median(times) for times in zip(*pairs, strict=True))
        floor = self.prefill(self.length(ask) + len(CHOICES))
        return Line("one of three choices, to the prefill", plain, ours, floor, "<= 1.10",
                    at_most=1.10)  # fmt: skip

    def timed(self, call: Callable[[], object]) -> float:
        """Seconds of one call."""
        before = self.clock()
        call()
        return self.clock() - before

    def median_of(self, call: Callable[[], object]) -> float:
        """Median seconds of three calls."""
        return statistics.median(self.timed(call) for _ in range(REPEATS))

    def length(self, ask: Ask) -> int:
        """Positions of a prompt."""
        return len(self.model.encode(self.model.render(ask.turns))) - 1 + IMAGE_TOKENS

    def prefill(self, positions: int) -> float:
        """Seconds of one pass over `positions` new positions."""
        embeds = self.model.embed(torch.full((positions,), 5))[None]
        with torch.inference_mode():
            return self.median_of(lambda: self.model.decoder(inputs_embeds=embeds, use_cache=False))

    def step(self, rows: int, positions: int) -> float:
        """Seconds of one token for `rows` answers behind `positions` positions."""
        runner = Runner(self.model, Adapters(self.model), kv_bytes=2**31)
        runner.slots.ensure(rows, positions + 1, live=0)
        ids, starts = [5] * rows, [positions] * rows
        with torch.inference_mode():
            return (
                self.median_of(
                    lambda: [runner.decode(0, starts, ids, [None] * rows) for _ in range(4)]
                )
                / 4
            )


def next_turn(first: Ask, answer: str) -> Ask:
    """Go on with a conversation."""
    more = (Turn("assistant", answer), Turn("user", "Which side is it on , and how large ?"))
    return replace(first, turns=(*first.turns, *more))


def demo(clock: Clock) -> str:
    """The packaged model: to the first token on a new film, and tokens a second."""
    disable_progress_bar()  # type: ignore[no-untyped-call]  # as transformers has it
    engine = Engine(load_model("overread-demo"), EngineConfig())
    engine.start()
    first, rates = [], []
    for number in range(6):
        before = clock()
        ask = about("Describe the findings.", image=number, tokens=64)
        receiver = Receiver(engine, ask, patience=PATIENCE)
        receiver.until_started()
        started = clock()
        made = len(receiver.ended().token_ids)
        if number:  # the first one warms the libraries up
            first.append(started - before)
            rates.append((made - 1) / (clock() - started))
    engine.stop(drain_seconds=0.0)
    return (
        f"overread-demo: first token after {1000 * statistics.median(first):.0f} ms "
        f"(target 1000), {statistics.median(rates):.0f} tokens/s (target 30)"
    )


def main() -> None:
    """Print the report."""
    parser = argparse.ArgumentParser(description="The engine against one generate per question.")
    parser.add_argument("--cpu-time", action="store_true", help="processor time of one thread")
    busy = parser.parse_args().cpu_time
    clock: Clock = time.process_time if busy else time.perf_counter
    if busy:
        torch.set_num_threads(1)

    def show(text: str) -> None:
        sys.stdout.write(text)
        sys.stdout.flush()

    model = LargeModel()
    bench = Bench(model, clock)
    show(
        f"{model.parameters / 1e6:.0f} M random weights, {IMAGE_TOKENS} image tokens, float32, "
        f"{torch.get_num_threads()} threads, {'processor' if busy else 'wall'} seconds, "
        f"load average {os.getloadavg()[0]:.1f}\n"
    )
    bench.plain(finding(FINDINGS[0]), 2)
    bench.ours([finding(FINDINGS[0], tokens=2)])
    show(f"{'':<46}{'plain':>9}{'ours':>9}{'floor':>9}{'ratio':>9}{'best':>9}   target\n")
    single, plain = bench.single()
    show(f"{single}\n")
    steps: tuple[Callable[[], Line], ...] = (
        lambda: bench.battery(plain),
        lambda: bench.chats(turns=2, images=1),
        lambda: bench.chats(turns=2, images=CHATS),
        lambda: bench.chats(turns=4, images=CHATS),
        bench.second_turn,
        bench.choice,
    )
    for step in steps:
        show(f"{step()}\n")
    folder = catalog()["overread-demo"].packaged_folder
    if folder is not None and folder.is_dir():
        show(f"{demo(clock)}\n")


if __name__ == "__main__":
    main()
