"""How each finding changes a film, and the pixels it covers.

Every function returns what it adds to the attenuation and the mask that the truth's box is
taken from; none knows of DICOM.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from storage.phantoms.plan import Finding
from storage.phantoms.thorax import Field, Lung, Thorax

Mask: TypeAlias = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Canvas:
    """Patient coordinates of every pixel after scale, shift and tilt."""

    x: Field
    y: Field
    pixel: float  # width of a pixel

    def u(self, side: str) -> Field:
        """Return the distance from the midline, negative on the other side."""
        return self.x if side == "left" else -self.x


@dataclass(frozen=True, slots=True)
class Lesion:
    """What a finding does: attenuation added, aeration lost, markings hidden, pixels covered."""

    added: Field | float
    airless: Field | float
    unmarked: Field | float
    mask: Mask


def canvas(thorax: Thorax, size: int) -> Canvas:
    """Return the coordinates of a film of `size` by `size` pixels."""
    line = ((np.arange(size, dtype=np.float32) + 0.5) / size - 0.5).astype(np.float32)
    dx, dy = line[None, :] - thorax.shift[0], line[:, None] - thorax.shift[1]
    cos = np.float32(np.cos(thorax.tilt) / thorax.scale)
    sin = np.float32(np.sin(thorax.tilt) / thorax.scale)
    x, y = cos * dx - sin * dy, sin * dx + cos * dy
    return Canvas(x.astype(np.float32), y.astype(np.float32), 1.0 / (size * thorax.scale))


def soft(signed: NDArray[np.floating[Any]], width: float) -> Field:
    """Return 0 below `-width`, 1 above `width` and a smooth step between."""
    t = np.clip(
        signed.astype(np.float32, copy=False) * np.float32(0.5 / width) + np.float32(0.5), 0.0, 1.0
    )
    step: Field = t * t * (3 - 2 * t)
    return step


def lung_field(at: Canvas, lung: Lung, side: str, *, blur: float = 0.004) -> Field:
    """Return 1 inside a lung and 0 outside, with an edge `2 * blur` wide."""
    u = at.u(side)
    inside: Field = soft(lung.outer(at.y) - u, blur)
    inside *= soft(u - lung.inner, 0.012)
    inside *= soft(lung.diaphragm(u) - at.y, blur)
    inside *= soft(at.y - lung.apex_y, blur)
    return inside


def effusion(at: Canvas, thorax: Thorax, finding: Finding, field: Field) -> Lesion:
    """Fluid from the costophrenic angle up, its surface rising towards the wall."""
    lung = thorax.lung(finding.side)
    u = at.u(finding.side)
    height = lung.base_y - lung.apex_y
    level = lung.base_y - height * (0.05 + 0.36 * finding.size)
    t = np.clip((u - lung.inner) / (lung.width - lung.inner), 0.0, 1.1)
    surface = level + 0.035 - (0.10 + 0.03 * finding.size) * t**2.6
    fluid = soft(at.y - surface.astype(np.float32), 0.010)
    fluid *= soft(u - lung.inner, 0.012)
    return Lesion(added=0.0, airless=fluid, unmarked=fluid, mask=fluid * field > 0.5)


def pneumothorax(at: Canvas, thorax: Thorax, finding: Finding, field: Field) -> Lesion:
    """A lucent rim without markings, and the visceral pleura as a white line along it."""
    gap = 0.045 + 0.05 * finding.size
    lung = thorax.lung(finding.side).collapsed(gap)
    kept = lung_field(at, lung, finding.side)
    rim = np.clip(field - kept, 0.0, 1.0) * soft(lung.base_y - 0.02 - at.y, 0.02)
    u = at.u(finding.side)
    half = max(0.0028, at.pixel)
    distance = np.minimum(lung.outer(at.y) - u, at.y - lung.apex_y)
    slope = np.maximum(np.hypot(*np.gradient(distance, at.pixel)), 1.0).astype(np.float32)
    line = soft((half - np.abs(distance) / slope).astype(np.float32), half) * field
    line *= soft(lung.base_y - 0.03 - at.y, 0.02) * soft(u - lung.inner - 0.02, 0.01)
    added = (0.11 * line - 0.075 * rim).astype(np.float32)
    return Lesion(added=added, airless=0.0, unmarked=rim, mask=rim > 0.5)


def consolidation(
    at: Canvas, thorax: Thorax, finding: Finding, field: Field, rng: np.random.Generator
) -> Lesion:
    """A patch with a ragged edge and a few open airways in it."""
    u0, y0 = _spot(thorax, finding, rng)
    radius = 0.055 + 0.035 * finding.size
    u = at.u(finding.side)
    dx, dy = u - u0, (at.y - y0) * rng.uniform(0.9, 1.25)
    angle = np.arctan2(dy, dx)
    ragged = np.zeros_like(at.x)
    for lobes in (2, 3, 5, 8):
        ragged += np.cos(lobes * angle + rng.uniform(0, 6.28)) * (0.18 / lobes**0.5)
    away = np.hypot(dx, dy)
    patch = soft(((1 + 0.6 * ragged) * radius - away).astype(np.float32), 0.030) * field
    streaks = np.cos(angle * 9 + rng.uniform(0, 6.28)) > 0.93
    airways = streaks & (away < 0.8 * radius) & (away > 0.15 * radius)
    added = (patch * (0.02 - 0.05 * airways)).astype(np.float32)
    return Lesion(added=added, airless=0.68 * patch, unmarked=patch, mask=patch > 0.3)


def nodule(
    at: Canvas, thorax: Thorax, finding: Finding, field: Field, rng: np.random.Generator
) -> Lesion:
    """One round opacity with a clear edge."""
    u0, y0 = _spot(thorax, finding, rng)
    radius = 0.019 + 0.018 * finding.size
    away = np.hypot(at.u(finding.side) - u0, at.y - y0).astype(np.float32)
    ball = np.sqrt(np.clip(1 - (away / radius) ** 2, 0.0, 1.0)).astype(np.float32)
    mask = (away < radius) & (field > 0.3)
    return Lesion(added=0.23 * ball, airless=0.0, unmarked=0.0, mask=mask)


def tube(at: Canvas, finding: Finding, carina_y: float) -> Lesion:
    """An endotracheal tube: two walls and an opaque stripe, tip above the carina."""
    tip = carina_y - 0.035 - 0.05 * finding.size
    half = max(0.0024, 0.7 * at.pixel)
    bend = 0.03 * np.clip(-at.y - 0.3, 0.0, 1.0)
    off = at.x - bend.astype(np.float32)
    inside = soft(tip - at.y, 0.003)
    walls = soft(half - np.abs(np.abs(off) - 0.0105), half)
    stripe = soft(1.2 * half - np.abs(off - 0.004), half)
    added = ((0.16 * walls + 0.22 * stripe) * inside).astype(np.float32)
    mask = (np.abs(off) < 0.0135) & (at.y < tip)
    return Lesion(added=added, airless=0.0, unmarked=0.0, mask=mask)


def heart(at: Canvas, thorax: Thorax) -> Field:
    """Return the heart's shadow, 0..1, narrowing upwards into the great vessels."""
    left = _border(at.y, thorax.heart_y + 0.035, 0.048, thorax.heart_left, rise=0.20)
    right = _border(at.y, thorax.heart_y, 0.042, thorax.heart_right, rise=0.15)
    inside = np.where(at.x > 0, left - at.x, right + at.x).astype(np.float32)
    floor = thorax.heart_y + 0.105 + 0.10 * np.clip(at.x, 0, 1)
    return soft(inside, 0.006) * soft((floor - at.y).astype(np.float32), 0.02)


def _border(y: Field, widest_y: float, narrow: float, wide: float, *, rise: float) -> Field:
    """Return the distance of one heart border from the midline at each height."""
    up = np.clip((widest_y - y) / rise, 0.0, 1.0)
    down = np.clip((y - widest_y) / 0.10, 0.0, 1.0)
    shape = (1 - up**1.7) ** 1.1 * np.sqrt(1 - 0.85 * down**2.4)
    border: Field = (narrow + (wide - narrow) * shape).astype(np.float32)
    return border


def _spot(thorax: Thorax, finding: Finding, rng: np.random.Generator) -> tuple[float, float]:
    """Return a place inside the finding's zone that the heart does not cover."""
    lung = thorax.lung(finding.side)
    top, bottom = lung.zone(finding.zone)
    y = float(rng.uniform(top + 0.35 * (bottom - top), top + 0.75 * (bottom - top)))
    outer = float(lung.outer(np.array(y, dtype=np.float32)))
    heart_edge = thorax.heart_left if finding.side == "left" else thorax.heart_right
    behind = heart_edge + 0.03 if finding.zone == "lower" else lung.inner + 0.08
    low, high = min(behind, outer - 0.075), outer - 0.06
    return float(rng.uniform(low, max(low, high))), y
