"""Where text stands in the pixels of one frame, and whether it may stay without a person's look.

A frame is cut into overlapping pieces, each is searched in a limited child at full resolution,
and what was found is put together here. A piece that could not be searched is an error: an image
counts as free of text only after all of it was looked at.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from storage.imaging.window import Window
from storage.intake.markers import is_marker
from storage.intake.refusals import RefusedFileError

SIDE: Final = 768  # of a piece; twice enlarged, the detector needs 1.3 GB for it
OVERLAP: Final = 96  # more than the height of a line
_ALIKE: Final = 0.02  # of all values: ranges whose ends differ by less show the same
_MARGIN: Final = 2  # around what was found: strokes fade into what is behind them
_TALLEST: Final = 1 / 3  # of the image or of a piece; a taller "line" is the outline of a head
_NEAR: Final = 1.5  # heights around a single letter where nothing else may stand
_INSIDE: Final = 0.8  # of a box, to be part of another one
_SAME: Final = 0.6  # of each of two boxes, to be one on two frames


@dataclass(frozen=True, slots=True)
class TextBox:
    """An upright rectangle around text, in pixels; all four edges are inside it.

    Attributes:
        column0: First column.
        row0: First row.
        column1: Last column.
        row1: Last row.
        marker: The words of the list of markers it consists of; empty for any other text.
    """

    column0: int
    row0: int
    column1: int
    row1: int
    marker: str = ""

    @property
    def height(self) -> int:
        """Rows it covers."""
        return self.row1 - self.row0 + 1

    def meets(self, other: Self, margin: float = 0) -> bool:
        """Tell whether the two share a pixel, or would with a margin around one."""
        return (
            self.column0 - margin <= other.column1
            and other.column0 <= self.column1 + margin
            and self.row0 - margin <= other.row1
            and other.row0 <= self.row1 + margin
        )

    def share_inside(self, other: Self) -> float:
        """Return which part of this box's area lies in another one."""
        columns = min(self.column1, other.column1) - max(self.column0, other.column0) + 1
        rows = min(self.row1, other.row1) - max(self.row0, other.row0) + 1
        area = (self.column1 - self.column0 + 1) * self.height
        return max(0, columns) * max(0, rows) / area

    def joined(self, other: Self) -> Self:
        """Return the smallest box around both, for any text."""
        return replace(
            self,
            column0=min(self.column0, other.column0),
            row0=min(self.row0, other.row0),
            column1=max(self.column1, other.column1),
            row1=max(self.row1, other.row1),
            marker="",
        )


class Searching(Protocol):
    """What is needed of `storage.intake.sandbox.Crew`."""

    def look(self, job: dict[str, Any], data: bytes) -> dict[str, Any]:
        """Have one piece searched."""


@dataclass(slots=True)
class Frames:
    """Searches frame after frame; one that is the same as the one before is not searched again."""

    crew: Searching
    before_each: Callable[[], None] = lambda: None  # piece; may raise to end the search
    _last: tuple[bytes, list[TextBox]] | None = None

    def search(
        self, frame: NDArray[Any], window: Window | None, slope: float, intercept: float
    ) -> list[TextBox]:
        """Return the text in one frame, from the top down.

        Args:
            frame: Served pixels, (rows, columns) or (rows, columns, 3).
            window: The first of the image's; None for colour.
            slope: Served value * slope + intercept is in the window's units.
            intercept: See `slope`.

        Raises:
            RefusedFileError: `decode_failed`: a piece could not be searched.
            storage.intake.sandbox.SandboxError: no child could be started.
        """
        digest = hashlib.sha256(frame.tobytes()).digest()
        if self._last is None or self._last[0] != digest:
            shown = ranges(frame, window, slope=slope, intercept=intercept)
            self._last = digest, assembled(self._found(frame, shown), frame.shape)
        return self._last[1]

    def _found(
        self, frame: NDArray[Any], shown: Sequence[tuple[float, float]]
    ) -> Iterator[TextBox]:
        if not shown:
            return
        for row, column in pieces(frame.shape):
            piece = frame[row : row + SIDE, column : column + SIDE]
            if piece.min() == piece.max():
                continue
            job = {
                "rows": piece.shape[0],
                "columns": piece.shape[1],
                "samples": 1 if piece.ndim == 2 else 3,
                "dtype": piece.dtype.name,
                "ranges": shown,
            }
            self.before_each()
            data = np.ascontiguousarray(piece, piece.dtype.newbyteorder("<")).tobytes()
            for box in _read(self.crew.look(job, data), piece.shape):
                inside = piece[box.row0 : box.row1 + 1, box.column0 : box.column1 + 1]
                if inside.min() == inside.max():
                    continue  # a mask, say: the edge of a black rectangle passes for strokes
                yield replace(
                    box,
                    column0=box.column0 + column,
                    row0=box.row0 + row,
                    column1=box.column1 + column,
                    row1=box.row1 + row,
                )


def ranges(
    frame: NDArray[Any], window: Window | None, *, slope: float, intercept: float
) -> list[tuple[float, float]]:
    """Return what is shown as black and as white in each rendering, in served values.

    All values, since a name may lie above the window's upper end, and the window a reader sees.

    Args:
        frame: Served pixels of one frame.
        window: The first of the image's, in units after rescale; None for colour.
        slope: Served value * slope + intercept is in those units.
        intercept: See `slope`.

    Returns:
        At least one pair, low below high; none for a frame of one value.
    """
    low, high = float(frame.min()), float(frame.max())
    if low == high:
        return []
    chosen = [(low, high)]
    if window is not None and slope > 0:
        edges = [(window.center + side * window.width / 2 - intercept) / slope for side in (-1, 1)]
        first, last = max(low, edges[0]), min(high, edges[1])
        alike = _ALIKE * (high - low)
        if first < last and (first - low > alike or high - last > alike):
            chosen.append((first, last))
    return chosen


def pieces(shape: Sequence[int]) -> list[tuple[int, int]]:
    """Return the first row and column of each piece of an image."""
    starts = [range(0, max(1, length - OVERLAP), SIDE - OVERLAP) for length in shape[:2]]
    return [(row, column) for row in starts[0] for column in starts[1]]


def assembled(found: Iterator[TextBox], shape: Sequence[int]) -> list[TextBox]:
    """Put together what pieces, scales and renderings gave for one frame.

    A box that says markers stays one of its own, and takes in what lies within it: another
    rendering's poorer reading. All other boxes that touch become one.
    """
    rows, columns = shape[:2]
    tallest = _TALLEST * min(rows, columns, SIDE)
    each = [
        replace(
            box,
            column0=max(0, box.column0 - _MARGIN),
            row0=max(0, box.row0 - _MARGIN),
            column1=min(columns - 1, box.column1 + _MARGIN),
            row1=min(rows - 1, box.row1 + _MARGIN),
        )
        for box in found
        if min(box.column1 - box.column0, box.row1 - box.row0) < tallest
    ]
    said = _largest([box for box in each if box.marker])
    other = [
        box
        for box in each
        if not box.marker and not any(box.share_inside(marked) >= _INSIDE for marked in said)
    ]
    boxes = [*said, *_joined(other)]
    kept = [box if _may_stay(box, boxes) else replace(box, marker="") for box in boxes]
    return sorted(kept, key=lambda box: (box.row0, box.column0))


def blocking(boxes: Sequence[TextBox]) -> list[TextBox]:
    """Return the boxes that a person has to decide about."""
    return [box for box in boxes if not box.marker]


def over_frames(
    boxes: Iterable[tuple[int, TextBox]],
) -> list[tuple[TextBox, tuple[int, ...]]]:
    """Return one box, and its frames, for text that stands in the same place on several.

    Args:
        boxes: (frame, box), by frame.
    """
    places = list[tuple[TextBox, list[int]]]()
    for frame, box in boxes:
        for number, (place, frames) in enumerate(places):
            if min(box.share_inside(place), place.share_inside(box)) >= _SAME:
                if frames[-1] != frame:
                    frames.append(frame)
                places[number] = place.joined(box), frames
                break
        else:
            places.append((box, [frame]))
    return [(place, tuple(frames)) for place, frames in places]


def _may_stay(box: TextBox, boxes: Sequence[TextBox]) -> bool:
    """Tell whether a marker stands so that it is nothing else: a single letter stands alone."""
    margin = _NEAR * box.height
    near = [each for each in boxes if each is not box and box.meets(each, margin)]
    return not near or (len(box.marker) > 1 and all(len(each.marker) > 1 for each in near))


def _largest(boxes: Sequence[TextBox]) -> list[TextBox]:
    """Return markers without those that lie in another one, or are another reading of it."""
    kept = list[TextBox]()
    for box in sorted(boxes, key=lambda box: (len(box.marker), box.height), reverse=True):
        if not any(box.share_inside(each) >= 0.5 for each in kept):
            kept.append(box)
    return kept


def _joined(boxes: Sequence[TextBox]) -> list[TextBox]:
    """Return boxes of which no two touch."""
    apart = list[TextBox]()
    for box in boxes:
        whole = box
        while touching := [each for each in apart if each.meets(whole)]:
            apart = [each for each in apart if each not in touching]
            for each in touching:
                whole = whole.joined(each)
        apart.append(whole)
    return apart


def _read(message: dict[str, Any], shape: Sequence[int]) -> Iterator[TextBox]:
    """Check what came out of a child: boxes within the piece, words of the list."""
    rows, columns = shape[:2]
    found = message["found"]
    if not isinstance(found, list):
        raise RefusedFileError("decode_failed")
    for each in found:
        if not isinstance(each, list) or len(each) != 5:
            raise RefusedFileError("decode_failed")
        column0, row0, column1, row1, said = each
        whole = all(type(edge) is int for edge in (column0, row0, column1, row1))
        if not whole or not (0 <= column0 <= column1 < columns and 0 <= row0 <= row1 < rows):
            raise RefusedFileError("decode_failed")
        if not isinstance(said, str) or (said and not is_marker(said)):
            raise RefusedFileError("decode_failed")
        yield TextBox(column0, row0, column1, row1, said)
