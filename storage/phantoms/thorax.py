"""The outline of one made-up chest: edges as functions, sampled anew for every patient.

Lengths are fractions of the film's width. `x` runs from -0.5 at the film's left edge (the
patient's right) to 0.5, `y` from -0.5 at the top to 0.5; `u` is the distance from the midline
on one side, so that both lungs share their formulas.
"""

from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Field: TypeAlias = NDArray[np.float32]  # (size, size), one value a pixel


@dataclass(frozen=True, slots=True)
class Lung:
    """One lung field: where its apex, outer wall, inner edge and diaphragm lie."""

    apex_y: float
    base_y: float  # height of the dome's top
    width: float  # midline to outer wall at its widest
    inner: float  # midline to the mediastinal edge
    dome: float  # how far the costophrenic angle lies below the dome
    taper: float = 2.1

    def outer(self, y: Field) -> Field:
        """Return the distance of the outer wall from the midline at each height."""
        middle = 0.45 * self.apex_y + 0.55 * self.base_y
        up = np.clip((middle - y) / (middle - self.apex_y), 0.0, 1.0)
        down = np.clip((y - middle) / (self.base_y - middle), 0.0, 1.6)
        inner = self.inner * 0.7
        edge: Field = inner + (self.width - inner) * (1 - up**self.taper) ** 0.72 + 0.012 * down
        return edge

    def diaphragm(self, u: Field) -> Field:
        """Return the height of the diaphragm at each distance from the midline."""
        t = np.clip((u - self.inner) / (self.width - self.inner), 0.0, 1.15)
        edge: Field = self.base_y + self.dome * np.abs(t - 0.38) ** 2.2 / 0.62**2.2
        return edge

    def zone(self, zone: str) -> tuple[float, float]:
        """Return the top and bottom of a third of the lung."""
        third = (self.base_y - self.apex_y) / 3
        number = ("upper", "mid", "lower").index(zone)
        return self.apex_y + number * third, self.apex_y + (number + 1) * third

    def collapsed(self, gap: float) -> "Lung":
        """Return this lung fallen away from the wall by `gap` at the apex, less below."""
        return replace(
            self, apex_y=self.apex_y + 1.5 * gap, width=self.width - 0.8 * gap, taper=1.9
        )


@dataclass(frozen=True, slots=True)
class Thorax:
    """Everything about one patient and one exposure that does not depend on a finding."""

    view: str
    right: Lung
    left: Lung
    scale: float
    shift: tuple[float, float]  # x, y
    tilt: float  # radians
    heart_left: float  # midline to the left heart border
    heart_right: float
    heart_y: float
    rib_spacing: float
    rib_phase: float
    rib_curve: float
    clavicle_y: float
    clavicle_slope: float
    scapula_overlap: float  # how far the scapula reaches into the lung field
    breast: float
    body: float  # half width of the trunk
    bubble: float  # strength of the gastric air bubble
    gain: float
    gamma: float
    noise: float

    def lung(self, side: str) -> Lung:
        """Return the lung of the patient's `side`."""
        return self.left if side == "left" else self.right


def sample_thorax(rng: np.random.Generator, *, view: str, heart_size: float | None) -> Thorax:
    """Sample a patient and an exposure.

    An AP film is taken closer and lying down: larger heart, higher diaphragm, scapulae over
    the lungs, steeper clavicles, more noise, no gastric bubble.

    Args:
        rng: Source of all variation.
        view: `AP` or `PA`.
        heart_size: None for a heart of normal size; otherwise cardiomegaly, 0 mild to 1 gross.
    """
    ap = view == "AP"

    def between(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    width = between(0.335, 0.375)
    apex = between(-0.385, -0.345)
    base = between(0.14, 0.20) if ap else between(0.20, 0.26)
    inner = between(0.045, 0.06)
    right = Lung(apex, base - between(0.01, 0.03), width, inner, between(0.075, 0.10))
    left = Lung(apex + between(-0.01, 0.01), base, width, inner, between(0.085, 0.115))
    normal = between(0.46, 0.52) if ap else between(0.40, 0.47)
    low = 0.64 if ap else 0.59
    ratio = normal if heart_size is None else low + 0.13 * heart_size
    heart = ratio * 2 * width
    right_share = between(0.27, 0.34)
    return Thorax(
        view=view,
        right=right,
        left=left,
        scale=between(0.93, 1.06),
        shift=(between(-0.02, 0.02), between(-0.02, 0.02)),
        tilt=between(-0.06, 0.06) if ap else between(-0.02, 0.02),
        heart_left=heart * (1 - right_share),
        heart_right=heart * right_share,
        heart_y=base - between(0.07, 0.09),
        rib_spacing=between(0.066, 0.078),
        rib_phase=between(0.0, 1.0),
        rib_curve=between(0.10, 0.16),
        clavicle_y=apex + (between(0.035, 0.06) if ap else between(0.075, 0.10)),
        clavicle_slope=between(0.16, 0.26) if ap else between(0.02, 0.10),
        scapula_overlap=between(0.07, 0.11) if ap else between(-0.05, -0.02),
        breast=between(0.0, 0.05),
        body=width + between(0.05, 0.10),
        bubble=0.0 if ap else between(0.06, 0.14),
        gain=between(0.90, 1.10),
        gamma=between(0.85, 1.20),
        noise=between(0.010, 0.022) if ap else between(0.006, 0.014),
    )
