"""Training dialogues say what is known of a picture and nothing else."""

from pathlib import Path

import pytest

from inference.demo import phrases
from inference.demo.dialogues import Dialogue, describe, draw_dialogue, impression
from inference.demo.metrics import seeded
from inference.demo.sources import Part, Picture, Site

EFFUSION = Picture(
    Path("film.dcm"), "phantom", "phantom-1", Part.TRAIN, "X-ray", "chest", "AP", normal=False,
    findings={"pleural effusion": True, "nodule": False, "cardiomegaly": False},
    sites=(Site("pleural effusion", "left", "lower"),),
    sentences=("There is a small left pleural effusion.", "No consolidation or nodule."),
)  # fmt: skip
CLEAR = Picture(
    Path("film.png"), "nih", "patient", Part.TRAIN, "X-ray", "chest", "PA", normal=True,
    findings=dict.fromkeys(("pleural effusion", "pneumothorax", "cardiomegaly"), False),
)  # fmt: skip
HAND = Picture(Path("hand.jpeg"), "mednist", "hand", Part.TRAIN, "X-ray", "hand")


def drawn(picture: Picture, count: int = 400) -> list[Dialogue]:
    rng = seeded(7)
    return [draw_dialogue(picture, rng) for _ in range(count)]


def answers_to(picture: Picture, asked: tuple[str, ...]) -> set[str]:
    """Collect the first words said to questions that hold one of the phrases."""
    said = set()
    for dialogue in drawn(picture, 4000):
        for question, answer in dialogue.pairs if dialogue.looks else ():
            if any(question.endswith(phrase) for phrase in asked):
                said.add(answer.split(".")[0].lower())
    return said


def test_a_view_question_is_answered_with_the_known_view() -> None:
    assert answers_to(EFFUSION, phrases.VIEW) == {"ap"}


@pytest.mark.parametrize(
    ("picture", "expected"),
    [pytest.param(CLEAR, {"normal"}, id="normal"), pytest.param(EFFUSION, {"abnormal"}, id="ill")],
)
def test_normality_follows_the_label(picture: Picture, expected: set[str]) -> None:
    assert answers_to(picture, phrases.NORMAL_OR_NOT) == expected


def test_sides_are_told_apart() -> None:
    left = tuple(p.format(side="left", a="a nodule", f="nodule", S="Left") for p in phrases.ON_SIDE)
    assert answers_to(EFFUSION, left) <= {"no"}
    there = tuple(
        p.format(side="left", a="a pleural effusion", f="pleural effusion", S="Left")
        for p in phrases.ON_SIDE
    )
    assert answers_to(EFFUSION, there) == {"yes"}


def test_unlabelled_findings_are_indeterminate() -> None:
    asked = ("Finding: pneumothorax.", "Is pneumothorax present or absent?")
    assert answers_to(HAND, asked) == {"indeterminate"}


def test_questions_that_no_image_answers_get_no_guess() -> None:
    assert answers_to(CLEAR, phrases.UNKNOWABLE) == {phrases.CANNOT_TELL.rstrip(".").lower()}


def test_without_an_image_the_model_says_so() -> None:
    blind = [dialogue for dialogue in drawn(CLEAR, 1000) if not dialogue.looks]
    assert blind
    assert {dialogue.pairs[0][1] for dialogue in blind} == {phrases.NO_IMAGE}


def test_a_made_up_film_is_described_in_the_words_of_its_truth() -> None:
    assert describe(EFFUSION) == (
        "There is a small left pleural effusion. No consolidation or nodule."
    )


def test_a_normal_film_is_described_as_clear() -> None:
    assert describe(CLEAR) == (
        "The lungs are clear. The heart is not enlarged. "
        "No pleural effusion or pneumothorax is seen."
    )


def test_an_impression_is_one_line() -> None:
    assert impression(EFFUSION) == "Left pleural effusion."
    assert impression(CLEAR) == "No abnormality is seen."


def test_the_same_seed_draws_the_same_dialogues() -> None:
    assert drawn(EFFUSION, 50) == drawn(EFFUSION, 50)


def test_no_answer_gives_treatment_advice() -> None:
    said = " ".join(a for p in (EFFUSION, CLEAR, HAND) for d in drawn(p) for _, a in d.pairs)
    assert not any(word in said.lower() for word in ("should", "recommend", "mg", "drain", "treat"))
