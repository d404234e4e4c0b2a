"""What text in pixels is measured against: planted on films, and in files with known truth."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pydicom
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from storage.imaging.window import Window
from storage.intake.pixel_text import TextBox

WORDS: Final = (
    "HOLLOWAY, Anna", "MRN 4471902", "12/03/1958", "Dr Q. Marsh", "St Brigid Hosp", "ID 88-1203",
)  # fmt: skip
LINES: Final = 5  # on each picture
SHOWING: Final = 0.5  # of a line's area, to count as found


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text: first column and row, width and height."""

    column: int
    row: int
    width: int
    height: int

    def covered(self, boxes: Sequence[TextBox]) -> float:
        """Return which part of it lies in boxes."""
        seen = np.zeros((self.height, self.width), bool)
        for box in boxes:
            rows = slice(max(0, box.row0 - self.row), max(0, box.row1 + 1 - self.row))
            columns = slice(
                max(0, box.column0 - self.column), max(0, box.column1 + 1 - self.column)
            )
            seen[rows, columns] = True
        return float(seen.mean())


@dataclass(frozen=True, slots=True)
class Known:
    """A file whose burned-in lines are known; `named` are those that are no markers."""

    name: str
    path: Path
    lines: tuple[Line, ...]
    named: bool


def planted(
    ground: NDArray[np.uint8], height: int, contrast: int, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], list[Line]]:
    """Return a picture with lines of a font height, `contrast` grey levels above what is there."""
    rows, columns = ground.shape
    layer, font = Image.new("L", (columns, rows)), ImageFont.load_default(height)
    lines, draw = [], ImageDraw.Draw(layer)
    for number in range(LINES):
        text = WORDS[rng.integers(len(WORDS))]
        left, top, right, bottom = (int(edge) for edge in font.getbbox(text))
        column = int(rng.integers(2, max(3, columns - (right - left) - 4)))
        row = number * rows // LINES + int(rng.integers(2, max(3, rows // LINES - height - 8)))
        draw.text((column - left, row - top), text, fill=255, font=font)
        lines.append(Line(column, row, right - left, bottom - top))
    added = np.asarray(layer, np.float32) / 255 * contrast
    dimmed = np.minimum(ground, 255 - contrast)  # where a film is white, a light letter is no text
    return (dimmed + added).astype(np.uint8), lines


def known_files(shared: Path) -> Iterator[Known]:
    """Yield the files with ground truth."""
    folder = shared / "data/dicom"
    truth: dict[str, Any] = json.loads(
        (folder / "synthetic_phi/ground_truth.json").read_text(encoding="utf-8")
    )
    listed = [
        (folder / "synthetic_phi" / name, facts["burned_in"]) for name, facts in truth.items()
    ]
    for path in sorted((folder / "presidio").glob("*.dcm")):
        facts = json.loads(Path(f"{path}.gt.json").read_text(encoding="utf-8"))
        listed.append((path, facts["burned_in"]))
    for path, burned in listed:
        lines = tuple(Line(each["x"], each["y"], each["w"], each["h"]) for each in burned)
        named = any(each.get("phi", True) for each in burned)
        yield Known(path.name, path, lines, named)


def read_frame(path: Path) -> tuple[NDArray[Any], Window | None, float, float]:
    """Return the stored pixels of a one-frame file, its own window, and its rescale."""
    film = pydicom.dcmread(path)
    pixels = film.pixel_array
    if pixels.ndim == 3 or "WindowCenter" not in film:
        return pixels, None, 1.0, 0.0
    center, width = (
        float(value[0] if isinstance(value, pydicom.multival.MultiValue) else value)
        for value in (film.WindowCenter, film.WindowWidth)
    )
    slope, intercept = float(film.get("RescaleSlope", 1)), float(film.get("RescaleIntercept", 0))
    return pixels, Window("as acquired", center, max(1.0, width)), slope, intercept
