"""Read the little of a NIfTI file that is an image: sizes, numbers, where it lies.

Runs in the decoding child. The header is never parsed as a whole: the fields below are taken
by their place, everything else (descriptions, names of files, extensions, the sender's notes in
a gzip header) is only listed, so that the tripwire can look for it in what was written. How
much an archive unpacks to follows from the header, before it is unpacked.

Layouts: NIfTI-1 (348 bytes) and NIfTI-2 (540 bytes), single file, either byte order.
"""

import math
import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from storage.intake.limits import MB, Limits
from storage.intake.refusals import RefusedFileError

GZIP: Final = b"\x1f\x8b\x08"
BEGINNINGS: Final = {
    struct.pack(order + "i", size): (order, size) for order in "<>" for size in (348, 540)
}
_NUMBERS: Final = {  # name: (format, place) by size of the header
    348: {"dim": ("8i2", 40), "datatype": ("i2", 70), "pixdim": ("8f4", 76), "offset": ("f4", 108),
          "slope": ("f4", 112), "intercept": ("f4", 116), "units": ("u1", 123),
          "qform": ("i2", 252), "sform": ("i2", 254), "quatern": ("3f4", 256),
          "qoffset": ("3f4", 268), "srow": ("(3,4)f4", 280)},
    540: {"datatype": ("i2", 12), "dim": ("8i8", 16), "pixdim": ("8f8", 104), "offset": ("i8", 168),
          "slope": ("f8", 176), "intercept": ("f8", 184), "qform": ("i4", 344),
          "sform": ("i4", 348), "quatern": ("3f8", 352), "qoffset": ("3f8", 376),
          "srow": ("(3,4)f8", 400), "units": ("i4", 500)},
}  # fmt: skip
_WORDS: Final = {  # places of free text: data_type, db_name, descrip, aux_file, intent_name
    348: ((4, 10), (14, 18), (148, 80), (228, 24), (328, 16)),
    540: ((240, 80), (320, 24), (508, 16)),
}
_MAGIC: Final = {348: (344, b"n+1\0"), 540: (4, b"n+2\0\r\n\x1a\n")}
_DTYPES: Final = {2: "u1", 4: "i2", 8: "i4", 16: "f4", 64: "f8", 128: "u1", 256: "i1", 512: "u2",
                  768: "u4", 1024: "i8", 1280: "u8"}  # fmt: skip
_RGB: Final = 128
_MILLIMETRES: Final = {1: 1000.0, 2: 1.0, 3: 0.001}  # metre, millimetre, micrometre
_MOST_BEFORE_VOXELS: Final = 16 * MB  # header and extensions
_NEVER_A_BOMB: Final = 64 * MB  # unpacked
_PIECE: Final = MB
_TEXT: Final = re.compile(rb"[\x20-\x7e\x80-\xff]{4,4096}")
_TEXTS: Final = 10_000
_LONGEST_HEADER: Final = 540
_GZIP_FORMAT: Final = 31  # as zlib spells it
_LONGEST_NOTE: Final = 65_536


@dataclass(frozen=True, slots=True)
class Volume:
    """One volume as its file has it.

    Attributes:
        voxels: (i, j, k), or (i, j, k, 3) RGB uint8; in the file's own number format.
        slope: Voxel * slope + intercept is the value.
        intercept: See `slope`.
        affine: (3, 4) voxel index to mm towards left, back and head (DICOM's axes).
        placed: The file says where the volume lies; otherwise `affine` is a guess that must
            name no side of the patient.
        texts: What the file says in words, as `tripwire.tokens` takes it.
    """

    voxels: NDArray[Any]
    slope: float
    intercept: float
    affine: NDArray[np.float64]
    placed: bool
    texts: tuple[tuple[int, str, bytes], ...]


def read_nifti(data: bytes, limits: Limits) -> Volume:
    """Read a single-file NIfTI-1 or NIfTI-2 of one volume, gzipped or not.

    Raises:
        RefusedFileError: `not_dicom`, `truncated`, `damaged_image`, `bad_pixel_description`,
            `bad_rescale`, `too_many_pixels`, `too_complex`, `archive_bomb`, or
            `unsupported_image` for several volumes and for numbers that are no intensities.
    """
    header = bytes(_first(data, _LONGEST_HEADER))
    order, size = BEGINNINGS.get(header[:4], ("", 0))
    if not size:
        raise RefusedFileError("not_dicom")
    if len(header) < size:
        raise RefusedFileError("truncated")
    place, magic = _MAGIC[size]
    if header[place : place + len(magic)] != magic:
        raise RefusedFileError("not_dicom")
    fields = _fields(header[:size], order, size)
    shape, dtype, colour = _shape(fields, limits), _dtype(fields, order), fields["datatype"] == _RGB
    length = math.prod(shape) * dtype.itemsize * (3 if colour else 1)
    if length > limits.decoded_bytes:
        raise RefusedFileError("too_many_pixels")
    start = _start(fields, size)
    if start + length > max(_NEVER_A_BOMB, limits.archive_ratio * len(data)):
        raise RefusedFileError("archive_bomb" if data.startswith(GZIP) else "truncated")
    whole = _first(data, start + length)
    if len(whole) < start + length:
        raise RefusedFileError("truncated")
    stored = np.frombuffer(whole[start:], dtype)
    if colour:
        voxels = stored.reshape((3, *shape), order="F").transpose(1, 2, 3, 0)
    else:
        voxels = stored.reshape(shape, order="F")
    texts = tuple(_texts(data, bytes(whole[:start]), size))
    return Volume(voxels, *_scale(fields), *_affine(fields), texts)


def _first(data: bytes, length: int) -> memoryview:
    """Return the first bytes of the file behind its packing, fewer where it ends before.

    A checksum that follows them is checked; what comes after is not unpacked.
    """
    if not data.startswith(GZIP):
        return memoryview(data)[:length]
    result, filled = memoryview(bytearray(length)), 0
    member, packed, taken = zlib.decompressobj(_GZIP_FORMAT), b"", 0
    while filled < length or not member.eof:
        if len(packed) < len(GZIP):
            packed += data[taken : taken + _PIECE]
            taken += _PIECE
        if member.eof:
            if not packed.startswith(GZIP):
                break
            member = zlib.decompressobj(_GZIP_FORMAT)
        try:
            piece = member.decompress(packed, min(length - filled, _PIECE) or 1)
        except zlib.error:
            raise RefusedFileError("damaged_image") from None
        if filled == length and piece:
            break  # more than was asked for; the checksum comes after that
        result[filled : filled + len(piece)] = piece
        filled += len(piece)
        packed = member.unused_data if member.eof else member.unconsumed_tail
        if not piece and not packed and taken >= len(data):
            break
    return result[:filled]


def _fields(header: bytes, order: str, size: int) -> Any:  # noqa: ANN401 - a numpy record
    """Return the numbers of a header as one record."""
    layout = _NUMBERS[size]
    record = np.dtype(
        {
            "names": list(layout),
            "formats": [form for form, _ in layout.values()],
            "offsets": [place for _, place in layout.values()],
            "itemsize": size,
        }
    ).newbyteorder(order)  # type: ignore[arg-type] # "<" or ">"
    return np.frombuffer(header, record)[0]


def _shape(fields: Any, limits: Limits) -> tuple[int, int, int]:  # noqa: ANN401 - a numpy record
    """Return the voxels along i, j and k; files of several volumes are not read."""
    axes, *sizes = map(int, fields["dim"])
    if not 1 <= axes <= 7 or min(sizes[:axes]) < 1:
        raise RefusedFileError("bad_pixel_description")
    if any(more > 1 for more in sizes[3:axes]):
        raise RefusedFileError("unsupported_image")
    i, j, k = [*sizes[:axes], 1, 1][:3]
    if max(i, j, k) > limits.side:
        raise RefusedFileError("too_many_pixels")
    return i, j, k


def _dtype(fields: Any, order: str) -> "np.dtype[Any]":  # noqa: ANN401 - a numpy record
    """Return how a number is stored."""
    code = _DTYPES.get(int(fields["datatype"]))
    if code is None:
        raise RefusedFileError("unsupported_image")
    return np.dtype(order + code)


def _start(fields: Any, size: int) -> int:  # noqa: ANN401 - a numpy record
    """Return where the voxels begin."""
    offset = float(fields["offset"])
    if not math.isfinite(offset) or offset != int(offset) or offset < 0:
        raise RefusedFileError("malformed")
    if offset > _MOST_BEFORE_VOXELS:
        raise RefusedFileError("too_complex")
    return max(int(offset), size + 4)  # some writers leave 0, which means: after the header


def _scale(fields: Any) -> tuple[float, float]:  # noqa: ANN401 - a numpy record
    """Return slope and intercept; a slope of 0 or none at all means that there is no scaling."""
    slope, intercept = float(fields["slope"]), float(fields["intercept"])
    if slope == 0 or math.isnan(slope) or fields["datatype"] == _RGB:
        return 1.0, 0.0
    intercept = 0.0 if math.isnan(intercept) else intercept
    if not (math.isfinite(slope) and math.isfinite(intercept)):
        raise RefusedFileError("bad_rescale")
    return slope, intercept


def _affine(fields: Any) -> tuple[NDArray[np.float64], bool]:  # noqa: ANN401 - a numpy record
    """Return voxel index to mm in DICOM's axes, and whether the file says so."""
    to_mm = _MILLIMETRES.get(int(fields["units"]) & 7, 1.0)
    sizes = fields["pixdim"][1:4].astype(float)
    if fields["sform"] > 0:
        affine = fields["srow"].astype(float)
    elif fields["qform"] > 0:
        turned = _rotation(fields["quatern"].astype(float))
        sizes[2] *= -1 if fields["pixdim"][0] < 0 else 1
        affine = np.column_stack([turned * sizes, fields["qoffset"].astype(float)])
    else:
        sizes = np.where(np.isfinite(sizes) & (sizes > 0), sizes, 1.0)
        affine = np.column_stack([np.diag(sizes), np.zeros(3)])
    affine = affine * to_mm
    affine[:2] *= -1  # NIfTI counts towards right and front
    return affine, bool(fields["sform"] > 0 or fields["qform"] > 0)


def _rotation(quatern: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the rotation of a unit quaternion whose first part is left out."""
    b, c, d = quatern
    rest = 1.0 - float(b * b + c * c + d * d)
    if not math.isfinite(rest) or rest < -1e-3:
        raise RefusedFileError("bad_pixel_description")
    a = math.sqrt(max(0.0, rest))
    return np.array(
        [
            [a * a + b * b - c * c - d * d, 2 * (b * c - a * d), 2 * (b * d + a * c)],
            [2 * (b * c + a * d), a * a + c * c - b * b - d * d, 2 * (c * d - a * b)],
            [2 * (b * d - a * c), 2 * (c * d + a * b), a * a + d * d - b * b - c * c],
        ]
    )


def _texts(data: bytes, before: bytes, size: int) -> Iterator[tuple[int, str, bytes]]:
    """Yield what the file says in words: text fields, extensions, the gzip header's notes."""
    for place, length in _WORDS[size]:
        yield 0, "LT", before[place : place + length].split(b"\0")[0]
    beside = [before[size:], *_notes_of(data)]
    found = (match[0] for text in beside for match in _TEXT.finditer(text))
    yield from ((0, "LT", text) for text in islice(found, _TEXTS))


def _notes_of(data: bytes) -> Iterator[bytes]:
    """Yield the extra field, the file's name and the comment of a gzip header (RFC 1952)."""
    if not data.startswith(GZIP):
        return
    flags, at = data[3], 10
    if flags & 0x04:
        at += 2 + int.from_bytes(data[at : at + 2], "little")
        yield data[12:at]
    for flag in (0x08, 0x10):
        if flags & flag:
            end = data.find(b"\0", at, at + _LONGEST_NOTE)
            yield data[at:end] if end >= 0 else data[at : at + _LONGEST_NOTE]
            at = end + 1 if end >= 0 else at
