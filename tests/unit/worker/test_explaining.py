"""An explanation behind a choice, in the same request."""

from dataclasses import replace

import pytest

from inference.errors import RequestRefusedError
from inference.worker.engine.engine import Engine
from inference.worker.engine.figures import Outcome
from tests.unit.worker.conftest import StartEngine
from tests.unit.worker.fake import FIRST_BYTE, FakeModel
from tests.unit.worker.plain import plain_logits
from tests.unit.worker.receiving import Receiver
from tests.unit.worker.samples import question

CHOICES = ("present", "absent", "indeterminate")
ASK = question("Is there an effusion?", 1, choices=CHOICES, explain_tokens=12)


def test_the_explanation_goes_on_behind_the_choice(model: FakeModel, engine: Engine) -> None:
    chosen = Receiver(engine, replace(ASK, explain_tokens=0)).ended()
    receiver = Receiver(engine, ASK)
    ended = receiver.ended()
    opening = tuple(FIRST_BYTE + byte for byte in f"{chosen.text}\n".encode())
    made = opening
    for _ in range(12):
        made = (*made, int(plain_logits(model, ASK, made).argmax()))
    assert ended.token_ids == made
    assert ended.choices == pytest.approx(chosen.choices, abs=1e-5)
    assert ended.text == f"{chosen.text}\n{model.decode(made[len(opening) :])}"
    assert "".join(receiver.pieces) == ended.text
    assert receiver.pieces[0] == chosen.text
    assert ended.finish_reason == "length"


def test_the_explanation_computes_no_position_of_the_prompt_again(
    model: FakeModel, start_engine: StartEngine
) -> None:
    outcomes: list[Outcome] = []
    engine = start_engine(model, on_end=outcomes.append)
    ended = Receiver(engine, ASK).ended()
    assert len(model.looked) == 1
    assert model.passes[0][1] > outcomes[0].prompt_tokens  # the prompt and the tree of choices
    assert model.passes[1:] == [(1, 1)] * (len(ended.token_ids) - 1)
    assert outcomes[0].completion_tokens == len(ended.token_ids)


def test_an_explanation_ends_at_a_stop_string(engine: Engine) -> None:
    text = Receiver(engine, ASK).ended().text
    chosen, explanation = text.split("\n", 1)
    stop = explanation[4:6]
    ended = Receiver(engine, replace(ASK, stop=(stop,))).ended()
    before = explanation[: explanation.find(stop)].rstrip()
    assert ended.text == (f"{chosen}\n{before}" if before else chosen)
    assert ended.finish_reason == "stop"


def test_explanations_share_a_batch_with_others(engine: Engine) -> None:
    alone = Receiver(engine, ASK).ended()
    asks = [question(f"noise {n}", n, max_tokens=30) for n in range(3)]
    expected = [Receiver(engine, ask).ended().text for ask in asks]
    receivers = [Receiver(engine, ask) for ask in (asks[0], ASK, asks[1], ASK, asks[2])]
    texts = [receiver.ended().text for receiver in receivers]
    assert texts == [expected[0], alone.text, expected[1], alone.text, expected[2]]


def test_a_cancelled_explanation_keeps_the_choice(engine: Engine) -> None:
    receiver = Receiver(engine, replace(ASK, explain_tokens=300))
    receiver.until_piece()
    receiver.ticket.cancel()
    ended = receiver.ended()
    assert ended.finish_reason == "cancelled"
    assert ended.choices is not None
    assert ended.text.split("\n")[0] in CHOICES


def test_an_explanation_is_cut_to_the_room_there_is(model: FakeModel, engine: Engine) -> None:
    receiver = Receiver(engine, replace(ASK, explain_tokens=10_000))
    ended = receiver.ended()
    assert receiver.started is not None
    room = model.limits.context - receiver.started.prompt_tokens
    allowed = receiver.ticket.rule.explain_tokens
    assert allowed == room - len("indeterminate\n")
    assert len(ended.token_ids) == len(ended.text.split("\n")[0]) + 1 + allowed


def test_no_room_for_an_explanation_is_said(model: FakeModel, engine: Engine) -> None:
    rest = model.limits.context - len(model.encode(model.render(question("").turns)))
    ask = question("x" * (rest - 14), choices=CHOICES, explain_tokens=5)
    with pytest.raises(RequestRefusedError, match="too long"):
        engine.answer(ask)


def test_an_explanation_without_choices_is_refused(engine: Engine) -> None:
    with pytest.raises(RequestRefusedError, match="choices"):
        engine.answer(question("talk", explain_tokens=5))
