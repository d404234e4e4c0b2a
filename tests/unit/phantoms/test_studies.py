"""Made-up studies as files: valid DICOM, the same bytes for a seed, and honest about themselves."""

import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from pydicom.uid import UID

from storage.phantoms import __main__ as command
from storage.phantoms import make_studies, to_bytes, write_studies
from storage.phantoms.ct import draw_volume
from storage.phantoms.plan import Finding


def test_the_same_seed_gives_the_same_bytes() -> None:
    def everything(count: int) -> list[bytes]:
        studies = make_studies(count, seed=7, size=64, ct_every=2)
        return [to_bytes(dataset) for study in studies for _, dataset in study.files]

    assert everything(2) == everything(2)
    assert everything(3)[:25] == everything(2)  # one film and 24 slices


def test_another_seed_gives_another_study() -> None:
    one, other = (next(make_studies(1, seed=seed, size=64)) for seed in (1, 2))
    assert to_bytes(one.files[0][1]) != to_bytes(other.files[0][1])


def test_files_are_valid_dicom_and_say_that_they_are_made_up() -> None:
    for study in make_studies(3, size=64, ct_every=3):
        for _, dataset in study.files:
            read = pydicom.dcmread(BytesIO(to_bytes(dataset)))
            assert read.QualityControlSubject == "YES"
            assert "PHANTOM" in str(read.PatientName)
            assert "made up" in read.PatientComments.lower()
            assert read.Modality == study.truth["modality"]
            uids = (read.SOPInstanceUID, read.StudyInstanceUID, read.SeriesInstanceUID)
            assert all(UID(uid).is_valid for uid in uids)
            assert read.file_meta.MediaStorageSOPInstanceUID == read.SOPInstanceUID
            assert read.pixel_array.shape == (read.Rows, read.Columns)


def test_instances_have_uids_of_their_own() -> None:
    files = [
        dataset for study in make_studies(6, size=64, ct_every=3) for _, dataset in study.files
    ]
    assert len({dataset.SOPInstanceUID for dataset in files}) == len(files) == 4 + 2 * 24
    assert len({dataset.PatientID for dataset in files}) == 6


def test_a_film_too_small_to_draw_is_an_error() -> None:
    with pytest.raises(ValueError, match="64 pixels"):
        next(make_studies(1, size=32))


def test_ct_slices_lie_where_their_headers_say() -> None:
    study = next(make_studies(1, size=64, ct_every=1))
    heights = [float(dataset.ImagePositionPatient[2]) for _, dataset in study.files]
    assert heights == [115.0 - 10 * number for number in range(24)]
    first = study.files[0][1]
    assert list(first.PixelSpacing) == [2.8, 2.8]
    assert (first.RescaleSlope, first.RescaleIntercept) == (1, -1024)


@pytest.mark.parametrize("side", ["left", "right"])
def test_a_ct_shows_tissues_at_their_hounsfield_units(side: str) -> None:
    findings = (Finding("pleural effusion", side, "lower", 0.5), Finding("nodule", side, "upper"))
    volume = draw_volume(findings, np.random.default_rng(2))
    (_, fluid), (_, ball) = volume.findings
    column, row, level = ((ball[n] + ball[n + 3]) // 2 for n in range(3))
    assert abs(int(volume.hu[level, row, column]) - 35) < 80
    assert (column > 64) is (side == "left")  # the patient's left is on the right
    box = volume.hu[fluid[2] : fluid[5] + 1, fluid[1] : fluid[4] + 1, fluid[0] : fluid[3] + 1]
    assert (np.abs(box - 12) < 60).mean() > 0.3
    assert volume.hu.min() >= -1024
    assert (volume.hu < -700).mean() > 0.15  # lungs and the air around


def test_truth_is_written_beside_the_files(tmp_path: Path) -> None:
    assert write_studies(tmp_path, count=3, seed=5, size=64, ct_every=3) == 26
    truth = json.loads((tmp_path / "truth.json").read_text(encoding="utf-8"))
    assert truth["made_up"] is True
    assert [study["modality"] for study in truth["studies"]][2] == "CT"
    for study in truth["studies"]:
        assert all((tmp_path / name).is_file() for name in study["files"])
        assert study["sentences"]
        for finding in study["findings"]:
            assert set(finding) == {"finding", "side", "zone", "bbox"}


def test_the_command_writes_what_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = ["phantoms", str(tmp_path / "out"), "--studies", "2", "--size", "64", "--ct-every", "0"]
    monkeypatch.setattr("sys.argv", asked)
    assert command.main() == 0
    assert capsys.readouterr().out == "2 made-up studies, 2 files, truth.json\n"
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == 2
