"""Draw a small chest CT: round trunk, two lungs, heart, spine, ribs, in Hounsfield units.

Values are what textbooks give for each tissue (lung about -850 HU, fat -100, muscle and fluid
10 to 50, bone 400 to 1000), so that every window preset shows what it should.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from storage.phantoms.plan import SIDES, Finding

SHAPE = (24, 128, 128)  # slices from the head down, rows, columns
SPACING_MM = (10.0, 2.8, 2.8)


@dataclass(frozen=True, slots=True)
class DrawnVolume:
    """A volume (slices, rows, columns) int16 HU, its findings and their boxes.

    A box is column0, row0, slice0, column1, row1, slice1, all inclusive.
    """

    hu: NDArray[np.int16]
    findings: tuple[tuple[Finding, tuple[int, int, int, int, int, int]], ...]


def plan_volume(rng: np.random.Generator) -> tuple[Finding, ...]:
    """Choose none, one or both of the findings a volume can show."""
    names = [name for name in ("pleural effusion", "nodule") if rng.random() < 0.5]
    findings = []
    for name in names:
        side = str(rng.choice(SIDES))
        zone = "lower" if name == "pleural effusion" else str(rng.choice(["upper", "mid"]))
        findings.append(Finding(name, side, zone, float(rng.random())))
    return tuple(findings)


def draw_volume(findings: tuple[Finding, ...], rng: np.random.Generator) -> DrawnVolume:
    """Draw a chest with `findings`; x grows to the patient's left, y to the back."""
    z, y, x = (
        np.linspace(-1, 1, length, dtype=np.float32).reshape(shape)
        for length, shape in zip(SHAPE, ((-1, 1, 1), (1, -1, 1), (1, 1, -1)), strict=True)
    )
    wide, deep = rng.uniform(0.84, 0.92), rng.uniform(0.58, 0.66)
    trunk = (x / wide) ** 2 + (y / deep) ** 2
    hu = np.full(SHAPE, -1000, np.float32)
    hu[np.broadcast_to(trunk < 1, SHAPE)] = -100  # subcutaneous fat
    hu[np.broadcast_to(trunk < 0.88, SHAPE)] = 45
    taper = np.sqrt(np.clip(1 - ((z - 0.35) / 1.30) ** 2, 0.05, 1))
    lungs = {}
    for side, sign in (("left", 1.0), ("right", -1.0)):
        u = sign * x
        lung = ((u - 0.42) / (0.32 * taper)) ** 2 + (y / (deep * 0.74 * taper)) ** 2 < 1
        dome = z < 0.85 - 0.5 * np.clip(1 - ((u - 0.42) / 0.3) ** 2 - (y / 0.5) ** 2, 0, 1)
        lungs[side] = lung & dome
        hu[lungs[side]] = -850
    heart = ((x - 0.12) / 0.30) ** 2 + ((y + 0.16) / 0.27) ** 2 + ((z - 0.25) / 0.42) ** 2 < 1
    hu[heart] = 40
    aorta = np.hypot(x - 0.14, y - 0.22) < 0.065
    hu[np.broadcast_to(aorta, SHAPE)] = 50
    airway = np.broadcast_to(np.hypot(x, y + 0.02) < 0.05, SHAPE) & (z < -0.2)
    hu[airway] = -1000
    _add_bones(hu, x, y, z, (wide, deep))
    boxes = []
    for finding in findings:
        mask = _lesion(finding, lungs[finding.side], (x, y, z), deep, rng)
        hu[mask] = 12 if finding.finding == "pleural effusion" else 35
        boxes.append((finding, _box(mask)))
    hu += rng.normal(0, 14, SHAPE).astype(np.float32)
    return DrawnVolume(np.clip(np.rint(hu), -1024, 3071).astype(np.int16), tuple(boxes))


def _add_bones(
    hu: NDArray[np.float32],
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    z: NDArray[np.float32],
    trunk: tuple[float, float],
) -> None:
    """Add vertebrae with a canal, and ribs that slope downwards to the front."""
    wide, deep = trunk
    body = np.broadcast_to((x / 0.13) ** 2 + ((y - 0.42) / 0.11) ** 2 < 1, SHAPE)
    hu[body] = 400
    canal = np.broadcast_to((x / 0.055) ** 2 + ((y - 0.56) / 0.045) ** 2 < 1, SHAPE)
    hu[canal] = 30
    ring = np.abs(np.sqrt((x / wide) ** 2 + (y / deep) ** 2) - 0.88) < 0.035
    level = (z * 5 + y * 1.6) % 1.0
    hu[ring & (level < 0.34)] = 700


def _lesion(
    finding: Finding,
    lung: NDArray[np.bool_],
    at: tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]],
    deep: float,
    rng: np.random.Generator,
) -> NDArray[np.bool_]:
    """Return the voxels a finding covers: fluid behind, or a ball in mid-lung."""
    x, y, z = at
    if finding.finding == "pleural effusion":
        level = deep * (0.42 - 0.30 * finding.size)
        fluid: NDArray[np.bool_] = lung & (y > level) & (z > -0.1)
        return fluid
    sign = 1.0 if finding.side == "left" else -1.0
    z0 = float(rng.uniform(-0.45, -0.30) if finding.zone == "upper" else rng.uniform(-0.1, 0.15))
    u0, y0 = float(rng.uniform(0.40, 0.52)), float(rng.uniform(-0.10, 0.10))
    radius = 0.06 + 0.05 * finding.size
    in_z = (z - z0) * SPACING_MM[0] * SHAPE[0] / (SPACING_MM[1] * SHAPE[1])
    ball: NDArray[np.bool_] = (sign * x - u0) ** 2 + (y - y0) ** 2 + in_z**2 < radius**2
    return ball & lung


def _box(mask: NDArray[np.bool_]) -> tuple[int, int, int, int, int, int]:
    """Return the smallest box around a mask (slices, rows, columns)."""
    slices, rows, columns = (np.unique(where) for where in np.nonzero(mask))
    return (int(columns[0]), int(rows[0]), int(slices[0]),
            int(columns[-1]), int(rows[-1]), int(slices[-1]))  # fmt: skip
