"""Where a report's sentences begin and end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("", [], id="nothing"),
        pytest.param(" \n\t ", [], id="only white space"),
        pytest.param("The heart is normal", ["The heart is normal"], id="no full stop"),
        pytest.param(
            "No effusion. No pneumothorax.", ["No effusion.", "No pneumothorax."], id="two"
        ),
        pytest.param(
            "A nodule of 2.5 cm. Stable.", ["A nodule of 2.5 cm.", "Stable."], id="decimal"
        ),
        pytest.param("It is 2.5 cm. in width.", ["It is 2.5 cm. in width."], id="unit goes on"),
        pytest.param(
            "Discussed with Dr. Smith. Agreed.",
            ["Discussed with Dr. Smith.", "Agreed."],
            id="title",
        ),
        pytest.param(
            "Opacity, e.g. Pneumonia. See image.",
            ["Opacity, e.g. Pneumonia.", "See image."],
            id="for example",
        ),
        pytest.param(
            "Right vs. Left differ, approx. 3 cm. Done.",
            ["Right vs. Left differ, approx. 3 cm.", "Done."],
            id="versus and approximately",
        ),
        pytest.param(
            "See image No. 3 of the series.", ["See image No. 3 of the series."], id="number"
        ),
        pytest.param("Fracture? No. The rib is whole.", ["Fracture?", "No.", "The rib is whole."],
                     id="the answer no"),
        pytest.param("the heart is large. the lungs are clear.",
                     ["the heart is large.", "the lungs are clear."], id="lower case throughout"),
        pytest.param("1. Large heart. 2. Effusion.", ["1. Large heart.", "2. Effusion."],
                     id="numbered in one line"),
        pytest.param("1. Large heart\n2. Effusion\n- Tube (in place.)\n",
                     ["1. Large heart", "2. Effusion", "- Tube (in place.)"], id="list"),
        pytest.param("FINDINGS:\nThe heart\nis large.\n\nclear lungs",
                     ["FINDINGS:", "The heart\nis large.", "clear lungs"], id="lines"),
        pytest.param('He said "normal." Then left.', ['He said "normal."', "Then left."],
                     id="closing quote"),
        pytest.param("Possibly... a nodule.", ["Possibly... a nodule."], id="ellipsis"),
        pytest.param("Is there air?! Yes.", ["Is there air?!", "Yes."], id="question"),
    ],
)  # fmt: skip
def test_report_text_splits_where_a_reader_would(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in sentences.split(text)] == expected


@given(st.text(alphabet="aB1 .?!\n()\"'-\t2cm", max_size=200))
def test_nothing_but_white_space_lies_outside_the_spans(text: str) -> None:
    position, outside = 0, ""
    for start, end in sentences.split(text):
        assert position <= start < end
        assert text[start:end] == text[start:end].strip()
        outside += text[position:start]
        position = end
    assert (outside + text[position:]).strip() == ""
