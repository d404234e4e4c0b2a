"""Which reviews teach what, in each format."""

import json
from pathlib import Path
from typing import Any

import pytest

from storage.tables import Case, Person
from storage.vocabulary import CaseState, ExportFormat, Protocol, Role, Verdict
from tests.unit.exports.conftest import lines, rows, written
from tests.world import World

SFT, DPO, KTO, LLAVA = (
    ExportFormat.TRL_SFT,
    ExportFormat.TRL_DPO,
    ExportFormat.TRL_KTO,
    ExportFormat.LLAVA,
)
DRAFT = "The heart is large. No effusion."
FINAL = "The heart is normal. No effusion."


def _one(world: World) -> tuple[Case, Person]:
    reader = world.person()
    return world.case(world.collection(), reader), reader


def _count(world: World, folder: Path) -> dict[ExportFormat, int]:
    return {
        format_: sum(written(world, format_, folder / format_).counts.values())
        for format_ in (SFT, DPO, KTO, LLAVA)
    }


def test_what_an_administrator_asked_without_an_own_read_teaches_nothing_unreviewed(
    sqlite_world: World, tmp_path: Path
) -> None:
    admin = sqlite_world.person("root", Role.ADMIN)
    films = sqlite_world.collection(protocol=Protocol.READER_FIRST)
    sqlite_world.draft(sqlite_world.case(films, admin), admin, DRAFT)
    for format_ in (SFT, DPO, KTO, LLAVA):
        assert rows_of(sqlite_world, format_, tmp_path / format_) == []
        (found,) = (tmp_path / format_).rglob("manifest.json")
        assert json.loads(found.read_text())["skipped"] == {"not_reviewed": 1}


@pytest.mark.parametrize(
    ("verdict", "expected"),
    [
        (Verdict.ACCEPT_AS_IS, {SFT: 1, DPO: 0, KTO: 1, LLAVA: 1}),
        (Verdict.MINOR_EDIT, {SFT: 1, DPO: 1, KTO: 0, LLAVA: 1}),
        (Verdict.MAJOR_EDIT, {SFT: 1, DPO: 1, KTO: 0, LLAVA: 1}),
        (Verdict.REJECT, {SFT: 0, DPO: 0, KTO: 1, LLAVA: 0}),
        (Verdict.ABSTAIN, {SFT: 0, DPO: 0, KTO: 0, LLAVA: 0}),
    ],
)
def test_the_verdict_decides_where_a_review_goes(
    sqlite_world: World, tmp_path: Path, verdict: Verdict, expected: dict[ExportFormat, int]
) -> None:
    case, reader = _one(sqlite_world)
    draft = sqlite_world.draft(case, reader, DRAFT)
    final = DRAFT if verdict is Verdict.ACCEPT_AS_IS else FINAL
    sqlite_world.review(draft, reader, verdict, final)
    assert _count(sqlite_world, tmp_path) == expected


def test_an_edit_is_chosen_over_the_draft(world: World, tmp_path: Path) -> None:
    case, reader = _one(world)
    picture = world.picture(30)
    draft = world.draft(case, reader, DRAFT, question="Is the heart large?", pictures=[picture])
    review = world.review(draft, reader, Verdict.MINOR_EDIT, FINAL)
    written(world, DPO, tmp_path / "dpo")
    assert rows(tmp_path / "dpo") == [
        {
            "images": [f"images/{picture['sha256']}.png"],
            "prompt": [
                {
                    "role": "user",
                    "content": [
                        {"type": "image"},
                        {"type": "text", "text": "Is the heart large?"},
                    ],
                }
            ],
            "chosen": [{"role": "assistant", "content": [{"type": "text", "text": FINAL}]}],
            "rejected": [{"role": "assistant", "content": [{"type": "text", "text": DRAFT}]}],
            "review_id": str(review.id),
            "made_up": True,
            "notice": "draft – not for clinical use",
        }
    ]
    png = (tmp_path / "dpo" / "images" / f"{picture['sha256']}.png").read_bytes()
    assert png == world.blobs.get(picture["png_blob"])


def test_a_rejection_is_a_false_label(sqlite_world: World, tmp_path: Path) -> None:
    case, reader = _one(sqlite_world)
    sqlite_world.review(sqlite_world.draft(case, reader, DRAFT), reader, Verdict.REJECT)
    sqlite_world.review(
        sqlite_world.draft(case, reader, FINAL), reader, Verdict.ACCEPT_AS_IS, FINAL
    )
    written(sqlite_world, KTO, tmp_path / "kto")
    found = {row["completion"][0]["content"][0]["text"]: row["label"] for row in
             rows(tmp_path / "kto")}  # fmt: skip
    assert found == {DRAFT: False, FINAL: True}


def test_only_the_newest_revision_teaches(sqlite_world: World, tmp_path: Path) -> None:
    case, reader = _one(sqlite_world)
    draft = sqlite_world.draft(case, reader, DRAFT)
    first = sqlite_world.review(draft, reader, Verdict.MINOR_EDIT, "First thought.")
    second = sqlite_world.review(draft, reader, Verdict.MINOR_EDIT, FINAL, before=first)
    written(sqlite_world, SFT, tmp_path / "sft")
    assert [row["review_id"] for row in rows(tmp_path / "sft")] == [str(second.id)]
    written(sqlite_world, ExportFormat.FULL, tmp_path / "full")
    records = lines(tmp_path / "full" / "records.jsonl")
    assert [(record["review_id"], record["newest"]) for record in records] == [
        (str(first.id), False),
        (str(second.id), True),
    ]


def test_two_readers_of_one_draft_both_teach(sqlite_world: World, tmp_path: Path) -> None:
    case, reader = _one(sqlite_world)
    draft = sqlite_world.draft(case, reader, DRAFT)
    sqlite_world.review(draft, reader, Verdict.MINOR_EDIT, FINAL)
    sqlite_world.review(draft, sqlite_world.person("second"), Verdict.ACCEPT_AS_IS, DRAFT)
    assert len(rows_of(sqlite_world, SFT, tmp_path)) == 2


@pytest.mark.parametrize("format_", [SFT, DPO, KTO, LLAVA])
def test_teaching_reads_stay_out(
    sqlite_world: World, tmp_path: Path, format_: ExportFormat
) -> None:
    reader = sqlite_world.person()
    collection = sqlite_world.collection("lesson", Protocol.TEACHING)
    case = sqlite_world.case(collection, reader)
    for verdict in (Verdict.MINOR_EDIT, Verdict.ACCEPT_AS_IS, Verdict.REJECT):
        sqlite_world.review(sqlite_world.draft(case, reader, DRAFT), reader, verdict, FINAL)
    assert rows_of(sqlite_world, format_, tmp_path) == []


@pytest.mark.parametrize("state", [CaseState.HELD, CaseState.CHECKING, CaseState.REFUSED])
def test_unresolved_pixels_stay_out_with_their_pictures(
    sqlite_world: World, tmp_path: Path, state: CaseState
) -> None:
    reader = sqlite_world.person()
    case = sqlite_world.case(sqlite_world.collection(), reader, state=state)
    sqlite_world.review(sqlite_world.draft(case, reader), reader)
    assert rows_of(sqlite_world, SFT, tmp_path) == []
    written(sqlite_world, ExportFormat.FULL, tmp_path / "full")
    assert not (tmp_path / "full" / "images").exists()


def test_an_edit_of_white_space_is_no_preference(sqlite_world: World, tmp_path: Path) -> None:
    case, reader = _one(sqlite_world)
    draft = sqlite_world.draft(case, reader, DRAFT)
    sqlite_world.review(draft, reader, Verdict.MINOR_EDIT, DRAFT.replace(" ", "  ") + "\n")
    assert rows_of(sqlite_world, DPO, tmp_path) == []
    manifest = json.loads((tmp_path / "trl-dpo" / "manifest.json").read_text())
    assert manifest["skipped"] == {"chosen_equals_rejected": 1}


def test_a_draft_stopped_before_its_first_word_teaches_nothing(
    sqlite_world: World, tmp_path: Path
) -> None:
    case, reader = _one(sqlite_world)
    draft = sqlite_world.draft(case, reader, "")
    sqlite_world.review(draft, reader, Verdict.REJECT)
    sqlite_world.review(draft, sqlite_world.person("second"), Verdict.MAJOR_EDIT, FINAL)
    assert rows_of(sqlite_world, KTO, tmp_path) == []
    assert rows_of(sqlite_world, DPO, tmp_path) == []
    assert len(rows_of(sqlite_world, SFT, tmp_path)) == 1


def test_what_was_withheld_from_the_reader_teaches_nothing(
    sqlite_world: World, tmp_path: Path
) -> None:
    case, reader = _one(sqlite_world)
    draft = sqlite_world.draft(
        case, reader, "[Treatment advice withheld.]", raw_text="Give aspirin."
    )
    for number, verdict in enumerate((Verdict.ACCEPT_AS_IS, Verdict.REJECT, Verdict.MINOR_EDIT)):
        sqlite_world.review(draft, sqlite_world.person(f"reader{number}"), verdict, FINAL)
    assert set(_count(sqlite_world, tmp_path).values()) == {0}


def test_earlier_turns_are_the_prompt(sqlite_world: World, tmp_path: Path) -> None:
    case, reader = _one(sqlite_world)
    draft = sqlite_world.draft(
        case, reader, DRAFT, question="And the heart?", earlier=(("The lungs?", "Clear."),)
    )
    sqlite_world.review(draft, reader, Verdict.MINOR_EDIT, FINAL)
    (row,) = rows_of(sqlite_world, SFT, tmp_path)
    said = [(turn["role"], turn["content"][-1]["text"]) for turn in row["prompt"]]
    assert said == [
        ("user", "The lungs?"),
        ("assistant", "Clear."),
        ("user", "And the heart?"),
    ]
    blocks = [[block["type"] for block in turn["content"]] for turn in row["prompt"]]
    assert blocks == [["image", "text"], ["text"], ["text"]]


def test_a_typed_placeholder_is_no_image(sqlite_world: World, tmp_path: Path) -> None:
    case, reader = _one(sqlite_world)
    draft = sqlite_world.draft(case, reader, "See <image>.", question="<video>? </s>")
    sqlite_world.review(draft, reader, Verdict.MINOR_EDIT, "No <image3d> here.")
    (row,) = rows_of(sqlite_world, DPO, tmp_path)
    text = json.dumps(row, ensure_ascii=False)
    assert "‹video›? ‹/s›" in text
    assert not any(token in text for token in ("<image", "<video", "</s>"))


def test_no_content_block_has_an_image_key(sqlite_world: World, tmp_path: Path) -> None:
    case, reader = _one(sqlite_world)
    sqlite_world.review(sqlite_world.draft(case, reader), reader)
    (row,) = rows_of(sqlite_world, SFT, tmp_path)
    blocks = [block for turn in row["prompt"] for block in turn["content"]]
    assert [set(block) for block in blocks] == [{"type"}, {"type", "text"}]


def test_real_cases_are_not_called_made_up(sqlite_world: World, tmp_path: Path) -> None:
    reader = sqlite_world.person()
    case = sqlite_world.case(sqlite_world.collection(), reader, made_up=False)
    sqlite_world.review(sqlite_world.draft(case, reader), reader)
    assert [row["made_up"] for row in rows_of(sqlite_world, SFT, tmp_path)] == [False]


def test_turns_that_do_not_alternate_are_left_out(sqlite_world: World, tmp_path: Path) -> None:
    case, reader = _one(sqlite_world)
    turns: list[dict[str, Any]] = [
        {"role": "user", "text": words, "images": []} for words in ("One?", "Two?")
    ]
    sqlite_world.review(sqlite_world.draft(case, reader, messages=turns), reader)
    assert rows_of(sqlite_world, SFT, tmp_path) == []


def test_llava_has_one_placeholder_for_its_image(sqlite_world: World, tmp_path: Path) -> None:
    case, reader = _one(sqlite_world)
    picture = sqlite_world.picture(9)
    draft = sqlite_world.draft(
        case, reader, DRAFT, pictures=[picture], earlier=(("The lungs?", "Clear."),)
    )
    review = sqlite_world.review(draft, reader, Verdict.MINOR_EDIT, FINAL)
    (row,) = rows_of(sqlite_world, LLAVA, tmp_path)
    assert row == {
        "id": str(review.id),
        "image": f"images/{picture['sha256']}.png",
        "conversations": [
            {"from": "human", "value": "<image>\nThe lungs?"},
            {"from": "gpt", "value": "Clear."},
            {"from": "human", "value": "What do you see?"},
            {"from": "gpt", "value": FINAL},
        ],
        "review_id": str(review.id),
        "made_up": True,
        "notice": "draft – not for clinical use",
    }


def test_llava_takes_no_second_image(sqlite_world: World, tmp_path: Path) -> None:
    case, reader = _one(sqlite_world)
    pictures = [sqlite_world.picture(1), sqlite_world.picture(2)]
    sqlite_world.review(sqlite_world.draft(case, reader, pictures=pictures), reader)
    assert rows_of(sqlite_world, LLAVA, tmp_path) == []
    (row,) = rows_of(sqlite_world, SFT, tmp_path)
    assert len(row["images"]) == 2


def rows_of(world: World, format_: ExportFormat, folder: Path) -> list[dict[str, Any]]:
    """Export and return the rows of all splits."""
    written(world, format_, folder / format_)
    return rows(folder / format_)


SEEN = [{"rule": "identifier.name", "kind": "identifier", "effect": "flag", "message": "A name."}]


@pytest.mark.parametrize("where", ["message", "draft", "own_read", "review"])
@pytest.mark.parametrize("format_", ExportFormat)
def test_a_text_that_names_somebody_never_leaves(
    sqlite_world: World, tmp_path: Path, format_: ExportFormat, where: str
) -> None:
    case, reader = _one(sqlite_world)

    def flags(*places: str) -> list[dict[str, str]]:
        return SEEN if where in places else []

    def text(place: str) -> str:
        return "Mrs Miller has no effusion." if where == place else DRAFT

    sqlite_world.own_read(case, reader, text("own_read"), flags=flags("own_read"))
    draft = sqlite_world.draft(
        case,
        reader,
        text("draft"),
        question=text("message"),
        flags=flags("message", "draft"),  # a draft repeats what was seen in its question
    )
    if format_ is KTO:
        sqlite_world.review(
            draft, reader, Verdict.ACCEPT_AS_IS, draft.shown_text, flags=flags("review")
        )
    else:
        final = FINAL if where != "review" else text("review")
        sqlite_world.review(draft, reader, Verdict.MINOR_EDIT, final, flags=flags("review"))

    told = written(sqlite_world, format_, tmp_path / "out")

    assert sum(told.counts.values()) == 0
    assert not any(b"Miller" in path.read_bytes() for path in (tmp_path / "out").rglob("*.json*"))
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert manifest["skipped"] == {"identifier_in_text": 1}
