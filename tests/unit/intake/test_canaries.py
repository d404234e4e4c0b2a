"""Unique words planted wherever a header can hold text: none may be in what is written."""

from collections.abc import Iterator
from typing import Final

import numpy as np
import pytest
from PIL import Image
from pydicom._dicom_dict import DicomDictionary

from storage.intake.compose import Rebuilt
from tests.unit.intake.samples import (
    CT_CLASS,
    DX_CLASS,
    SC_CLASS,
    US_CLASS,
    chunk,
    element,
    picture,
    picture_bytes,
    planted,
    rebuilt,
    sequence,
)

MR_CLASS: Final = "1.2.840.10008.5.1.4.1.1.4"
KINDS: Final = [
    (CT_CLASS, "CT"),
    (MR_CLASS, "MR"),
    (DX_CLASS, "DX"),
    (US_CLASS, "US"),
    (SC_CLASS, "OT"),
]
TEXT: Final = frozenset(
    [
        "AE",
        "AS",
        "CS",
        "DA",
        "DS",
        "DT",
        "IS",
        "LO",
        "LT",
        "PN",
        "SH",
        "ST",
        "TM",
        "UC",
        "UI",
        "UN",
        "UR",
        "UT",
    ]
)
NEEDED: Final = frozenset(  # a canary here makes the file no image at all
    [0x00080016, 0x00080060, 0x00281052, 0x00281053, 0x00280008, 0x00280004]
)
CANARY: Final = b"CNRY"


def canaries() -> Iterator[bytes]:
    number = 0
    while True:
        yield CANARY + b"%05d" % number
        number += 1


def public_elements(words: Iterator[bytes]) -> dict[int, bytes]:
    """Plant a canary in every text element of the data dictionary."""
    return {
        tag: element(tag, vr, next(words))
        for tag, (vr, *_) in sorted(DicomDictionary.items())
        if vr in TEXT and tag >> 16 not in (0x0000, 0x0002, 0x0004, 0x7FE0) and tag not in NEEDED
    }


def private_elements(words: Iterator[bytes]) -> dict[int, bytes]:
    """Plant canaries in a private block, its creator's name, and a block without creator."""
    tags = {0x00110010: "LO", 0x00111001: "LO", 0x00111002: "UN", 0x00111003: "PN",
            0x00131101: "LT", 0x0019100A: "UT"}  # fmt: skip
    return {tag: element(tag, vr, next(words)) for tag, vr in tags.items()}


def graphics(words: Iterator[bytes]) -> dict[int, bytes]:
    """Plant canaries in overlays 6000 and 601E, in a curve and in an icon."""
    tags = {0x60000022: "LO", 0x60001500: "LO", 0x60003000: "OW", 0x60004000: "LT",
            0x601E1500: "LO", 0x50000022: "LO", 0x50003000: "OB"}  # fmt: skip
    made = {tag: element(tag, vr, next(words) * 3) for tag, vr in tags.items()}
    icon = element(0x00280010, "US", b"\4\0") + element(0x7FE00010, "OB", next(words) * 2)
    return made | {0x00880200: sequence(0x00880200, icon)}


def assert_none_left(made: Rebuilt) -> None:
    for written in (made.dicom, made.pixels, repr(made.facts).encode()):
        for spelling in (CANARY, CANARY.decode().encode("utf-16-le"), CANARY.lower()):
            assert spelling not in written


@pytest.mark.parametrize(("sop_class", "modality"), KINDS)
def test_no_canary_of_thousands_is_left(sop_class: str, modality: str) -> None:
    words = canaries()
    elements = public_elements(words) | private_elements(words) | graphics(words)
    once = b"".join(value for _, value in sorted(public_elements(words).items()))
    once += b"".join(value for _, value in sorted(private_elements(words).items()))
    elements[0x00081110] = sequence(0x00081110, once)
    thrice = sequence(0x00081115, sequence(0x0008114A, once.replace(b"CNRY0", b"CNRY9")))
    elements[0x00400275] = sequence(0x00400275, thrice)
    assert int(next(words)[4:]) > 5000
    assert_none_left(rebuilt(planted(sop_class, modality, elements)))


def test_canaries_in_kept_sequences_are_dropped() -> None:
    words = canaries()
    inner = b"".join(value for _, value in sorted(public_elements(words).items()))
    group = sequence(0x00289110, element(0x00189318, "LO", next(words)) + inner)
    elements = {0x52009229: sequence(0x52009229, inner[:0] + group)}
    made = rebuilt(planted(CT_CLASS, "CT", elements))
    assert_none_left(made)


def test_canaries_around_the_dataset_are_gone() -> None:
    whole = planted(CT_CLASS, "CT", {})
    meta = element(0x00020016, "AE", CANARY) + element(0x00020102, "OB", CANARY * 4)
    crowded = CANARY.ljust(128, b"\0") + whole[128:]
    crowded = crowded[:132] + crowded[132:160] + meta + crowded[160:]
    assert whole[160:162] == b"\x08\0"  # where the dataset begins
    made = rebuilt(crowded + CANARY * 100)
    assert_none_left(made)
    assert made.dicom[:132] == b"\0" * 128 + b"DICM"


def test_canaries_beyond_the_last_pixel_are_gone() -> None:
    long = element(0x7FE00010, "OW", np.arange(24, dtype="<u2").tobytes() + CANARY * 9)
    whole = planted(CT_CLASS, "CT", {})
    made = rebuilt(whole[: whole.index(b"\xe0\x7f\x10\x00OW")] + long)
    assert_none_left(made)
    assert len(made.pixels) == 48


def test_canaries_in_unused_high_bits_are_gone() -> None:
    pixels = (np.arange(24, dtype="<u2") | 0xF000).tobytes()
    whole = planted(CT_CLASS, "CT", {})
    start = whole.index(b"\xe0\x7f\x10\x00OW") + 12
    made = rebuilt(whole[:start] + pixels)
    assert np.frombuffer(made.pixels, "<u2").max() == 23


def test_no_canary_of_a_png_is_left() -> None:
    plain = picture_bytes(picture("L"))
    texts = chunk(b"tEXt", b"Author\0" + CANARY) + chunk(b"eXIf", b"MM\0*" + CANARY * 3)
    texts += chunk(b"iTXt", b"Name\0\0\0\0\0" + CANARY)
    data = plain[:33] + texts + plain[33:] + b"PK\x03\x04" + CANARY
    made = rebuilt(data)
    assert_none_left(made)
    assert made.pixels == np.asarray(picture("L")).tobytes()


def test_no_canary_of_a_jpeg_is_left() -> None:
    exif = Image.Exif()
    exif[0x010E], exif[0x013B] = "CNRY in a caption", "CNRY an artist"
    data = picture_bytes(picture("L", (16, 16)), "JPEG", exif=exif, comment=CANARY) + CANARY
    assert data.count(CANARY) >= 4
    assert_none_left(rebuilt(data))


def test_no_canary_in_a_compressed_frame_is_left() -> None:
    frame = picture_bytes(picture("L", (16, 16)), "JPEG", comment=CANARY)
    frame += b"\0" * (len(frame) % 2)
    numbers = {0x00280010: 16, 0x00280011: 16, 0x00280100: 8, 0x00280101: 8, 0x00280102: 7}
    whole = planted(CT_CLASS, "CT", {})
    for tag, number in numbers.items():
        whole = replaced(whole, element(tag, "US", number.to_bytes(2, "little")))
    start = whole.index(b"\xe0\x7f\x10\x00OW")
    items = b"\xfe\xff\x00\xe0\0\0\0\0\xfe\xff\x00\xe0" + len(frame).to_bytes(4, "little") + frame
    pixels = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + items + b"\xfe\xff\xdd\xe0\0\0\0\0"
    syntax = b"1.2.840.10008.1.2.4.50"
    whole = whole[:start] + pixels
    meta = element(0x00020010, "UI", syntax)
    made = rebuilt(whole[:132] + meta + whole[whole.index(b"\x08\x00\x16\x00") :])
    assert_none_left(made)
    assert made.facts.lossy


def replaced(whole: bytes, value: bytes) -> bytes:
    """Return a file with a 16-bit number replaced."""
    at = whole.index(value[:6])
    return whole[:at] + value + whole[at + len(value) :]
