"""Ask a loaded model about one picture, greedily and one question at a time.

A plain loop, so that training and measuring need no worker. The worker's own engine gives the
same words.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from PIL import Image

from inference.families.base import LoadedModel
from inference.protocol import Turn

SHOWN = (b"shown",)  # a turn only counts its images; the pixels travel as features


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said, and how long it took from the question on, the tower's look included."""

    text: str
    tokens: int
    first_token_seconds: float
    seconds: float


class Asking:
    """One model and the picture it was last shown."""

    def __init__(self, loaded: LoadedModel) -> None:
        self.loaded = loaded
        self._features: torch.Tensor | None = None

    def show(self, image: Image.Image | None) -> None:
        """Look at a picture, or at none."""
        self._features = None
        if image is not None:
            pixels = self.loaded.pixel_values(image.convert("RGB"))
            self._features = self.loaded.image_features(pixels)

    def choose(
        self, question: str, choices: Sequence[str], history: Sequence[tuple[str, str]] = ()
    ) -> dict[str, float]:
        """Return the probability of each choice as the beginning of the answer; together 1."""
        prompt = self._embedded(question, history)
        last = self._logits(prompt)[-1]
        totals: list[float] = []
        for choice in choices:
            ids = self._ids(choice)
            total = float(last.log_softmax(-1)[ids[0]])
            if len(ids) > 1:
                spelt = self.loaded.embed(torch.tensor(ids[:-1]))
                rows = self._logits(torch.cat((prompt, spelt)))[len(prompt) :].log_softmax(-1)
                total += sum(float(row[token]) for row, token in zip(rows, ids[1:], strict=True))
            totals.append(total)
        shares = torch.softmax(torch.tensor(totals), dim=0).tolist()
        return dict(zip(choices, shares, strict=True))

    @torch.no_grad()
    def answer(
        self, question: str, history: Sequence[tuple[str, str]] = (), *, most_tokens: int = 128,
        image: Image.Image | None = None,
    ) -> Answer:  # fmt: skip
        """Answer greedily; an `image` given here is looked at first, on the clock."""
        started = time.perf_counter()
        if image is not None:
            self.show(image)
        step, cache, said, first = self._embedded(question, history), None, [], 0.0
        for _ in range(most_tokens):
            output = self.loaded.decoder(
                inputs_embeds=step[None], past_key_values=cache, use_cache=True
            )
            cache = output.past_key_values
            token = int(self.loaded.logits(output.last_hidden_state[0, -1]).argmax())
            first = first or time.perf_counter() - started
            if token in self.loaded.eos_token_ids:
                break
            said.append(token)
            step = self.loaded.embed(torch.tensor([token]))
        return Answer(self.loaded.decode(said), len(said), first, time.perf_counter() - started)

    def _embedded(self, question: str, history: Sequence[tuple[str, str]]) -> torch.Tensor:
        turns: list[Turn] = []
        for asked, said in history:
            turns += [Turn("user", asked), Turn("assistant", said)]
        turns.append(Turn("user", question))
        if self._features is not None:
            turns[0] = Turn("user", turns[0].text, images=SHOWN)
        ids = self.loaded.encode(self.loaded.render(turns))
        if self._features is None:
            return self.loaded.embed(torch.tensor(ids))
        at = next(index for index, token in enumerate(ids) if token < 0)
        before, after = torch.tensor(ids[:at]), torch.tensor(ids[at + 1 :])
        return torch.cat((self.loaded.embed(before), self._features, self.loaded.embed(after)))

    @torch.no_grad()
    def _logits(self, embedded: torch.Tensor) -> torch.Tensor:
        hidden = self.loaded.decoder(inputs_embeds=embedded[None]).last_hidden_state[0]
        return self.loaded.logits(hidden).float()

    def _ids(self, choice: str) -> list[int]:
        beginning = self.loaded.encode("")
        return self.loaded.encode(choice)[len(beginning) :]
