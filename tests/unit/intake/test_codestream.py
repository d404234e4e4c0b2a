"""What compressed frames say of their size."""

import struct
from io import BytesIO

import pydicom
import pytest
from pydicom.encaps import generate_frames
from pydicom.pixels.decoders.base import _PIXEL_DATA_DECODERS
from pydicom.uid import DeflatedExplicitVRLittleEndian, JPEG2000Lossless

from storage.intake.codestream import WHOLE_SPECTRUM, frame_size, misstated_scan
from storage.intake.scan import SYNTAXES
from tests.unit.intake.samples import (
    BUNDLED,
    bundled,
    dataset,
    picture,
    picture_bytes,
    rebuilt,
    to_bytes,
)

SIZ = struct.pack(">HHHIIIIIIIIH", 0xFF51, 41, 0, 300, 200, 10, 5, 300, 200, 0, 0, 3)
J2K = b"\xff\x4f" + SIZ + b"\x07\x01\x01" * 3
JP2 = b"\x00\x00\x00\x0cjP  \r\n\x87\n" + struct.pack(">I", 20) + b"ftypjp2 " + bytes(8)


def sof(marker: int, rows: int, columns: int, samples: int) -> bytes:
    return struct.pack(">BBHBHHB", 0xFF, marker, 8 + 3 * samples, 8, rows, columns, samples)


@pytest.mark.parametrize(
    ("head", "size"),
    [
        pytest.param(J2K, (195, 290, 3), id="JPEG 2000 with an offset"),
        pytest.param(JP2 + struct.pack(">I", 0) + b"jp2c" + J2K, (195, 290, 3), id="in a box"),
        pytest.param(
            JP2 + struct.pack(">I", 1) + b"jp2c" + bytes(8) + J2K, (195, 290, 3), id="long box"
        ),
        pytest.param(b"\xff\xd8" + sof(0xC0, 20, 30, 1), (20, 30, 1), id="JPEG baseline"),
        pytest.param(b"\xff\xd8" + sof(0xC3, 20, 30, 3), (20, 30, 3), id="JPEG lossless"),
        pytest.param(b"\xff\xd8" + sof(0xF7, 20, 30, 1), (20, 30, 1), id="JPEG-LS"),
        pytest.param(
            b"\xff\xd8\xff\xff\xff\xd0\xff\xfe\0\6text" + sof(0xC1, 9, 8, 1), (9, 8, 1),
            id="after fill bytes, a restart marker and a comment",
        ),
        pytest.param(b"\xff\xd8\xff\xc4\0\4ab" + sof(0xC1, 9, 8, 1), (9, 8, 1), id="after tables"),
    ],
)  # fmt: skip
def test_rows_columns_and_samples_are_read(head: bytes, size: tuple[int, int, int]) -> None:
    assert frame_size(head) == size


@pytest.mark.parametrize(
    "head",
    [b"", b"\x13\x37" * 50, J2K[:30], b"\xff\xd8", b"\xff\xd8\xff\xc0\0\x0b\x08", JP2,
     b"\xff\xd8\x00\x00\x00\x00", JP2 + struct.pack(">I", 3) + b"free" + J2K,
     b"\xff\xd8\xff\xfe\0\0" * 2],
)  # fmt: skip
def test_what_does_not_say_has_no_size(head: bytes) -> None:
    assert frame_size(head) is None


def test_pillow_writes_what_is_read() -> None:
    assert frame_size(picture_bytes(picture("RGB", (40, 24)), "JPEG")) == (24, 40, 3)


def test_a_real_jp2_file_in_dicom_is_read() -> None:
    assert rebuilt(bundled("GDCMJ2K_TextGBR.dcm")).facts.rows == 400


def test_a_constant_image_may_be_compressed_a_thousandfold() -> None:
    made = dataset(Rows=1024, Columns=1024, PixelData=b"\x07\x00" * 1024 * 1024)
    to_bytes(made)  # sets the transfer syntax that `compress` starts from
    made.compress(JPEG2000Lossless, generate_instance_uid=False)
    data = to_bytes(made, syntax=JPEG2000Lossless)
    assert len(data) < 10_000
    assert set(rebuilt(data).pixels) == {(7 - 1024) & 0xFF, (7 - 1024) >> 8 & 0xFF}


def test_a_scan_that_names_no_spectrum_is_found() -> None:
    frame = next(generate_frames(pydicom.dcmread(BUNDLED / "JPEG-lossy.dcm").PixelData))
    place = misstated_scan(frame)
    assert place is not None
    assert frame[place - 7 : place + 3] == bytes.fromhex("ffda0008010100000000")
    assert misstated_scan(frame[:place] + WHOLE_SPECTRUM + frame[place + 3 :]) is None
    assert misstated_scan(frame[: place + 2]) is None


def test_a_progressive_scan_may_name_a_part_of_the_spectrum() -> None:
    buffer = BytesIO()
    picture("L", (16, 16)).save(buffer, "JPEG", progressive=True)
    assert misstated_scan(buffer.getvalue()) is None


def test_every_syntax_that_pydicom_decodes_here_is_read_but_the_deflated_one() -> None:
    decoded = {uid for uid, (decoder, *_) in _PIXEL_DATA_DECODERS.items() if decoder.is_available}
    assert decoded - SYNTAXES == {DeflatedExplicitVRLittleEndian}  # refused by policy
