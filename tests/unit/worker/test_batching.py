"""Many requests at once give exactly what each gives alone."""

import pytest
import torch

from inference.errors import RequestRefusedError
from inference.protocol import Ask, Decoding, Turn
from inference.worker.engine.engine import Engine
from tests.unit.worker.conftest import StartEngine
from tests.unit.worker.fake import FakeModel
from tests.unit.worker.plain import plain_answer, plain_logits
from tests.unit.worker.receiving import Receiver
from tests.unit.worker.samples import png, question

MIXED = [
    question("short", max_tokens=12),
    question("with a picture", 1, max_tokens=20),
    question("a question that is a good deal longer than a chunk of a prompt", 2, max_tokens=7),
    question("the same picture again", 1, max_tokens=30),
    question("one token", max_tokens=1),
    question("no picture, but more to say about it than the first one had", max_tokens=25),
    question("third picture", 3, max_tokens=14),
    question("short too", 3, max_tokens=18),
    question("ninth, which has to wait for a place", 2, max_tokens=9),
    question("tenth", max_tokens=11),
]


def test_requests_that_join_and_leave_midway_are_answered_as_if_alone(
    model: FakeModel, engine: Engine
) -> None:
    first = Receiver(engine, MIXED[0])
    first.until_piece()  # it is running when the others come
    others = [Receiver(engine, ask) for ask in MIXED[1:]]
    for receiver, ask in zip([first, *others], MIXED, strict=True):
        ended = receiver.ended()
        assert ended.token_ids == plain_answer(model, ask, ask.decoding.max_tokens or 0)
        assert ended.finish_reason == "length"
        assert "".join(receiver.pieces) == ended.text == model.decode(ended.token_ids)
        assert receiver.started is not None
        assert torch.allclose(receiver.started.logits, plain_logits(model, ask), atol=1e-3)


def test_requests_share_passes_of_the_decoder(model: FakeModel, engine: Engine) -> None:
    receivers = [Receiver(engine, question(f"question {n}", max_tokens=30)) for n in range(6)]
    for receiver in receivers:
        receiver.ended()
    assert max(rows for rows, width in model.passes if width == 1) >= 5
    assert len(model.passes) < 6 * 30 // 3


def test_end_of_sequence_stops_an_answer(start_engine: StartEngine) -> None:
    model = FakeModel(eos=True)
    engine = start_engine(model)
    asks = [question(f"try number {n}", max_tokens=60) for n in range(8)]
    stopped = 0
    for receiver, ask in zip([Receiver(engine, a) for a in asks], asks, strict=True):
        ended = receiver.ended()
        assert ended.token_ids == plain_answer(model, ask, 60)
        stopped += ended.finish_reason == "stop"
    assert stopped


def test_a_long_prompt_is_computed_in_chunks_while_others_are_answered(
    model: FakeModel, engine: Engine
) -> None:
    running = Receiver(engine, question("go on", max_tokens=60))
    running.until_piece()
    model.passes.clear()
    Receiver(engine, question("long " * 30, max_tokens=2)).ended()
    widths = [width for _, width in model.passes if width > 1]
    assert max(widths) == 24  # the chunk of the configuration
    between = [width for _, width in model.passes]
    assert 1 in between[between.index(24) : len(between) - between[::-1].index(24)]
    assert running.ended().finish_reason == "length"


def test_an_answer_ends_where_the_context_does(start_engine: StartEngine) -> None:
    model = FakeModel(eos=False, context=64)
    ended = Receiver(start_engine(model), question("x" * 30, max_tokens=500)).ended()
    assert ended.finish_reason == "length"
    prompt = len(model.encode(model.render(question("x" * 30).turns)))
    assert len(ended.token_ids) == 64 - prompt


def test_a_conversation_beyond_the_context_is_refused_with_its_length(
    start_engine: StartEngine,
) -> None:
    engine = start_engine(FakeModel(context=64))
    with pytest.raises(RequestRefusedError, match="64"):
        engine.answer(question("x" * 60, 1))


def test_more_pictures_than_the_model_reads_are_refused(engine: Engine) -> None:
    ask = Ask((Turn("user", "which?", (png(1), png(2))),))
    with pytest.raises(RequestRefusedError, match="at most 1 image"):
        engine.answer(ask)


def test_a_marker_in_the_text_does_not_pass_for_a_picture(engine: Engine) -> None:
    with pytest.raises(RequestRefusedError, match="not sent"):
        engine.answer(question("look at <image>"))


def test_sampling_does_not_depend_on_what_else_is_in_the_batch(engine: Engine) -> None:
    ask = question("sample", 1, max_tokens=40, temperature=0.9, top_p=0.8, seed=11)
    alone = Receiver(engine, ask).ended()
    crowd = [Receiver(engine, question(f"noise {n}", max_tokens=50)) for n in range(4)]
    crowded = Receiver(engine, ask).ended()
    for receiver in crowd:
        receiver.ended()
    assert crowded.token_ids == alone.token_ids
    other = Receiver(engine, question("sample", 1, max_tokens=40, temperature=0.9, seed=12))
    assert other.ended().token_ids != alone.token_ids


def test_a_request_without_a_seed_gets_one_that_repeats_it(engine: Engine) -> None:
    receiver = Receiver(engine, question("sample", max_tokens=20, temperature=1.0))
    seed = receiver.ticket.rule.seed
    text = receiver.ended().text
    repeated = question("sample", max_tokens=20, temperature=1.0, seed=seed)
    assert Receiver(engine, repeated).ended().text == text


def test_the_familys_defaults_fill_what_was_not_asked(engine: Engine) -> None:
    receiver = Receiver(engine, Ask((Turn("user", "hello"),), decoding=Decoding()))
    assert len(receiver.ended().token_ids) == 32  # the fake family's max_tokens
    assert receiver.ticket.rule.temperature == 0.0
