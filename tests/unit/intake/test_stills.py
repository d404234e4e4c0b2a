"""PNG and JPEG pictures: pixels kept, all else dropped, damage refused."""

import struct
import zlib
from io import BytesIO

import numpy as np
import pydicom
import pytest
from PIL import Image

from storage.intake.refusals import RefusedFileError
from tests.unit.intake.samples import chunk, picture, picture_bytes, rebuilt


def code_of(data: bytes) -> str:
    with pytest.raises(RefusedFileError) as refusal:
        rebuilt(data)
    return refusal.value.code


def test_every_picture_is_held() -> None:
    assert rebuilt(picture_bytes(picture("L"))).facts.held == ("pixels_unattested",)


def test_a_picture_becomes_a_secondary_capture_object() -> None:
    made = pydicom.dcmread(BytesIO(rebuilt(picture_bytes(picture("L"))).dicom))
    assert made.SOPClassUID == "1.2.840.10008.5.1.4.1.1.7"
    assert made.ConversionType == "WSD"
    assert np.array_equal(made.pixel_array, np.asarray(picture("L")))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_eight_bit_pixels_are_equal(mode: str) -> None:
    image = picture(mode)
    made = rebuilt(picture_bytes(image))
    expected = np.asarray(image.convert("RGB"))
    shape = (made.facts.rows, made.facts.columns, made.facts.samples)
    pixels = np.frombuffer(made.pixels, np.uint8).reshape(shape)
    assert (pixels == expected).all()


def test_sixteen_bit_pixels_are_equal() -> None:
    image = picture("I;16")
    made = rebuilt(picture_bytes(image))
    assert made.facts.dtype == "uint16"
    assert made.pixels == np.asarray(image).astype("<u2").tobytes()


def test_grey_stored_as_colour_is_grey() -> None:
    grey = picture("L")
    made = rebuilt(picture_bytes(grey.convert("RGB")))
    assert made.facts.samples == 1
    assert made.pixels == np.asarray(grey).tobytes()


def test_an_interlaced_png_is_read() -> None:
    grey = np.asarray(picture("L", (8, 8)))
    rows = b"".join(
        b"\0" + grey[y0::dy, x0::dx][row].tobytes()
        for y0, x0, dy, dx in [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4),
                               (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]
        for row in range(len(grey[y0::dy, x0::dx]))
    )  # fmt: skip
    header = struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 1)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header)
    data += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    assert rebuilt(data).pixels == grey.tobytes()


def test_the_same_picture_is_the_same_patient_and_study() -> None:
    one, again = (rebuilt(picture_bytes(picture("L"))).facts for _ in range(2))
    other = rebuilt(picture_bytes(picture("L", (9, 9)))).facts
    assert (one.patient_key, one.study_key) == (again.patient_key, again.study_key)
    assert one.patient_key != other.patient_key


def test_a_photograph_is_turned_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned by a quarter
    made = rebuilt(picture_bytes(picture("L", (16, 8)), "JPEG", exif=exif))
    assert (made.facts.rows, made.facts.columns) == (16, 8)
    assert made.facts.lossy


@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
@pytest.mark.parametrize("form", ["PNG", "JPEG"])
def test_a_picture_cut_off_is_refused(form: str, share: float) -> None:
    whole = picture_bytes(picture("L", (64, 64)), form)
    assert code_of(whole[: int(len(whole) * share)]) == "truncated"


def test_a_png_with_a_wrong_checksum_is_refused() -> None:
    data = bytearray(picture_bytes(picture("L")))
    data[data.index(b"IDAT") + 6] ^= 0x40
    assert code_of(bytes(data)) == "damaged_image"


@pytest.mark.parametrize("side", [30_000, 13_000])
def test_a_png_of_too_many_pixels_is_refused(side: int) -> None:
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(side // 8 + 1) * 10)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows)
    assert code_of(data + chunk(b"IEND", b"")) == "too_many_pixels"


def test_a_jpeg_of_too_many_pixels_is_refused() -> None:
    data = bytearray(picture_bytes(picture("L", (16, 16)), "JPEG"))
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", 60_000, 60_000)
    assert code_of(bytes(data)) == "too_many_pixels"


def test_compressed_text_is_never_expanded() -> None:
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50_000_000)))
    plain = picture_bytes(picture("L"))
    assert rebuilt(plain[:33] + bomb + plain[33:]).pixels == rebuilt(plain).pixels


def test_a_png_of_garbage_inside_good_chunks_is_refused() -> None:
    header = struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", b"not zlib at all")
    assert code_of(data + chunk(b"IEND", b"")) == "damaged_image"


def test_a_png_that_does_not_begin_with_its_header_is_refused() -> None:
    assert code_of(b"\x89PNG\r\n\x1a\n" + chunk(b"IDAT", b"") + chunk(b"IEND", b"")) == (
        "damaged_image"
    )
