"""The second opinion: what it is made of, what it may decide, and that it can say why."""

from inference.safety import policy
from inference.safety.__main__ import explained
from inference.safety.opinion import Opinion, features, opinion
from tests.unit.safety.fit_opinion import fitted, fitting_sentences
from tests.unit.safety.sentences import WRITERS, Labelled, labelled, voices, written_by

RULE = next(rule for rule in policy().rules if rule.opinion is not None)


def test_the_shipped_weights_are_what_the_sentences_give() -> None:
    """Fails when sentences or lexicon change: python -m tests.unit.safety.fit_opinion."""
    again, shipped = fitted(fitting_sentences()), opinion()
    assert again.threshold == shipped.threshold
    assert again.bias == shipped.bias
    both = again.weights.keys() | shipped.weights.keys()
    differing = {
        name
        for name in both
        if abs(again.weights.get(name, 0) - shipped.weights.get(name, 0)) > 0.06  # one is dropped
    }
    assert differing == set()


def test_no_sentence_that_is_only_scored_is_fitted_on() -> None:
    seen = {sentence.text for sentence in fitting_sentences()}
    scored = [s for writer in WRITERS["test"] for s in written_by(writer)]
    scored += [*labelled("held_out"), *voices("held_out")]
    shared = seen & {sentence.text for sentence in scored}
    assert len(shared) < 0.02 * len(scored)  # short ones that two writers hit upon


def test_a_word_after_no_is_another_word() -> None:
    found = features(policy().reader.read("No fracture, but a bruise.").statements)
    assert {"w !fracture", "w bruise"} <= found
    assert not {"w fracture", "w !bruise"} & found


def test_fitting_tells_what_it_was_shown() -> None:
    advice = [Labelled(f"you had better see to the {word}", None, "treatment") for word in "abcd"]
    other = [Labelled(f"there is a shadow at the {word}", None, "benign") for word in "abcd"]
    small = fitted([*advice, *other])
    read = policy().reader.read
    assert small.of(read("you had better see to the e").statements) > small.of(
        read("there is a shadow at the e").statements
    )


def test_what_weighed_most_is_told_in_order() -> None:
    given = Opinion({"w rest": 2.0, "w now": 1.0, "w heart": -3.0}, bias=-0.5, threshold=0.0)
    told = given.weighed(["rest now heart "])
    assert [what for what, _ in told] == ["rest", "now"]


def test_a_sentence_of_unknown_words_is_not_taken_for_advice() -> None:
    assert not opinion().speaks(["xyzzy plugh "])
    assert not opinion().speaks([])


def test_a_decision_is_explained_with_policy_rule_and_words() -> None:
    text = explained(RULE.says[0])
    policy_line, read_as, rule, sum_, *weighed = text.splitlines()
    assert policy_line == f"policy {policy().version}"
    assert read_as.startswith("read as: this<go>")
    assert rule == f"{RULE.id}: withhold"
    assert sum_.startswith("  log-odds ")
    assert weighed
    assert RULE.id not in explained("The heart is enlarged.")
