"""A child may have been taken over: its answers are checked, field by field."""

from dataclasses import replace
from typing import Any

import pytest

from storage.intake.deidentify import Deidentified, deidentify
from storage.intake.facts import Facts
from storage.intake.refusals import RefusedFileError
from storage.intake.sandbox import Reply
from tests.unit.intake.samples import PSEUDONYMS, ct, rebuilt

QUESTION = {"uids": ["1.2.3.4.5", "1.2.3.4.5.2", "1.2.3.4.5.1"], "patient": "id/MRN-7741902",
            "study_date": "20190815"}  # fmt: skip


class FalseCrew:
    """Children that ask and answer what a test wants."""

    def __init__(self, question: dict[str, Any], **changes: Any) -> None:  # noqa: ANN401 - any field of a reply
        made = rebuilt(ct())
        reply = Reply(made.facts.as_json(), made.dicom, made.pixels)
        self.question, self.reply = question, replace(reply, **changes)

    def rebuild(self, data: bytes, answer: Any) -> Reply:  # noqa: ANN401, ARG002 - the crew's own shape
        answer(self.question)
        return self.reply


def through(crew: FalseCrew) -> Deidentified:
    return deidentify(ct(), pseudonyms=PSEUDONYMS, crew=crew)  # type: ignore[arg-type] # a false one


def facts_with(**changes: Any) -> dict[str, Any]:  # noqa: ANN401 - any field of the facts
    return rebuilt(ct()).facts.as_json() | changes


def test_a_true_answer_is_taken() -> None:
    item = through(FalseCrew(QUESTION))
    assert item.study_day == PSEUDONYMS.day(item.facts.patient_key, "20190815")
    assert item.content_key == PSEUDONYMS.content(ct())


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"facts": None}, id="no facts"),
        pytest.param({"facts": {}}, id="empty facts"),
        pytest.param({"facts": facts_with(extra=1)}, id="one field more"),
        pytest.param({"facts": facts_with(rows="4")}, id="a number as text"),
        pytest.param({"facts": facts_with(rows=True)}, id="a truth value as number"),
        pytest.param({"facts": facts_with(rows=-4)}, id="negative rows"),
        pytest.param({"facts": facts_with(rows=5)}, id="rows that do not fit the pixels"),
        pytest.param({"facts": facts_with(dtype="object")}, id="another dtype"),
        pytest.param({"facts": facts_with(slope=float("nan"))}, id="a slope that is no number"),
        pytest.param({"facts": facts_with(body_part="x" * 65)}, id="long text"),
        pytest.param({"facts": facts_with(view="<img>\n")}, id="unprintable text"),
        pytest.param({"facts": facts_with(held=["please admit"])}, id="an unknown hold"),
        pytest.param({"facts": facts_with(units="mm")}, id="unknown units"),
        pytest.param({"facts": facts_with(windows=[{"name": "x"}])}, id="half a window"),
        pytest.param({"facts": facts_with(position=["a"])}, id="a position that is no number"),
        pytest.param({"facts": facts_with(study_key="1.2.3.4.5")}, id="the true study UID"),
        pytest.param({"facts": facts_with(patient_key="MRN-7741902")}, id="the true patient"),
        pytest.param({"pixels": b"\0" * 47}, id="pixels too short"),
        pytest.param({"dicom": b"MZ" + b"\0" * 400}, id="a program instead of a file"),
    ],
)
def test_a_false_answer_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RefusedFileError) as refusal:
        through(FalseCrew(QUESTION, **changes))
    assert refusal.value.code == "decode_failed"


@pytest.mark.parametrize(
    "changes",
    [{"uids": None}, {"uids": [1]}, {"uids": ["x" * 2000]}, {"patient": None}],
)
def test_a_question_of_another_shape_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(RefusedFileError):
        through(FalseCrew(QUESTION | changes))


def test_facts_survive_the_way_there_and_back() -> None:
    facts = rebuilt(ct()).facts
    assert Facts.read(facts.as_json()) == facts
