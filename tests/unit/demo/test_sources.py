"""Which part of the data a patient falls into, and what is known of each picture."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from inference.demo.sources import (
    Part,
    Picture,
    Site,
    grey_levels,
    part_of,
    picture_image,
    read_sources,
)
from storage.phantoms.studies import write_studies

COLUMNS = ("file", "modality", "body_part", "patient_group", "labels", "notes", "width", "sha256")
ROWS = (
    ("cxr_nih_1024/a.png", "CR/DX", "CHEST", "NIH1", "Effusion|Pneumonia", "view=AP; x", "1024"),
    ("cxr_nih_1024/boxes.json", "", "", "", "", "", ""),
    ("cxr_nih_512/b.png", "CR/DX", "CHEST", "NIH2", "No Finding", "view=PA", "512"),
    ("vqarad/images/synpic16520.jpg", "CT or MR", "HEAD", "synpic16520", "", "", "9"),
    ("vqarad/images/synpic9872.jpg", "CT or MR", "HEAD", "synpic9872", "", "", "9"),
    ("reports/openi_reports.jsonl", "", "", "", "", "", ""),
)


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A data folder in the shape of the real one, without its pixels."""
    (tmp_path / "vqarad").mkdir()
    (tmp_path / "cxr_nih_1024").mkdir()
    question = {"image": "synpic9872.jpg", "question": "Is this  normal?", "answer": "No"}
    (tmp_path / "vqarad/qa.jsonl").write_text(json.dumps(question) + "\n")
    box = {"finding": "Pneumonia", "x": 100, "y": 700, "w": 200, "h": 100}
    (tmp_path / "cxr_nih_1024/boxes.json").write_text(json.dumps({"a.png": [box]}))
    with (tmp_path / "MANIFEST.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        writer.writerows((*row, "0" * 64) for row in ROWS)
    return tmp_path


def by_name(pictures: list[Picture]) -> dict[str, Picture]:
    return {picture.path.name: picture for picture in pictures}


def test_a_patient_is_always_in_the_same_part() -> None:
    assert {part_of("NIH00150", 0) for _ in range(3)} == {part_of("NIH00150", 0)}


def test_parts_are_about_as_large_as_planned() -> None:
    parts = [part_of(f"patient {number}", 0) for number in range(4000)]
    assert abs(parts.count(Part.VALIDATION) / 4000 - 0.20) < 0.02
    assert abs(parts.count(Part.DEV) / 4000 - 0.12) < 0.02


def test_films_carry_their_labels_view_and_box(data: Path) -> None:
    film = by_name(read_sources(data, (), 0))["a.png"]
    assert (film.view, film.normal) == ("AP", False)
    assert {name for name, there in film.findings.items() if there} == {
        "pleural effusion", "pneumonia",
    }  # fmt: skip
    assert film.sites == (Site("pneumonia", "right", "lower"),)  # left half of the film


def test_heads_are_ct_or_mr(data: Path) -> None:
    found = by_name(read_sources(data, (), 0))
    assert found["synpic16520.jpg"].modality == "CT"
    assert found["synpic9872.jpg"].modality == "MR"
    assert found["synpic9872.jpg"].questions == (("Is this normal?", "No"),)


def test_reports_and_boxes_are_no_pictures(data: Path) -> None:
    assert len(read_sources(data, (), 0)) == 4


def test_phantoms_bring_their_truth_and_their_pixels(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "phantoms"
    write_studies(out, count=3, seed=1, size=64, ct_every=3)
    films = [p for p in read_sources(data, (out,), 0) if p.source == "phantom"]
    slices = [p for p in read_sources(data, (out,), 0) if p.source == "ct phantom"]
    assert len(films) == 2
    assert {picture.window for picture in slices} == {0, 1}
    truth = json.loads((out / "truth.json").read_text())["studies"][0]
    assert films[0].sentences == tuple(truth["sentences"])
    assert films[0].view == truth["view"]
    levels = grey_levels(films[0], 32)
    assert levels.shape == (32, 32)
    assert levels.max() > 200
    assert levels.min() < 50


def test_a_16_bit_film_is_shown_through_its_window(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "phantoms"
    write_studies(out, count=1, seed=1, size=64, ct_every=0)
    (film,) = (p for p in read_sources(data, (out,), 0) if p.source == "phantom")
    shown = picture_image(film)
    assert isinstance(shown, Image.Image)
    assert np.asarray(shown).dtype == np.uint8
