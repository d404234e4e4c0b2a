"""Serving values: where 16 bits hold the rescale, and where they do not."""

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from storage.errors import UnsupportedImageError
from storage.imaging.pixels import Frames, decode_frames, serve


def frames(*values: int, dtype: str = "uint16") -> Frames:
    return Frames(np.array(values, dtype).reshape(1, 1, -1), inverted=False, bits=16)


@pytest.mark.parametrize(
    ("stored", "slope", "intercept", "dtype", "expected"),
    [
        pytest.param([0, 1024, 4095], 1, -1024, "int16", [-1024, 0, 3071], id="CT"),
        pytest.param([0, 100], 2, -100, "int16", [-100, 100], id="slope 2"),
        pytest.param([0, 10], -1, 5, "int16", [5, -5], id="negative slope"),
        pytest.param([0, 60_000], 1, 100, "uint16", [100, 60_100], id="beyond int16"),
        pytest.param([7, 9], 1, 0, "uint16", [7, 9], id="nothing to rescale"),
    ],
)
def test_an_exact_rescale_is_applied(
    stored: list[int], slope: float, intercept: float, dtype: str, expected: list[int]
) -> None:
    rescale = {"slope": float(slope), "intercept": float(intercept)}
    made = serve(frames(*stored), **rescale, rescale_type="", modality="CT")
    assert (made.dtype, made.slope, made.intercept) == (dtype, 1.0, 0.0)
    assert made.values.ravel().tolist() == expected


@pytest.mark.parametrize(
    ("stored", "slope", "intercept"),
    [([0, 10], 0.5, 0.0), ([0, 65_535], 2.0, 0.0), ([0, 65_535], 1.0, -1024.0)],
)
def test_a_rescale_that_16_bits_cannot_hold_is_left_to_the_reader(
    stored: list[int], slope: float, intercept: float
) -> None:
    made = serve(frames(*stored), slope=slope, intercept=intercept, rescale_type="", modality="PT")
    assert (made.slope, made.intercept) == (slope, intercept)
    assert made.values.ravel().tolist() == stored


@pytest.mark.parametrize(
    ("modality", "rescale_type", "units"),
    [("CT", "", "HU"), ("CT", "HU", "HU"), ("CT", "US", "US"), ("MR", "", "US"), ("DX", "", "US")],
)
def test_units_are_hounsfield_for_ct_only(modality: str, rescale_type: str, units: str) -> None:
    made = serve(frames(1), slope=1.0, intercept=0.0, rescale_type=rescale_type, modality=modality)
    assert made.units == units


def test_bytes_are_little_endian_rows() -> None:
    values: NDArray[np.uint16] = np.array([[[1, 2], [3, 4]]], ">u2")
    big_endian = Frames(values, inverted=False, bits=16)
    made = serve(big_endian, slope=1.0, intercept=0.0, rescale_type="", modality="CT")
    assert made.to_bytes() == b"\1\0\2\0\3\0\4\0"


def image(values: NDArray[np.generic], **elements: object) -> Dataset:
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.Rows, made.Columns = values.shape[:2]
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    bits = values.dtype.itemsize * 8
    made.BitsAllocated, made.BitsStored, made.HighBit = bits, bits, bits - 1
    made.PixelRepresentation = int(values.dtype.kind == "i")
    for keyword, value in elements.items():
        setattr(made, keyword, value)
    made.PixelData = values.tobytes()
    made["PixelData"].VR = "OW"
    return made


def test_bits_above_those_stored_are_cleared() -> None:
    made = decode_frames(image(np.array([[0xF123, 0x0FFF]], "<u2"), BitsStored=12, HighBit=11))
    assert made.stored.ravel().tolist() == [0x123, 0xFFF]


def test_signed_values_keep_their_sign() -> None:
    made = decode_frames(image(np.array([[0x0FFF, 0x07FF]], "<i2"), BitsStored=12, HighBit=11))
    assert made.stored.ravel().tolist() == [-1, 2047]


def test_signed_bytes_are_widened() -> None:
    made = decode_frames(image(np.array([[-3, 4]], np.int8)))
    assert made.stored.dtype == np.int16
    assert made.stored.ravel().tolist() == [-3, 4]


def test_more_than_16_bits_are_refused() -> None:
    with pytest.raises(UnsupportedImageError):
        decode_frames(image(np.array([[1, 2]], "<u4")))


def test_colour_of_few_bits_is_refused() -> None:
    few = image(np.zeros((2, 2, 3), "<u2"), SamplesPerPixel=3, PhotometricInterpretation="RGB",
                PlanarConfiguration=0, BitsStored=5, HighBit=4)  # fmt: skip
    with pytest.raises(UnsupportedImageError):
        decode_frames(few)
