"""A model server written by hand: says what it is told, and notices how it is left."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass, field

from inference.errors import InferenceError
from inference.protocol import Ask, Finished, Provenance, ServedModel, Token, WorkerHealth

MADE_BY = Provenance(
    model="overread-demo",
    family="overread-demo",
    weights_revision="r1",
    weights_sha256="a" * 64,
    engine="overread",
    engine_version="0.1.0",
    rendered_prompt="USER: <image>\nQ ASSISTANT:",
    decoding={"temperature": 0.0, "max_tokens": 64},
    seed=7,
    prompt_tokens=90,
    completion_tokens=12,
    first_token_ms=35,
)


@dataclass
class FakeWorker:
    """Answers with `says`, then ends as told: normally, with `fails`, or never with `hangs`.

    `later` are its answers, or failures, to the questions after the first. Of a battery's
    questions it denies all but those in `replies`, by their words.
    """

    says: Sequence[str] = ("The heart ", "is enlarged. ", "No effusion.")
    fails: InferenceError | None = None
    hangs: bool = False
    finish_reason: str = "stop"
    choices: dict[str, float] | None = None
    listed: Sequence[ServedModel] = (
        ServedModel("overread-demo", "overread-demo", "a" * 64, adapters=("chest-v2",)),
    )
    down: InferenceError | None = None
    later: list["Sequence[str] | InferenceError"] = field(default_factory=list)
    replies: dict[str, "str | InferenceError"] = field(default_factory=dict)
    answers_before_hanging: int | None = None
    hanging: bool = False
    asked: list[Ask] = field(default_factory=list)
    left_early: int = 0

    async def stream(self, ask: Ask, /) -> AsyncGenerator[Token | Finished, None]:
        self.asked.append(ask)
        says = self.later.pop(0) if self.later and len(self.asked) > 1 else self.says
        finished = False
        try:
            if isinstance(says, InferenceError):
                finished = True
                raise says
            for text in says:
                await asyncio.sleep(0)
                yield Token(text)
            if self.fails is not None:
                finished = True
                raise self.fails
            while self.hangs:
                await asyncio.sleep(0.01)
            finished = True
            yield Finished(
                "".join(says),
                self.finish_reason,  # type: ignore[arg-type]  # a word of the protocol
                MADE_BY,
                self.choices,
            )
        finally:
            if not finished:
                self.left_early += 1

    async def battery(
        self, asks: Sequence[Ask], /
    ) -> AsyncGenerator[tuple[int, Finished | InferenceError], None]:
        self.asked += asks
        finished = False
        try:
            for index, ask in enumerate(asks):
                while index == self.answers_before_hanging:
                    self.hanging = True
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0)
                put = ask.turns[-1].text
                denial = "yes" if "not normal" in put else "no"
                said = self.replies.get(put, "absent" if "absent" in ask.choices else denial)
                if isinstance(said, InferenceError):
                    yield index, said
                else:
                    yield index, Finished(said, self.finish_reason, MADE_BY)  # type: ignore[arg-type]  # as above
            finished = True
        finally:
            if not finished:
                self.left_early += 1

    async def models(self) -> list[ServedModel]:
        if self.down is not None:
            raise self.down
        return list(self.listed)

    async def health(self) -> WorkerHealth:
        if self.down is not None:
            return WorkerHealth("unreachable", "nothing answers")
        return WorkerHealth("ready")
