"""What reaches a model for a typed question."""

import pytest

from inference.prompts import (
    UnknownTemplateError,
    render,
    room_to_explain,
    template,
    template_ids,
)
from inference.protocol import Turn

REASON = (
    "Provide a description of the findings in the radiology image given the following indication: "
)


def test_the_templates_of_this_release() -> None:
    assert template_ids() == (
        "closed_question",
        "compare_with_prior",
        "findings",
        "findings_with_reason",
        "free_chat",
        "impression",
        "summarise_report",
        "teach_me",
    )


@pytest.mark.parametrize("template_id", template_ids())
def test_every_template_has_a_version_a_hash_and_asks_for_uncertainty(template_id: str) -> None:
    chosen = template(template_id)
    assert chosen.version >= 1
    assert len(chosen.sha256) == 64
    assert "certain" in chosen.system
    assert chosen.user.count("{question}") == 1


@pytest.mark.parametrize("template_id", template_ids())
def test_every_template_says_what_the_answer_is_not_for(template_id: str) -> None:
    system = template(template_id).system
    assert "for a reading exercise, not for care" in system.replace(", as a ", ", for a ")
    assert "Do not give treatment advice." in system


@pytest.mark.parametrize(
    ("template_id", "version", "sha256"),
    [
        ("closed_question", 2, "0ed447653ccbe329"),
        ("compare_with_prior", 1, "fe5245d0abb92924"),
        ("findings", 1, "75b4ef0c11f97e9a"),
        ("findings_with_reason", 1, "96a4e19554d180ec"),
        ("free_chat", 1, "cf0f9161a4f9ca3d"),
        ("impression", 1, "98c701091fce16f7"),
        ("summarise_report", 1, "9a794758b4e4a688"),
        ("teach_me", 1, "83887ac9a4f6cd57"),
    ],
)
def test_changed_words_are_a_new_version(template_id: str, version: int, sha256: str) -> None:
    """Drafts name the hash; whoever changes a template raises its version, and this pin."""
    chosen = template(template_id)
    assert (chosen.version, chosen.sha256[:16]) == (version, sha256)


def test_summary_of_a_report_gets_the_text_and_no_image() -> None:
    turns = render("summarise_report", "No {effusion}.\nHeart normal.", images=[b"png"])
    assert [turn.images for turn in turns] == [(), ()]
    assert turns[1].text == (
        "Summarise the following report in at most six short bullet points for a trainee, "
        "the most important first.\n\nNo {effusion}.\nHeart normal."
    )


def test_comparison_sends_both_images_with_the_question() -> None:
    turns = render("compare_with_prior", "What is new?", images=[b"now", b"then"])
    assert turns[1] == Turn("user", "What is new?", images=(b"now", b"then"))


def test_only_the_comparison_sends_an_earlier_image() -> None:
    assert [name for name in template_ids() if template(name).compares] == ["compare_with_prior"]


def test_only_the_closed_question_leaves_room_for_an_explanation() -> None:
    assert {name: template(name).explain_tokens for name in template_ids()} == {
        **dict.fromkeys(template_ids(), 0),
        "closed_question": 64,
    }


@pytest.mark.parametrize(
    ("family", "room"),
    [
        pytest.param("llava-med-v1.5", 64, id="a family that is told to explain"),
        pytest.param(None, 64, id="any other server"),
        pytest.param("overread-demo", 0, id="a family trained on one literal prompt"),
    ],
)
def test_only_who_is_told_to_explain_gets_room_for_it(family: str | None, room: int) -> None:
    assert room_to_explain("closed_question", family) == room


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
