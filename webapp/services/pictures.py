"""Frames out of the store: as raw rows for the viewer, as PNG for the model and for people."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

import numpy as np
from numpy.typing import NDArray
from sqlmodel import Session

from storage.blobs import BlobStore
from storage.cases import instance_at
from storage.errors import BlobDamagedError, NotFoundError
from storage.imaging.render import grey_levels, png_for_model, png_for_people
from storage.imaging.window import Window, is_usable
from storage.tables import Image, Instance
from webapp.services import inputs
from webapp.services.errors import InvalidRequestError

WINDOW_FIELDS = frozenset({"name", "center", "width", "function"})


def instance_of(session: Session, image_id: UUID, frame: int) -> Instance:
    """Return the DICOM object that holds a frame.

    Raises:
        NotFoundError: the image has no such frame.
    """
    instance = instance_at(session, image_id, frame) if frame >= 0 else None
    if instance is None:
        raise NotFoundError("frame")
    return instance


def frame_bytes(blobs: BlobStore, image: Image, instance: Instance, frame: int) -> bytes:
    """Return the little-endian rows of one frame; only what it takes is decrypted.

    Raises:
        BlobDamagedError: they are not all there, or not what was stored.
    """
    length = image.rows * image.columns * image.samples * np.dtype(image.dtype).itemsize
    data = blobs.read(instance.pixel_blob, (frame - instance.first_frame) * length, length)
    if len(data) != length:
        raise BlobDamagedError
    return data


def frame_values(
    blobs: BlobStore, image: Image, instance: Instance, frame: int
) -> NDArray[np.uint8 | np.uint16 | np.int16]:
    """Return one frame as served: (rows, columns), or (rows, columns, 3) in colour.

    Raises:
        BlobDamagedError: it is not what was stored.
    """
    shape = (image.rows, image.columns) if image.samples == 1 else (image.rows, image.columns, 3)
    data = frame_bytes(blobs, image, instance, frame)
    return np.frombuffer(data, np.dtype(image.dtype).newbyteorder("<")).reshape(shape)


def png(
    blobs: BlobStore,
    image: Image,
    instance: Instance,
    frame: int,
    window: Mapping[str, Any] | None,
    *,
    watermark: bool,
) -> bytes:
    """Draw one frame in a window that `checked_window` returned, with or without the notice.

    Raises:
        BlobDamagedError: the frame is not what was stored.
    """
    levels = grey_levels(
        frame_values(blobs, image, instance, frame),
        window=None if window is None else Window.from_json({"name": "", **window}),
        slope=image.slope,
        intercept=image.intercept,
        inverted=image.inverted,
    )
    return png_for_people(levels) if watermark else png_for_model(levels)


def checked_window(image: Image, given: object) -> dict[str, Any] | None:
    """Return the window to draw an image in: as given, else its default one; none for colour.

    Raises:
        InvalidRequestError: the given one is not a usable window.
    """
    if image.samples != 1:
        return None
    if given is None:
        return dict(image.windows[0]) if image.windows else None
    fields = inputs.mapping(given, "window")
    inputs.only(fields, WINDOW_FIELDS, "window")
    center = inputs.number(fields.get("center"), "The window's center")
    width = inputs.number(fields.get("width"), "The window's width")
    function = fields.get("function", "LINEAR")
    name = inputs.line(fields.get("name"), "window's name", limit=64)
    try:
        window = Window.from_json(
            {"name": name, "center": center, "width": width, "function": function}
        )
    except ValueError:
        raise InvalidRequestError("The window's function is not one of DICOM's.") from None
    if not is_usable(window.center, window.width, window.function):
        raise InvalidRequestError("The window's width is at least 1 and not beyond a million.")
    return window.as_json()
