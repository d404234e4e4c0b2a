"""The rectangles a person blanks in held pixels: as they are asked for and as they are kept."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from storage.intake.mask import Box
from storage.tables import Image
from webapp.services import inputs
from webapp.services.errors import InvalidRequestError

MAX_MASKS: Final = 100
MASK_FIELDS: Final = frozenset(
    {"id", "type", "space", "image_id", "coords", "frames", "frame", "label", "sentence"}
)


def mask_boxes(given: object, images: Sequence[Image]) -> dict[UUID, list[Box]]:
    """Read the rectangles of a decision `mask`, cut to their images, by image.

    Args:
        given: Objects with `coords` (column0, row0, column1, row1 in pixels) and, where the case
            has several images, `image_id`; `frames` chooses some of its frames.
        images: Of the case.

    Raises:
        InvalidRequestError: what cannot be meant.
    """
    boxes: dict[UUID, list[Box]] = {}
    for item in inputs.sequence(given, "boxes", limit=MAX_MASKS):
        fields = inputs.mapping(item, "box")
        inputs.only(fields, MASK_FIELDS, "box")
        image = next((i for i in images if str(i.id) == str(fields.get("image_id"))), None)
        if image is None and not ("image_id" not in fields and len(images) == 1):
            raise InvalidRequestError("A box is on an image that is not of this case.")
        image = image or images[0]
        boxes.setdefault(image.id, []).append(_box(fields, image))
    return boxes


def stored_masks(boxes: Mapping[UUID, Sequence[Box]]) -> list[dict[str, Any]]:
    """Return rectangles as an attestation keeps them."""
    return [
        {
            "image_id": str(image_id),
            "coords": [box.column0, box.row0, box.column1, box.row1],
            "frames": None if box.frames is None else list(box.frames),
        }
        for image_id, of_image in boxes.items()
        for box in of_image
    ]


def _box(fields: Mapping[str, Any], image: Image) -> Box:
    coords = [
        inputs.number(value, "Every coordinate of a box")
        for value in inputs.sequence(fields.get("coords"), "coordinates", limit=4)
    ]
    if len(coords) != 4:
        raise InvalidRequestError("A box has 4 coordinates in pixels.")
    frames = fields.get("frames")
    if frames is not None:
        frames = tuple(inputs.sequence(frames, "frames of a box", limit=image.frames))
        if not all(isinstance(frame, int) and 0 <= frame < image.frames for frame in frames):
            raise InvalidRequestError("A box is on a frame that its image does not have.")
    columns, rows = sorted(coords[0::2]), sorted(coords[1::2])
    box = Box(
        max(0, math.floor(columns[0])),
        max(0, math.floor(rows[0])),
        min(image.columns - 1, math.ceil(columns[1])),
        min(image.rows - 1, math.ceil(rows[1])),
        frames,
    )
    if box.column0 > box.column1 or box.row0 > box.row1:
        raise InvalidRequestError("A box lies outside of its image.")
    return box
