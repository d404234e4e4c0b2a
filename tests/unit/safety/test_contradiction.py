"""The same question asked both ways."""

import pytest

from inference.safety import contradicts


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
