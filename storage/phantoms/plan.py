"""What a made-up study shows, decided before anything is drawn.

Truth comes first and the picture follows it, so that the truth file cannot disagree with the
pixels. Sides are the patient's: the left lung is on the right of the film.
"""

from dataclasses import dataclass, field
from typing import Final

import numpy as np

FINDINGS: Final = (
    "pleural effusion",
    "pneumothorax",
    "consolidation",
    "nodule",
    "cardiomegaly",
    "endotracheal tube",
)
SIDES: Final = ("left", "right")
ZONES: Final = ("upper", "mid", "lower")

NORMAL_SHARE: Final = 0.25  # of films that show nothing at all
BOTH_SIDES_SHARE: Final = 0.15  # of films with an effusion that have one on either side


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing to be seen on one film; `size` is 0 for the smallest drawn, 1 for the largest."""

    finding: str
    side: str = ""
    zone: str = ""
    size: float = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """One film before it is drawn."""

    modality: str
    view: str
    findings: tuple[Finding, ...] = field(default=())

    def has(self, finding: str) -> bool:
        """Tell whether the film is to show `finding` anywhere."""
        return any(each.finding == finding for each in self.findings)


def plan_film(rng: np.random.Generator) -> Plan:
    """Choose modality, view and a combination of findings that can be told apart on one film.

    A tube goes with an AP film only: nobody walks to the wall stand intubated. Two findings
    never share a side and zone, since one would hide the other.
    """
    view = str(rng.choice(["AP", "PA"]))
    modality = str(rng.choice(["CR", "DX"]))
    if rng.random() < NORMAL_SHARE:
        return Plan(modality, view)
    candidates = [name for name in FINDINGS if name != "endotracheal tube" or view == "AP"]
    wanted = rng.permutation(candidates)[: int(rng.choice([1, 2, 3], p=[0.55, 0.3, 0.15]))]
    free = {(side, zone) for side in SIDES for zone in ZONES}
    findings: list[Finding] = []
    for name in sorted(wanted, key=FINDINGS.index):  # the large ones choose their place first
        findings += _place(str(name), free, rng)
    return Plan(modality, view, tuple(findings))


def _place(name: str, free: set[tuple[str, str]], rng: np.random.Generator) -> list[Finding]:
    """Take places for one finding out of `free`."""
    size = float(rng.random())
    if name in ("cardiomegaly", "endotracheal tube"):
        return [Finding(name, size=size)]
    zones = {"pleural effusion": ("lower",), "pneumothorax": ("upper",)}.get(name, ZONES)
    open_places = sorted(place for place in free if place[1] in zones)
    if not open_places:
        return []
    places = [open_places[int(rng.integers(len(open_places)))]]
    if name == "pleural effusion" and rng.random() < BOTH_SIDES_SHARE:
        places = open_places
    free.difference_update(places)
    return [Finding(name, side, zone, size) for side, zone in places]
