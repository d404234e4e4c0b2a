"""The second opinion: what it is made of, what it may decide, and that it can say why."""

from dataclasses import replace

import pytest

from inference.safety import policy
from inference.safety.__main__ import explained
from inference.safety.opinion import Opinion, opinions
from tests.unit.safety.fit_opinion import KEPT, QUESTIONS, fitted, fitting_sentences
from tests.unit.safety.sentences import Labelled, only_scored

RULE = next(rule for rule in policy().rules if rule.opinion is not None)


def parts(text: str) -> frozenset[str]:
    """Return what a sentence is made of."""
    return policy().reader.read(text).features


@pytest.mark.parametrize("name", QUESTIONS)
def test_the_shipped_weights_are_what_the_sentences_give(name: str) -> None:
    """Fails when sentences or lexicon change: python -m tests.unit.safety.fit_opinion."""
    again, shipped = fitted(QUESTIONS[name], fitting_sentences()), opinions()[name]
    assert (again.bias, again.yes_from, again.no_below) == (
        shipped.bias,
        shipped.yes_from,
        shipped.no_below,
    )
    both = again.weights.keys() | shipped.weights.keys()
    differing = {
        name
        for name in both
        if abs(again.weights.get(name, 0) - shipped.weights.get(name, 0)) > KEPT + 0.01
    }
    assert differing == set()


def test_no_sentence_that_is_only_scored_is_fitted_on() -> None:
    seen = {sentence.text for sentence in fitting_sentences()}
    assert seen
    assert seen & {sentence.text for sentence in only_scored()} == set()


def test_a_word_after_no_is_another_word() -> None:
    found = parts("No fracture, but a bruise.")
    assert {"w !fracture", "w bruise"} <= found
    assert not {"w fracture", "w !bruise"} & found


def test_fitting_tells_what_it_was_shown() -> None:
    advice = [Labelled(f"you had better see to the {word}", None, "treatment") for word in "abcd"]
    other = [Labelled(f"there is a shadow at the {word}", None, "benign") for word in "abcd"]
    small = fitted(QUESTIONS["treatment"], dict.fromkeys([*advice, *other], 1.0))
    assert small.of(parts("you had better see to the e")) > small.of(
        parts("there is a shadow at the e")
    )


def test_what_weighed_most_is_told_in_order() -> None:
    given = Opinion({"w rest": 2.0, "w now": 1.0, "w heart": -3.0}, -0.5, 0.0, -1.0)
    told = given.weighed(["w rest", "w now", "w heart"])
    assert [what for what, _ in told] == ["rest", "now"]


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_sentence_of_unknown_words_is_taken_for_nothing(name: str) -> None:
    assert not opinions()[name].says_yes(parts("xyzzy plugh"))
    assert not opinions()[name].says_yes(frozenset())


def test_a_rule_that_may_be_doubted_is_silent_where_the_opinion_says_no() -> None:
    named = next(rule for rule in policy().rules if rule.id == "treatment.drug_named")
    assert named.doubt is not None
    sure, unsure = (Opinion({}, bias, 0.0, no_below=-1.0) for bias in (-2.0, -0.5))
    assert not replace(named, doubt=sure).speaks("Antibiotics.")
    assert replace(named, doubt=unsure).speaks("Antibiotics.")


def test_doses_orders_and_procedures_are_never_doubted() -> None:
    doubted = {rule.id for rule in policy().rules if rule.doubt is not None}
    assert "urgent.critical" in doubted
    assert (
        doubted
        & {
            "treatment.dose",
            "treatment.route_or_frequency",
            "treatment.start_or_stop",
            "treatment.procedure_order",
        }
        == set()
    )


def test_a_decision_is_explained_with_policy_rule_and_words() -> None:
    text = explained(RULE.says[0])
    policy_line, read_as, rule, sum_, *weighed = text.splitlines()
    assert policy_line == f"policy {policy().version}"
    assert read_as.startswith("read as: this<go>")
    assert rule == f"{RULE.id}: withhold"
    assert sum_.startswith("  log-odds ")
    assert weighed
    assert RULE.id not in explained("The heart is enlarged.")
