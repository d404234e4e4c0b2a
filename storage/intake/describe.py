"""Read geometry, windows, rescale and the reasons to hold out of a rebuilt dataset.

Reading the facts from what was written, rather than from what came in, means that they cannot
say more than the rebuilt file does.
"""

import math
from collections.abc import Iterator
from typing import Any, Final

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from storage.imaging.pixels import Frames, serve
from storage.imaging.volume import is_direction_pair
from storage.imaging.window import VoiFunction, windows_for
from storage.intake.facts import Facts
from storage.intake.refusals import RefusedFileError

_STACKS: Final = frozenset(["CT", "MR", "PT"])
_HELD_MODALITIES: Final = frozenset(["US", "OT", "SC", "XC", "ES", "GM", "SM", "OP"])
_HELD_CLASSES: Final = tuple(  # ultrasound, secondary capture, visible light
    "1.2.840.10008.5.1.4.1.1." + ending for ending in ("3", "6", "7", "77")
)
_FILM_SCANS: Final = frozenset(["DF", "SD", "SI", "DV"])  # ConversionType of scanned film, video


def describe(clean: Dataset, frames: Frames) -> tuple[Facts, bytes]:
    """Return the facts of a rebuilt dataset and its pixels as they are served.

    Raises:
        RefusedFileError: `bad_rescale` or `unsupported_image`.
    """
    slope, intercept, rescale_type = rescale_of(clean) or (1.0, 0.0, "")
    modality = str(clean.get("Modality", "OT"))
    served = serve(
        frames, slope=slope, intercept=intercept, rescale_type=rescale_type, modality=modality
    )
    own, function = _own_windows(clean)
    body_part = str(clean.get("BodyPartExamined", ""))
    windows = windows_for(
        own,
        served.values,
        slope=served.slope,
        intercept=served.intercept,
        units=served.units,
        body_part=body_part,
        function=function,
    )
    orientation = _numbers(clean, "ImageOrientationPatient", "PlaneOrientationSequence")
    spacing = _numbers(clean, "PixelSpacing", "PixelMeasuresSequence")
    spacing = spacing or _numbers(clean, "ImagerPixelSpacing", "")
    count, rows, columns = frames.stored.shape[:3]
    facts = Facts(
        patient_key=str(clean.PatientID),
        study_key=str(clean.StudyInstanceUID),
        series_key=str(clean.SeriesInstanceUID),
        sop_instance_uid=str(clean.SOPInstanceUID),
        sop_class=str(clean.SOPClassUID),
        modality=modality,
        body_part=body_part,
        view=str(clean.get("ViewPosition", "")),
        rows=rows,
        columns=columns,
        frames=count,
        samples=frames.samples,
        dtype=served.dtype,
        slope=served.slope,
        intercept=served.intercept,
        units=served.units,
        inverted=frames.inverted,
        lossy=clean.get("LossyImageCompression", "") == "01",
        made_up=clean.get("QualityControlSubject", "") == "YES",
        stackable=count == 1 and modality in _STACKS,
        series_number=int(clean.get("SeriesNumber") or 0),
        instance_number=int(clean.get("InstanceNumber") or 0),
        row_spacing_mm=spacing[0] if spacing else None,
        column_spacing_mm=spacing[1] if spacing else None,
        orientation=orientation if orientation and is_direction_pair(orientation) else None,
        position=_numbers(clean, "ImagePositionPatient", "PlanePositionSequence"),
        windows=tuple(window.as_json() for window in windows),
        held=tuple(_held_because(clean)),
    )
    return facts, served.to_bytes()


def rescale_of(dataset: Dataset) -> tuple[float, float, str] | None:
    """Return slope, intercept and type; None where nothing is rescaled.

    Raises:
        RefusedFileError: `bad_rescale` for values that are no numbers, zero or beyond reason;
            `unsupported_image` when frames of one image differ.
    """
    groups = _groups(dataset, "PixelValueTransformationSequence")
    found = {_one_rescale(each) for each in groups or [dataset]}
    if len(found) > 1:
        raise RefusedFileError("unsupported_image")
    return found.pop()


def values_of(element: DataElement) -> list[Any]:
    """Return the values of an element, none for an empty one."""
    value = element.value
    if isinstance(value, MultiValue | list):
        return list(value)
    return [] if value is None or value == "" else [value]


def _held_because(clean: Dataset) -> Iterator[str]:
    """Yield the codes for which a person must look at the pixels before anyone reads them."""
    burned_in = clean.get("BurnedInAnnotation", "")
    if burned_in == "YES":
        yield "burned_in_declared"
    sop_class = str(clean.SOPClassUID)
    by_class = any(sop_class == each or sop_class.startswith(f"{each}.") for each in _HELD_CLASSES)
    by_kind = clean.get("Modality", "OT") in _HELD_MODALITIES
    by_film = clean.get("ConversionType", "") in _FILM_SCANS
    if (by_class or by_kind or by_film) and burned_in != "NO":  # a NO is ours: a person attested
        yield "pixels_unattested"


def _one_rescale(dataset: Dataset) -> tuple[float, float, str] | None:
    """Read one rescale and check it."""
    try:
        numbers = [
            float(values[0])
            for keyword in ("RescaleSlope", "RescaleIntercept")
            if (values := values_of(dataset[keyword]) if keyword in dataset else [])
        ]
        words = values_of(dataset["RescaleType"]) if "RescaleType" in dataset else []
    except (TypeError, ValueError, OverflowError):
        raise RefusedFileError("bad_rescale") from None
    if not numbers:
        return None
    if len(numbers) < 2 or not all(map(math.isfinite, numbers)):
        raise RefusedFileError("bad_rescale")
    slope, intercept = numbers
    if not 1e-9 <= abs(slope) <= 1e6 or abs(intercept) > 1e6:
        raise RefusedFileError("bad_rescale")
    return slope, intercept, str(words[0]).strip() if words else ""


def _own_windows(clean: Dataset) -> tuple[list[tuple[float, float]], VoiFunction]:
    """Return the header's windows as (center, width) pairs, and their function."""
    holder = next(iter(_groups(clean, "FrameVOILUTSequence")), clean)
    centers, widths = (
        values_of(holder[keyword]) if keyword in holder else []
        for keyword in ("WindowCenter", "WindowWidth")
    )
    function = VoiFunction(str(holder.get("VOILUTFunction", "") or VoiFunction.LINEAR))
    if len(centers) != len(widths):
        return [], function
    return [(float(c), float(w)) for c, w in zip(centers, widths, strict=True)], function


def _numbers(clean: Dataset, keyword: str, group: str) -> tuple[float, ...] | None:
    """Return a geometric value from the dataset or from its first functional group."""
    for holder in (clean, *_groups(clean, group)):
        if keyword in holder:
            return tuple(float(value) for value in values_of(holder[keyword]))
    return None


def _groups(dataset: Dataset, name: str) -> list[Dataset]:
    """Return the items of one macro in shared and per-frame groups (PS3.3 C.7.6.16)."""
    sequences = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
    items = [item for sequence in sequences for item in dataset.get(sequence) or []]
    return [inner for item in items for inner in (item.get(name) or [])]
