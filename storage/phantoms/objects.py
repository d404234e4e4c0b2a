"""Wrap made-up pixels in valid DICOM that says in its header what it is.

Nothing is written into the pixels: burned-in words would be held at the study door like any
other. QualityControlSubject (PS3.3 C.7.1.1) is the standard's word for a phantom, and the one
element by which the rest of Overread knows one.
"""

import hashlib
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.sequence import Sequence
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRLittleEndian,
)

from storage.phantoms.ct import SPACING_MM
from storage.phantoms.film import FULL_SCALE

FILM_WIDTH_MM = 400.0
_DATE, _TIME = "20000101", "120000"  # the same for all: a made-up study has no date


def uid(*parts: object) -> str:
    """Return a UID that is the same for the same parts, under the UUID arc of PS3.5 B.2."""
    digest = hashlib.sha256("/".join(map(str, parts)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big')}"


def to_bytes(dataset: Dataset) -> bytes:
    """Return the DICOM file, preamble included."""
    buffer = BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return buffer.getvalue()


def film_object(
    pixels: NDArray[np.uint16], *, study: str, modality: str, view: str, exposure: int
) -> Dataset:
    """Return a CR or DX object of one film.

    Args:
        pixels: (rows, columns), 12 bits used, high values bright.
        study: Name of the study; UIDs follow from it.
        modality: `CR` or `DX`.
        view: `AP` or `PA`.
        exposure: ExposureInuAs, only for show.
    """
    digital = modality == "DX"
    sop_class = DigitalXRayImageStorageForPresentation if digital else (
        ComputedRadiographyImageStorage)  # fmt: skip
    dataset = _object(study, str(sop_class), modality, "CHEST", number=1)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", ""]
    dataset.ViewPosition = view
    dataset.PatientOrientation = ["L", "F"]
    dataset.KVP = "110"
    dataset.ExposureInuAs = exposure
    dataset.DistanceSourceToDetector = "1800" if view == "PA" else "1000"
    spacing = f"{FILM_WIDTH_MM / pixels.shape[1]:.6f}"
    dataset.ImagerPixelSpacing = [spacing, spacing]
    if digital:
        dataset.PresentationIntentType = "FOR PRESENTATION"
        dataset.ImageLaterality = "U"
        dataset.PixelIntensityRelationship = "LOG"
        dataset.PixelIntensityRelationshipSign = -1
        dataset.PresentationLUTShape = "IDENTITY"
        dataset.LossyImageCompression = "00"
        dataset.BurnedInAnnotation = "NO"
        dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "0", "1", "US"
        dataset.AnatomicRegionSequence = Sequence([_code("51185008", "SCT", "Chest")])
    _pixels(dataset, pixels, bits=12)
    low, high = np.percentile(pixels, [1, 99])
    dataset.WindowCenter = str(round(float(low + high) / 2))
    dataset.WindowWidth = str(max(2, round(float(high - low))))
    return dataset


def slice_object(hu: NDArray[np.int16], *, study: str, number: int, slices: int) -> Dataset:
    """Return one CT slice; `number` counts from 0 at the head, rows run to the back."""
    dataset = _object(study, str(CTImageStorage), "CT", "CHEST", number=number + 1)
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.FrameOfReferenceUID = uid(study, "frame of reference")
    dataset.PositionReferenceIndicator = ""
    dataset.KVP = "120"
    dataset.AcquisitionNumber = "1"
    dataset.PixelSpacing = [f"{SPACING_MM[1]}", f"{SPACING_MM[2]}"]
    dataset.SliceThickness = f"{SPACING_MM[0]}"
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    half = (hu.shape[1] - 1) / 2 * SPACING_MM[2]
    height = ((slices - 1) / 2 - number) * SPACING_MM[0]
    dataset.ImagePositionPatient = [f"{-half:.2f}", f"{-half:.2f}", f"{height:.2f}"]
    dataset.SliceLocation = f"{height:.2f}"
    _pixels(dataset, (hu.astype(np.int32) + 1024).astype(np.uint16), bits=12)
    dataset.RescaleIntercept, dataset.RescaleSlope, dataset.RescaleType = "-1024", "1", "HU"
    dataset.WindowCenter, dataset.WindowWidth = ["-600", "40"], ["1500", "400"]
    dataset.WindowCenterWidthExplanation = ["LUNG", "SOFT TISSUE"]
    return dataset


def _object(study: str, sop_class: str, modality: str, part: str, *, number: int) -> Dataset:
    """Return patient, study, series and equipment modules of one instance."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = sop_class
    dataset.SOPInstanceUID = uid(study, modality, "instance", number)
    dataset.StudyInstanceUID = uid(study, "study")
    dataset.SeriesInstanceUID = uid(study, modality, "series")
    dataset.PatientName = f"PHANTOM^{study.upper()}"
    dataset.PatientID = study.upper()
    dataset.PatientBirthDate, dataset.PatientSex = "", "O"
    dataset.QualityControlSubject = "YES"
    dataset.PatientComments = "Made up by a program; no such patient exists."
    dataset.StudyDate, dataset.StudyTime = _DATE, _TIME
    dataset.ContentDate, dataset.ContentTime = _DATE, _TIME
    dataset.AcquisitionDate, dataset.AcquisitionTime = _DATE, _TIME
    dataset.AccessionNumber, dataset.ReferringPhysicianName, dataset.StudyID = "", "", "1"
    dataset.StudyDescription = "MADE-UP PHANTOM"
    dataset.SeriesDescription = "MADE-UP PHANTOM"
    dataset.Manufacturer = "Overread phantoms"
    dataset.Modality, dataset.BodyPartExamined = modality, part
    dataset.SeriesNumber, dataset.InstanceNumber = "1", str(number)
    dataset.Laterality = ""
    return dataset


def _pixels(dataset: Dataset, pixels: NDArray[np.uint16], *, bits: int) -> None:
    """Fill the image pixel module (PS3.3 C.7.6.3)."""
    if pixels.max() > FULL_SCALE:
        raise ValueError(f"made-up pixels must fit {bits} bits")
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.Rows, dataset.Columns = pixels.shape
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, bits, bits - 1
    dataset.PixelRepresentation = 0
    dataset.PixelData = pixels.astype("<u2").tobytes()


def _code(value: str, scheme: str, meaning: str) -> Dataset:
    """Return one item of a code sequence (PS3.3 8.8)."""
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item
