"""Look at a file's bytes and decide whether a decoder may see them at all.

This runs before any library parses the file, takes time in proportion to its header, and
refuses what is not an image of a kind and size that Overread reads.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from storage.intake.codestream import frame_size, misstated_scan
from storage.intake.limits import Limits
from storage.intake.nifti import BEGINNINGS, GZIP
from storage.intake.refusals import RefusedFileError
from storage.intake.walk import PIXEL_DATA, Element, walk

_CLASS: Final = "1.2.840.10008.5.1.4.1.1."
IMAGE_CLASSES: Final = frozenset(
    _CLASS + ending
    for ending in (
        "1", "1.1", "1.1.1", "1.2", "1.2.1", "1.3", "1.3.1",  # CR, DX, mammography, intra-oral
        "2", "2.1", "2.2", "4", "4.1", "4.4",  # CT, MR; enhanced; legacy converted
        "3", "3.1", "6", "6.1",  # ultrasound
        "7", "7.2", "7.3", "7.4",  # secondary capture
        "12.1", "12.2", "12.1.1", "12.2.1", "20", "128", "128.1", "130",  # XA, RF, NM, PET
        "77.1.1", "77.1.2", "77.1.4", "77.1.5.1",  # endoscopy, microscopy, photography, fundus
    )
)  # fmt: skip
_OTHER_CLASSES: Final = {  # the first that fits
    "1.2.840.10008.1.3.10": "dicomdir",
    _CLASS + "104.": "encapsulated_document",
    _CLASS + "88.": "structured_report",
    _CLASS + "481.": "radiotherapy_object",
    _CLASS + "9.": "waveform",
    _CLASS + "11.": "presentation_state",
}
_IMPLICIT, _BIG_ENDIAN = "1.2.840.10008.1.2", "1.2.840.10008.1.2.2"
_NATIVE: Final = frozenset([_IMPLICIT, "1.2.840.10008.1.2.1", _BIG_ENDIAN])
_RLE: Final = "1.2.840.10008.1.2.5"
_JPEG_FAMILY: Final = frozenset(
    "1.2.840.10008.1.2.4." + ending
    for ending in ("50", "51", "57", "70", "80", "81", "90", "91", "201", "202", "203")
)
SYNTAXES: Final = _NATIVE | _JPEG_FAMILY | {_RLE}
_SEQUENTIAL_JPEG: Final = frozenset(["1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"])
_BAD_BEGINNINGS: Final = (b"MZ", b"\x7fELF", b"PK\x03\x04", b"#!", b"\xca\xfe\xba\xbe",
                          b"\xcf\xfa\xed\xfe", b"\xfe\xed\xfa", b"Rar!", b"7z\xbc\xaf")  # fmt: skip
_BAD_ANYWHERE: Final = (b"%pdf", b"<html", b"<!doctype", b"<script", b"<svg", b"<?xml", b"<?php")
_TEXT_VRS: Final = frozenset(
    ["AE", "DA", "DT", "LO", "LT", "PN", "SH", "ST", "UC", "UI", "UN", "UR", "UT"]
)
_TEXT_BYTES: Final = 4096  # of one value, for the tripwire
_GREY: Final = ("MONOCHROME1", "MONOCHROME2", "PALETTE COLOR")
_COLOUR: Final = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
_SOP_CLASS, _FRAMES, _SAMPLES, _PHOTOMETRIC = 0x00080016, 0x00280008, 0x00280002, 0x00280004
_ROWS, _COLUMNS, _ALLOCATED, _STORED = 0x00280010, 0x00280011, 0x00280100, 0x00280101
_HIGH, _SIGNED = 0x00280102, 0x00280103
_FIRST_OF_A_DATASET: Final = 0x00010000  # pydicom reads group 0000 by rules of its own
_WANTED: Final = frozenset([_SOP_CLASS, _FRAMES, _SAMPLES, _PHOTOMETRIC, _ROWS, _COLUMNS,
                            _ALLOCATED, _STORED, _HIGH, _SIGNED])  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scanned:
    """What the scan found in a DICOM file that may be decoded.

    Attributes:
        sop_class: SOP Class UID.
        transfer_syntax: Transfer Syntax UID.
        end: First byte after the pixel data; what follows is not part of the image.
        texts: Tag, value representation and raw value of every text element at any depth.
        misstated: Where `WHOLE_SPECTRUM` must be written before a JPEG frame can be decoded.
    """

    sop_class: str
    transfer_syntax: str
    end: int
    texts: tuple[tuple[int, str, bytes], ...]
    misstated: tuple[int, ...] = ()


def kind_of(head: bytes) -> str:
    """Tell by its first 132 bytes what a file is: `dicom`, `png`, `jpeg`, `nifti` or `zip`.

    What is packed with gzip counts as `nifti`: nothing else that is read here comes so.

    Raises:
        RefusedFileError: `empty_file` or `not_dicom`.
    """
    if not head:
        raise RefusedFileError("empty_file")
    if head[128:132] == b"DICM":
        return "dicom"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "png"
    if head.startswith(b"\xff\xd8\xff"):
        return "jpeg"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return "zip"
    if head.startswith(GZIP) or head[:4] in BEGINNINGS:
        return "nifti"
    raise RefusedFileError("not_dicom")


def scan_dicom(data: bytes, limits: Limits) -> Scanned:
    """Check a DICOM file's structure, class, transfer syntax and pixel description.

    Raises:
        RefusedFileError: with the code that says why.
    """
    if kind_of(data[:132]) != "dicom":
        raise RefusedFileError("not_dicom")
    _check_preamble(data[:128])
    texts: list[tuple[int, str, bytes]] = []
    syntax, media_class, start = _file_meta(data, limits, texts)
    _check_class(media_class)
    if syntax not in SYNTAXES:
        raise RefusedFileError("unsupported_transfer_syntax")
    big_endian = syntax == _BIG_ENDIAN
    values: dict[int, bytes] = {}
    pixels = None
    elements = walk(data, start, implicit=syntax == _IMPLICIT, big_endian=big_endian, limits=limits)
    for element in elements:
        if element.tag < _FIRST_OF_A_DATASET and element.depth == 0:
            raise RefusedFileError("malformed")
        if element.tag == PIXEL_DATA and element.depth == 0:
            pixels = element
        elif element.depth == 0 and element.tag in _WANTED:
            values[element.tag] = data[element.start : element.end]
        elif element.vr in _TEXT_VRS:
            _keep_text(texts, data, element)
    sop_class = _text(values.get(_SOP_CLASS, b"")) or media_class
    _check_class(sop_class)
    if sop_class not in IMAGE_CLASSES or pixels is None:
        raise RefusedFileError("not_an_image")
    if pixels.start - start > limits.header_bytes:
        raise RefusedFileError("too_complex")
    _check_pixels(data, _Description.of(values, big_endian=big_endian), pixels, syntax, limits)
    misstated = tuple(_misstated(data, pixels)) if syntax in _SEQUENTIAL_JPEG else ()
    return Scanned(sop_class, syntax, pixels.end, tuple(texts), misstated)


@dataclass(frozen=True, slots=True)
class _Description:
    """The image pixel module (PS3.3 C.7.6.3), as numbers."""

    rows: int
    columns: int
    frames: int
    samples: int
    allocated: int
    stored: int
    high: int
    signed: int
    photometric: str

    @classmethod
    def of(cls, values: dict[int, bytes], *, big_endian: bool) -> "_Description":
        """Read the numbers out of raw values."""
        order = ">H" if big_endian else "<H"

        def number(tag: int) -> int:
            value = values.get(tag, b"")
            if len(value) != 2:
                raise RefusedFileError("bad_pixel_description")
            return int(struct.unpack(order, value)[0])

        frames = _text(values[_FRAMES]) if _FRAMES in values else "1"
        if not frames.isdecimal() or len(frames) > 12:
            raise RefusedFileError("bad_pixel_description")
        photometric = _text(values.get(_PHOTOMETRIC, b""))
        return cls(number(_ROWS), number(_COLUMNS), int(frames), number(_SAMPLES),
                   number(_ALLOCATED), number(_STORED), number(_HIGH), number(_SIGNED),
                   photometric)  # fmt: skip

    @property
    def frame_bytes(self) -> int:
        """Bytes of one decoded frame."""
        return self.rows * self.columns * self.samples * self.allocated // 8


def _check_preamble(preamble: bytes) -> None:
    """Refuse files that are something else as well; a TIFF header is legal (PS3.10 7.1)."""
    lower = preamble.lower()
    if preamble.startswith(_BAD_BEGINNINGS) or any(mark in lower for mark in _BAD_ANYWHERE):
        raise RefusedFileError("suspicious_preamble")


def _file_meta(
    data: bytes, limits: Limits, texts: list[tuple[int, str, bytes]]
) -> tuple[str, str, int]:
    """Return transfer syntax, media storage class and where the dataset begins."""
    syntax = media_class = ""
    start = 132
    while start + 8 <= len(data) and data[start : start + 2] == b"\x02\x00":
        element = next(walk(data, start, implicit=False, big_endian=False, limits=limits), None)
        if element is None or element.tag >> 16 != 0x0002:
            raise RefusedFileError("malformed")
        start = element.end
        if element.tag == 0x00020010:
            syntax = _text(data[element.start : element.end])
        elif element.tag == 0x00020002:
            media_class = _text(data[element.start : element.end])
        elif element.vr in _TEXT_VRS:
            _keep_text(texts, data, element)
    if start == 132:
        raise RefusedFileError("truncated" if len(data) < 144 else "malformed")
    return syntax, media_class, start


def _check_class(sop_class: str) -> None:
    """Refuse what is known not to be an image by its own code."""
    for beginning, code in _OTHER_CLASSES.items():
        if sop_class.startswith(beginning):
            raise RefusedFileError(code)


def _check_pixels(
    data: bytes, image: _Description, pixels: Element, syntax: str, limits: Limits
) -> None:
    """Refuse pixel descriptions that contradict themselves, the limits or the pixel data."""
    if image.samples not in (1, 3) or image.photometric not in (
        _COLOUR if image.samples == 3 else _GREY
    ):
        raise RefusedFileError("bad_pixel_description")
    if 0 in (image.rows, image.columns, image.frames) or image.signed > 1:
        raise RefusedFileError("bad_pixel_description")
    if image.allocated % 8 or not 1 <= image.stored <= image.allocated:
        raise RefusedFileError("bad_pixel_description")
    if image.allocated not in (8, 16) or image.high != image.stored - 1:
        raise RefusedFileError("unsupported_image")
    if max(image.rows, image.columns) > limits.side or image.frames > limits.frames:
        raise RefusedFileError("too_many_pixels")
    if image.frame_bytes * image.frames > limits.decoded_bytes:
        raise RefusedFileError("too_many_pixels")
    if syntax in _NATIVE:
        shared = 2 / 3 if image.photometric == "YBR_FULL_422" else 1
        if pixels.fragments or pixels.length < int(image.frame_bytes * image.frames * shared):
            raise RefusedFileError("truncated")
    else:
        _check_fragments(data, image, pixels, syntax)


def _check_fragments(data: bytes, image: _Description, pixels: Element, syntax: str) -> None:
    """Refuse compressed frames that are missing or of another size than the header says."""
    fragments = pixels.fragments[1:]  # the first is the offset table
    if len(fragments) < image.frames:
        raise RefusedFileError("truncated")
    if syntax == _RLE:
        return
    sizes = [frame_size(data[start : start + min(length, 65_536)]) for start, length in fragments]
    if sizes[0] is None:
        raise RefusedFileError("decode_failed")
    expected = image.rows, image.columns, image.samples
    if any(size is not None and size != expected for size in sizes):
        raise RefusedFileError("pixels_disagree")


def _misstated(data: bytes, pixels: Element) -> Iterator[int]:
    """Yield the places of a file that a JPEG decoder needs to be put right."""
    for start, length in pixels.fragments[1:]:
        place = misstated_scan(data[start : start + min(length, 65_536)])
        if place is not None:
            yield start + place


def _keep_text(texts: list[tuple[int, str, bytes]], data: bytes, element: Element) -> None:
    """Remember a text value for the tripwire."""
    value = data[element.start : min(element.end, element.start + _TEXT_BYTES)]
    if element.vr != "UN" or value.rstrip(b"\0 ").isascii():
        texts.append((element.tag, element.vr, value))


def _text(value: bytes) -> str:
    """Return an ASCII value without padding; anything else becomes a word nothing matches."""
    return value.rstrip(b"\0 ").lstrip(b" ").decode("ascii", "replace")
