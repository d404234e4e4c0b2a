"""What reaches a model for a typed question."""

import pytest

from inference.prompts import UnknownTemplateError, render, template, template_ids
from inference.protocol import Turn

REASON = (
    "Provide a description of the findings in the radiology image given the following indication: "
)


def test_the_templates_of_this_release() -> None:
    assert template_ids() == (
        "closed_question",
        "findings",
        "findings_with_reason",
        "free_chat",
        "impression",
    )


@pytest.mark.parametrize("template_id", template_ids())
def test_every_template_has_a_version_a_hash_and_asks_for_uncertainty(template_id: str) -> None:
    chosen = template(template_id)
    assert chosen.version >= 1
    assert len(chosen.sha256) == 64
    assert "certain" in chosen.system
    assert chosen.user.count("{question}") == 1


def test_hashes_differ_between_templates() -> None:
    assert len({template(name).sha256 for name in template_ids()}) == len(template_ids())


def test_question_goes_through_as_typed_with_the_image_first() -> None:
    turns = render("free_chat", "What is {this}?", images=[b"png"])
    assert turns == [
        Turn("system", template("free_chat").system),
        Turn("user", "What is {this}?", images=(b"png",)),
    ]


def test_image_stays_with_the_first_question_of_a_conversation() -> None:
    turns = render("free_chat", "Where?", [("Effusion?", "Yes.")], images=[b"png"])[1:]
    assert turns == [
        Turn("user", "Effusion?", images=(b"png",)),
        Turn("assistant", "Yes."),
        Turn("user", "Where?"),
    ]


def test_family_trained_on_one_prompt_gets_it_to_the_letter() -> None:
    turns = render("findings_with_reason", "cough,\nrule out\tpneumonia", family="llava-rad")
    assert turns == [Turn("user", REASON + "cough, rule out pneumonia")]


@pytest.mark.parametrize(
    ("choices", "text"),
    [
        pytest.param((), "Effusion? Answer with one of: present, absent, indeterminate.", id="own"),
        pytest.param(("yes", "no"), "Effusion? Answer with one of: yes, no.", id="offered"),
    ],
)
def test_closed_question_lists_its_answers(choices: tuple[str, ...], text: str) -> None:
    assert render("closed_question", "Effusion?", choices=choices)[-1].text == text


def test_unknown_template_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnknownTemplateError, match="free_chat") as refusal:
        render("nonsense", "Effusion?")
    assert refusal.value.code == "unknown_template"
