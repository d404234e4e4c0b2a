"""Drawing tokens."""

import math
from collections import Counter

import pytest
import torch

from inference.errors import RequestRefusedError
from inference.protocol import Decoding
from inference.worker.engine.sampling import Rule, draw, draw_index, resolve


def _draws(logits: list[float], *, temperature: float, top_p: float) -> Counter[int]:
    rule = Rule(max_tokens=1, temperature=temperature, top_p=top_p, seed=5)
    generator = torch.Generator().manual_seed(rule.seed)
    values = torch.tensor(logits)
    return Counter(draw(values, rule, generator) for _ in range(4000))


def test_frequencies_follow_the_probabilities() -> None:
    found = _draws([math.log(p) for p in (0.5, 0.3, 0.2)], temperature=1.0, top_p=1.0)
    assert [found[n] / 4000 for n in range(3)] == pytest.approx([0.5, 0.3, 0.2], abs=0.03)


def test_temperature_sharpens() -> None:
    """At temperature 0.5 the probabilities are squared: 0.8 and 0.2 become 16/17 and 1/17."""
    found = _draws([math.log(0.8), math.log(0.2)], temperature=0.5, top_p=1.0)
    assert found[0] / 4000 == pytest.approx(16 / 17, abs=0.02)


@pytest.mark.parametrize(
    ("top_p", "kept"),
    [
        pytest.param(0.4, {2}, id="the first alone reaches it"),
        pytest.param(0.5, {2}, id="reached exactly"),
        pytest.param(0.6, {0, 2}, id="two are needed"),
        pytest.param(0.95, {0, 1, 2}, id="all are needed"),
    ],
)
def test_top_p_keeps_the_fewest_that_reach_it(top_p: float, kept: set[int]) -> None:
    logits = [math.log(p) for p in (0.3, 0.2, 0.5)]
    assert set(_draws(logits, temperature=1.0, top_p=top_p)) == kept


def test_top_p_looks_beyond_the_head_of_a_flat_distribution() -> None:
    found = _draws([0.0] * 1000, temperature=1.0, top_p=0.9)
    assert len(found) > 600


def test_a_low_temperature_is_greedy() -> None:
    assert resolve(Decoding(temperature=1e-6), Decoding()).greedy
    assert not resolve(Decoding(temperature=0.01), Decoding()).greedy


def test_what_was_asked_goes_before_the_default() -> None:
    rule = resolve(
        Decoding(max_tokens=7, temperature=0.0), Decoding(max_tokens=9, temperature=0.2, top_p=0.7)
    )
    assert (rule.max_tokens, rule.temperature, rule.top_p) == (7, 0.0, 0.7)


@pytest.mark.parametrize(
    "asked",
    [
        Decoding(max_tokens=0),
        Decoding(temperature=-0.1),
        Decoding(temperature=2.1),
        Decoding(temperature=math.nan),
        Decoding(top_p=0.0),
        Decoding(top_p=1.1),
        Decoding(seed=-1),
        Decoding(seed=2**63),
    ],
)
def test_values_outside_their_range_are_refused(asked: Decoding) -> None:
    with pytest.raises(RequestRefusedError):
        resolve(asked, Decoding())


def test_a_greedy_choice_is_the_likeliest() -> None:
    rule = resolve(Decoding(temperature=0.0), Decoding())
    assert draw_index([0.2, 0.5, 0.3], rule, torch.Generator()) == 1
