"""Real and pseudo-identified files beside the checkout: nothing of their headers stays."""

import json
import re
from pathlib import Path
from typing import Any, Final

import numpy as np
import pydicom
import pytest

from storage.intake.compose import Rebuilt
from tests.unit.intake.samples import rebuilt

pytestmark = pytest.mark.shared
KEPT: Final = frozenset(["PatientSex", "PatientAge"])
SERIES: Final = "data/dicom/tcia_mr_pseudo_phi/with_phi"


def header_of(made: Rebuilt) -> bytes:
    pixels = len(pydicom.dcmread(pydicom.filebase.DicomBytesIO(made.dicom)).PixelData)
    return made.dicom[:-pixels]


def words_in(value: Any) -> set[str]:  # noqa: ANN401 - the truth file nests as it likes
    if isinstance(value, dict):
        return {word for key, inner in value.items() if key not in KEPT for word in words_in(inner)}
    if isinstance(value, list):
        return {word for inner in value for word in words_in(inner)}
    return {word for word in re.split(r"[\s^,=]+", str(value)) if len(word) >= 4}


def test_no_planted_identity_stays_in_a_header(shared: Path) -> None:
    folder = shared / "data/dicom/synthetic_phi"
    truth = json.loads((folder / "ground_truth.json").read_text(encoding="utf-8"))
    for name, facts in truth.items():
        header = header_of(rebuilt((folder / name).read_bytes()))
        secrets = words_in(facts["header_phi"]) - {"CHEST"}
        assert len(secrets) > 20
        assert not [word for word in secrets if word.encode() in header], name


def test_names_in_a_real_mr_series_are_gone_and_its_pixels_are_the_same(shared: Path) -> None:
    studies = set()
    for path in sorted((shared / SERIES).glob("*.dcm")):
        source, made = pydicom.dcmread(path), rebuilt(path.read_bytes())
        assert np.array_equal(
            np.frombuffer(made.pixels, "<u2").reshape(source.pixel_array.shape), source.pixel_array
        )
        for keyword in ("PatientName", "PatientID", "PatientBirthDate", "StudyInstanceUID"):
            assert str(source.get(keyword)).encode() not in header_of(made)
        studies.add((made.facts.study_key, made.facts.patient_key))
    assert len(studies) == 1


def test_every_real_file_is_read(shared: Path) -> None:
    held = {}
    for path in sorted((shared / "data/dicom").rglob("*.dcm")):
        held[path.name] = rebuilt(path.read_bytes()).facts.held
    assert held["nih_dx.dcm"] == ("pixels_unattested",)  # a DX in Secondary Capture's clothes
    assert held["GREYSCALE_IMAGE.dcm"] == ("burned_in_declared", "pixels_unattested")
    assert held["h01_tl.dcm"] == ("burned_in_declared",)
    assert len(held) > 25
