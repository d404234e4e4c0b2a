"""The lists of questions that are asked together."""

import pytest

from inference.prompts import template
from inference.prompts.battery import BatteryQuestion, UnknownBatteryError, battery, battery_ids
from inference.safety.contradiction import is_claim, negated

CHEST = battery("chest-findings")
PUBLISHED = (  # the labels of CheXpert, in CheXbert's order
    "Enlarged Cardiomediastinum",
    "Cardiomegaly",
    "Lung Opacity",
    "Lung Lesion",
    "Edema",
    "Consolidation",
    "Pneumonia",
    "Atelectasis",
    "Pneumothorax",
    "Pleural Effusion",
    "Pleural Other",
    "Fracture",
    "Support Devices",
    "No Finding",
)


def test_the_batteries_of_this_release() -> None:
    assert battery_ids() == ("chest-findings",)


def test_unknown_battery_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownBatteryError, match="chest-findings") as refusal:
        battery("nonsense")
    assert refusal.value.code == "unknown_battery"


def test_chest_findings_are_the_published_ones_each_once() -> None:
    assert tuple(question.finding for question in CHEST.questions) == PUBLISHED
    assert len({question.id for question in CHEST.questions}) == len(PUBLISHED)


@pytest.mark.parametrize("question", CHEST.questions, ids=lambda question: question.id)
def test_every_finding_is_a_closed_question_that_can_be_checked(question: BatteryQuestion) -> None:
    assert CHEST.template_id == "closed_question"
    choices = question.choices or template(CHEST.template_id).choices
    assert is_claim(choices)
    assert "indeterminate" in choices
    assert negated(question.text) is not None


def test_changed_questions_are_a_new_version() -> None:
    """Questions name the hash; whoever changes the list raises its version, and this pin."""
    assert (CHEST.version, CHEST.sha256[:16]) == (1, "40d5b2381d2127e6")


@pytest.mark.parametrize(
    ("modality", "body_part", "suits"),
    [
        pytest.param("DX", "CHEST", True, id="chest film"),
        pytest.param("CR", "THORAX", True, id="another word for chest"),
        pytest.param("DX", "", None, id="film of something"),
        pytest.param("OT", "", None, id="picture of something"),
        pytest.param("CT", "CHEST", False, id="chest CT"),
        pytest.param("DX", "KNEE", False, id="film of a knee"),
        pytest.param("OT", "HAND", False, id="picture of a hand"),
    ],
)
def test_battery_knows_its_studies(modality: str, body_part: str, suits: bool | None) -> None:
    assert CHEST.suits(modality, body_part) is suits
