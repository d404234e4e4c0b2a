"""What is written is what pydicom would write, byte for byte; and nothing else can be written."""

from io import BytesIO

import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian

from storage.intake.compose import IMPLEMENTATION, IMPLEMENTATION_UID
from storage.intake.encode import encode_file
from tests.unit.intake.samples import bundled, ct, film, nifti, picture, picture_bytes, rebuilt
from tests.unit.intake.test_nifti import affine_of, counting

NAMES = """
    CT_small MR_small MR_small_RLE examples_rgb_color examples_palette examples_ybr_color
    JPEG2000 SC_rgb_small_odd SC_rgb_rle examples_overlay
"""


def by_pydicom(data: bytes) -> bytes:
    """Return a file as pydicom writes it again."""
    clean = pydicom.dcmread(BytesIO(data))
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = clean.SOPClassUID
    meta.MediaStorageSOPInstanceUID = clean.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_UID)
    meta.ImplementationVersionName = IMPLEMENTATION
    clean.file_meta, clean.preamble = meta, bytes(128)
    dcmwrite(buffer := BytesIO(), clean, enforce_file_format=True)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "data",
    [bundled(f"{name}.dcm") for name in NAMES.split()]
    + [ct(), film(), ct(PatientAge="095Y", PixelSpacing=[0.123456789012, 1e-3])]
    + [picture_bytes(picture("RGB", (3, 3)))]
    + [nifti(counting((3, 4, 5)), affine_of("RAS", (1.0, 1.25, 0.75), 0.3))],
    ids=len,
)
def test_the_bytes_are_those_of_pydicom(data: bytes) -> None:
    made = rebuilt(data).dicom
    assert made == by_pydicom(made)


@pytest.mark.parametrize(
    ("keyword", "value", "error"),
    [
        pytest.param("StudyDescription", "Übersicht", UnicodeEncodeError, id="other letters"),
        pytest.param("ImageComments", "free text", ValueError, id="long text"),
        pytest.param("EncapsulatedDocument", b"%PDF", ValueError, id="bytes"),
        pytest.param("RetrieveURL", "https://x", ValueError, id="an address"),
    ],
)
def test_what_no_rebuilt_dataset_has_is_not_written(
    keyword: str, value: object, error: type[Exception]
) -> None:
    clean = Dataset()
    clean.SOPClassUID, clean.SOPInstanceUID = "1.2", "1.2.3"
    setattr(clean, keyword, value)
    with pytest.raises(error):
        encode_file(clean, b"", word_size=1, implementation=("1.2", "X"))
