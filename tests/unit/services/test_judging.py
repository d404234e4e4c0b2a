"""What a reviewer's input amounts to: the verdict table, the final text, and what is refused."""

from typing import Any
from uuid import UUID

import pytest

from storage.tables import Image
from storage.vocabulary import ErrorClass, Verdict
from webapp.services.errors import InvalidRequestError
from webapp.services.judging import Judgement, ReviewInput, judge

SHOWN = "The heart is enlarged. There is a right effusion.\n\nNo pneumothorax."
SPANS = [[0, 22], [23, 49], [51, 67]]
IMAGE = Image.model_validate(
    {
        "id": UUID(int=1),
        "case_id": UUID(int=2),
        "number": 0,
        "modality": "CR",
        "rows": 10,
        "columns": 20,
        "frames": 3,
        "dtype": "uint8",
        "units": "US",
        "sha256": "0" * 64,
    }
)
OTHER = IMAGE.model_copy(update={"id": UUID(int=3), "number": 1})
WRONG = {"index": 1, "ok": False, "error": "false_positive_finding"}
BOX = {"id": "r1", "type": "bbox", "space": "pixel", "coords": [1, 2, 5, 6], "frame": 2}


def judged(images: list[Image] | None = None, **fields: Any) -> Judgement:  # noqa: ANN401 - fields
    given = ReviewInput(**{"idempotency_key": "k", "based_on_revision": 0, **fields})
    return judge(given, shown_text=SHOWN, sentences=SPANS, images=images or [IMAGE])


@pytest.mark.parametrize(
    ("fields", "verdict", "final_text"),
    [
        pytest.param({}, Verdict.ACCEPT_AS_IS, SHOWN, id="nothing said"),
        pytest.param(
            {"sentences": [{"index": 0, "ok": True}]}, Verdict.ACCEPT_AS_IS, SHOWN, id="all right"
        ),
        pytest.param(
            {"final_text": SHOWN.replace("\n\n", "  ")}, Verdict.ACCEPT_AS_IS, SHOWN,
            id="white space is no change",
        ),
        pytest.param(
            {"final_text": "The heart is large."}, Verdict.MINOR_EDIT, "The heart is large.",
            id="rewritten without marks",
        ),
        pytest.param(
            {"sentences": [{"index": 0, "ok": True, "replacement": "The heart is large."}]},
            Verdict.MINOR_EDIT,
            "The heart is large. There is a right effusion.\n\nNo pneumothorax.",
            id="right but reworded",
        ),
        pytest.param(
            {"sentences": [{**WRONG, "replacement": "There is a left effusion."}]},
            Verdict.MINOR_EDIT,
            "The heart is enlarged. There is a left effusion.\n\nNo pneumothorax.",
            id="wrong and replaced",
        ),
        pytest.param(
            {"sentences": [WRONG]}, Verdict.MINOR_EDIT,
            "The heart is enlarged.\n\nNo pneumothorax.",
            id="wrong without a replacement is dropped",
        ),
        pytest.param(
            {"sentences": [{**WRONG, "index": 0, "replacement": "  "}]}, Verdict.MINOR_EDIT,
            "There is a right effusion.\n\nNo pneumothorax.",
            id="an empty replacement drops, and nothing leads",
        ),
        pytest.param(
            {"sentences": [{**WRONG, "clinically_significant": True}]}, Verdict.MAJOR_EDIT,
            "The heart is enlarged.\n\nNo pneumothorax.",
            id="clinically significant",
        ),
        pytest.param(
            {"missing": ["A nodule in the left upper zone"]}, Verdict.MAJOR_EDIT,
            SHOWN + " A nodule in the left upper zone.",
            id="missing finding as a string",
        ),
        pytest.param(
            {"missing": [{"text": "Has the heart grown?", "error": "omission_comparison"}]},
            Verdict.MAJOR_EDIT,
            SHOWN + " Has the heart grown?",
            id="missing comparison as an object",
        ),
        pytest.param(
            {"sentences": [WRONG], "final_text": SHOWN}, Verdict.MINOR_EDIT, SHOWN,
            id="marked wrong, text left as it is",
        ),
        pytest.param(
            {"sentences": [{**WRONG, "index": i} for i in range(3)]}, Verdict.REJECT, "",
            id="all dropped",
        ),
        pytest.param({"final_text": " \n"}, Verdict.REJECT, "", id="text emptied"),
    ],
)  # fmt: skip
def test_verdict_is_inferred_from_what_was_done(
    fields: dict[str, Any], verdict: Verdict, final_text: str
) -> None:
    judgement = judged(**fields)
    assert (judgement.verdict, judgement.final_text) == (verdict, final_text)
    assert judgement.verdict_inferred


@pytest.mark.parametrize(
    ("fields", "final_text"),
    [
        pytest.param({"verdict": "accept_as_is"}, SHOWN, id="accepted"),
        pytest.param({"verdict": "major_edit", "final_text": "Effusion."}, "Effusion.", id="major"),
        pytest.param({"verdict": Verdict.MINOR_EDIT, "missing": ["A"]}, SHOWN + " A.", id="minor"),
        pytest.param({"verdict": "reject"}, "", id="rejected"),
        pytest.param({"verdict": "reject", "sentences": [WRONG]}, "", id="rejected with a mark"),
        pytest.param({"verdict": "abstain"}, "", id="abstained"),
    ],
)
def test_verdict_given_by_the_reviewer_stands(fields: dict[str, Any], final_text: str) -> None:
    judgement = judged(**fields)
    assert (judgement.verdict, judgement.final_text) == (fields["verdict"], final_text)
    assert not judgement.verdict_inferred


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        pytest.param({"verdict": "accept_as_is", "sentences": [WRONG]}, "not as it was", id="a"),
        pytest.param({"verdict": "accept_as_is", "missing": ["A"]}, "not as it was", id="b"),
        pytest.param({"verdict": "accept_as_is", "final_text": "X."}, "not as it was", id="c"),
        pytest.param({"verdict": "minor_edit"}, "accept the draft", id="edit without a change"),
        pytest.param({"verdict": "major_edit", "final_text": ""}, "reject the draft", id="empty"),
        pytest.param({"verdict": "fine"}, "accept_as_is, minor_edit", id="unknown verdict"),
    ],
)
def test_verdict_that_contradicts_the_marks_is_refused(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidRequestError, match=says):
        judged(**fields)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        pytest.param({"sentences": [{"index": 1, "ok": False}]}, "Sentence 2", id="no class"),
        pytest.param({"sentences": [{**WRONG, "error": "bad"}]}, "omission_finding", id="class"),
        pytest.param({"sentences": [{**WRONG, "subtype": "x"}]}, "laterality", id="subtype"),
        pytest.param({"sentences": [{**WRONG, "ok": True}]}, "marked right", id="right with error"),
        pytest.param(
            {"sentences": [{"index": 0, "ok": True, "clinically_significant": True}]},
            "marked right", id="right and significant",
        ),
        pytest.param({"sentences": [{"index": 0}]}, "neither", id="neither right nor wrong"),
        pytest.param({"sentences": [{"index": 3, "ok": True}]}, "it has 3", id="index too high"),
        pytest.param({"sentences": [{"index": -1, "ok": True}]}, "it has 3", id="index below 0"),
        pytest.param({"sentences": [{"index": True, "ok": True}]}, "it has 3", id="index true"),
        pytest.param({"sentences": [WRONG, WRONG]}, "twice", id="marked twice"),
        pytest.param({"sentences": [{**WRONG, "oke": 1}]}, "not known", id="unknown field"),
        pytest.param({"sentences": {"index": 0}}, "list", id="no list"),
        pytest.param({"sentences": [{"index": 0, "ok": True}] * 501}, "500", id="too many"),
        pytest.param({"missing": ["  "]}, "missing", id="missing finding without words"),
        pytest.param(
            {"missing": [{"text": "A", "error": "incorrect_severity"}]}, "omission", id="class"
        ),
        pytest.param(
            {"sentences": [{**WRONG, "region_ids": ["r9"]}]}, "region", id="unknown region"
        ),
        pytest.param({"regions": [BOX, BOX]}, "same id", id="region twice"),
        pytest.param({"regions": [{**BOX, "id": ""}]}, "id", id="region without id"),
        pytest.param({"regions": [{**BOX, "type": "line"}]}, "bbox", id="shape"),
        pytest.param({"regions": [{**BOX, "space": "cm"}]}, "pixel", id="space"),
        pytest.param({"regions": [{**BOX, "frame": 3}]}, "frame", id="frame"),
        pytest.param({"regions": [{**BOX, "image_id": "x"}]}, "image", id="foreign image"),
        pytest.param({"regions": [{**BOX, "coords": [1, 2, 3]}]}, "4 coord", id="3 coordinates"),
        pytest.param({"regions": [{**BOX, "coords": [1, 2, 20, 6]}]}, "outside", id="outside"),
        pytest.param({"regions": [{**BOX, "coords": [1, 2, 3, float("nan")]}]}, "numb", id="NaN"),
        pytest.param({"regions": [{**BOX, "space": "patient_mm"}]}, "6 in pat", id="4 in mm"),
        pytest.param({"confidence": 9}, "1 to 5", id="confidence"),
        pytest.param({"comment": "x" * 20_001}, "longer", id="comment too long"),
        pytest.param({"final_text": "a\x00"}, "stored", id="NUL"),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_is_refused_with_a_reason(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(InvalidRequestError, match=says):
        judged(**fields)


def test_box_is_put_in_order_and_bound_to_its_sentence() -> None:
    judgement = judged(sentences=[WRONG], regions=[{**BOX, "coords": [5, 6, 1, 2], "sentence": 1}])
    (place,) = judgement.places
    assert list(place.coords) == [1, 2, 5, 6]
    assert (place.image_id, place.frame, place.space.value) == (IMAGE.id, 2, "pixel")
    assert judgement.marks[0].region_ids == ("r1",)


def test_image_must_be_named_when_there_are_several() -> None:
    with pytest.raises(InvalidRequestError):
        judged([IMAGE, OTHER], regions=[BOX])
    judgement = judged([IMAGE, OTHER], regions=[{**BOX, "image_id": str(OTHER.id)}])
    assert judgement.places[0].image_id == OTHER.id


def test_box_in_patient_space_has_six_coordinates() -> None:
    judgement = judged(regions=[{**BOX, "space": "patient_mm", "coords": [9, -8, 7, 1, 2, 3]}])
    assert judgement.places[0].coords == (1, -8, 3, 9, 2, 7)


def test_missing_finding_is_an_omission_unless_it_says_more() -> None:
    plain, told = judged(
        missing=["A", {"text": "B", "subtype": "device_position", "clinically_significant": True}]
    ).marks
    assert (plain.sentence_index, plain.ok, plain.error) == (
        None,
        False,
        ErrorClass.OMISSION_FINDING,
    )
    assert not plain.clinically_significant
    assert told.clinically_significant
