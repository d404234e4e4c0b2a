"""Turn a NIfTI volume into one multi-frame object, keeping its voxels and where they lie.

Runs in the decoding child. The object is a Multi-frame Secondary Capture (PS3.3 A.8.3 to A.8.5)
with the planes of its frames in functional groups: NIfTI names no modality, no body part and
no patient, and none is guessed.
"""

import hashlib
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.datadict import tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.valuerep import DSfloat

from storage.imaging.pixels import Frames
from storage.imaging.reorient import Reoriented, reorient
from storage.intake import tripwire
from storage.intake.compose import Rebuilt, compose
from storage.intake.limits import Limits
from storage.intake.nifti import read_nifti
from storage.intake.rebuild import Given, Wanted
from storage.intake.refusals import RefusedFileError

_CLASS: Final = "1.2.840.10008.5.1.4.1.1.7."
_BYTES, _WORDS, _COLOUR = _CLASS + "2", _CLASS + "3", _CLASS + "4"
_NAMES: Final = ("instance", "series", "study", "frame of reference")
_EMPTY: Final = (
    "StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "PatientBirthDate",
    "PatientSex", "StudyID", "SeriesNumber", "Laterality", "PatientOrientation",
)  # fmt: skip
_STEPS: Final = 65535


def rebuild_volume(data: bytes, limits: Limits, ask: Callable[[Wanted], Given]) -> Rebuilt:
    """Rebuild a NIfTI file as a Multi-frame Secondary Capture object.

    Its identity is its content, as for a picture: the same file gets the same UIDs and is its
    own patient. Frames lie as `storage.imaging.reorient` says; of a file that does not say where
    its voxels lie, no side is named.

    Args:
        data: The file.
        limits: Bounds on sizes.
        ask: Gets pseudonyms from the parent.

    Raises:
        RefusedFileError: as `read_nifti`; `identifier_left`, `unsupported_image` for axes that
            are not perpendicular or numbers that are infinite, `bad_rescale`.
    """
    volume = read_nifti(data, limits)
    shape = volume.voxels.shape
    laid = reorient(volume.affine, (shape[0], shape[1], shape[2]))
    if laid is None:
        raise RefusedFileError("unsupported_image")
    voxels = laid.laid(volume.voxels)
    if voxels.shape[0] > limits.frames:
        raise RefusedFileError("too_many_pixels")
    stored, slope, intercept, rounded = _in_16_bits(voxels)
    digest = hashlib.sha256(data).hexdigest()
    names = {name: f"volume/{digest}/{name}" for name in _NAMES}
    given = ask(Wanted(tuple(names.values()), f"volume/{digest}"))
    clean = _described(stored, {name: given.uids[asked] for name, asked in names.items()})
    if volume.placed:
        clean.FrameOfReferenceUID = given.uids[names["frame of reference"]]
        clean.PositionReferenceIndicator = None
        _place(clean, laid, stored.shape[0])
    if stored.ndim == 3:
        clean.RescaleSlope = DSfloat(slope * volume.slope, auto_format=True)
        clean.RescaleIntercept = DSfloat(
            intercept * volume.slope + volume.intercept, auto_format=True
        )
        clean.RescaleType, clean.PresentationLUTShape = "US", "IDENTITY"
    if rounded:
        clean.LossyImageCompression = "01"
    frames = Frames(stored, inverted=False, bits=stored.dtype.itemsize * 8)
    found = tripwire.tokens(volume.texts)
    return compose(clean, frames, patient=given.patient, found=found)


def _described(stored: NDArray[Any], uids: dict[str, str]) -> Dataset:
    """Return the object's own elements but for its pixels."""
    clean = Dataset()
    word = _BYTES if stored.dtype == np.uint8 else _WORDS
    clean.SOPClassUID = _COLOUR if stored.ndim == 4 else word
    clean.Modality, clean.ConversionType = "OT", "WSD"
    clean.ImageType = ["DERIVED", "SECONDARY"]
    for keyword in _EMPTY:
        setattr(clean, keyword, None)
    clean.StudyInstanceUID, clean.SeriesInstanceUID = uids["study"], uids["series"]
    clean.SOPInstanceUID = uids["instance"]
    clean.NumberOfFrames, clean.InstanceNumber = stored.shape[0], 1
    return clean


def _place(clean: Dataset, laid: Reoriented, frames: int) -> None:
    """Say where every frame lies (PS3.3 C.7.6.16.2.1, .3 and .4)."""
    measures, plane, shared = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = _decimals((laid.row_spacing_mm, laid.column_spacing_mm))
    measures.SpacingBetweenSlices = DSfloat(laid.slice_spacing_mm, auto_format=True)
    plane.ImageOrientationPatient = _decimals(laid.orientation)
    shared.PixelMeasuresSequence = Sequence([measures])
    shared.PlaneOrientationSequence = Sequence([plane])
    clean.SharedFunctionalGroupsSequence = Sequence([shared])
    clean.PerFrameFunctionalGroupsSequence = Sequence(
        [_plane_of(laid, number) for number in range(frames)]
    )
    if frames > 1:
        clean.FrameIncrementPointer = tag_for_keyword("SliceLocationVector")
        clean.SliceLocationVector = _decimals([laid.slice_spacing_mm * n for n in range(frames)])


def _plane_of(laid: Reoriented, number: int) -> Dataset:
    """Return one frame's group: its position."""
    position, group = Dataset(), Dataset()
    position.ImagePositionPatient = _decimals(
        [start + number * step for start, step in zip(laid.position, laid.step, strict=True)]
    )
    group.PlanePositionSequence = Sequence([position])
    return group


def _decimals(numbers: tuple[float, ...] | list[float]) -> list[DSfloat]:
    """Return numbers as DICOM writes them, in at most 16 characters."""
    return [DSfloat(number, auto_format=True) for number in numbers]


def _in_16_bits(values: NDArray[Any]) -> tuple[NDArray[Any], float, float, bool]:
    """Return unsigned values of 8 or 16 bits with slope and intercept, and whether any changed.

    Whole numbers that span at most 65,535 are kept exactly; others are rounded to 65,536 steps.
    What is no number at all becomes the lowest value: registered volumes have it outside of the
    field of view.
    """
    if values.dtype == np.uint8:
        return np.ascontiguousarray(values), 1.0, 0.0, False
    low, high, whole = _range(values)
    if whole and high - low <= _STEPS:
        start = 0.0 if low >= 0 and high <= _STEPS else low
        return _mapped(values, start, 1.0), 1.0, start, False
    step = (high - low) / _STEPS
    return _mapped(values, low, step), step, low, True


def _range(values: NDArray[Any]) -> tuple[float, float, bool]:
    """Return least and greatest number, and whether all are whole; one frame at a time."""
    if values.dtype.kind in "iu":
        return float(values.min()), float(values.max()), True
    low, high, whole = np.inf, -np.inf, True
    for frame in values:
        numbers = frame[~np.isnan(frame)]
        if numbers.size:
            low, high = min(low, float(numbers.min())), max(high, float(numbers.max()))
            whole = whole and bool((numbers == np.rint(numbers)).all())
    if not np.isfinite([low, high]).all():
        raise RefusedFileError("unsupported_image")
    return low, high, whole


def _mapped(values: NDArray[Any], low: float, step: float) -> NDArray[np.uint16]:
    """Return (value - low) / step, rounded; one frame at a time."""
    if values.dtype.kind in "iu":
        return values.astype(np.uint16) - np.uint16(int(low) % 65536)  # wraps, and comes out right
    stored = np.empty(values.shape, np.uint16)
    for frame, into in zip(values, stored, strict=True):
        numbers = frame.astype(np.float64)
        numbers[np.isnan(numbers)] = low
        into[:] = np.rint((numbers - low) / step)
    return stored
