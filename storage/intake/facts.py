"""What is known of an image once it is de-identified: everything but the pixels.

Facts cross from the decoding child to the parent as JSON. The child may have been taken over
by what it decoded, so the parent reads them with `Facts.read`, which believes nothing.
"""

import math
from dataclasses import asdict, dataclass, fields
from functools import cache
from typing import Any, Final, get_type_hints

from storage.intake.refusals import RefusedFileError
from storage.intake.scan import IMAGE_CLASSES

DTYPES: Final = {"uint8": 1, "uint16": 2, "int16": 2}
HELD: Final = frozenset(["pixels_unattested", "burned_in_declared"])
_TEXT_LENGTH: Final = 64


@dataclass(frozen=True, slots=True)
class Facts:
    """Geometry, identity (pseudonymous) and state of one de-identified object.

    Attributes:
        patient_key: Pseudonym of the patient; PatientID of the rebuilt object.
        study_key: Pseudonymous StudyInstanceUID.
        series_key: Pseudonymous SeriesInstanceUID.
        sop_instance_uid: Pseudonymous SOPInstanceUID.
        sop_class: SOPClassUID, one of `storage.intake.scan.IMAGE_CLASSES`.
        modality: Modality.
        body_part: BodyPartExamined, or empty.
        view: ViewPosition, or empty.
        rows: Rows of a frame.
        columns: Columns of a frame.
        frames: Number of frames.
        samples: 1 grey, 3 RGB.
        dtype: Of the served pixels: `uint8`, `uint16` or `int16`, little-endian.
        slope: Served value * slope + intercept is in `units`.
        intercept: See `slope`.
        units: `HU` or `US` (unspecified).
        inverted: MONOCHROME1.
        lossy: Some earlier compression lost something.
        made_up: QualityControlSubject is YES: a phantom.
        stackable: One frame of a series that is scrolled as a stack (CT, MR, PET).
        series_number: SeriesNumber, 0 where absent.
        instance_number: InstanceNumber, 0 where absent.
        row_spacing_mm: Distance between rows.
        column_spacing_mm: Distance between columns.
        orientation: ImageOrientationPatient.
        position: ImagePositionPatient of the first frame, mm.
        windows: As `storage.imaging.window.Window.as_json`; the first is shown.
        held: Stable codes of why a person must look at the pixels first.
    """

    patient_key: str
    study_key: str
    series_key: str
    sop_instance_uid: str
    sop_class: str
    modality: str
    body_part: str
    view: str
    rows: int
    columns: int
    frames: int
    samples: int
    dtype: str
    slope: float
    intercept: float
    units: str
    inverted: bool
    lossy: bool
    made_up: bool
    stackable: bool
    series_number: int
    instance_number: int
    row_spacing_mm: float | None
    column_spacing_mm: float | None
    orientation: tuple[float, ...] | None
    position: tuple[float, ...] | None
    windows: tuple[dict[str, Any], ...]
    held: tuple[str, ...]

    @property
    def pixel_bytes(self) -> int:
        """Length of the served pixels."""
        return self.rows * self.columns * self.frames * self.samples * DTYPES[self.dtype]

    def as_json(self) -> dict[str, Any]:
        """Return the facts as plain JSON values."""
        return asdict(self)

    @classmethod
    def read(cls, given: object) -> "Facts":
        """Read facts that came out of a child.

        Raises:
            RefusedFileError: `decode_failed`: anything missing, extra or of a wrong type.
        """
        names = {field.name for field in fields(cls)}
        if not isinstance(given, dict) or set(given) != names:
            raise RefusedFileError("decode_failed")
        values = dict(given)
        for name in ("orientation", "position", "windows", "held"):
            if isinstance(values[name], list):
                values[name] = tuple(values[name])
        hints = _hints()
        if not all(_fits(values[name], hints[name]) for name in names):
            raise RefusedFileError("decode_failed")
        facts = cls(**values)
        sizes = (facts.rows, facts.columns, facts.frames)
        if min(sizes) < 1 or facts.dtype not in DTYPES or facts.samples not in (1, 3):
            raise RefusedFileError("decode_failed")
        if facts.sop_class not in IMAGE_CLASSES:
            raise RefusedFileError("decode_failed")
        if not set(facts.held) <= HELD or facts.units not in ("HU", "US"):
            raise RefusedFileError("decode_failed")
        return facts


@cache
def _hints() -> dict[str, Any]:
    """Return the types of the fields."""
    return get_type_hints(Facts)


def _fits(value: object, wanted: object) -> bool:
    """Tell whether a JSON value is of the type a field wants."""
    if wanted is str:
        return isinstance(value, str) and len(value) <= _TEXT_LENGTH and value.isprintable()
    if wanted is bool:
        return isinstance(value, bool)
    if wanted is int:
        return type(value) is int
    if wanted is float:
        return _is_number(value)
    if wanted == float | None:
        return value is None or _is_number(value)
    if wanted == tuple[float, ...] | None:
        return value is None or (isinstance(value, tuple) and all(map(_is_number, value)))
    if wanted == tuple[str, ...]:
        return isinstance(value, tuple) and all(isinstance(word, str) for word in value)
    return isinstance(value, tuple) and all(map(_is_window, value))


def _is_number(value: object) -> bool:
    """Tell whether a value is a finite number and no truth value."""
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type] # a number here


def _is_window(value: object) -> bool:
    """Tell whether a value is a window as JSON."""
    return (
        isinstance(value, dict)
        and set(value) == {"name", "center", "width", "function"}
        and _fits(value["name"], str)
        and _fits(value["function"], str)
        and _is_number(value["center"])
        and _is_number(value["width"])
    )
