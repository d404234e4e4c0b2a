"""Bytes of a question's images and volumes to what a family prepares."""

import hashlib
import io
from typing import cast

import numpy as np
from PIL import Image, UnidentifiedImageError

from inference.errors import RequestRefusedError
from inference.families.base import Volume
from inference.worker.nifti import read_nifti

MAX_PIXELS = 64 * 10**6
MAX_SIDE = 10_000  # pixels: padded to a square, as some families do, 0.3 GB
MAX_RATIO = 100  # longer to shorter side: scaled by the shorter one, 34 MB
FORMATS = ("PNG", "JPEG")
_UNREADABLE = (
    UnidentifiedImageError,
    Image.DecompressionBombError,
    OSError,
    SyntaxError,
    ValueError,
)
NPY_MAGIC = b"\x93NUMPY"


def digest(data: bytes) -> str:
    """Return the content hash by which an image is found again."""
    return hashlib.sha256(data).hexdigest()


def read_image(data: bytes) -> Image.Image:
    """Open a PNG or JPEG, in the mode it was stored in.

    Raises:
        RequestRefusedError: it is neither, is damaged, or so large or so long and thin that
            preparing it would take memory from everybody.
    """
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        if image.width * image.height > MAX_PIXELS:
            raise RequestRefusedError("The image has more than 64 million pixels.")
        long, short = max(image.size), min(image.size)
        if long > MAX_SIDE or long > MAX_RATIO * short:
            raise RequestRefusedError(
                f"The image is too long: at most {MAX_SIDE:,} pixels on a side, and at most "
                f"{MAX_RATIO} times the other side."
            )
        image.load()
    except _UNREADABLE as error:
        raise RequestRefusedError("The image cannot be read; PNG and JPEG can.") from error
    return image


def read_volume(data: bytes) -> Volume:
    """Open a volume [D, H, W] in HU: NIfTI-1, gzipped or not, or a NumPy array.

    A NumPy array of uint8 [1, 32, H, W] is passed on as already windowed and resized.

    Raises:
        RequestRefusedError: it is none of these, or damaged.
    """
    if not data.startswith(NPY_MAGIC):
        return read_nifti(data)
    try:
        array = np.load(io.BytesIO(data), allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        raise RequestRefusedError("The volume is not a readable NumPy array.") from error
    prepared = array.dtype == np.uint8 and array.ndim == 4
    if not prepared and (array.ndim != 3 or array.dtype.kind not in "if"):
        raise RequestRefusedError("A volume is [D, H, W] in HU, or uint8 [1, 32, H, W].")
    return cast("Volume", array)
