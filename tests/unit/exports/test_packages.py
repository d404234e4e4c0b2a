"""An export as a whole: complete, split by patient, the same bytes every time."""

import hashlib
import json
from pathlib import Path

import pytest

from storage.errors import BlobDamagedError, BlobMissingError
from storage.exports.readings import Selection
from storage.tables import Collection, Person
from storage.vocabulary import ExportFormat, Verdict
from tests.unit.exports.conftest import lines, rows, written
from tests.world import World

TRAINING = [format_ for format_ in ExportFormat if format_ is not ExportFormat.FULL]
VERDICTS = [Verdict.MINOR_EDIT, Verdict.ACCEPT_AS_IS, Verdict.REJECT, Verdict.MAJOR_EDIT]
DRAFT = "The heart is large. No effusion."


@pytest.fixture
def clinic(sqlite_world: World) -> World:
    """Fill a world with 24 reviewed cases of 12 patients, read by three people."""
    world = sqlite_world
    with world.at_once():
        people = [world.person(f"reader{number}") for number in range(3)]
        collection = world.collection()
        for number in range(24):
            reader = people[number % 3]
            case = world.case(collection, reader, patient=f"patient {number % 12}")
            verdict = VERDICTS[number % len(VERDICTS)]
            final = DRAFT if verdict is Verdict.ACCEPT_AS_IS else f"Corrected {number}."
            draft = world.draft(case, reader, DRAFT, pictures=[world.picture(number)])
            world.review(draft, reader, verdict, final)
    return world


def _tree(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("format_", list(ExportFormat))
def test_equal_data_give_equal_bytes(
    sqlite_world: World, tmp_path: Path, format_: ExportFormat
) -> None:
    reader = sqlite_world.person()
    case = sqlite_world.case(sqlite_world.collection(), reader)
    sqlite_world.review(sqlite_world.draft(case, reader), reader)
    first = written(sqlite_world, format_, tmp_path / "first")
    second = written(sqlite_world, format_, tmp_path / "second")
    assert _tree(tmp_path / "first") == _tree(tmp_path / "second")
    assert first == second


def test_nothing_of_an_export_lies_outside_the_data_folder(
    sqlite_world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "nowhere"))
    monkeypatch.setattr("storage.exports.lines.IN_MEMORY_BYTES", 1)
    reader = sqlite_world.person()
    case = sqlite_world.case(sqlite_world.collection(), reader)
    sqlite_world.review(sqlite_world.draft(case, reader), reader)
    assert sum(written(sqlite_world, ExportFormat.FULL, tmp_path / "out").counts.values()) == 1
    assert not any(path.is_file() for path in (tmp_path / "blobs").iterdir())


def test_rows_are_as_many_as_the_reviews_that_fit(clinic: World, tmp_path: Path) -> None:
    counts = {
        format_: sum(written(clinic, format_, tmp_path / format_).counts.values())
        for format_ in ExportFormat
    }
    assert counts == {  # of 24 reviews, six of each verdict
        ExportFormat.FULL: 24,
        ExportFormat.LLAVA: 18,
        ExportFormat.TRL_SFT: 18,
        ExportFormat.TRL_DPO: 12,
        ExportFormat.TRL_KTO: 12,
    }


def test_training_formats_hold_together(clinic: World, tmp_path: Path) -> None:
    for format_ in TRAINING:
        folder = tmp_path / format_
        written(clinic, format_, folder)
        _manifest_tells_every_file(folder)
        _sidecar_joins(folder)
        _no_patient_or_picture_crosses(folder)
        for row in rows(folder):
            assert row["notice"] == "draft – not for clinical use"
            assert row["made_up"] is True


def _manifest_tells_every_file(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    files = _tree(folder)
    del files["manifest.json"]
    assert manifest["files"] == {
        name: {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
        for name, content in files.items()
    }
    assert sum(manifest["counts"].values()) + sum(manifest["skipped"].values()) == 24
    assert manifest["notice"] == "draft – not for clinical use"
    assert [(one["model_id"], one["note"]) for one in manifest["models"]] == [
        ("overread-demo", "Apache-2.0")
    ]


def _sidecar_joins(folder: Path) -> None:
    sidecar = [record["review_id"] for record in lines(folder / "provenance.jsonl")]
    assert len(set(sidecar)) == len(sidecar)
    assert sorted(sidecar) == sorted(row["review_id"] for row in rows(folder))


def _no_patient_or_picture_crosses(folder: Path) -> None:
    places: dict[str, set[str]] = {}
    for record in lines(folder / "provenance.jsonl"):
        case = record["case"]
        pictures = [image["sha256"] for image in record["candidates"][0]["images"]]
        for key in (case["split_key"], case["study_uid_hash"], *case["image_sha256"], *pictures):
            places.setdefault(key, set()).add(case["split"])
    assert places
    assert all(len(splits) == 1 for splits in places.values())


def test_a_row_lies_in_the_split_its_record_names(clinic: World, tmp_path: Path) -> None:
    written(clinic, ExportFormat.TRL_SFT, tmp_path)
    named = {r["review_id"]: r["case"]["split"] for r in lines(tmp_path / "provenance.jsonl")}
    for split in ("train", "validation", "test"):
        for row in lines(tmp_path / f"{split}.jsonl"):
            assert named[row["review_id"]] == split


def test_pictures_are_the_bytes_the_model_saw(clinic: World, tmp_path: Path) -> None:
    written(clinic, ExportFormat.TRL_SFT, tmp_path)
    pictures = list((tmp_path / "images").iterdir())
    assert len(pictures) == 18
    for path in pictures:
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.stem
        assert "draft – not for clinical use".encode() in path.read_bytes()


def test_an_export_without_rows_is_no_error(world: World, tmp_path: Path) -> None:
    for format_ in ExportFormat:
        counts = written(world, format_, tmp_path / format_).counts
        assert counts == {"train": 0, "validation": 0, "test": 0}
    assert rows(tmp_path / "trl-dpo") == rows(tmp_path / "llava") == []


def test_a_selection_narrows_an_export(sqlite_world: World, tmp_path: Path) -> None:
    world, reader = sqlite_world, sqlite_world.person()
    films, other = world.collection(), world.collection("other")
    _reviewed(world, films, reader, made_up=True, model_id="overread-demo")
    _reviewed(world, films, reader, made_up=False, model_id="overread-demo")
    _reviewed(world, other, reader, made_up=True, model_id="llava-1.5")
    for number, (selection, expected) in enumerate(
        [
            (Selection(), 3),
            (Selection(collection_id=films.id), 2),
            (Selection(made_up=False), 1),
            (Selection(model="llava-1.5"), 1),
            (Selection(modality="DX"), 3),
            (Selection(modality="CT"), 0),
            (Selection(collection_id=other.id, made_up=False), 0),
        ]
    ):
        out = tmp_path / str(number)
        counts = written(world, ExportFormat.TRL_SFT, out, selection).counts
        assert sum(counts.values()) == expected, selection


def _reviewed(
    world: World, collection: Collection, reader: Person, *, made_up: bool, model_id: str
) -> None:
    case = world.case(collection, reader, made_up=made_up)
    world.review(world.draft(case, reader, model_id=model_id), reader)


@pytest.mark.parametrize("harm", ["flipped", "gone"])
def test_a_damaged_picture_stops_the_export(sqlite_world: World, tmp_path: Path, harm: str) -> None:
    reader = sqlite_world.person()
    case = sqlite_world.case(sqlite_world.collection(), reader)
    picture = sqlite_world.picture(3)
    sqlite_world.review(sqlite_world.draft(case, reader, pictures=[picture]), reader)
    address = picture["png_blob"]
    path = sqlite_world.blobs.root / address[:2] / address[2:4] / address
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-1])
    expected = BlobMissingError if harm == "gone" else BlobDamagedError
    with pytest.raises(expected):
        written(sqlite_world, ExportFormat.TRL_SFT, tmp_path / "out")
