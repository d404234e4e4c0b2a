"""Stop strings through the engine: greedy and drawn, and which wishes are refused."""

import pytest

from inference.errors import RequestRefusedError
from inference.worker.engine.engine import Engine
from inference.worker.engine.vocabulary import Vocabulary
from tests.unit.worker.conftest import StartEngine
from tests.unit.worker.fake import SIZE, FakeModel
from tests.unit.worker.receiving import Receiver
from tests.unit.worker.samples import question


@pytest.mark.parametrize(
    "temperature", [pytest.param(0.0, id="greedy"), pytest.param(1.0, id="drawn")]
)
def test_an_answer_ends_before_the_first_stop_string(
    model: FakeModel, engine: Engine, temperature: float
) -> None:
    def ask(*stop: str) -> Receiver:
        return Receiver(
            engine,
            question("talk", 1, max_tokens=60, temperature=temperature, seed=3, stop=stop),
        )

    whole = ask().ended().text
    stop = whole[20:23]
    before = whole[: whole.find(stop)]
    receiver = ask("never said", stop)
    ended = receiver.ended()
    assert (ended.text, ended.finish_reason) == (before.rstrip(), "stop")
    assert "".join(receiver.pieces) == ended.text
    assert len(ended.token_ids) < 60
    assert stop in model.decode(ended.token_ids)
    assert receiver.ticket.rule.as_dict()["stop"] == ("never said", stop)


def test_a_stop_string_that_never_comes_changes_nothing(engine: Engine) -> None:
    plain = Receiver(engine, question("talk", max_tokens=30)).ended()
    ended = Receiver(engine, question("talk", max_tokens=30, stop=("never said",))).ended()
    assert (ended.text, ended.finish_reason) == (plain.text, "length")
    assert ended.token_ids == plain.token_ids


def test_the_familys_own_end_still_ends_the_answer(start_engine: StartEngine) -> None:
    model = FakeModel(eos=True)
    engine = start_engine(model)
    asks = [
        question(f"talk {n}", max_tokens=100, temperature=1.5, seed=n, stop=("never said",))
        for n in range(20)
    ]
    ended = [receiver.ended() for receiver in [Receiver(engine, ask) for ask in asks]]
    stopped = [each for each in ended if each.finish_reason == "stop"]
    assert stopped
    assert all(each.token_ids[-1] in model.eos_token_ids for each in stopped)


def test_text_before_more_text_keeps_its_last_space(model: FakeModel) -> None:
    vocabulary = Vocabulary(encode=model.encode, decode=model.decode, size=SIZE)
    assert vocabulary.decode_open(model.encode("two \n")[1:]) == "two \n"
    assert vocabulary.decode_open(model.encode("  ")[1:]) == ""


@pytest.mark.parametrize(
    "stop",
    [
        pytest.param(("",), id="empty"),
        pytest.param(("x" * 101,), id="too long"),
        pytest.param(tuple("abcdefghi"), id="nine"),
    ],
)
def test_unusable_stop_strings_are_refused(engine: Engine, stop: tuple[str, ...]) -> None:
    with pytest.raises(RequestRefusedError, match="stop strings"):
        engine.answer(question("talk", stop=stop))
