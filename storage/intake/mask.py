"""What a person's attestation does to stored pixels: boxes blanked, the object says so.

Works on objects that this package rebuilt, so nothing foreign is parsed here. The first object
is not changed; the caller stores the new one and then removes the old bytes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.filereader import dcmread

from storage.imaging.pixels import Frames, decode_frames
from storage.intake.compose import compose
from storage.intake.deidentify import Deidentified, with_new_pixels


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle to blank, in pixels; all four edges are inside it.

    Attributes:
        column0: First column.
        row0: First row.
        column1: Last column.
        row1: Last row.
        frames: Frames of the object it applies to; None for all.
    """

    column0: int
    row0: int
    column1: int
    row1: int
    frames: tuple[int, ...] | None = None


def mask(dicom: bytes, boxes: Sequence[Box], *, content_key: str = "") -> Deidentified:
    """Return the object with `boxes` blanked and its pixels declared free of identity.

    Without boxes only the declaration changes: the decision was `clean`.

    Args:
        dicom: A rebuilt object, as stored.
        boxes: Parts outside the image are ignored.
        content_key: That of the object, kept so that a repeat is still recognised.

    Raises:
        ValueError: a box names a frame that the object does not have.
    """
    clean = dcmread(BytesIO(dicom))
    frames = decode_frames(clean)
    stored = frames.stored.copy()
    count = stored.shape[0]
    for box in boxes:
        chosen = list(range(count)) if box.frames is None else list(box.frames)
        if not all(0 <= frame < count for frame in chosen):
            raise ValueError("a box names a frame that the object does not have")
        rows = slice(max(0, box.row0), max(0, box.row1 + 1))
        columns = slice(max(0, box.column0), max(0, box.column1 + 1))
        stored[chosen, rows, columns] = _black(frames)
    blanked = Frames(stored, frames.inverted, frames.bits)
    rebuilt = compose(
        clean,
        blanked,
        patient=str(clean.PatientID),
        found=set(),
        attested=True,
        masked=bool(boxes),
    )
    return with_new_pixels(
        rebuilt.facts, dicom=rebuilt.dicom, pixels=rebuilt.pixels, content_key=content_key
    )


def _black(frames: Frames) -> int:
    """Return the value that shows as black: 0 where nothing is below it."""
    if frames.inverted:
        return int(frames.stored.max())
    stored: NDArray[Any] = frames.stored
    return int(stored.min()) if np.issubdtype(stored.dtype, np.signedinteger) else 0
