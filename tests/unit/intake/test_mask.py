"""Blanking parts of stored pixels after a person looked at them."""

from io import BytesIO

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from storage.intake.mask import Box, mask
from tests.unit.intake.samples import ct, film, picture, picture_bytes, rebuilt

SIGNED = np.arange(-9, 15, dtype="<i2").tobytes()


def masked(data: bytes, *boxes: Box) -> Dataset:
    return pydicom.dcmread(BytesIO(mask(rebuilt(data).dicom, boxes).dicom))


def test_a_masked_object_declares_both_steps() -> None:
    made = masked(film(BurnedInAnnotation="YES"), Box(0, 0, 1, 1))
    assert made.BurnedInAnnotation == "NO"
    codes = [item.CodeValue for item in made.DeidentificationMethodCodeSequence]
    assert codes == ["113100", "113101", "113108"]


def test_an_attested_object_is_no_longer_held() -> None:
    item = mask(rebuilt(picture_bytes(picture("L"))).dicom, [], content_key="k")
    assert item.facts.held == ()
    assert item.content_key == "k"


def test_edges_belong_to_the_box_and_the_rest_is_untouched() -> None:
    pixels = masked(film(), Box(1, 1, 2, 2)).pixel_array
    expected = np.arange(24).reshape(4, 6)
    expected[1:3, 1:3] = 0
    assert np.array_equal(pixels, expected)


def test_a_box_may_reach_beyond_the_image() -> None:
    assert not masked(film(), Box(-5, -5, 100, 100)).pixel_array.any()
    assert masked(film(), Box(50, 50, 60, 60)).pixel_array.sum() == sum(range(24))


@pytest.mark.parametrize(
    ("elements", "black"),
    [
        pytest.param({"PhotometricInterpretation": "MONOCHROME1"}, 23, id="low is bright"),
        pytest.param({"PixelRepresentation": 1, "PixelData": SIGNED}, -9, id="signed"),
    ],
)  # fmt: skip
def test_a_box_is_black_in_every_representation(elements: dict[str, object], black: int) -> None:
    assert (masked(film(**elements), Box(2, 2, 3, 3)).pixel_array[2:4, 2:4] == black).all()


def test_named_frames_only_are_masked() -> None:
    two = film(NumberOfFrames=2, PixelData=np.full(48, 7, "<u2").tobytes())
    pixels = masked(two, Box(0, 0, 5, 3, frames=(1,))).pixel_array
    assert (pixels[0] == 7).all()
    assert not pixels[1].any()


def test_a_frame_that_is_not_there_is_an_error() -> None:
    with pytest.raises(ValueError, match="frame"):
        mask(rebuilt(film()).dicom, [Box(0, 0, 1, 1, frames=(1,))])


def test_ct_stays_in_hounsfield_units() -> None:
    item = mask(rebuilt(ct()).dicom, [Box(0, 0, 0, 0)])
    values = np.frombuffer(item.pixels, "<i2")
    assert item.facts.units == "HU"
    assert list(values[:3]) == [-1024, -1023, -1022]
