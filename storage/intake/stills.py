"""Turn a PNG or JPEG into a Secondary Capture object, keeping nothing but its pixels.

Runs in the decoding child. The chunks of a PNG are checked here and only those that make the
picture are shown to Pillow, so that compressed text and profiles are never even expanded.
"""

import hashlib
import struct
import warnings
import zlib
from collections.abc import Callable
from io import BytesIO
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from pydicom.dataset import Dataset

from storage.imaging.pixels import Frames
from storage.intake.codestream import frame_size
from storage.intake.compose import Rebuilt, compose
from storage.intake.limits import Limits
from storage.intake.rebuild import Given, Wanted
from storage.intake.refusals import RefusedFileError

_SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
_NEEDED_CHUNKS: Final = frozenset([b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"])
_NAMES: Final = ("instance", "series", "study")


def rebuild_still(
    data: bytes, kind: str, limits: Limits, ask: Callable[[Wanted], Given]
) -> Rebuilt:
    """Rebuild a picture as a one-frame Secondary Capture object.

    Its identity is its content: the same picture gets the same UIDs and is its own patient.

    Args:
        data: The file.
        kind: `png` or `jpeg`.
        limits: Bounds on rows and columns.
        ask: Gets pseudonyms from the parent.

    Raises:
        RefusedFileError: `truncated`, `damaged_image`, `too_many_pixels` or `decode_failed`.
    """
    checked = _needed_chunks(data, limits) if kind == "png" else _checked_jpeg(data, limits)
    pixels = _decode(checked)
    digest = hashlib.sha256(data).hexdigest()
    names = {name: f"picture/{digest}/{name}" for name in _NAMES}
    given = ask(Wanted(tuple(names.values()), f"picture/{digest}"))
    clean = Dataset()
    clean.SOPClassUID = _SECONDARY_CAPTURE
    clean.Modality, clean.ConversionType = "OT", "WSD"
    clean.ImageType = ["DERIVED", "SECONDARY"]
    for keyword in ("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName",
                    "PatientBirthDate", "PatientSex", "StudyID", "SeriesNumber",
                    "InstanceNumber", "PatientOrientation"):  # fmt: skip
        setattr(clean, keyword, None)
    clean.StudyInstanceUID = given.uids[names["study"]]
    clean.SeriesInstanceUID = given.uids[names["series"]]
    clean.SOPInstanceUID = given.uids[names["instance"]]
    if kind == "jpeg":
        clean.LossyImageCompression = "01"
    frames = Frames(pixels[np.newaxis], inverted=False, bits=pixels.dtype.itemsize * 8)
    return compose(clean, frames, patient=given.patient, found=set())


def _needed_chunks(data: bytes, limits: Limits) -> bytes:
    """Return a PNG of only those chunks that make its picture, each one's CRC checked."""
    kept, at, last = [data[:8]], 8, b""
    while last != b"IEND":
        if at + 12 > len(data):
            raise RefusedFileError("truncated")
        (length,) = struct.unpack_from(">I", data, at)
        last, end = data[at + 4 : at + 8], at + 12 + length
        if end > len(data):
            raise RefusedFileError("truncated")
        if at == 8:
            _check_size(data, last, length, limits)
        if last in _NEEDED_CHUNKS:
            (expected,) = struct.unpack_from(">I", data, end - 4)
            if zlib.crc32(data[at + 4 : end - 4]) != expected:
                raise RefusedFileError("damaged_image")
            kept.append(data[at:end])
        at = end
    return b"".join(kept)


def _check_size(data: bytes, chunk: bytes, length: int, limits: Limits) -> None:
    """Check the width and height of a PNG's first chunk."""
    if chunk != b"IHDR" or length != 13:
        raise RefusedFileError("damaged_image")
    width, height = struct.unpack_from(">II", data, 16)
    _within(height, width, limits)


def _checked_jpeg(data: bytes, limits: Limits) -> bytes:
    """Return a JPEG up to its end marker after checking the size it claims."""
    size = frame_size(data)
    if size is None:
        raise RefusedFileError("truncated")
    _within(size[0], size[1], limits)
    end = data.rfind(b"\xff\xd9")
    if end < 0:
        raise RefusedFileError("truncated")
    return data[: end + 2]


def _within(rows: int, columns: int, limits: Limits) -> None:
    """Refuse pictures of no or too many pixels."""
    if min(rows, columns) < 1:
        raise RefusedFileError("bad_pixel_description")
    if max(rows, columns) > limits.side:
        raise RefusedFileError("too_many_pixels")


def _decode(data: bytes) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """Return (rows, columns) grey or (rows, columns, 3) RGB, upright, without alpha."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            opened = Image.open(BytesIO(data), formats=("PNG", "JPEG"))
            image: Image.Image = ImageOps.exif_transpose(opened)
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise RefusedFileError("too_many_pixels") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, struct.error):
        raise RefusedFileError("damaged_image") from None
    if image.mode.startswith("I"):
        return np.asarray(image).astype(np.uint16)
    if image.mode in ("1", "L", "LA"):
        return np.asarray(image.convert("L"))
    colour = np.asarray(image.convert("RGB"))
    grey = colour[..., 0]
    return grey if (colour == grey[..., np.newaxis]).all() else colour
