"""The same question asked both ways."""

import pytest

from inference.safety import contradicts
from inference.safety.contradiction import RULE, flag, is_claim, negated


@pytest.mark.parametrize(
    ("positive", "negated"),
    [
        pytest.param("yes", "yes", id="yes to both"),
        pytest.param("No.", "No.", id="no to both"),
        pytest.param("present", "absent", id="words speak of the finding"),
        pytest.param("Yes, there is an effusion.", "There is no effusion.", id="sentences"),
        pytest.param(
            "There is an effusion.", "Yes, no effusion is seen.", id="yes, and a sentence"
        ),
        pytest.param("No effusion.", "An effusion is present.", id="first denied, then stated"),
    ],
)
def test_answers_that_exclude_each_other(positive: str, negated: str) -> None:
    assert contradicts(positive, negated)


@pytest.mark.parametrize(
    ("positive", "negated"),
    [
        pytest.param("yes", "no", id="yes, and not none"),
        pytest.param("no", "yes", id="no, and indeed none"),
        pytest.param("present", "present", id="same word"),
        pytest.param("absent", "absent", id="same other word"),
        pytest.param("present", "indeterminate", id="second left open"),
        pytest.param("It is unclear.", "yes", id="first left open"),
        pytest.param("An effusion cannot be excluded.", "yes", id="doubt is no claim"),
        pytest.param("There is an effusion.", "No, there is an effusion.", id="no, and a sentence"),
        pytest.param("", "yes", id="nothing said"),
    ],
)
def test_answers_that_agree_or_leave_it_open(positive: str, negated: str) -> None:
    assert not contradicts(positive, negated)


@pytest.mark.parametrize(
    ("question", "other"),
    [
        pytest.param("Is there a pleural effusion?", "Is there no pleural effusion?", id="a"),
        pytest.param("Is there an effusion?", "Is there no effusion?", id="an"),
        pytest.param("are there any nodules?", "are there no nodules?", id="any, lower case"),
        pytest.param("Is there consolidation?", "Is there no consolidation?", id="no article"),
        pytest.param(
            "Is there evidence of an old fracture on the left?",
            "Is there no evidence of an old fracture on the left?",
            id="evidence of",
        ),
        pytest.param(
            "Does this film show a pneumothorax?", "Does this film show no pneumothorax?", id="show"
        ),
        pytest.param("Do you see any effusion?", "Do you see no effusion?", id="see"),
        pytest.param("Can you see a nodule?", "Can you see no nodule?", id="can you see"),
        pytest.param("Is the heart enlarged?", "Is the heart not enlarged?", id="enlarged"),
        pytest.param("Is an effusion present?", "Is no effusion present?", id="is an X present"),
        pytest.param(
            "Is a tube visible on this radiograph?",
            "Is no tube visible on this radiograph?",
            id="with a place behind",
        ),
        pytest.param(
            "Is the displaced fracture visible on the normal side?",
            "Is the displaced fracture not visible on the normal side?",
            id="adjectives elsewhere",
        ),
        pytest.param("Are the lungs clear?", "Are the lungs not clear?", id="plural"),
        pytest.param(
            "Is this chest radiograph normal?", "Is this chest radiograph not normal?", id="normal"
        ),
        pytest.param(
            "The patient coughs. Is there pneumonia?",
            "The patient coughs. Is there no pneumonia?",
            id="a sentence before it",
        ),
        pytest.param("  Is there  a\nnodule ?\n", "Is there no nodule?", id="loose spaces"),
    ],
)
def test_question_is_put_the_other_way_round(question: str, other: str) -> None:
    assert negated(question) == other


@pytest.mark.parametrize(
    "question",
    [
        pytest.param("Is there no effusion?", id="negated already"),
        pytest.param("Isn't there an effusion?", id="n't"),
        pytest.param("Is the lung without consolidation?", id="without"),
        pytest.param("Is there an effusion or a pneumothorax?", id="two things, or"),
        pytest.param("Is there an effusion and a pneumothorax?", id="two things, and"),
        pytest.param("Is there an effusion, a nodule?", id="a list"),
        pytest.param("Which side is the effusion on?", id="no yes or no"),
        pytest.param("Effusion?", id="a word"),
        pytest.param("Is there anything abnormal?", id="anything"),
        pytest.param("Is there the shadow of a drain?", id="the"),
        pytest.param("Is there more than one nodule?", id="more than"),
        pytest.param("Classify the heart size.", id="an order"),
        pytest.param("Is there a nodule? And a mass?", id="two questions"),
        pytest.param("Gibt es einen Erguss?", id="another language"),
        pytest.param("Is there still an effusion?", id="still"),
        pytest.param(f"Is there {'very ' * 90}much fluid?", id="no plain question"),
        pytest.param("", id="nothing"),
    ],
)
def test_question_without_a_sure_opposite_is_left_alone(question: str) -> None:
    assert negated(question) is None


@pytest.mark.parametrize(
    ("choices", "claims"),
    [
        pytest.param(("present", "absent", "indeterminate"), True, id="present, absent"),
        pytest.param(("Yes", "No"), True, id="yes, no"),
        pytest.param(("left", "right"), False, id="sides"),
        pytest.param(("present", "no"), False, id="halves of two pairs"),
        pytest.param((), False, id="none"),
    ],
)
def test_choices_that_claim_or_deny(choices: tuple[str, ...], claims: bool) -> None:
    assert is_claim(choices) is claims


def test_rule_contradiction_negated_question_points_at_the_answer() -> None:
    assert RULE == "contradiction.negated_question"
    assert flag(7).as_json() == {
        "rule": "contradiction.negated_question",
        "kind": "contradiction",
        "effect": "flag",
        "message": "Asked the other way round, the model contradicted this answer.",
        "where": "answer",
        "start": 0,
        "end": 7,
    }


def test_answer_with_its_explanation_is_compared_by_what_it_chose() -> None:
    assert contradicts("present\nThere is no nodule beside it.", "absent")
    assert not contradicts("absent\nA tube is present.", "absent")
