"""Words that occur nowhere else, planted wherever a file can say something, and their search.

A token is a marker and a number. The search looks for the markers in every encoding a value
could have ended in, so that it also finds a token that was cut, folded or transcoded. Dates,
times, numbers and UIDs cannot carry a marker of letters: they have beginnings of their own.
Long: what is planted and how it is found again must be read side by side.
"""

import gzip
import re
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from io import BytesIO
from typing import Final
from urllib.parse import quote

import nibabel as nib
import numpy as np
from PIL import Image, ImageCms
from PIL.PngImagePlugin import PngInfo
from pydicom._dicom_dict import DicomDictionary

from tests.unit.intake.samples import CT_CLASS, SC_CLASS, US_CLASS, chunk, picture

WORD: Final = "QXZV"
NUMBER, TIME, UID = "7741", "031415.", "1.9.774.1."
FIRST_DAY: Final = date(1851, 1, 1)

TEXT_VRS: Final = frozenset(
    ["AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UN",
     "UR", "UT"]
)  # fmt: skip
LONG_VRS: Final = frozenset(
    ["OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"]
)
SPELT_BY_CHARSET: Final = frozenset(["LO", "LT", "PN", "SH", "ST", "UC", "UT"])
NEEDED: Final = frozenset(  # a token here makes the file no image at all, or another one
    [0x00080005, 0x00080016, 0x00080060, 0x00280004, 0x00280008, 0x00281052, 0x00281053]
)


@dataclass(frozen=True, slots=True)
class Charset:
    """A SpecificCharacterSet with a marker that is rare in it."""

    name: str
    codec: str
    marker: str


LATIN: Final = Charset("ISO_IR 100", "latin_1", "ÝþðÞ")
UTF_8: Final = Charset("ISO_IR 192", "utf_8", "ŻŐŘŰ")
JAPANESE: Final = Charset("\\ISO 2022 IR 87", "iso2022_jp", "鬱鷹鱈")
CHINESE: Final = Charset("GB18030", "gb18030", "龘靐齉")
CYRILLIC: Final = Charset("ISO_IR 144", "iso8859_5", "ЪыЩџ")
CHARSETS: Final = (LATIN, UTF_8, JAPANESE, CHINESE, CYRILLIC)


@dataclass
class Mint:
    """Makes tokens, each once, and remembers them."""

    words: list[str] = field(default_factory=list)
    dates: set[str] = field(default_factory=set)
    numbers: set[str] = field(default_factory=set)
    others: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.words) + len(self.dates) + len(self.numbers) + len(self.others)

    def word(self) -> str:
        self.words.append(f"{WORD}{len(self.words):05d}")
        return self.words[-1]

    def date(self) -> str:
        made = (FIRST_DAY + timedelta(days=len(self.dates))).strftime("%Y%m%d")
        self.dates.add(made)
        return made

    def number(self) -> str:
        self.numbers.add(made := f"{NUMBER}{len(self.numbers):05d}")
        return made

    def other(self, beginning: str) -> str:
        """Return a time, a UID or a word in letters of a character set."""
        self.others.append(f"{beginning}{len(self.others):06d}")
        return self.others[-1]

    def fitting(self, vr: str) -> str:
        """Return a token that a value representation allows, as far as one can be told apart."""
        match vr:
            case "DA":
                return self.date()
            case "DT":
                return self.date() + self.other(TIME)
            case "TM":
                return self.other(TIME)
            case "IS" | "DS":
                return self.number()
            case "UI":
                return self.other(UID)
            case "PN":
                return f"{self.word()}^{self.word()}^^Dr"
            case "UR":
                return f"https://example.org/{self.word()}"
            case _:
                return self.word()


@dataclass(frozen=True, slots=True)
class Form:
    """How a dataset is written."""

    syntax: str = "1.2.840.10008.1.2.1"
    implicit: bool = False
    order: str = "<"
    undefined: bool = False  # lengths of sequences and items

    def element(self, tag: int, vr: str, value: bytes) -> bytes:
        value += b"\0" * (len(value) % 2) if vr in ("UI", "OB", "UN") else b" " * (len(value) % 2)
        head = struct.pack(self.order + "HH", tag >> 16, tag & 0xFFFF)
        if self.implicit:
            return head + struct.pack(self.order + "I", len(value)) + value
        if vr in LONG_VRS:
            return head + vr.encode() + struct.pack(self.order + "HI", 0, len(value)) + value
        return head + vr.encode() + struct.pack(self.order + "H", len(value)) + value

    def number(self, tag: int, value: int) -> bytes:
        return self.element(tag, "US", struct.pack(self.order + "H", value))

    def sequence(self, tag: int, *items: bytes) -> bytes:
        written = b"".join(self._item(item) for item in items)
        if not self.undefined:
            return self.element(tag, "SQ", written)
        head = self.element(tag, "SQ", b"")
        end = struct.pack(self.order + "HHI", 0xFFFE, 0xE0DD, 0)
        return head[:-4] + b"\xff" * 4 + written + end

    def _item(self, item: bytes) -> bytes:
        if not self.undefined:
            return struct.pack(self.order + "HHI", 0xFFFE, 0xE000, len(item)) + item
        start = struct.pack(self.order + "HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)
        return start + item + struct.pack(self.order + "HHI", 0xFFFE, 0xE00D, 0)


Elements = dict[int, bytes]


def public(mint: Mint, form: Form, charset: Charset, *, depth: int) -> Elements:
    """Plant in every text element of the data dictionary, which is more than E.1-1 names.

    At depth 0 the values are of their kind; at 1 they are words whatever the element is for;
    at 3 they are in letters of the character set where that decides about the spelling.
    """
    made = {}
    for tag, (vr, *_) in sorted(DicomDictionary.items()):
        if vr not in TEXT_VRS or tag >> 16 in (0x0000, 0x0002, 0x7FE0) or tag in NEEDED:
            continue
        if depth == 3 and vr in SPELT_BY_CHARSET:
            text = mint.other(charset.marker)
        else:
            text = mint.fitting(vr) if depth == 0 else mint.word()
        if depth == 0 and vr == "PN":
            foreign = "^".join(mint.other(charset.marker) for _ in range(2))
            text = f"{text}={foreign}={foreign}"
        made[tag] = form.element(tag, vr, text.encode(charset.codec))
    return made


def everywhere(mint: Mint, form: Form, charset: Charset) -> Elements:
    """Plant at depth 0, 1 and 3, in every sequence, in private, unknown and binary elements."""
    elements = public(mint, form, charset, depth=0)
    for tag, (vr, *_) in sorted(DicomDictionary.items()):
        if vr == "SQ" and tag >> 16 != 0x5200:
            item = form.element(0x00081030, "LO", mint.word().encode())
            elements[tag] = form.sequence(tag, item + _private_of(mint, form))
        elif vr in ("OB", "OW", "OB or OW") and tag >> 16 not in (0x0002, 0x7FE0, 0xFFFC):
            elements[tag] = form.element(tag, "OB", mint.word().encode() * 2)
    once = joined(public(mint, form, charset, depth=1))
    elements[0x00081110] = form.sequence(0x00081110, once, _private_of(mint, form))
    thrice = joined(public(mint, form, charset, depth=3))
    for tag in (0x0040A730, 0x00081115, 0x00400275):
        thrice = form.sequence(tag, thrice)
    elements[0x00400275] = thrice
    return elements | _private(mint, form) | _graphics(mint, form) | _kept_groups(mint, form)


def _private(mint: Mint, form: Form) -> Elements:
    """Plant in a block, its creator's name, a block without one, and an unknown element."""
    tags = {0x00110010: "LO", 0x00111001: "LO", 0x00111002: "UN", 0x00111003: "PN",
            0x00131101: "LT", 0x0019100A: "UT", 0x00080009: "UN", 0x7FDF0010: "LO"}  # fmt: skip
    made = {tag: form.element(tag, vr, mint.word().encode()) for tag, vr in tags.items()}
    return made | {0x00111004: form.sequence(0x00111004, _private_of(mint, form))}


def _private_of(mint: Mint, form: Form) -> bytes:
    creator = form.element(0x00290010, "LO", mint.word().encode())
    return creator + form.element(0x00291008, "UN", mint.word().encode())


def _graphics(mint: Mint, form: Form) -> Elements:
    """Plant in every overlay and curve of the repeating groups, and in an icon."""
    made = {}
    for group in range(0x6000, 0x6020, 2):
        tags = {0x0022: "LO", 0x1500: "LO", 0x3000: "OW", 0x4000: "LT"}
        for number, vr in tags.items():
            tag = group << 16 | number
            made[tag] = form.element(tag, vr, mint.word().encode() * 2)
    for group in range(0x5000, 0x5020, 2):
        for number, vr in {0x0022: "LO", 0x2500: "LO", 0x3000: "OB"}.items():
            tag = group << 16 | number
            made[tag] = form.element(tag, vr, mint.word().encode() * 2)
    icon = form.number(0x00280010, 4) + form.element(0x7FE00010, "OB", mint.word().encode() * 2)
    return made | {0x00880200: form.sequence(0x00880200, icon)}


def _kept_groups(mint: Mint, form: Form) -> Elements:
    """Plant beside what is kept inside the functional groups, and in the kept elements."""
    measures = form.element(0x00180050, "DS", mint.number().encode())
    measures += form.element(0x00189318, "LO", mint.word().encode())
    voi = form.element(0x00281050, "DS", b"40") + form.element(0x00281051, "DS", b"400")
    voi += form.element(0x00281055, "LO", mint.word().encode())
    group = form.element(0x00080070, "LO", mint.word().encode())
    group += form.sequence(0x00289110, measures) + form.sequence(0x00289132, voi)
    return {tag: form.sequence(tag, group) for tag in (0x52009229, 0x52009230)}


def joined(elements: Elements) -> bytes:
    """Return elements in the order of their tags."""
    return b"".join(value for _, value in sorted(elements.items()))


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of image and how its file is written."""

    modality: str
    sop_class: str
    charset: Charset
    form: Form
    held: bool = False


KINDS: Final = (
    Kind("CT", CT_CLASS, UTF_8, Form()),
    Kind("MR", "1.2.840.10008.5.1.4.1.1.4", LATIN, Form("1.2.840.10008.1.2", implicit=True)),
    Kind("CR", "1.2.840.10008.5.1.4.1.1.1", JAPANESE, Form("1.2.840.10008.1.2.2", order=">")),
    Kind("US", US_CLASS, CHINESE, Form(undefined=True), held=True),
    Kind("OT", SC_CLASS, CYRILLIC, Form(), held=True),
)


def dicom(kind: Kind, mint: Mint, elements: Elements, *, frame: bytes = b"") -> bytes:
    """Return a file of 4 x 6 pixels, or of one compressed `frame` of 16 x 16 with 8 bits."""
    form, bits = kind.form, 8 if frame else 12
    rows, columns = (16, 16) if frame else (4, 6)
    needed = {0x00080016: form.element(0x00080016, "UI", kind.sop_class.encode()),
              0x00080005: form.element(0x00080005, "CS", kind.charset.name.encode()),
              0x00080060: form.element(0x00080060, "CS", kind.modality.encode()),
              0x00280004: form.element(0x00280004, "CS", b"MONOCHROME2")}  # fmt: skip
    numbers = {0x00280002: 1, 0x00280010: rows, 0x00280011: columns, 0x00280100: -(-bits // 8) * 8,
               0x00280101: bits, 0x00280102: bits - 1, 0x00280103: 0}  # fmt: skip
    needed |= {tag: form.number(tag, number) for tag, number in numbers.items()}
    kept = {tag: value for tag, value in elements.items() if tag < 0x7FE00010}
    pixels = np.arange(24, dtype=form.order + "u2").tobytes() + mint.word().encode() * 2
    body = joined(kept | needed)
    if frame:
        body += _encapsulated(frame, mint)
    else:
        body += form.element(0x7FE00010, "OW", pixels)
        body += form.element(0xFFFCFFFC, "OB", mint.word().encode() * 3)
    return preamble(mint) + b"DICM" + meta(mint, form.syntax) + body + mint.word().encode() * 9


def preamble(mint: Mint) -> bytes:
    """Return 128 bytes that name somebody."""
    return b"".join(mint.word().encode() for _ in range(14))[:128].ljust(128, b"\0")


def meta(mint: Mint, syntax: str) -> bytes:
    """Return a file meta with tokens in all that is free in it."""
    form = Form()
    words = {0x00020003: "UI", 0x00020012: "UI", 0x00020013: "SH", 0x00020016: "AE",
             0x00020017: "AE", 0x00020018: "AE", 0x00020026: "UR", 0x00020027: "UR",
             0x00020028: "UR", 0x00020100: "UI", 0x00020102: "OB"}  # fmt: skip
    made = {tag: form.element(tag, vr, mint.fitting(vr).encode()) for tag, vr in words.items()}
    made[0x00020010] = form.element(0x00020010, "UI", syntax.encode())
    return joined(made)


def _encapsulated(frame: bytes, mint: Mint) -> bytes:
    """Return pixel data of one frame, with a token in the place of the offset table's padding."""
    frame += b"\0" * (len(frame) % 2)
    item = struct.Struct("<HHI")
    return (
        struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF)
        + item.pack(0xFFFE, 0xE000, 0)
        + item.pack(0xFFFE, 0xE000, len(frame)) + frame
        + item.pack(0xFFFE, 0xE0DD, 0)
        + Form().element(0xFFFCFFFC, "OB", mint.word().encode())
    )  # fmt: skip


def icc_profile(mint: Mint) -> bytes:
    """Return a working colour profile whose description names somebody."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    at = profile.index(b"s\0R\0G\0B") if b"s\0R\0G\0B" in profile else len(profile) - 9
    word = mint.word().encode()
    return profile[:at] + word + profile[at + len(word) :] + mint.word().encode()


def exif(mint: Mint) -> Image.Exif:
    """Return a camera's notes: caption, artist, a place, and a small picture's bytes."""
    made = Image.Exif()
    for tag in (0x010E, 0x010F, 0x0110, 0x0131, 0x013B, 0x8298):
        made[tag] = mint.word()
    made.get_ifd(0x8825)[0x001B] = mint.word().encode()  # how the place was found
    made.get_ifd(0x8769)[0x9286] = b"ASCII\0\0\0" + mint.word().encode()
    return made


def jpeg(mint: Mint) -> bytes:
    """Return a JPEG with a comment, EXIF, XMP, a colour profile and bytes after its end."""
    image, buffer = picture("L", (16, 16)), BytesIO()
    image.save(buffer, "JPEG", quality=95, exif=exif(mint), comment=mint.word().encode(),
               icc_profile=icc_profile(mint))  # fmt: skip
    data = buffer.getvalue()
    xmp = b"http://ns.adobe.com/xap/1.0/\0<x>" + mint.word().encode() + b"</x>"
    photoshop = b"Photoshop 3.0\0" + mint.word().encode()
    extra = b"".join(
        b"\xff" + bytes([marker]) + struct.pack(">H", len(content) + 2) + content
        for marker, content in ((0xE1, xmp), (0xED, photoshop), (0xFE, mint.word().encode()))
    )
    return data[:2] + extra + data[2:] + mint.word().encode() * 2


def jpeg_2000(mint: Mint) -> bytes:
    """Return a JPEG 2000 codestream with a comment."""
    buffer = BytesIO()
    picture("L", (16, 16)).save(buffer, "JPEG2000", no_jp2=True, comment=mint.word().encode())
    return buffer.getvalue()


def volume(mint: Mint) -> bytes:
    """Return a packed NIfTI volume with words in every place that has room for some."""
    image = nib.Nifti1Image(np.arange(60, dtype=np.int16).reshape(3, 4, 5), np.eye(4))
    for name in ("descrip", "aux_file", "intent_name", "db_name", "data_type"):
        image.header[name] = mint.word().encode()
    for code, text in ((6, mint.word()), (4, f"<AFNI>{mint.word()}</AFNI>")):
        image.header.extensions.append(nib.nifti1.Nifti1Extension(code, text.encode()))
    packed = gzip.compress(image.to_bytes() + mint.word().encode() * 3, mtime=0)
    extra = mint.word().encode()
    notes = struct.pack("<H", len(extra)) + extra
    notes += f"{mint.word()}.nii\0{mint.word()}\0".encode()
    return packed[:3] + b"\x1c" + packed[4:10] + notes + packed[10:] + mint.word().encode()


def png(mint: Mint) -> bytes:
    """Return a PNG with every kind of text chunk, EXIF, a profile, and bytes after its end."""
    notes, buffer = PngInfo(), BytesIO()
    notes.add_text("Author", mint.word())
    notes.add_text("Comment", mint.word(), zip=True)
    notes.add_itxt("Title", mint.word() + mint.other(UTF_8.marker), "en", mint.word())
    notes.add_itxt("Source", mint.word(), zip=True)
    picture("RGB").save(
        buffer, "PNG", pnginfo=notes, exif=exif(mint), icc_profile=icc_profile(mint)
    )
    data = buffer.getvalue()
    unknown = chunk(b"naMe", mint.word().encode()) + chunk(b"tIME", mint.word().encode()[:7])
    return data[:33] + unknown + data[33:] + b"PK\x03\x04" + mint.word().encode()


def spellings() -> Iterator[tuple[str, bytes]]:
    """Yield every way a marker could be spelt in bytes, in lower case, with a name for it."""
    ascii_markers = (WORD, TIME, UID)
    for marker in ascii_markers:
        yield marker, marker.lower().encode()
        yield f"{marker} in hexadecimal", marker.encode().hex().encode()
        yield f"{marker} in hexadecimal, lower", marker.lower().encode().hex().encode()
    for charset in CHARSETS:
        marker = charset.marker
        for text in {marker, marker.lower()}:
            codecs = ("utf_8", "utf_16_le", "utf_16_be", charset.codec)
            for codec in codecs:
                raw = text.encode(codec, "ignore")
                if len(raw) >= 4:
                    yield f"{charset.name} as {codec}", raw.lower()
                    yield f"{charset.name} as {codec}, misread", _misread(raw)
            escaped = "".join(f"\\u{ord(letter):04x}" for letter in text)
            yield f"{charset.name} escaped", escaped.encode()
            yield f"{charset.name} quoted", quote(text).lower().encode()
            entities = "".join(f"&#{ord(letter)};" for letter in text)
            yield f"{charset.name} as entities", entities.encode()


def _misread(raw: bytes) -> bytes:
    """Return bytes as they are after a program took them for Latin-1 and wrote UTF-8."""
    return raw.decode("latin_1").encode().lower()


SPELLINGS: Final = tuple(spellings())
_DATE: Final = re.compile(rb"18[5-9]\d-?[01]\d-?[0-3]\d")
_NUMBER: Final = re.compile(NUMBER.encode() + rb"\d{5}")
_RUN: Final = re.compile(rb"[0-9a-f]+")
_DIGEST: Final = 20  # digits on end that are a hash or one of our own UIDs


def found_in(data: bytes, mint: Mint) -> set[str]:
    """Return the names of what was found in some bytes."""
    hits = set()
    lower = data.lower()
    for text in (lower, lower.replace(b"\0", b"")):  # the second as if it were UTF-16 or 32
        hits |= {name for name, spelling in SPELLINGS if spelling in text}
        for pattern, planted in ((_DATE, mint.dates), (_NUMBER, mint.numbers)):
            hits |= {
                "a date or number"
                for match in pattern.finditer(text)
                if match[0].replace(b"-", b"").decode() in planted and not _in_digest(text, match)
            }
    return hits


def _in_digest(text: bytes, match: re.Match[bytes]) -> bool:
    """Tell whether a match is a part of a long run of digits."""
    start = max(0, match.start() - _DIGEST)
    window = text[start : match.end() + _DIGEST]
    return any(
        run.start() <= match.start() - start < run.end() and len(run[0]) >= _DIGEST
        for run in _RUN.finditer(window)
    )


def unpacked(data: bytes) -> Iterable[bytes]:
    """Return some bytes and, of a PNG, what its chunks hold compressed."""
    yield data
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        packed, at = b"", 8
        while at < len(data):
            (length,) = struct.unpack_from(">I", data, at)
            if data[at + 4 : at + 8] == b"IDAT":
                packed += data[at + 8 : at + 8 + length]
            at += 12 + length
        yield zlib.decompress(packed)
