"""Small DICOM files and pictures for tests at the study door, and a rebuild without a child."""

import struct
import warnings
import zlib
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any, Final

import nibabel as nib
import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian

from storage.intake.compose import Rebuilt
from storage.intake.limits import Limits
from storage.intake.pseudonyms import Pseudonyms
from storage.intake.rebuild import Given, Wanted, rebuild
from storage.intake.scan import kind_of, scan_dicom
from storage.intake.stills import rebuild_still
from storage.intake.volumes import rebuild_volume
from storage.intake.walk import LONG_VRS

LIMITS: Final = Limits()
PSEUDONYMS: Final = Pseudonyms(b"a key for tests, of 32 bytes ....")
BUNDLED: Final = Path(pydicom.__file__).parent / "data" / "test_files"
CT_CLASS: Final = "1.2.840.10008.5.1.4.1.1.2"
DX_CLASS: Final = "1.2.840.10008.5.1.4.1.1.1.1"
SC_CLASS: Final = "1.2.840.10008.5.1.4.1.1.7"
US_CLASS: Final = "1.2.840.10008.5.1.4.1.1.6.1"


def bundled(name: str) -> bytes:
    """Return one of the test files inside the pydicom package."""
    return (BUNDLED / name).read_bytes()


def dataset(**elements: Any) -> Dataset:  # noqa: ANN401 - any element a test wants to set
    """Return a 4 x 6 CT slice of 16 bits; `elements` replace or, where None, remove."""
    made = Dataset()
    made.SOPClassUID, made.SOPInstanceUID = CT_CLASS, "1.2.3.4.5.1"
    made.StudyInstanceUID, made.SeriesInstanceUID = "1.2.3.4.5", "1.2.3.4.5.2"
    made.Modality, made.BodyPartExamined = "CT", "CHEST"
    made.PatientName, made.PatientID = "Morgenstern^Ottilie", "MRN-7741902"
    made.PatientBirthDate, made.StudyDate = "19310427", "20190815"
    made.PatientAge, made.PatientSex = "088Y", "F"
    made.ImagePositionPatient, made.ImageOrientationPatient = [0, 0, 10], [1, 0, 0, 0, 1, 0]
    made.PixelSpacing, made.SliceThickness = [0.5, 0.75], 5
    made.InstanceNumber, made.SeriesNumber = 1, 1
    made.RescaleSlope, made.RescaleIntercept, made.RescaleType = 1, -1024, "HU"
    made.SamplesPerPixel, made.PhotometricInterpretation = 1, "MONOCHROME2"
    made.Rows, made.Columns = 4, 6
    made.BitsAllocated, made.BitsStored, made.HighBit, made.PixelRepresentation = 16, 12, 11, 0
    made.PixelData = np.arange(24, dtype="<u2").tobytes()
    for keyword, value in elements.items():
        if value is None:
            delattr(made, keyword)
        else:
            setattr(made, keyword, value)
    return made


def to_bytes(
    made: Dataset, *, syntax: str = ExplicitVRLittleEndian, preamble: bytes = b""
) -> bytes:
    """Return a file with a preamble of 128 bytes, written without pydicom's own checks."""
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = UID(syntax)
    made.file_meta.MediaStorageSOPClassUID = made.get("SOPClassUID", CT_CLASS)
    made.file_meta.MediaStorageSOPInstanceUID = made.get("SOPInstanceUID", "1.2.3")
    made.preamble = preamble.ljust(128, b"\0")
    buffer = BytesIO()
    dcmwrite(buffer, made, enforce_file_format=True)
    return buffer.getvalue()


def ct(**elements: Any) -> bytes:  # noqa: ANN401 - any element a test wants to set
    """Return `dataset(**elements)` as a file."""
    return to_bytes(dataset(**elements))


def film(**elements: Any) -> bytes:  # noqa: ANN401 - any element a test wants to set
    """Return a small DX film as a file."""
    fields = {"SOPClassUID": DX_CLASS, "Modality": "DX", "RescaleSlope": None,
              "RescaleIntercept": None, "RescaleType": None, "ViewPosition": "PA",
              "ImagePositionPatient": None, "ImageOrientationPatient": None,
              "SliceThickness": None}  # fmt: skip
    return to_bytes(dataset(**(fields | elements)))


def ask(wanted: Wanted) -> Given:
    """Answer as the parent does."""
    uids = {uid: PSEUDONYMS.uid(uid) for uid in wanted.uids}
    return Given(uids, PSEUDONYMS.patient(wanted.patient))


def rebuilt(data: bytes, asking: Callable[[Wanted], Given] = ask) -> Rebuilt:
    """Do in this process what a child does."""
    kind = kind_of(data[:132])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as the child does: they would quote the file
        if kind == "dicom":
            return rebuild(data, scan_dicom(data, LIMITS), asking)
        if kind == "nifti":
            return rebuild_volume(data, LIMITS, asking)
        return rebuild_still(data, kind, LIMITS, asking)


def picture(mode: str, size: tuple[int, int] = (7, 5), **options: Any) -> Image.Image:  # noqa: ANN401 - Pillow's own
    """Return a picture whose pixels all differ from their neighbours."""
    width, height = size
    values = np.arange(width * height, dtype=np.uint16).reshape(height, width) * 997 % 251
    if mode == "I;16":
        return Image.fromarray((values * 259).astype(np.uint16))
    grey = Image.fromarray(values.astype(np.uint8))
    if mode == "L":
        return grey
    colour = Image.merge("RGB", [grey, grey.point(lambda v: 255 - v), grey.point(lambda v: v // 2)])
    return colour.convert(mode, **options)


def picture_bytes(image: Image.Image, form: str = "PNG", **options: Any) -> bytes:  # noqa: ANN401 - Pillow's own
    """Return a picture as a file."""
    buffer = BytesIO()
    image.save(buffer, format=form, **options)
    return buffer.getvalue()


def nifti(voxels: NDArray[Any], affine: NDArray[Any]) -> bytes:
    """Return voxels as a NIfTI-1 file, not packed."""
    return bytes(nib.Nifti1Image(voxels, affine).to_bytes())


def chunk(kind: bytes, content: bytes) -> bytes:
    """Return one PNG chunk."""
    crc = zlib.crc32(kind + content)
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", crc)


def element(tag: int, vr: str, value: bytes) -> bytes:
    """Return one explicit little-endian element with any bytes as its value."""
    value += b" " * (len(value) % 2)
    head = struct.pack("<HH2s", tag >> 16, tag & 0xFFFF, vr.encode())
    if vr.encode() in LONG_VRS:
        return head + struct.pack("<HI", 0, len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def sequence(tag: int, *items: bytes) -> bytes:
    """Return a sequence of items that are encoded already."""
    return element(
        tag, "SQ", b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(i)) + i for i in items)
    )


def planted(sop_class: str, modality: str, elements: dict[int, bytes]) -> bytes:
    """Return a file whose dataset has encoded elements beside those an image needs."""
    words = {0x00080016: ("UI", sop_class), 0x00080060: ("CS", modality)}
    needed = {tag: element(tag, vr, text.encode()) for tag, (vr, text) in words.items()}
    numbers = {0x00280002: 1, 0x00280010: 4, 0x00280011: 6, 0x00280100: 16, 0x00280101: 12,
               0x00280102: 11, 0x00280103: 0}  # fmt: skip
    needed |= {tag: element(tag, "US", struct.pack("<H", n)) for tag, n in numbers.items()}
    needed[0x00280004] = element(0x00280004, "CS", b"MONOCHROME2")
    needed[0x7FE00010] = element(0x7FE00010, "OW", np.arange(24, dtype="<u2").tobytes())
    body = b"".join(value for _, value in sorted((elements | needed).items()))
    meta = element(0x00020010, "UI", ExplicitVRLittleEndian.encode() + b"\0")
    return b"\0" * 128 + b"DICM" + meta + body
