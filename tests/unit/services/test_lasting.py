"""A stream ends with the session behind it, even while nothing comes."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from webapp.services.errors import NotSignedInError
from webapp.services.lasting import while_signed_in


class Words:
    """Says two words and, if told so, then computes for ever."""

    def __init__(self, *, hangs: bool) -> None:
        self.hangs = hangs
        self.closed = False

    async def __call__(self) -> AsyncGenerator[str, None]:
        try:
            yield "one"
            yield "two"
            if self.hangs:
                await asyncio.Event().wait()
        finally:
            self.closed = True


async def test_all_comes_through_while_the_session_lasts() -> None:
    words = Words(hangs=False)
    heard = [word async for word in while_signed_in(words(), lambda: True, look_every_s=0.01)]
    assert heard == ["one", "two"]
    assert words.closed


async def test_a_model_that_says_nothing_is_stopped() -> None:
    words, answers = Words(hangs=True), [True, True, False]
    stream = while_signed_in(words(), lambda: answers.pop(0), look_every_s=0.01)
    heard = [await anext(stream), await anext(stream)]
    with pytest.raises(NotSignedInError):
        await anext(stream)
    assert heard == ["one", "two"]
    assert answers == []
    assert words.closed


async def test_a_model_that_never_pauses_is_stopped_too() -> None:
    closed = []

    async def endless() -> AsyncGenerator[int, None]:
        try:
            while True:
                yield 1
                await asyncio.sleep(0)
        finally:
            closed.append(True)

    with pytest.raises(NotSignedInError):
        async for _ in while_signed_in(endless(), lambda: False, look_every_s=0.0):
            pass
    assert closed


async def test_whoever_leaves_closes_it() -> None:
    words = Words(hangs=True)
    stream = while_signed_in(words(), lambda: True, look_every_s=0.01)
    assert await anext(stream) == "one"
    await stream.aclose()
    assert words.closed
