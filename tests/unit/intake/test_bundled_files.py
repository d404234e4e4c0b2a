"""Every file that pydicom ships: its pixels are kept exactly, or it is refused by name."""

from collections import Counter
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import numpy as np
import pydicom
import pytest
from numpy.typing import NDArray
from pydicom import config
from pydicom.errors import InvalidDicomError
from pydicom.pixels.processing import apply_color_lut
from pydicom.pixels.utils import pixel_array
from pydicom.uid import JPEGExtended12Bit

from storage.intake.door import receive
from storage.intake.refusals import SENTENCES, RefusedFileError
from storage.intake.sandbox import Sandbox
from storage.intake.scan import IMAGE_CLASSES
from storage.keys import Keys
from tests.unit.intake.samples import BUNDLED, bundled, rebuilt

REFUSED: Final = {
    "ExplVR_BigEndNoMeta.dcm": "not_dicom",  # no preamble: nothing says that it is DICOM
    "ExplVR_LitEndNoMeta.dcm": "not_dicom",
    "no_meta.dcm": "not_dicom",
    "rtstruct.dcm": "not_dicom",
    "JPEG2000-embedded-sequence-delimiter.dcm": "pixels_disagree",  # pydicom cannot decode it
    "MR_truncated.dcm": "truncated",
    "SC_rgb_jpeg.dcm": "malformed",  # explicit VR announced, implicit VR written
    "SC_rgb_rle_32bit.dcm": "unsupported_image",
    "SC_rgb_rle_32bit_2frame.dcm": "unsupported_image",
    "UN_sequence.dcm": "not_an_image",
    "empty_charset_LEI.dcm": "not_an_image",
    "liver_1frame.dcm": "not_an_image",  # segmentations
    "liver_expb_1frame.dcm": "not_an_image",
    "nested_priv_SQ.dcm": "not_an_image",
    "priv_SQ.dcm": "not_an_image",
    "image_dfl.dcm": "unsupported_transfer_syntax",  # deflated
    "meta_missing_tsyntax.dcm": "unsupported_transfer_syntax",
    "badVR.dcm": "radiotherapy_object",
    "no_meta_group_length.dcm": "radiotherapy_object",
    "reportsi.dcm": "structured_report",
    "reportsi_with_empty_number_tags.dcm": "structured_report",
    "test-SR.dcm": "structured_report",
    "waveform_ecg.dcm": "waveform",
}
SCAN: Final = b"\xff\xda\0\x08\x01\x01\0"  # JPEG-lossy.dcm names no spectrum after it
FILES: Final = sorted(path.name for path in BUNDLED.glob("*.dcm"))
ADMITTED: Final = [name for name in FILES if name not in REFUSED and not name.startswith("rt")]


def own_decode(data: bytes) -> tuple[NDArray[Any], int]:
    """Return pydicom's own pixels, colour as 8-bit RGB, and BitsStored."""
    source = pydicom.dcmread(BytesIO(data))
    if source.file_meta.TransferSyntaxUID == JPEGExtended12Bit:
        source.PixelData = source.PixelData.replace(SCAN + b"\0\0\0", SCAN + b"\0\x3f\0")
    pixels = pixel_array(source)
    if source.PhotometricInterpretation == "PALETTE COLOR":
        pixels = apply_color_lut(pixels, source)
    if source.PhotometricInterpretation.startswith("MONO") or pixels.dtype == np.uint8:
        return pixels, int(source.BitsStored)
    return pixels >> 8, 8


@pytest.mark.parametrize("name", ADMITTED)
@pytest.mark.filterwarnings("ignore::UserWarning")  # old files, unusual values
def test_pixels_are_those_that_pydicom_decodes(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config.settings, "_reading_validation_mode", config.IGNORE)
    data = bundled(name)
    made = rebuilt(data)
    expected, bits = own_decode(data)
    clean = pydicom.dcmread(BytesIO(made.dicom))
    assert np.array_equal(clean.pixel_array, expected)
    assert clean.BitsStored == bits
    assert made.facts.pixel_bytes == len(made.pixels)


@pytest.mark.parametrize("name", [name for name in FILES if name not in ADMITTED])
def test_what_is_refused_has_its_code(name: str) -> None:
    with pytest.raises(RefusedFileError) as refusal:
        rebuilt(bundled(name))
    assert refusal.value.code == REFUSED.get(name, "radiotherapy_object")


def is_an_image(path: Path) -> bool:
    """Tell by pydicom whether a file is a DICOM file of an image class with pixels."""
    try:
        source = pydicom.dcmread(path)
    except InvalidDicomError:
        return False
    return "PixelData" in source and source.SOPClassUID in IMAGE_CLASSES


@pytest.mark.filterwarnings("ignore::UserWarning")  # old files, unusual values
def test_every_file_of_the_package_passes_the_door_or_is_refused_by_name(
    keys: Keys, sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(config.settings, "_reading_validation_mode", config.IGNORE)
    outcomes: Counter[str] = Counter()
    everything = [path for path in BUNDLED.parent.rglob("*") if path.is_file()]
    for path in (path for path in everything if path.suffix not in (".py", ".pyc")):
        (result,) = receive([path], keys=keys, sandbox=sandbox)  # alone: many share an identity
        outcomes[result.outcome] += 1
        if result.item is None:
            assert result.message == SENTENCES[result.code]
            assert path.name in REFUSED or not is_an_image(path), (path.name, result.code)
            continue
        expected, _ = own_decode(path.read_bytes())
        kept = pydicom.dcmread(BytesIO(result.item.dicom)).pixel_array
        assert np.array_equal(kept, expected), path.name
    assert outcomes["admitted"] + outcomes["held"] > 80
    assert outcomes["refused"] > 80


def test_ct_is_served_in_hounsfield_units() -> None:
    data = bundled("CT_small.dcm")
    made = rebuilt(data)
    source = pydicom.dcmread(BytesIO(data))
    expected = source.pixel_array.astype(int) * int(source.RescaleSlope) - 1024
    assert made.facts.units == "HU"
    assert np.array_equal(np.frombuffer(made.pixels, "<i2").reshape(128, 128), expected)
