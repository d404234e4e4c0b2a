"""The bounded scan: what it refuses, by which code, and what it lets pass."""

import struct

import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import JPEG2000Lossless, RLELossless

from storage.intake.limits import Limits
from storage.intake.refusals import SENTENCES, RefusedFileError
from storage.intake.scan import kind_of, scan_dicom
from tests.unit.intake.samples import (
    CT_CLASS,
    LIMITS,
    bundled,
    ct,
    dataset,
    element,
    film,
    planted,
    to_bytes,
)


def code_of(data: bytes, limits: Limits = LIMITS) -> str:
    with pytest.raises(RefusedFileError) as refusal:
        scan_dicom(data, limits)
    assert str(refusal.value) == SENTENCES[refusal.value.code]
    return refusal.value.code


def test_a_good_slice_passes() -> None:
    scanned = scan_dicom(ct(), LIMITS)
    assert scanned.sop_class == "1.2.840.10008.5.1.4.1.1.2"
    assert (0x00100010, "PN", b"Morgenstern^Ottilie ") in scanned.texts


@pytest.mark.parametrize(
    ("data", "code"),
    [
        pytest.param(b"", "empty_file", id="zero bytes"),
        pytest.param(b"hello, this is no image" * 20, "not_dicom", id="text"),
        pytest.param(b"\0" * 128 + b"DICM", "truncated", id="nothing after the magic word"),
        pytest.param(b"\0" * 5000, "not_dicom", id="zeros"),
        pytest.param(b"\0" * 128 + b"DICM" + b"\x55" * 400, "malformed", id="no file meta"),
    ],
)
def test_what_is_no_dicom_file_is_refused(data: bytes, code: str) -> None:
    assert code_of(data) == code


@pytest.mark.parametrize(
    "preamble",
    [
        pytest.param(b"MZ\x90\0", id="Windows program"),
        pytest.param(b"\x7fELF\2\1\1", id="Unix program"),
        pytest.param(b"%PDF-1.7\n", id="PDF"),
        pytest.param(b"   <HTML><script>", id="web page"),
        pytest.param(b"PK\x03\x04", id="zip"),
        pytest.param(b"#!/bin/sh\n", id="script"),
    ],
)
def test_a_preamble_that_is_something_else_is_refused(preamble: bytes) -> None:
    assert code_of(to_bytes(dataset(), preamble=preamble)) == "suspicious_preamble"


def test_a_tiff_preamble_is_legal() -> None:
    scan_dicom(to_bytes(dataset(), preamble=b"II*\0\x08\0\0\0"), LIMITS)


@pytest.mark.parametrize(
    ("syntax", "name"),
    [
        ("1.2.840.10008.1.2.1.99", "deflated"),
        ("1.2.3.4.5", "unknown"),
        ("1.2.840.10008.1.2.4.100", "MPEG2"),
        ("1.2.840.10008.1.2.4.94", "JPIP"),
    ],
)
def test_other_transfer_syntaxes_are_refused(syntax: str, name: str) -> None:
    plain, other = b"1.2.840.10008.1.2.1\0", syntax.encode() + b"\0" * (len(syntax) % 2)
    data = ct().replace(
        b"UI" + struct.pack("<H", 20) + plain, b"UI" + struct.pack("<H", len(other)) + other, 1
    )
    assert code_of(data) == "unsupported_transfer_syntax", name


@pytest.mark.parametrize(
    ("sop_class", "code"),
    [
        ("1.2.840.10008.5.1.4.1.1.104.1", "encapsulated_document"),
        ("1.2.840.10008.5.1.4.1.1.104.3", "encapsulated_document"),
        ("1.2.840.10008.5.1.4.1.1.88.33", "structured_report"),
        ("1.2.840.10008.5.1.4.1.1.481.3", "radiotherapy_object"),
        ("1.2.840.10008.5.1.4.1.1.9.1.1", "waveform"),
        ("1.2.840.10008.5.1.4.1.1.11.1", "presentation_state"),
        ("1.2.840.10008.1.3.10", "dicomdir"),
        ("1.2.840.10008.5.1.4.1.1.66", "not_an_image"),
        ("1.2.840.10008.5.1.4.1.1.66.4", "not_an_image"),
        ("9.9.9", "not_an_image"),
    ],
)
def test_only_image_classes_pass(sop_class: str, code: str) -> None:
    assert code_of(ct(SOPClassUID=sop_class)) == code


def test_a_dicomdir_of_pydicom_is_refused_as_one() -> None:
    assert code_of(bundled("dicomdirtests/DICOMDIR")) == "dicomdir"


def test_an_image_class_without_pixels_is_no_image() -> None:
    assert code_of(ct(PixelData=None)) == "not_an_image"


@pytest.mark.parametrize("share", [0.3, 0.5, 0.9, 0.999])
def test_a_file_cut_off_anywhere_is_refused(share: float) -> None:
    whole = film(Rows=200, Columns=200, PixelData=bytes(80_000))
    assert code_of(whole[: int(len(whole) * share)]) == "truncated"


def test_a_length_beyond_the_end_is_refused() -> None:
    data = ct()
    at = data.index(b"\x10\x00\x10\x00PN")
    assert code_of(data[: at + 6] + b"\xff\xff" + data[at + 8 :]) == "truncated"


def test_an_undefined_length_on_text_is_refused() -> None:
    made = dataset()
    made.add_new(0x00104000, "UT", "x" * 10)
    data = to_bytes(made)
    at = data.index(b"\x10\x00\x00\x40UT")
    assert code_of(data[: at + 8] + b"\xff\xff\xff\xff" + data[at + 12 :]) == "malformed"


def nested(depth: int) -> bytes:
    """Return a file with empty sequences in each other, of undefined length and closed."""
    opening = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    opening += struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    closing = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return spliced(opening * depth + closing * depth)


def spliced(elements: bytes) -> bytes:
    """Return a file with raw bytes put in before the patient's name."""
    data = ct()
    at = data.index(b"\x10\x00\x10\x00PN")
    return data[:at] + elements + data[at:]


def test_sequences_may_be_nested_as_deep_as_the_limit() -> None:
    scan_dicom(nested(LIMITS.depth), LIMITS)


@pytest.mark.parametrize("depth", [17, 500, 50_000])
def test_deeper_sequences_are_refused_without_recursion(depth: int) -> None:
    assert code_of(nested(depth)) == "too_complex"


def test_sequences_that_never_close_are_refused() -> None:
    opening = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    opening += struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    assert code_of(ct()[:-60] + opening * 10) in ("truncated", "malformed")


def test_a_million_empty_items_are_refused() -> None:
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 1_000_000
    head = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, len(items))
    assert code_of(spliced(head + items)) == "too_complex"


def test_more_elements_than_the_limit_are_refused() -> None:
    assert code_of(ct(), Limits(elements=10)) == "too_complex"


def test_the_same_element_twice_is_refused() -> None:
    name = struct.pack("<HH2sH", 0x0010, 0x0010, b"PN", 4) + b"Abcd"
    assert code_of(spliced(name)) == "malformed"


def test_a_command_inside_a_dataset_is_refused() -> None:
    command = {0x00000002: element(0x00000002, "UI", b"1.2.3")}
    assert code_of(planted(CT_CLASS, "CT", command)) == "malformed"


def test_an_implicit_body_under_an_explicit_header_is_refused() -> None:
    assert code_of(bundled("SC_rgb_jpeg.dcm")) == "malformed"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param({"Rows": 0}, "bad_pixel_description", id="no rows"),
        pytest.param({"Rows": 65535, "Columns": 65535}, "too_many_pixels", id="65535 squared"),
        pytest.param({"NumberOfFrames": 2147483647}, "too_many_pixels", id="two billion frames"),
        pytest.param({"NumberOfFrames": -1}, "bad_pixel_description", id="minus one frame"),
        pytest.param({"NumberOfFrames": ""}, "bad_pixel_description", id="empty frame count"),
        pytest.param({"BitsAllocated": 7}, "bad_pixel_description", id="7 bits allocated"),
        pytest.param({"BitsStored": 17}, "bad_pixel_description", id="more stored than allocated"),
        pytest.param({"BitsAllocated": 32}, "unsupported_image", id="32 bits"),
        pytest.param({"HighBit": 15}, "unsupported_image", id="high bit elsewhere"),
        pytest.param({"SamplesPerPixel": 3}, "bad_pixel_description", id="grey of 3 samples"),
        pytest.param({"PhotometricInterpretation": "RGB"}, "bad_pixel_description", id="1 RGB"),
        pytest.param({"PixelRepresentation": 2}, "bad_pixel_description", id="no such sign"),
        pytest.param({"Columns": 9}, "truncated", id="fewer pixels than described"),
        pytest.param({"NumberOfFrames": 2}, "truncated", id="fewer frames than described"),
    ],
)
def test_impossible_pixel_descriptions_are_refused(change: dict[str, object], code: str) -> None:
    assert code_of(ct(**change)) == code


def test_a_frame_count_in_scientific_notation_is_refused() -> None:
    data = ct(NumberOfFrames=1000).replace(b"IS\x04\x001000", b"IS\x04\x001e9 ")
    assert code_of(data) == "bad_pixel_description"


def compressed(frame: bytes, syntax: str, **elements: object) -> bytes:
    made = dataset(PixelData=encapsulate([frame]), **elements)
    made["PixelData"].VR = "OB"
    made["PixelData"].is_undefined_length = True
    return to_bytes(made, syntax=syntax)


def j2k(rows: int, columns: int) -> bytes:
    """Return the first markers of a JPEG 2000 codestream."""
    siz = struct.pack(">HIIIIIIIIH", 0, columns, rows, 0, 0, columns, rows, 0, 0, 1)
    return b"\xff\x4f\xff\x51" + struct.pack(">H", len(siz) + 5) + siz + b"\x0f\x01\x01" * 10


@pytest.mark.parametrize(
    ("frame", "change", "code"),
    [
        (j2k(60_000, 60_000), {"Rows": 128, "Columns": 128}, "pixels_disagree"),
        (j2k(60_000, 60_000), {"Rows": 60_000, "Columns": 60_000}, "too_many_pixels"),
        (b"\x13\x37" * 100, {"Rows": 128, "Columns": 128}, "decode_failed"),
    ],
    ids=["large inside, small outside", "large in both", "random bytes"],
)
def test_a_compressed_frame_must_say_what_the_header_says(
    frame: bytes, change: dict[str, object], code: str
) -> None:
    assert code_of(compressed(frame, JPEG2000Lossless, **change)) == code


def test_compressed_frames_that_are_missing_are_refused() -> None:
    assert code_of(compressed(b"\0" * 80, RLELossless, NumberOfFrames=2)) == "truncated"


def test_ten_gigabytes_of_frames_are_refused() -> None:
    many = {"Rows": 4096, "Columns": 4096, "NumberOfFrames": 300}
    assert code_of(compressed(j2k(4096, 4096), JPEG2000Lossless, **many)) == "too_many_pixels"


def test_bytes_after_the_image_are_not_part_of_it() -> None:
    whole = ct()
    assert scan_dicom(whole + b"PK\x03\x04 a zip with names", LIMITS).end == len(whole)


def test_text_of_nested_items_is_found() -> None:
    item = Dataset()
    item.InstitutionName = "Klinik am Deich"
    found = scan_dicom(ct(RequestAttributesSequence=Sequence([item])), LIMITS).texts
    assert (0x00080080, "LO", b"Klinik am Deich ") in found


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        (b"\0" * 128 + b"DICM", "dicom"),
        (b"\x89PNG\r\n\x1a\n", "png"),
        (b"\xff\xd8\xff\xe0", "jpeg"),
        (b"PK\x03\x04", "zip"),
    ],
)
def test_kinds_are_told_by_their_first_bytes(head: bytes, kind: str) -> None:
    assert kind_of(head) == kind


@pytest.mark.parametrize(
    "head",
    [b"GIF89a", b"II*\0", b"RIFF....WEBP", b"<svg xmlns", b"8BPS", b"SIMPLE  =", b"....ftypheic"],
)
def test_other_pictures_are_refused_whatever_they_are_called(head: bytes) -> None:
    with pytest.raises(RefusedFileError) as refusal:
        kind_of(head)
    assert refusal.value.code == "not_dicom"
