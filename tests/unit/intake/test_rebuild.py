"""What a rebuilt dataset keeps, drops, replaces and says of itself."""

from io import BytesIO
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from storage.intake.refusals import RefusedFileError
from tests.unit.intake.samples import (
    DX_CLASS,
    PSEUDONYMS,
    SC_CLASS,
    US_CLASS,
    ct,
    dataset,
    element,
    film,
    planted,
    rebuilt,
    to_bytes,
)


def clean(data: bytes) -> Dataset:
    return pydicom.dcmread(BytesIO(rebuilt(data).dicom))


def code_of(data: bytes) -> str:
    with pytest.raises(RefusedFileError) as refusal:
        rebuilt(data)
    return refusal.value.code


def test_identity_is_replaced_by_pseudonyms() -> None:
    made = clean(ct())
    assert made.PatientID == made.PatientName == PSEUDONYMS.patient("id/MRN-7741902")
    assert made.StudyInstanceUID == PSEUDONYMS.uid("1.2.3.4.5")
    assert made.SeriesInstanceUID == PSEUDONYMS.uid("1.2.3.4.5.2")
    assert made.SOPInstanceUID == PSEUDONYMS.uid("1.2.3.4.5.1")
    assert made.file_meta.MediaStorageSOPInstanceUID == made.SOPInstanceUID
    assert not made.StudyDate
    assert not made.PatientBirthDate


def test_a_value_that_may_not_stay_leaves_an_empty_element_where_one_is_expected() -> None:
    made = clean(ct(PatientSex="X", KVP="5000", ScanOptions="OTTILIE"))
    assert (made.PatientSex, made.KVP, made.ScanOptions) == ("", None, "")
    assert "KVP" not in clean(ct())


def test_two_files_of_a_study_keep_their_common_identity() -> None:
    one, other = clean(ct()), clean(ct(SOPInstanceUID="1.2.3.4.5.9", InstanceNumber=2))
    assert one.StudyInstanceUID == other.StudyInstanceUID
    assert one.PatientID == other.PatientID
    assert one.SOPInstanceUID != other.SOPInstanceUID


def test_another_patient_gets_another_pseudonym() -> None:
    assert clean(ct()).PatientID != clean(ct(PatientID="MRN-7741903")).PatientID


def test_without_a_patient_id_name_and_birth_date_tell_patients_apart() -> None:
    one, other = ct(PatientID=""), ct(PatientID="", PatientBirthDate="19310428")
    assert clean(one).PatientID != clean(other).PatientID
    assert clean(one).PatientID == clean(one).PatientID


def test_without_any_identity_each_study_is_a_patient() -> None:
    nobody = {"PatientID": "", "PatientName": "", "PatientBirthDate": ""}
    one, other = ct(**nobody), ct(**nobody, StudyInstanceUID="1.2.3.4.6")
    assert clean(one).PatientID != clean(other).PatientID


def test_a_file_without_uids_gets_its_own_from_its_content() -> None:
    made = clean(planted(DX_CLASS, "DX", {}))
    again = clean(planted(DX_CLASS, "DX", {}))
    assert made.StudyInstanceUID == again.StudyInstanceUID
    uids = {made.StudyInstanceUID, made.SeriesInstanceUID, made.SOPInstanceUID}
    assert len(uids) == 3
    assert all(uid.startswith("2.25.") for uid in uids)


def test_the_rebuilt_file_says_that_and_how_it_was_de_identified() -> None:
    made = clean(ct())
    assert made.PatientIdentityRemoved == "YES"
    assert made.DeidentificationMethod == "Overread allow-list profile 1"
    codes = [item.CodeValue for item in made.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113108"]
    assert "BurnedInAnnotation" not in made


@pytest.mark.parametrize(
    ("given", "kept"),
    [("088Y", "088Y"), ("089Y", "089Y"), ("090Y", "090Y"), ("104Y", "090Y"), ("004M", "004M"),
     ("81", None), ("John", None)],
)  # fmt: skip
def test_ages_above_89_are_one_group(given: str, kept: str | None) -> None:
    data = planted(DX_CLASS, "DX", {0x00101010: element(0x00101010, "AS", given.encode())})
    assert clean(data).get("PatientAge") == kept


@pytest.mark.parametrize(
    ("tag", "vr", "given", "kept"),
    [
        pytest.param(0x00180015, "CS", "CHEST", "CHEST", id="a body part"),
        pytest.param(0x00180015, "CS", "Chest", "CHEST", id="a body part in small letters"),
        pytest.param(0x00180015, "CS", "OTTILIE MORGENST", None, id="a name as body part"),
        pytest.param(0x00180060, "DS", "120", 120, id="a tube voltage"),
        pytest.param(0x00180060, "DS", "7741902", None, id="a number as tube voltage"),
        pytest.param(0x00180060, "DS", "Ottilie", None, id="a name as tube voltage"),
        pytest.param(0x00080008, "CS", "ORIGINAL\\PRIMARY\\OTTILIE\\AXIAL",
                     ["ORIGINAL", "PRIMARY"], id="values after an unknown one"),
        pytest.param(0x00185101, "CS", "PA", "PA", id="a view"),
        pytest.param(0x00185101, "CS", "MORGENSTERN", None, id="a name as view"),
        pytest.param(0x00080070, "LO", "Morgenstern Werke", None, id="free text"),
        pytest.param(0x00181401, "LO", "thorax", None, id="an element without an entry"),
        pytest.param(0x00200013, "IS", "7", 7, id="an instance number"),
        pytest.param(0x00200013, "IS", "19310427", None, id="a date as instance number"),
        pytest.param(0x00280030, "DS", "0.5", None, id="one spacing of two"),
    ],
)  # fmt: skip
def test_a_kept_value_must_pass_its_rule(tag: int, vr: str, given: str, kept: object) -> None:
    made = clean(planted(DX_CLASS, "DX", {tag: element(tag, vr, given.encode())}))
    found: Any = made[tag].value if tag in made else None
    assert (list(found) if isinstance(kept, list) else found or None) == kept


@pytest.mark.parametrize(
    ("slope", "intercept"),
    [("1E308", "0"), ("0", "0"), ("nan", "0"), ("1", "1E309"), ("two", "0")],
)
def test_a_rescale_beyond_reason_is_refused(slope: str, intercept: str) -> None:
    elements = {0x00281053: element(0x00281053, "DS", slope.encode()),
                0x00281052: element(0x00281052, "DS", intercept.encode())}  # fmt: skip
    assert code_of(planted(DX_CLASS, "DX", elements)) == "bad_rescale"


def test_half_a_rescale_is_refused() -> None:
    assert code_of(ct(RescaleIntercept=None)) == "bad_rescale"


def windows_of(center: bytes, width: bytes) -> list[tuple[str, float, float]]:
    elements = {0x00281050: element(0x00281050, "DS", center),
                0x00281051: element(0x00281051, "DS", width)}  # fmt: skip
    facts = rebuilt(planted(DX_CLASS, "DX", elements)).facts
    return [(each["name"], each["center"], each["width"]) for each in facts.windows]


def test_a_good_window_is_shown_first() -> None:
    assert windows_of(b"11.5", b"24")[0] == ("as acquired", 11.5, 24)


@pytest.mark.parametrize(
    ("center", "width"),
    [(b"NaN", b"10"), (b"12", b"0"), (b"12", b"-4"), (b"12", b""), (b"1", b"2\\3")],
)
def test_an_impossible_window_is_replaced(center: bytes, width: bytes) -> None:
    assert [name for name, *_ in windows_of(center, width)] == ["from pixel values"]


def test_a_window_that_shows_nothing_is_not_the_first() -> None:
    names = [name for name, *_ in windows_of(b"30000", b"10")]
    assert names == ["from pixel values", "as acquired"]


def test_ct_values_are_hounsfield_units() -> None:
    made = rebuilt(ct())
    assert (made.facts.dtype, made.facts.units) == ("int16", "HU")
    assert (made.facts.slope, made.facts.intercept) == (1.0, 0.0)
    assert np.array_equal(np.frombuffer(made.pixels, "<i2"), np.arange(24) - 1024)


def test_a_fractional_rescale_is_left_to_the_reader() -> None:
    made = rebuilt(ct(RescaleSlope="0.5", RescaleIntercept="-10", Modality="MR"))
    assert made.facts.dtype == "uint16"
    assert (made.facts.slope, made.facts.intercept, made.facts.units) == (0.5, -10.0, "US")
    assert np.array_equal(np.frombuffer(made.pixels, "<u2"), np.arange(24))


def test_geometry_is_kept() -> None:
    facts = rebuilt(ct()).facts
    assert facts.position == (0.0, 0.0, 10.0)
    assert facts.orientation == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
    assert (facts.row_spacing_mm, facts.column_spacing_mm) == (0.5, 0.75)
    assert facts.stackable


def test_a_film_has_spacing_at_the_detector_and_a_view() -> None:
    facts = rebuilt(film(PixelSpacing=None, ImagerPixelSpacing=[0.2, 0.2])).facts
    assert (facts.row_spacing_mm, facts.view, facts.stackable) == (0.2, "PA", False)


def test_an_orientation_that_is_no_pair_of_directions_is_not_used() -> None:
    assert rebuilt(ct(ImageOrientationPatient=[1, 0, 0, 1, 0, 0])).facts.orientation is None


def test_monochrome1_is_flagged_and_not_turned() -> None:
    made = rebuilt(film(PhotometricInterpretation="MONOCHROME1"))
    assert made.facts.inverted
    assert np.array_equal(np.frombuffer(made.pixels, "<u2"), np.arange(24))


@pytest.mark.parametrize(
    ("elements", "held"),
    [
        pytest.param({}, (), id="CT"),
        pytest.param({"BurnedInAnnotation": "NO"}, (), id="CT that says NO"),
        pytest.param({"BurnedInAnnotation": "YES"}, ("burned_in_declared",), id="CT, YES"),
        pytest.param({"Modality": "US"}, ("pixels_unattested",), id="ultrasound by modality"),
        pytest.param({"SOPClassUID": US_CLASS}, ("pixels_unattested",), id="ultrasound by class"),
        pytest.param({"SOPClassUID": SC_CLASS}, ("pixels_unattested",), id="secondary capture"),
        pytest.param({"SOPClassUID": SC_CLASS, "BurnedInAnnotation": "NO"},
                     ("pixels_unattested",), id="secondary capture that says NO"),
        pytest.param({"Modality": "XC"}, ("pixels_unattested",), id="photograph"),
        pytest.param({"ConversionType": "DF"}, ("pixels_unattested",), id="film scan"),
        pytest.param({"Modality": None}, ("pixels_unattested",), id="no modality"),
    ],
)  # fmt: skip
def test_what_a_person_must_look_at_is_held(elements: dict[str, Any], held: tuple[str]) -> None:
    assert rebuilt(ct(**elements)).facts.held == held


def test_a_phantom_is_known_as_made_up() -> None:
    assert rebuilt(film(QualityControlSubject="YES")).facts.made_up
    assert not rebuilt(film()).facts.made_up


def enhanced(*slopes: str) -> bytes:
    """Return an enhanced CT of two frames with a rescale for each."""
    frames: list[Dataset] = []
    for slope in slopes:
        value, place, frame = Dataset(), Dataset(), Dataset()
        value.RescaleSlope, value.RescaleIntercept, value.RescaleType = slope, "-1024", "HU"
        place.ImagePositionPatient = [0, 0, len(frames) * 5]
        place.add_new(0x00209056, "SH", "Ottilie")
        frame.PixelValueTransformationSequence = Sequence([value])
        frame.PlanePositionSequence = Sequence([place])
        frames.append(frame)
    shared, measures, plane = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing, measures.SliceThickness = [0.4, 0.4], 5
    plane.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([plane])
    made = dataset(
        SOPClassUID="1.2.840.10008.5.1.4.1.1.2.1",
        RescaleSlope=None, RescaleIntercept=None, RescaleType=None, PixelSpacing=None,
        ImagePositionPatient=None, ImageOrientationPatient=None, NumberOfFrames=2,
        PixelData=np.arange(48, dtype="<u2").tobytes(),
        SharedFunctionalGroupsSequence=Sequence([shared]),
        PerFrameFunctionalGroupsSequence=Sequence(frames),
    )  # fmt: skip
    return to_bytes(made)


def test_an_enhanced_ct_keeps_geometry_and_rescale_of_its_groups() -> None:
    made = rebuilt(enhanced("1", "1"))
    facts = made.facts
    assert (facts.frames, facts.units, facts.row_spacing_mm) == (2, "HU", 0.4)
    assert facts.position == (0.0, 0.0, 0.0)
    assert np.frombuffer(made.pixels, "<i2")[47] == 47 - 1024
    assert b"Ottilie" not in made.dicom
    second = pydicom.dcmread(BytesIO(made.dicom)).PerFrameFunctionalGroupsSequence[1]
    assert second.PlanePositionSequence[0].ImagePositionPatient == [0, 0, 5]


def test_frames_of_different_rescale_are_refused() -> None:
    assert code_of(enhanced("1", "2")) == "unsupported_image"


def test_the_same_file_is_rebuilt_to_the_same_bytes() -> None:
    assert rebuilt(ct()).dicom == rebuilt(ct()).dicom
