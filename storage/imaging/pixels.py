"""Decode a DICOM dataset into the arrays that are kept, served and shown.

Two arrays come out of each image. `stored` goes back into the rebuilt DICOM object; `served`
is what viewer and model read: after the modality rescale where 16 bits hold it exactly, so
that CT is in Hounsfield units, otherwise stored values with their slope and intercept.
"""

import math
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from storage.errors import UnsupportedImageError

GREY: Final = ("MONOCHROME1", "MONOCHROME2")


@dataclass(frozen=True, slots=True)
class Frames:
    """Decoded frames before any rescale.

    Attributes:
        stored: (frames, rows, columns) uint8, uint16 or int16; or (frames, rows, columns, 3)
            uint8 RGB for colour.
        inverted: True for MONOCHROME1: low values are shown bright.
        bits: BitsStored: how many bits of each value are used.
    """

    stored: NDArray[Any]
    inverted: bool
    bits: int

    @property
    def samples(self) -> int:
        """Samples a pixel: 1 grey, 3 RGB."""
        return 3 if self.stored.ndim == 4 else 1


@dataclass(frozen=True, slots=True)
class Served:
    """Frames as they are served: `values * slope + intercept` is in `units`."""

    values: NDArray[Any]
    slope: float
    intercept: float
    units: str

    @property
    def dtype(self) -> str:
        """`uint8`, `uint16` or `int16`."""
        return str(self.values.dtype.name)

    def to_bytes(self) -> bytes:
        """Return all frames as little-endian rows."""
        order = self.values.dtype.newbyteorder("<")
        return np.ascontiguousarray(self.values, dtype=order).tobytes()


def decode_frames(dataset: Dataset) -> Frames:
    """Decode every frame of an image.

    Bits above BitsStored are cleared or sign-extended: retired overlays live there, and they
    may hold words. YBR becomes RGB, a palette is looked up, 16-bit colour keeps its high byte.

    Args:
        dataset: Has the image pixel module (PS3.3 C.7.6.3) and its transfer syntax.

    Raises:
        UnsupportedImageError: a pixel layout that cannot be served in 16 bits.
    """
    photometric = str(dataset.PhotometricInterpretation)
    pixels = _as_they_lie(dataset) if photometric in GREY else None
    if pixels is None:
        pixels = pixel_array(dataset)
    if photometric == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, dataset)
    colour = photometric not in GREY
    frames = pixels if pixels.ndim == 4 - (not colour) else pixels[np.newaxis]
    if colour:
        return Frames(_high_byte(frames, dataset), inverted=False, bits=8)
    grey = _significant_bits(frames, dataset)
    return Frames(grey, inverted=photometric == "MONOCHROME1", bits=int(dataset.BitsStored))


def serve(
    frames: Frames, *, slope: float, intercept: float, rescale_type: str, modality: str
) -> Served:
    """Apply the modality rescale (PS3.3 C.11.1.1.2) where 16 bits hold the result exactly.

    Args:
        frames: As decoded.
        slope: RescaleSlope, finite and not 0; 1 when absent.
        intercept: RescaleIntercept, finite; 0 when absent.
        rescale_type: RescaleType; for CT an absent type means Hounsfield units.
        modality: Modality.
    """
    hounsfield = modality == "CT" and rescale_type in ("", "HU")
    units = "HU" if hounsfield and frames.samples == 1 else "US"
    if frames.samples == 3 or (slope, intercept) == (1.0, 0.0):
        return Served(frames.stored, 1.0, 0.0, units)
    if slope.is_integer() and intercept.is_integer() and abs(slope) <= 65535:
        low = int(frames.stored.min()) * int(slope) + int(intercept)
        high = int(frames.stored.max()) * int(slope) + int(intercept)
        low, high = min(low, high), max(low, high)
        for dtype in (np.int16, np.uint16):
            if np.iinfo(dtype).min <= low and high <= np.iinfo(dtype).max:
                values = frames.stored.astype(np.uint16)  # wraps, and comes out right: it fits
                values *= np.uint16(int(slope) % 65536)
                values += np.uint16(int(intercept) % 65536)
                return Served(values.view(dtype), 1.0, 0.0, units)
    return Served(frames.stored, slope, intercept, units)


def _as_they_lie(dataset: Dataset) -> NDArray[Any] | None:
    """Return grey pixels that are not encoded at all, without a decoder; None for any others."""
    allocated = int(dataset.BitsAllocated)
    plain = dataset.file_meta.TransferSyntaxUID in (ImplicitVRLittleEndian, ExplicitVRLittleEndian)
    if not plain or allocated not in (8, 16) or int(dataset.SamplesPerPixel) != 1:
        return None
    shape = int(dataset.get("NumberOfFrames") or 1), int(dataset.Rows), int(dataset.Columns)
    kind = "i" if dataset.PixelRepresentation else "u"
    pixels = np.frombuffer(dataset.PixelData, f"<{kind}{allocated // 8}", math.prod(shape))
    return pixels.reshape(shape)


def _high_byte(frames: NDArray[Any], dataset: Dataset) -> NDArray[np.uint8]:
    """Return colour as 8 bits a sample."""
    if frames.dtype == np.uint8:
        return frames
    palette = dataset.PhotometricInterpretation == "PALETTE COLOR"
    bits = 16 if palette else int(dataset.BitsStored)
    if bits < 8 or frames.dtype != np.uint16:
        raise UnsupportedImageError(
            found=f"colour of {bits} bits", accepted="colour of 8 to 16 bits a sample"
        )
    return (frames >> (bits - 8)).astype(np.uint8)


def _significant_bits(frames: NDArray[Any], dataset: Dataset) -> NDArray[Any]:
    """Return grey values with nothing but BitsStored bits in them."""
    bits, allocated = int(dataset.BitsStored), frames.dtype.itemsize * 8
    if allocated > 16:
        raise UnsupportedImageError(
            found=f"an image of {allocated} bits", accepted="images of 8 to 16 bits"
        )
    if bits < allocated:
        signed = frames.dtype.kind == "i"
        low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if signed else (0, (1 << bits) - 1)
        if low <= int(frames.min()) and int(frames.max()) <= high:
            pass  # the usual case: nothing to clear, nothing to copy
        elif signed:
            frames = (frames << (allocated - bits)) >> (allocated - bits)
        else:
            frames = frames & frames.dtype.type(high)
    return frames.astype(np.int16) if frames.dtype == np.int8 else frames
