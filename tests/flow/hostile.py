"""Hostile and unlucky files by the number of their row, each with what must become of it.

Long, but one list, looked up by number.
"""

import gzip
import io
import random
import stat
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
from PIL import Image
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from tests.flow.canaries import KINDS, UTF_8, Mint, dicom, everywhere, jpeg, png, volume
from tests.unit.intake.samples import (
    BUNDLED,
    DX_CLASS,
    SC_CLASS,
    US_CLASS,
    bundled,
    chunk,
    ct,
    dataset,
    element,
    film,
    nifti,
    picture,
    picture_bytes,
    planted,
    sequence,
    to_bytes,
)

ADMITTED, HELD = "admitted", "held"
CLASS: Final = "1.2.840.10008.5.1.4.1.1."
EXPLICIT: Final = b"1.2.840.10008.1.2.1\0"


@dataclass(frozen=True, slots=True)
class Row:
    """One input; `expected` is an outcome, or the code of a refusal.

    `pixels` are what an accepted file must show, as the bytes that are served.
    """

    number: int
    name: str
    data: Callable[[], bytes]
    expected: str
    pixels: Callable[[], bytes] | None = None
    mint: Mint | None = None  # whose tokens must be in nothing that is kept

    @property
    def id(self) -> str:
        return f"row-{self.number:02d} {self.name}"


HOUNSFIELD: Final = (np.arange(24) - 1024).astype("<i2").tobytes()
COUNTING: Final = np.arange(24, dtype="<u2").tobytes()


def grey() -> bytes:
    return np.asarray(picture("L")).tobytes()


def spliced(elements: bytes, data: bytes | None = None) -> bytes:
    """Return a slice with raw bytes before its patient's name."""
    whole = ct() if data is None else data
    at = whole.index(b"\x10\x00\x10\x00PN")
    return whole[:at] + elements + whole[at:]


def in_syntax(syntax: bytes, body: bytes | None = None) -> bytes:
    """Return a slice that claims another transfer syntax."""
    whole = ct()
    value = syntax + b"\0" * (len(syntax) % 2)
    old = b"UI" + struct.pack("<H", 20) + EXPLICIT
    changed = whole.replace(old, b"UI" + struct.pack("<H", len(value)) + value, 1)
    if body is None:
        return changed
    return changed[: changed.index(b"\x08\x00\x16\x00UI")] + body


def deflated(body: bytes) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return in_syntax(b"1.2.840.10008.1.2.1.99", packer.compress(body) + packer.flush())


def compressed(frames: list[bytes], syntax: str, **elements: Any) -> bytes:  # noqa: ANN401
    made = dataset(PixelData=encapsulate(frames), **elements)
    made["PixelData"].VR, made["PixelData"].is_undefined_length = "OB", True
    return to_bytes(made, syntax=syntax)


def siz(rows: int, columns: int) -> bytes:
    """Return the first markers of a JPEG 2000 codestream."""
    body = struct.pack(">HIIIIIIIIH", 0, columns, rows, 0, 0, columns, rows, 0, 0, 1)
    return b"\xff\x4f\xff\x51" + struct.pack(">H", len(body) + 5) + body + b"\x0f\x01\x01" * 10


def large_j2k() -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (4096, 4096), 90).save(buffer, "JPEG2000", no_jp2=True)
    eight = {"Rows": 4096, "Columns": 4096, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7,
             "RescaleSlope": None, "RescaleIntercept": None, "RescaleType": None}  # fmt: skip
    return compressed([buffer.getvalue()], JPEG2000Lossless, **eight)


def rle_bomb(side: int) -> bytes:
    """Return a frame whose segments claim a few bytes of so many pixels."""
    head = struct.pack("<16I", 2, 64, 80, *[0] * 13)
    return compressed([head + b"\x81\x00" * 16], RLELossless, Rows=side, Columns=side)


def nested(depth: int, *, closed: bool = True) -> bytes:
    opening = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
    opening += struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
    closing = struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return spliced(opening * depth + closing * depth * closed)


def million_items() -> bytes:
    items = struct.pack("<HHI", 0xFFFE, 0xE000, 0) * 1_000_000
    return spliced(struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, len(items)) + items)


def longer_than_the_file() -> bytes:
    data = ct()
    at = data.index(b"\x10\x00\x10\x00PN")
    return data[: at + 6] + b"\xff\xff" + data[at + 8 :]


def unlimited_text() -> bytes:
    return spliced(struct.pack("<HH2sHI", 0x0008, 0x0119, b"UT", 0, 0xFFFFFFFE) + b"x" * 10)


def implicit_body() -> bytes:
    return bundled("SC_rgb_jpeg.dcm")


def without_group_length(data: bytes) -> bytes:
    at = data.index(b"\x02\x00\x00\x00UL")
    return data[:at] + data[at + 12 :]


def name_as(vr: str) -> Callable[[], bytes]:
    def made() -> bytes:
        mint = NAMES
        if vr == "SQ":
            name = sequence(0x00100010, element(0x00100010, "PN", mint.word().encode()))
        else:
            name = element(0x00100010, vr, mint.word().encode())
        return planted(DX_CLASS, "DX", {0x00100010: name})

    return made


def with_words(*tags: tuple[int, str]) -> Callable[[], bytes]:
    def made() -> bytes:
        values = {tag: element(tag, vr, NAMES.word().encode()) for tag, vr in tags}
        return planted(DX_CLASS, "DX", values)

    return made


NAMES: Final = Mint()


def everything() -> bytes:
    kind = KINDS[0]
    return dicom(kind, NAMES, everywhere(NAMES, kind.form, UTF_8))


def compressed_with_names() -> bytes:
    frame = jpeg(NAMES)
    eight = {"Rows": 16, "Columns": 16, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    return compressed([frame], JPEGBaseline8Bit, **eight)


def nifti_bomb() -> bytes:
    """Return a packed volume of 300 MB of nothing."""
    voxels = np.zeros((4, 4, 4), np.int16)
    header = bytearray(nifti(voxels, np.eye(4))[:352])
    header[40:56] = struct.pack("<8h", 3, 512, 512, 600, 1, 1, 1, 1)
    return gzip.compress(bytes(header) + bytes(300_000_000), 1)


def zipped(members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def many_entries() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(20_000):
            archive.writestr(zipfile.ZipInfo(str(number)), b"")
    return buffer.getvalue()


def zip_of_a_link() -> bytes:
    link, buffer = zipfile.ZipInfo("link"), io.BytesIO()
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(link, "/etc/passwd")
    return buffer.getvalue()


def encrypted_zip() -> bytes:
    data = bytearray(zipped({"a.dcm": ct()}))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    return bytes(data)


def zip_of_twins() -> bytes:
    return zipped({"a.dcm": ct(), "A.DCM": ct()})


def head() -> bytes:
    """Return a zip of 200 slices of a head, a millimetre apart."""
    slices = {
        f"{number}.dcm": ct(
            BodyPartExamined="HEAD", SOPInstanceUID=f"1.2.3.9.{number}", InstanceNumber=number,
            ImagePositionPatient=[0, 0, number], StudyInstanceUID="1.2.3.9",
        )
        for number in range(1, 201)
    }  # fmt: skip
    return zipped(slices)


def cine() -> bytes:
    return ct(SOPClassUID=US_CLASS, Modality="US", NumberOfFrames=40, RescaleSlope=None,
              RescaleIntercept=None, RescaleType=None,
              PixelData=np.arange(24 * 40, dtype="<u2").tobytes())  # fmt: skip


def huge_png(side: int) -> bytes:
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes(side // 8 + 1) * 10)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def text_bomb() -> bytes:
    plain = picture_bytes(picture("L"))
    bomb = chunk(b"zTXt", b"Comment\0\0" + zlib.compress(bytes(50_000_000)))
    return plain[:33] + bomb + plain[33:]


def wrong_checksum() -> bytes:
    data = bytearray(picture_bytes(picture("L")))
    data[data.index(b"IDAT") + 6] ^= 0x40
    return bytes(data)


def other_picture(form: str) -> Callable[[], bytes]:
    def made() -> bytes:
        buffer = io.BytesIO()
        image = picture("L")
        more = {"save_all": True, "append_images": [image] * 1999} if form == "GIF" else {}
        image.save(buffer, form, **more)
        return buffer.getvalue()

    return made


def png_in(mode: str) -> bytes:
    return picture_bytes(picture(mode))


def colours_of(mode: str) -> bytes:
    return np.asarray(picture(mode).convert("RGB")).tobytes()


def object_of(ending: str) -> Callable[[], bytes]:
    return lambda: ct(SOPClassUID=CLASS + ending, PixelData=None, PatientName="Not^Kept")


def dicomdir_that_climbs() -> bytes:
    record = element(0x00041500, "CS", b"..\\..\\etc\\passwd")
    return planted("1.2.840.10008.1.3.10", "", {0x00041220: sequence(0x00041220, record)})


def rescale(slope: bytes) -> bytes:
    elements = {0x00281053: element(0x00281053, "DS", slope),
                0x00281052: element(0x00281052, "DS", b"0")}  # fmt: skip
    return planted(DX_CLASS, "DX", elements)


def windows() -> bytes:
    elements = {0x00281050: element(0x00281050, "DS", b"NaN"),
                0x00281051: element(0x00281051, "DS", b"0")}  # fmt: skip
    return planted(DX_CLASS, "DX", elements)


def charset(name: bytes) -> Callable[[], bytes]:
    def made() -> bytes:
        return planted(DX_CLASS, "DX", {0x00080005: element(0x00080005, "CS", name),
                       0x00100010: element(0x00100010, "PN", b"\xff\xfe\x1b$B")})  # fmt: skip

    return made


def preamble(beginning: bytes) -> Callable[[], bytes]:
    return lambda: beginning.ljust(128, b"\0") + ct()[128:]


def rows() -> Iterator[Row]:
    """Yield every row that concerns files and archives."""
    bad, many = "bad_pixel_description", "too_many_pixels"
    for number, name, start in (
        (1, "Windows program", b"MZ\x90"), (2, "Unix program", b"\x7fELF\2"),
        (3, "PDF", b"%PDF-1.7"), (4, "web page", b"<html><script>"),
    ):  # fmt: skip
        yield Row(number, name, preamble(start), "suspicious_preamble")
    yield Row(5, "TIFF preamble", preamble(b"II*\0\x08\0\0\0"), ADMITTED, lambda: HOUNSFIELD)
    yield Row(6, "ZIP after the image", lambda: ct() + zipped({NAMES.word(): b"x"}), ADMITTED,
              lambda: HOUNSFIELD, NAMES)  # fmt: skip
    yield Row(7, "preamble with a name", lambda: preamble(NAMES.word().encode())(), ADMITTED,
              lambda: HOUNSFIELD, NAMES)  # fmt: skip
    syntax = "unsupported_transfer_syntax"
    yield Row(8, "deflated", lambda: deflated(ct()[300:]), syntax)
    yield Row(9, "deflate bomb", lambda: deflated(bytes(200_000_000)), syntax)
    large = {"Rows": 65535, "Columns": 65535}
    yield Row(10, "65535 squared", lambda: ct(**large), many)
    yield Row(11, "two billion frames", lambda: ct(NumberOfFrames=2147483647), many)
    yield Row(12, "minus one frame", lambda: ct(NumberOfFrames=-1), bad)
    yield Row(12, "no frame count", lambda: ct(NumberOfFrames=""), bad)
    frames = ct(NumberOfFrames=1000).replace(b"IS\x04\x001000", b"IS\x04\x001e9 ")
    yield Row(12, "1e9 frames", lambda: frames, bad)
    yield Row(13, "RLE bomb", lambda: rle_bomb(65535), many)
    yield Row(13, "RLE bomb within the limits", lambda: rle_bomb(8192), "decode_failed")
    yield Row(14, "large JPEG 2000", large_j2k, ADMITTED, lambda: b"\x5a" * 4096 * 4096)
    yield Row(15, "JPEG 2000 of 60000 squared",
              lambda: compressed([siz(60000, 60000)], JPEG2000Lossless, Rows=60000, Columns=60000),
              many)  # fmt: skip
    yield Row(16, "JPEG 2000 larger than its header",
              lambda: compressed([siz(60000, 60000)], JPEG2000Lossless, Rows=128, Columns=128),
              "pixels_disagree")  # fmt: skip
    yield Row(17, "10 GB of frames",
              lambda: compressed([siz(4096, 4096)], JPEG2000Lossless, Rows=4096, Columns=4096,
                                 NumberOfFrames=300), many)  # fmt: skip
    yield Row(18, "JPEG 2000 of random bytes",
              lambda: compressed([random.Random(1).randbytes(600)], JPEG2000Lossless),  # noqa: S311
              "decode_failed")  # fmt: skip
    eight = {"BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    yield Row(19, "JPEG of another size",
              lambda: compressed([picture_bytes(picture("L", (16, 16)), "JPEG")], JPEGBaseline8Bit,
                                 **eight), "pixels_disagree")  # fmt: skip
    yield Row(20, "half a file", lambda: bundled("CT_small.dcm")[:19_000], "truncated")
    yield Row(21, "header only", lambda: ct()[:300], "truncated")
    yield Row(21, "empty", lambda: b"", "empty_file")
    yield Row(21, "random bytes", lambda: random.Random(2).randbytes(5_000), "not_dicom")  # noqa: S311
    yield Row(22, "longer than the file", longer_than_the_file, "truncated")
    yield Row(23, "text of 4 GB", unlimited_text, "truncated")
    yield Row(24, "nested 500 deep", lambda: nested(500), "too_complex")
    yield Row(25, "nested 50,000 deep", lambda: nested(50_000), "too_complex")
    yield Row(26, "3,000 unclosed", lambda: nested(3_000, closed=False), "too_complex")
    yield Row(27, "a million items", million_items, "too_complex")
    yield Row(28, "7 bits", lambda: ct(BitsAllocated=7), bad)
    yield Row(28, "more stored than allocated", lambda: ct(BitsStored=17), bad)
    yield Row(29, "grey of three samples", lambda: ct(SamplesPerPixel=3), bad)
    yield Row(30, "slope 1e308", lambda: rescale(b"1E308"), "bad_rescale")
    yield Row(31, "impossible window", windows, ADMITTED, lambda: COUNTING)
    yield Row(32, "unknown syntax", lambda: in_syntax(b"1.2.3.4.5"), syntax)
    yield Row(33, "implicit body", implicit_body, "malformed")
    yield Row(34, "big endian", lambda: bundled("MR_small_bigendian.dcm"), ADMITTED)
    yield Row(34, "no group length", lambda: without_group_length(film()), ADMITTED,
              lambda: COUNTING)  # fmt: skip
    odd = struct.pack("<HH2sH", 0x0008, 0x1030, b"LO", 3) + b"odd"
    yield Row(34, "odd length", lambda: spliced(odd, film()), ADMITTED, lambda: COUNTING)
    yield Row(35, "50 character sets", charset(b"\\".join([b"ISO_IR 100"] * 50)), ADMITTED,
              lambda: COUNTING)  # fmt: skip
    yield Row(35, "unknown character set", charset(b"KLINGON"), ADMITTED, lambda: COUNTING)
    twice = element(0x00100010, "PN", b"Another^Name")
    yield Row(36, "second name", lambda: spliced(twice), "malformed")
    for vr in ("UN", "OB", "SQ"):
        yield Row(37, f"name as {vr}", name_as(vr), ADMITTED, lambda: COUNTING, NAMES)
    yield Row(38, "names in closed terms",
              with_words((0x00180015, "CS"), (0x00180060, "DS"), (0x00080008, "CS")), ADMITTED,
              lambda: COUNTING, NAMES)  # fmt: skip
    yield Row(39, "names in descriptions",
              with_words((0x0008103E, "LO"), (0x00181030, "LO"), (0x00204000, "LT")), ADMITTED,
              lambda: COUNTING, NAMES)  # fmt: skip
    yield Row(40, "rows 40 to 46 and 48 to 50 at once", everything, ADMITTED, lambda: COUNTING,
              NAMES)  # fmt: skip
    yield Row(47, "names inside a JPEG frame", compressed_with_names, ADMITTED, None, NAMES)
    report, document = "structured_report", "encapsulated_document"
    yield Row(51, "report", object_of("88.33"), report)
    for name, ending in (("PDF", "104.1"), ("CDA", "104.2"), ("STL", "104.3")):
        yield Row(52, f"encapsulated {name}", object_of(ending), document)
    for name, ending, code in (
        ("plan", "481.5", "radiotherapy_object"), ("structures", "481.3", "radiotherapy_object"),
        ("presentation", "11.1", "presentation_state"), ("ECG", "9.1.1", "waveform"),
    ):  # fmt: skip
        yield Row(53, name, object_of(ending), code)
    yield Row(54, "DICOMDIR", (BUNDLED / "dicomdirtests" / "DICOMDIR").read_bytes, "dicomdir")
    yield Row(54, "DICOMDIR that climbs", dicomdir_that_climbs, "dicomdir")
    yield Row(55, "thin slices of a head", head, HELD)
    yield Row(56, "ultrasound", lambda: ct(SOPClassUID=US_CLASS, Modality="US"), HELD)
    yield Row(57, "film scan", lambda: ct(SOPClassUID=SC_CLASS, ConversionType="DF"), HELD)
    yield Row(58, "ultrasound cine of 40 frames", cine, HELD)
    yield Row(63, "text declared", lambda: film(BurnedInAnnotation="YES"), HELD)
    yield Row(63, "text denied", lambda: ct(SOPClassUID=SC_CLASS, BurnedInAnnotation="NO"), HELD)
    yield Row(64, "PNG of 30k squared", lambda: huge_png(30_000), many)
    yield Row(64, "PNG of 13k squared", lambda: huge_png(13_000), many)
    yield Row(65, "PNG text bomb", text_bomb, HELD, grey)
    yield Row(65, "PNG with names", lambda: png(NAMES), HELD, None, NAMES)
    whole = picture_bytes(picture("L"))
    yield Row(66, "PNG with a ZIP behind", lambda: whole + zipped({NAMES.word(): b"x"}), HELD,
              grey, NAMES)  # fmt: skip
    yield Row(66, "half a PNG", lambda: whole[: len(whole) // 2], "truncated")
    yield Row(66, "PNG with a wrong checksum", wrong_checksum, "damaged_image")
    svg = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"
    heads = {"SVG": svg, "HEIC": b"\0\0\0\x18ftypheic" + bytes(40), "PSD": b"8BPS\0\1" + bytes(40),
             "FITS": b"SIMPLE  =                    T".ljust(2880)}  # fmt: skip
    for name, data in heads.items():
        yield Row(67, f"{name} named PNG", partial(bytes, data), "not_dicom")
    for form in ("GIF", "TIFF", "WEBP"):
        yield Row(67, f"{form} named PNG", other_picture(form), "not_dicom")
    yield Row(68, "JPEG with names", lambda: jpeg(NAMES), HELD, None, NAMES)
    yield Row(69, "16-bit PNG", lambda: picture_bytes(picture("I;16")), HELD,
              lambda: np.asarray(picture("I;16")).astype("<u2").tobytes())  # fmt: skip
    for mode in ("P", "RGBA"):
        yield Row(69, f"PNG in {mode}", partial(png_in, mode), HELD,
                  partial(colours_of, mode))  # fmt: skip
    yield Row(70, "zip bomb", lambda: zipped({"a": bytes(300_000_000)}, zipfile.ZIP_DEFLATED),
              "archive_bomb")  # fmt: skip
    yield Row(70, "gzip bomb in a NIfTI", nifti_bomb, "archive_bomb")
    yield Row(70, "NIfTI with names", lambda: volume(NAMES), HELD, None, NAMES)
    yield Row(70, "zip in a zip", lambda: zipped({"a.zip": zipped({"b": ct()})}), "archive_nested")
    yield Row(70, "too many entries", many_entries, "archive_too_many_entries")
    for name, member in (
        ("traversal", "../../etc/x"), ("absolute", "/etc/passwd"), ("backslash", "..\\..\\x"),
    ):  # fmt: skip
        yield Row(71, f"zip with {name}", partial(zipped, {member: ct()}), "archive_traversal")
    yield Row(71, "zip with a link", zip_of_a_link, "archive_symlink")
    yield Row(71, "zip with twins", zip_of_twins, "archive_duplicate")
    yield Row(71, "encrypted zip", encrypted_zip, "archive_encrypted")


ROWS: Final = tuple(rows())
HOSTILE_NAMES: Final = {
    "markup": "<img src=x onerror=alert(1)>.dcm",
    "traversal": "../../QXZV x.dcm",
    "long": "QXZV" + "x" * 396,
    "right to left": "QXZV\u202egpj.exe",
    "device": "CON",
    "name and number": "QXZV^Ottilie MRN-7741902.dcm",
    "formula": '=HYPERLINK("http://QXZV")',
    "NUL": "QXZV\0.dcm",
}
