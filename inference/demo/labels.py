"""What is known of a picture as a row of yes, no and unknown, for a second, discarded output.

Words teach a small decoder slowly what to look for. While it learns, its last picture token must
also say these facts directly; the layer that reads them is thrown away afterwards.
"""

import torch

from inference.demo.phrases import BODY_NAMES, MODALITY_NAMES, NAMES
from inference.demo.sources import Picture

UNKNOWN = -1.0
SIDES, ZONES = ("left", "right"), ("upper", "mid", "lower")
SIDED = ("pleural effusion", "pneumothorax", "consolidation", "nodule")
ZONED = ("consolidation", "nodule")
PLACES = [(name, side, "") for name in SIDED for side in SIDES] + [
    (name, side, zone) for name in ZONED for side in SIDES for zone in ZONES
]
BOXED = ("pleural effusion", "pneumothorax", "consolidation", "nodule", "cardiomegaly",
         "endotracheal tube", "pneumonia")  # fmt: skip
COVERED = 0.35  # of the smaller of box and cell, from which on a cell shows the finding
COUNT = 2 + len(NAMES) + len(MODALITY_NAMES) + len(BODY_NAMES) + len(PLACES)


def label_row(picture: Picture) -> torch.Tensor:
    """Return 1 for yes, 0 for no and UNKNOWN: float32 [COUNT]."""
    facts: list[bool | None] = [
        None if picture.normal is None else not picture.normal,
        None if picture.view is None else picture.view == "AP",
        *(picture.findings.get(name) for name in NAMES),
        *(picture.modality == kind for kind in MODALITY_NAMES),
        *(picture.body_part == part for part in BODY_NAMES),
    ]
    sides_known = picture.source in ("phantom", "ct phantom")
    for name, side, zone in PLACES:
        if not sides_known or name not in picture.findings:
            facts.append(None)
        else:
            facts.append(
                any(s.finding == name and s.side == side and zone in ("", s.zone)
                    for s in picture.sites)
            )  # fmt: skip
    return torch.tensor([UNKNOWN if fact is None else float(fact) for fact in facts])


def cell_rows(picture: Picture, grid: int) -> torch.Tensor:
    """Return which cells show which boxed finding, row by row: float32 [grid * grid, 7]."""
    cells = torch.full((grid, grid, len(BOXED)), UNKNOWN)
    for index, name in enumerate(BOXED):
        boxes = [s.box for s in picture.sites if s.finding == name and s.box is not None]
        if picture.findings.get(name) is False or boxes:
            cells[:, :, index] = 0.0
        for left, top, right, bottom in boxes:
            line = torch.arange(grid) / grid
            wide = (torch.clamp(line + 1 / grid, max=right) - line.clamp(min=left)).clamp(min=0)
            high = (torch.clamp(line + 1 / grid, max=bottom) - line.clamp(min=top)).clamp(min=0)
            smaller = min((right - left) * (bottom - top), 1 / grid**2)
            cells[:, :, index][high[:, None] * wide > COVERED * smaller] = 1.0
    return cells.flatten(0, 1)
