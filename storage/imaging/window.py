"""Turn modality values into grey levels, and choose which window to begin with.

A window out of a header is used only when it makes sense: widths of 0, centres that are not
numbers and windows that leave the film black are common in real files, and a reader must see
the image all the same.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from storage.errors import UnsupportedImageError


class VoiFunction(StrEnum):
    """VOI LUT Function (0028,1056), PS3.3 C.11.2.1.2.1 and .3."""

    LINEAR = "LINEAR"
    LINEAR_EXACT = "LINEAR_EXACT"
    SIGMOID = "SIGMOID"


@dataclass(frozen=True, slots=True)
class Window:
    """A named window in modality units: HU for CT, whatever the rescale says elsewhere."""

    name: str
    center: float
    width: float
    function: VoiFunction = VoiFunction.LINEAR

    def as_json(self) -> dict[str, Any]:
        """Return the window as the geometry JSON and the image table hold it."""
        return {
            "name": self.name,
            "center": self.center,
            "width": self.width,
            "function": self.function.value,
        }

    @classmethod
    def from_json(cls, fields: dict[str, Any]) -> "Window":
        """Read what `as_json` wrote; a missing function means LINEAR, as in DICOM."""
        function = VoiFunction(fields.get("function", VoiFunction.LINEAR))
        return cls(str(fields["name"]), float(fields["center"]), float(fields["width"]), function)


PRESETS: Final = {
    "lung": Window("lung", -600, 1500),
    "soft tissue": Window("soft tissue", 40, 400),
    "bone": Window("bone", 400, 1800),
    "brain": Window("brain", 40, 80),
    "liver": Window("liver", 60, 160),
}
PERCENTILES: Final = (0.5, 99.5)  # of all pixels; leaves out collimator edges and hot pixels
_SAMPLE: Final = 200_000  # pixels looked at for percentiles
_LARGEST: Final = 1e6  # no modality has values beyond this


def apply_window(
    values: NDArray[Any],
    *,
    center: float,
    width: float,
    function: VoiFunction = VoiFunction.LINEAR,
) -> NDArray[np.float32]:
    """Map modality values onto 0..1, clipping outside the window.

    LINEAR follows PS3.3 C.11.2.1.2.1, whose half-pixel offsets make a window of width 1 a
    step at `center - 0.5`; LINEAR_EXACT and SIGMOID follow C.11.2.1.3.2 and C.11.2.1.3.1.

    Args:
        values: Modality values after rescale, any shape.
        center: Window Center (0028,1050), in the units of `values`.
        width: Window Width (0028,1051); at least 1 for LINEAR, above 0 for the others.
        function: VOI LUT Function (0028,1056).

    Returns:
        Array of the same shape, dtype float32, every value within 0..1.

    Raises:
        UnsupportedImageError: the standard gives this width no meaning.
    """
    if not is_usable(center, width, function):
        raise UnsupportedImageError(
            found=f"a window of width {width:g}", accepted="windows of width 1 or more"
        )
    x = values.astype(np.float32)
    grey: NDArray[np.float32]
    match function:
        case VoiFunction.SIGMOID:
            power = np.clip(-4 * (x - np.float32(center)) / np.float32(width), -80, 80)
            grey = 1 / (1 + np.exp(power))
        case VoiFunction.LINEAR_EXACT:
            grey = (x - np.float32(center)) / np.float32(width) + np.float32(0.5)
        case VoiFunction.LINEAR if width == 1:
            grey = (x > center - 0.5).astype(np.float32)
        case VoiFunction.LINEAR:
            grey = (x - np.float32(center - 0.5)) / np.float32(width - 1) + np.float32(0.5)
    return np.clip(grey, 0.0, 1.0, out=grey)


def is_usable(center: float, width: float, function: VoiFunction = VoiFunction.LINEAR) -> bool:
    """Tell whether a window is defined by the standard and within what modalities give."""
    if not (math.isfinite(center) and math.isfinite(width)) or max(abs(center), width) > _LARGEST:
        return False
    return width >= 1 if function is VoiFunction.LINEAR else width > 0


def windows_for(
    own: Sequence[tuple[float, float]],
    served: NDArray[Any],
    *,
    slope: float,
    intercept: float,
    units: str,
    body_part: str,
    function: VoiFunction = VoiFunction.LINEAR,
) -> list[Window]:
    """Choose the windows offered for an image, the first one being shown.

    Args:
        own: (center, width) pairs from the header, in modality units.
        served: Served values, (frames, rows, columns) or (frames, rows, columns, 3).
        slope: Served value * slope + intercept gives modality units.
        intercept: See `slope`.
        units: `HU` adds the CT presets.
        body_part: BodyPartExamined; `CHEST` puts the lung preset first when `own` is no use.
        function: The header's VOI LUT Function.

    Returns:
        At least one window for grey images; none for colour, which is shown as it is.
    """
    if served.ndim == 4:
        return []
    chosen = [
        Window("as acquired" if number == 0 else f"as acquired {number + 1}", *pair, function)
        for number, pair in enumerate(own)
        if is_usable(*pair, function)
    ]
    if units == "HU":
        first = "lung" if body_part == "CHEST" else "soft tissue"
        names = [first, *(name for name in PRESETS if name != first)]
        return chosen + [PRESETS[name] for name in names]
    if not chosen or _is_flat(chosen[0], served, slope, intercept):
        chosen.insert(0, _from_values(served, slope, intercept))
    return chosen


def _is_flat(window: Window, served: NDArray[Any], slope: float, intercept: float) -> bool:
    """Tell whether a window shows nearly all of the image as plain black or plain white."""
    sample = _sample(served) * slope + intercept
    grey = apply_window(sample, center=window.center, width=window.width, function=window.function)
    return bool(np.mean((grey > 0.01) & (grey < 0.99)) < 0.01)


def _from_values(served: NDArray[Any], slope: float, intercept: float) -> Window:
    """Return a window between two percentiles, or the whole range of 8-bit images."""
    if served.dtype == np.uint8 and (slope, intercept) == (1.0, 0.0):
        return Window("full range", 128, 256)
    low, high = np.percentile(_sample(served) * slope + intercept, PERCENTILES)
    width = max(1.0, round(float(high - low), 3))
    return Window("from pixel values", round(float(low + high) / 2, 3), width)


def _sample(served: NDArray[Any]) -> NDArray[np.float64]:
    """Return evenly spread pixels, enough of them for percentiles."""
    flat = served.reshape(-1)
    return flat[:: max(1, flat.size // _SAMPLE)].astype(np.float64)
