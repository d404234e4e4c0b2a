"""What was computed for a study is used again, and changes nothing."""

import torch

from inference.protocol import Ask, Decoding, Turn
from inference.worker.engine.config import EngineConfig
from inference.worker.engine.engine import Engine
from tests.unit.worker.conftest import SMALL, StartEngine
from tests.unit.worker.fake import IMAGE_TOKENS, FakeModel
from tests.unit.worker.plain import plain_answer, plain_logits
from tests.unit.worker.receiving import Receiver
from tests.unit.worker.samples import png, question


def _started_with(engine: Engine, ask: Ask) -> tuple[int, torch.Tensor, tuple[int, ...]]:
    receiver = Receiver(engine, ask)
    ended = receiver.ended()
    assert receiver.started is not None
    return receiver.started.cached_tokens, receiver.started.logits, ended.token_ids


def test_another_question_about_an_image_computes_only_the_question(
    model: FakeModel, engine: Engine
) -> None:
    Receiver(engine, question("Is there an effusion?", 1)).ended()
    ask = question("Which side is it on?", 1)
    cached, logits, token_ids = _started_with(engine, ask)
    before = len(model.encode("USER: ")) + IMAGE_TOKENS + len("\n")
    assert cached == before
    assert token_ids == plain_answer(model, ask, 16)
    assert torch.allclose(logits, plain_logits(model, ask), atol=1e-3)


def test_a_second_turn_computes_only_what_was_added(model: FakeModel, engine: Engine) -> None:
    first = Receiver(engine, question("What do you see?", 1)).ended()
    turns = (
        Turn("user", "What do you see?", (png(1),)),
        Turn("assistant", first.text),
        Turn("user", "Are you sure?"),
    )
    ask = Ask(turns, decoding=Decoding(max_tokens=16))
    cached, logits, token_ids = _started_with(engine, ask)
    first_prompt = len(model.encode(model.render(turns[:1]))) - 1 + IMAGE_TOKENS
    assert cached >= first_prompt - len("ASSISTANT:")
    assert token_ids == plain_answer(model, ask, 16)
    assert torch.allclose(logits, plain_logits(model, ask), atol=1e-3)


def test_the_tower_looks_once_at_an_image(model: FakeModel, engine: Engine) -> None:
    for text in ("first", "second", "third"):
        Receiver(engine, question(text, 1)).ended()
    Receiver(engine, question("other", 2)).ended()
    assert len(model.looked) == 2


def test_questions_handed_in_together_share_their_image(model: FakeModel, engine: Engine) -> None:
    receivers = [Receiver(engine, question(f"finding {n}?", 1)) for n in range(6)]
    for receiver in receivers:
        receiver.ended()
    cached = sorted(r.started.cached_tokens for r in receivers if r.started)
    assert cached[0] == 0
    assert cached[1] > IMAGE_TOKENS
    assert len(model.looked) == 1


def test_different_images_share_nothing_behind_their_first_position(
    model: FakeModel, engine: Engine
) -> None:
    Receiver(engine, question("What?", 1)).ended()
    ask = question("What?", 2)
    cached, _, token_ids = _started_with(engine, ask)
    assert cached == len(model.encode("USER: "))
    assert token_ids == plain_answer(model, ask, 16)


def test_an_engine_that_may_keep_nothing_answers_the_same(
    model: FakeModel, start_engine: StartEngine
) -> None:
    config = EngineConfig(kv_bytes=SMALL.kv_bytes, prefix_bytes=0, feature_bytes=0)
    engine = start_engine(model, config)
    for text in ("first", "second"):
        ask = question(text, 1)
        cached, _, token_ids = _started_with(engine, ask)
        assert cached == 0
        assert token_ids == plain_answer(model, ask, 16)
    assert engine.load().prefix_bytes == engine.load().feature_bytes == 0


def test_what_is_kept_stays_within_its_bound(model: FakeModel, start_engine: StartEngine) -> None:
    bound = 60_000
    config = EngineConfig(kv_bytes=SMALL.kv_bytes, prefix_bytes=bound)
    engine = start_engine(model, config)
    for n in range(12):
        Receiver(engine, question(f"question number {n}", n)).ended()
        assert 0 < engine.load().prefix_bytes <= bound
