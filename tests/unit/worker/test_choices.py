"""Constrained answers: exact probabilities of the choices, from one pass."""

import math
from collections.abc import Sequence
from typing import Any

import pytest
import torch

from inference.errors import RequestRefusedError
from inference.protocol import Ask, Turn
from inference.worker.engine.choices import ChoiceTree, plant
from inference.worker.engine.engine import Engine
from inference.worker.engine.features import FeatureCache
from inference.worker.engine.prepare import Preparer
from inference.worker.engine.vocabulary import Vocabulary
from tests.unit.worker.fake import FIRST_BYTE, FIRST_PIECE, PIECES, SIZE, FakeModel
from tests.unit.worker.plain import plain_logits
from tests.unit.worker.receiving import Receiver
from tests.unit.worker.samples import question

CHOICES = ("present", "absent", "indeterminate")
IDS = {piece.decode(): FIRST_PIECE + n for n, piece in enumerate(PIECES)}


@pytest.fixture
def vocabulary(model: FakeModel) -> Vocabulary:
    return Vocabulary(encode=model.encode, decode=model.decode, size=SIZE)


def _bytes(text: str) -> tuple[int, ...]:
    return tuple(FIRST_BYTE + byte for byte in text.encode())


def _planted(choices: tuple[str, ...], vocabulary: Vocabulary) -> ChoiceTree:
    return plant(choices, [tuple(vocabulary.own(choice)) for choice in choices], vocabulary)


def test_spellings_start_with_the_familys_own_and_are_all_right(
    model: FakeModel, vocabulary: Vocabulary
) -> None:
    spellings = vocabulary.spellings("present", _bytes("present"))
    assert spellings[0] == _bytes("present")
    assert (IDS[" present"],) in spellings
    assert (IDS["present"],) in spellings
    assert (IDS[" pre"], IDS["sent"]) in spellings
    assert all(model.decode(spelling) == "present" for spelling in spellings)
    assert len(set(spellings)) == len(spellings)


def test_a_tree_shares_beginnings(vocabulary: Vocabulary) -> None:
    tree = _planted(("ab", "ac"), vocabulary)
    a = _bytes("a")[0]
    assert [t for t, p in zip(tree.tokens, tree.parents, strict=True) if p == -1].count(a) == 1
    for node, parent in enumerate(tree.parents):
        assert parent < node
        assert tree.depths[node] == (tree.depths[parent] + 1 if parent >= 0 else 0)


def test_probabilities_are_worked_out_along_the_tree() -> None:
    """Tokens 0, 1, 2. Choices: A = 0, B = 0 1 (goes on from A), C = 2."""
    tree = ChoiceTree(
        tokens=(0, 1, 2),
        parents=(-1, 0, -1),
        depths=(0, 1, 0),
        ends=((0,), (1,), (2,)),
        own=((0,), (0, 1), (2,)),
    )
    logits = torch.tensor([[0.5, 0.2, 0.3], [0.1, 0.4, 0.5], [0.3, 0.3, 0.4], [0.2, 0.2, 0.6]])
    # A stops: 0.5 * (1 - 0.4) = 0.30; B: 0.5 * 0.4 = 0.20; C: 0.30; together 0.80
    assert tree.probabilities(logits.log()) == pytest.approx([0.375, 0.25, 0.375])


def test_several_spellings_of_a_choice_are_added() -> None:
    tree = ChoiceTree(
        tokens=(0, 1, 2), parents=(-1, -1, -1), depths=(0, 0, 0), ends=((0, 1), (2,)), own=()
    )
    logits = torch.tensor([[0.2, 0.4, 0.3, 0.1]] * 4).log()
    assert tree.probabilities(logits) == pytest.approx([0.6 / 0.9, 0.3 / 0.9])


def test_the_engine_gives_what_teacher_forcing_gives(
    model: FakeModel, engine: Engine, vocabulary: Vocabulary
) -> None:
    ask = question("Is there an effusion?", 1, choices=CHOICES)
    started, ended = engine.answer(ask)
    tree = _planted(CHOICES, vocabulary)
    assert ended.choices is not None
    masses = []
    for nodes in tree.ends:
        mass = 0.0
        for node in nodes:
            path = _path(tree, node)
            mass += math.exp(_log_probability(model, ask, path))
        masses.append(mass)
    expected = [mass / sum(masses) for mass in masses]
    assert list(ended.choices) == list(CHOICES)
    assert list(ended.choices.values()) == pytest.approx(expected, rel=1e-4)
    assert sum(ended.choices.values()) == pytest.approx(1.0)
    assert (ended.choices[ended.text]) == max(ended.choices.values())
    assert ended.finish_reason == "stop"
    assert model.decode(ended.token_ids) == ended.text
    assert torch.allclose(started.logits, plain_logits(model, ask), atol=1e-3)


def _path(tree: ChoiceTree, node: int) -> tuple[int, ...]:
    parent = tree.parents[node]
    return (*(_path(tree, parent) if parent >= 0 else ()), tree.tokens[node])


def _log_probability(model: FakeModel, ask: Ask, path: tuple[int, ...]) -> float:
    steps = (
        torch.log_softmax(plain_logits(model, ask, path[:n]).double(), -1)[path[n]]
        for n in range(len(path))
    )
    return float(sum(steps))


def test_choosing_takes_one_pass(model: FakeModel, engine: Engine) -> None:
    Receiver(engine, question("Is it?", 1, choices=CHOICES)).ended()
    assert len(model.passes) == 1


def test_choices_share_a_batch_with_free_answers(engine: Engine) -> None:
    ask = question("Is it?", 1, choices=CHOICES)
    alone = Receiver(engine, ask).ended().choices
    crowd = [Receiver(engine, question(f"noise {n}", 2, max_tokens=40)) for n in range(3)]
    together = Receiver(engine, ask).ended().choices
    for receiver in crowd:
        receiver.ended()
    assert together == pytest.approx(alone, abs=1e-5)


def test_a_sampled_choice_follows_its_seed(engine: Engine) -> None:
    def pick(seed: int) -> str:
        ask = question("Is it?", choices=CHOICES, temperature=2.0, seed=seed)
        return Receiver(engine, ask).ended().text

    picked = [pick(seed) for seed in range(30)]
    assert picked == [pick(seed) for seed in range(30)]
    assert len(set(picked)) > 1


@pytest.mark.parametrize(
    "choices",
    [
        pytest.param(("yes", " yes "), id="the same twice"),
        pytest.param(("yes", "  "), id="empty"),
        pytest.param(("x" * 201,), id="too long"),
        pytest.param(tuple(str(n) for n in range(65)), id="too many"),
    ],
)
def test_unusable_choices_are_refused(engine: Engine, choices: tuple[str, ...]) -> None:
    with pytest.raises(RequestRefusedError):
        engine.answer(question("Is it?", choices=choices))


def test_spelling_choices_keeps_no_answer_waiting(
    model: FakeModel, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    preparer = Preparer(model, vocabulary, FeatureCache(0))
    spellings, held = Vocabulary.spellings, []

    def noted(self: Vocabulary, *given: Any) -> list[tuple[int, ...]]:  # noqa: ANN401
        held.append(preparer.lock.locked())
        return spellings(self, *given)

    monkeypatch.setattr(Vocabulary, "spellings", noted)
    preparer.prepare(question("Is it?", 1, choices=("yes", "no")))
    assert held == [False, False]


def test_a_long_choice_is_taken_as_the_family_writes_it(vocabulary: Vocabulary) -> None:
    long = "indeterminate, as far as one picture tells"
    own = tuple(vocabulary.own(long))
    assert vocabulary.spellings(long, own) == [own]


class StrictModel(FakeModel):
    """Refuses a control mark, as the families do."""

    def render(self, turns: Sequence[Turn]) -> str:
        if any("<mark>" in turn.text for turn in turns):
            raise RequestRefusedError("a control mark")
        return super().render(turns)


def test_a_choice_holds_no_control_mark(vocabulary: Vocabulary) -> None:
    preparer = Preparer(StrictModel(), vocabulary, FeatureCache(0))
    with pytest.raises(RequestRefusedError, match="a control mark"):
        preparer.prepare(question("Is it?", 1, choices=("yes", "<mark>")))


def test_a_text_that_cannot_fit_is_not_tokenised(
    model: FakeModel, vocabulary: Vocabulary, monkeypatch: pytest.MonkeyPatch
) -> None:
    preparer = Preparer(model, vocabulary, FeatureCache(0))
    monkeypatch.delattr(FakeModel, "encode")
    with pytest.raises(RequestRefusedError, match="characters"):
        preparer.prepare(question("x" * 64 * model.limits.context, 1))
