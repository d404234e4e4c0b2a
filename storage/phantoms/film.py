"""Draw a chest film: attenuation of each structure summed along the beam, then exposed.

A radiograph is a sum, so structures overlap as they do on film: ribs cross nodules, the heart
hides the left lower zone. Strengths are in units of the whole grey scale, tuned so that each
finding can be seen by a person at 256 pixels.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from storage.phantoms import lesions
from storage.phantoms.lesions import Canvas, Mask, soft
from storage.phantoms.plan import SIDES, Finding, Plan
from storage.phantoms.thorax import Field, Lung, Thorax, sample_thorax

CARINA_Y = -0.115
FULL_SCALE = 4095  # 12 bits


@dataclass(frozen=True, slots=True)
class DrawnFinding:
    """A finding and its box: column0, row0, column1, row1 in pixels, all inclusive."""

    finding: Finding
    bbox: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Film:
    """A drawn film: `pixels` (size, size) uint16 of 12 bits, high values bright."""

    pixels: NDArray[np.uint16]
    findings: tuple[DrawnFinding, ...]


def draw_film(plan: Plan, rng: np.random.Generator, *, size: int) -> Film:
    """Draw what `plan` says on a square film of `size` pixels."""
    enlarged = next((each.size for each in plan.findings if each.finding == "cardiomegaly"), None)
    thorax = sample_thorax(rng, view=plan.view, heart_size=enlarged)
    at = lesions.canvas(thorax, size)
    fields = {side: lesions.lung_field(at, thorax.lung(side), side) for side in SIDES}
    heart = lesions.heart(at, thorax)
    drawn: list[DrawnFinding] = []
    added, airless, unmarked = (np.zeros_like(at.x) for _ in range(3))
    for finding in plan.findings:
        lesion = _lesion(finding, at, thorax, fields, rng)
        if lesion is None:
            drawn.append(
                DrawnFinding(finding, _box((heart > 0.5) & (at.y > thorax.heart_y - 0.12)))
            )
            continue
        drawn.append(DrawnFinding(finding, _box(lesion.mask)))
        added += lesion.added
        airless = np.maximum(airless, lesion.airless)
        unmarked = np.maximum(unmarked, lesion.unmarked)
    lungs = fields["left"] + fields["right"]
    shadow = _soft_tissue(at, thorax)
    air = lungs * (1 - airless) * (1 - 0.84 * heart)
    shadow -= 0.44 * air * (0.80 + 0.20 * _depth(at, thorax))
    shadow += 0.07 * heart
    shadow += _vessels(thorax, at, rng) * air * (1 - unmarked)
    shadow += _bones(at, thorax)
    shadow += _airway(at) + added
    return Film(_expose(shadow, thorax, rng), tuple(drawn))


def _lesion(
    finding: Finding,
    at: Canvas,
    thorax: Thorax,
    fields: dict[str, Field],
    rng: np.random.Generator,
) -> lesions.Lesion | None:
    """Draw one finding; None for an enlarged heart, which is part of the thorax."""
    match finding.finding:
        case "pleural effusion":
            return lesions.effusion(at, thorax, finding, fields[finding.side])
        case "pneumothorax":
            return lesions.pneumothorax(at, thorax, finding, fields[finding.side])
        case "consolidation":
            return lesions.consolidation(at, thorax, finding, fields[finding.side], rng)
        case "nodule":
            return lesions.nodule(at, thorax, finding, fields[finding.side], rng)
        case "endotracheal tube":
            return lesions.tube(at, finding, CARINA_Y)
        case _:
            return None


def _box(mask: Mask) -> tuple[int, int, int, int]:
    """Return the smallest box around a mask."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]), int(rows[-1])


def _soft_tissue(at: Canvas, thorax: Thorax) -> Field:
    """Return trunk, shoulders, neck, mediastinum and abdomen."""
    u = np.abs(at.x)
    neck = np.clip((0.13 - u) / 0.03, -1.0, 1.0)  # the skin runs up into the neck
    shoulder = -0.45 + 0.55 * np.clip(u - 0.10, 0.0, 1.0) ** 1.15 - 0.3 * np.clip(neck, 0, 1)
    arms = 0.16 * soft(-0.16 - at.y, 0.10)
    flank = thorax.body + arms + 0.02 * np.clip(at.y, 0, 1)
    trunk = soft(flank - u, 0.012) * soft(at.y - shoulder.astype(np.float32), 0.012)
    round_body = np.sqrt(np.clip(1 - (u / (thorax.body + 0.14)) ** 2, 0.05, 1.0))
    shadow = trunk * (0.38 + 0.28 * round_body)
    band = 0.060 + 0.04 * np.clip(-0.15 - at.y, 0, 0.3)
    shadow += 0.09 * soft(band.astype(np.float32) - u, 0.02) * trunk
    knob = np.hypot(at.x - 0.048, at.y + 0.175).astype(np.float32)
    shadow += 0.09 * soft(0.034 - knob, 0.008)
    below = np.where(
        at.x > 0, thorax.left.diaphragm(u.astype(np.float32)), thorax.right.diaphragm(u)
    ).astype(np.float32)
    shadow += 0.12 * soft(at.y - below, 0.006) * trunk
    bubble = 1 - ((at.x - 0.17) / 0.06) ** 2 - ((at.y - thorax.left.base_y - 0.075) / 0.035) ** 2
    shadow -= thorax.bubble * soft(bubble.astype(np.float32), 0.35)
    for side in SIDES:
        arc = np.hypot(at.u(side) - 0.20, (at.y - thorax.left.base_y + 0.06) * 1.1)
        shadow += thorax.breast * soft((0.15 - arc).astype(np.float32), 0.02)
    tissue: Field = shadow.astype(np.float32)
    return tissue


def _depth(at: Canvas, thorax: Thorax) -> Field:
    """Return how thick the lung is along the beam, 0 at the wall to 1 in its middle."""
    u = np.abs(at.x)
    room = np.clip((thorax.left.outer(at.y) - u) / 0.09, 0.0, 1.0)
    depth: Field = np.sqrt(room).astype(np.float32)
    return depth


def _vessels(thorax: Thorax, at: Canvas, rng: np.random.Generator) -> Field:
    """Return branching markings that thin out from each hilum, and the hila themselves."""
    size = at.x.shape[0]
    sheet = Image.new("L", (size, size))
    pen = ImageDraw.Draw(sheet)
    for side, sign in (("left", 1), ("right", -1)):
        lung = thorax.lung(side)
        hilum = (0.075, -0.06 if side == "left" else -0.045)
        for angle in np.linspace(-1.35, 1.45, 11) + rng.normal(0, 0.08, 11):
            _branch(pen, hilum, float(angle), 0.0066, 3, (size, sign), lung, rng)
    marks = np.asarray(sheet.filter(ImageFilter.GaussianBlur(max(0.5, size / 700))), np.float32)
    field = marks * np.float32(0.105 / 255)
    for side in SIDES:
        hilum_y = -0.055 if side == "left" else -0.035
        away = ((at.u(side) - 0.07) / 0.026) ** 2 + ((at.y - hilum_y) / 0.055) ** 2
        field += 0.13 * np.exp(-np.minimum(away, 20.0))
    vessels: Field = field.astype(np.float32)
    return vessels


def _branch(
    pen: ImageDraw.ImageDraw,
    start: tuple[float, float],
    angle: float,
    width: float,
    depth: int,
    film: tuple[int, int],
    lung: Lung,
    rng: np.random.Generator,
) -> None:
    """Draw one vessel and the two it divides into."""
    size, sign = film
    length = float(rng.uniform(0.05, 0.095))
    end = start[0] + length * float(np.cos(angle)), start[1] + length * float(np.sin(angle))
    points = [((sign * u + 0.5) * size, (y + 0.5) * size) for u, y in (start, end)]
    pen.line(points, fill=int(105 + 45 * depth), width=max(1, round(width * size)))
    if depth and end[0] < lung.width:
        for turn in rng.normal([-0.34, 0.34], 0.12):
            _branch(pen, end, angle + float(turn), width * 0.66, depth - 1, film, lung, rng)


def _bones(at: Canvas, thorax: Thorax) -> Field:
    """Return ribs, spine, clavicles and scapulae."""
    bones = 0.085 * soft(0.034 - np.abs(at.x), 0.006)
    bones *= 0.85 + 0.15 * np.cos(at.y * np.float32(2 * np.pi / 0.052))
    for side in SIDES:
        u, lung = at.u(side), thorax.lung(side)
        t = u / lung.width
        wall = lung.outer(at.y) + 0.022
        cage = soft(wall - u, 0.006) * soft(u - 0.03, 0.01) * soft(at.y - lung.apex_y + 0.03, 0.02)
        cage *= soft(lung.base_y + 0.20 - at.y, 0.08)
        back = at.y - thorax.rib_curve * t**2 * (0.4 + 0.9 * t) + 0.04 * t
        bones += 0.085 * cage * _bands(back, thorax.rib_spacing, thorax.rib_phase, 0.0125)
        front = at.y - 0.30 * (0.9 - t) * np.clip(1.15 - t, 0.1, 1)
        ends = soft(u - 0.36 * lung.width, 0.03)
        bones += 0.055 * cage * ends * _bands(front, thorax.rib_spacing * 1.15, 0.4, 0.015)
        bones += 0.13 * _clavicle(u, at.y, thorax)
        bones += 0.085 * _scapula(u, at.y, thorax, lung)
    skeleton: Field = bones.astype(np.float32)
    return skeleton


def _bands(y: Field, spacing: float, phase: float, half: float) -> Field:
    """Return evenly spaced bands with brighter edges: ribs, all of them in one go."""
    v = y / np.float32(spacing) + np.float32(phase)
    away = np.abs(v - np.rint(v)) * np.float32(spacing)
    inside = soft((half - away).astype(np.float32), 0.003)
    bands: Field = inside * (0.65 + 0.35 * np.clip(away / half, 0, 1) ** 3)
    return bands


def _clavicle(u: Field, y: Field, thorax: Thorax) -> Field:
    """Return one collar bone, an S from the sternum to the shoulder."""
    middle = thorax.clavicle_y + 0.03 - thorax.clavicle_slope * u - 0.018 * np.sin(u * 14)
    half = 0.0135 + 0.004 * np.cos(u * 12)
    bone = soft((half - np.abs(y - middle)).astype(np.float32), 0.004)
    clavicle: Field = bone * soft(u - 0.035, 0.008) * soft(0.40 - u, 0.02)
    return clavicle


def _scapula(u: Field, y: Field, thorax: Thorax, lung: Lung) -> Field:
    """Return one shoulder blade, its border denser than its plate."""
    edge = lung.width - thorax.scapula_overlap - 0.10 * np.clip(-0.05 - y, 0, 1)
    inside = (u - edge).astype(np.float32)
    reach = soft(y + 0.31, 0.03) * soft(0.03 - 0.6 * np.clip(inside, 0, 1) - y, 0.02)
    plate = soft(inside, 0.004) * soft(edge + 0.16 - u, 0.03)
    rim = soft((0.008 - np.abs(inside - 0.008)).astype(np.float32), 0.004)
    scapula: Field = reach * (0.55 * plate + 0.6 * rim)
    return scapula


def _airway(at: Canvas) -> Field:
    """Return the trachea and main bronchi, which are darker than what surrounds them."""
    trachea = soft(0.0175 - np.abs(at.x), 0.004) * soft(CARINA_Y - at.y, 0.006)
    run = np.clip((np.abs(at.x) - 0.0) * 1.1, 0, 1)
    bronchi = soft((0.010 - np.abs(at.y - CARINA_Y - run)).astype(np.float32), 0.004)
    bronchi *= soft(0.085 - np.abs(at.x), 0.01)
    airway: Field = (-0.10 * trachea - 0.055 * bronchi * (1 - trachea)).astype(np.float32)
    return airway


def _expose(shadow: Field, thorax: Thorax, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Turn attenuation into 12-bit values: tone curve, exposure, quantum noise, 8 % base fog."""
    tone = np.clip(shadow, 0.0, 1.05) ** np.float32(thorax.gamma) * np.float32(thorax.gain)
    grain = rng.standard_normal(shadow.shape, dtype=np.float32)
    grain += 0.6 * np.roll(grain, 1, axis=0) + 0.6 * np.roll(grain, 1, axis=1)
    tone += grain * (thorax.noise * (0.45 + 0.55 * np.clip(shadow, 0, 1)))
    pixels: NDArray[np.uint16] = np.clip(tone * 3500 + 220, 0, FULL_SCALE).astype(np.uint16)
    return pixels
