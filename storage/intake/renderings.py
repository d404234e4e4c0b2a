"""How pixels are shown to the detector of text, in the child that looks for it.

A name may be black on black until the film is inverted, or so faint that no one sees it; so one
rendering is not enough. Which values are shown as black and white is chosen by the parent, in
`storage.intake.pixel_text.ranges`.
"""

from collections.abc import Iterator
from typing import Any, Final

import cv2
import numpy as np
from numpy.typing import NDArray

_CLIP: Final = 4.0  # of contrast-limited equalisation: noise must not become letters
_CORNERS: Final = 8  # by as many


def rendered(job: dict[str, Any], data: bytes) -> Iterator[tuple[NDArray[Any], int]]:
    """Yield the renderings of a piece, each with the factor by which to enlarge it.

    Each range as it is and inverted; and the last, which is the window a reader sees, with the
    contrast of every corner drawn out, enlarged twice: that is how faint and small letters are
    found, and it takes most of the time.

    Args:
        job: `rows`, `columns`, `samples`, `dtype` of the bytes, and `ranges`.
        data: Little-endian rows.

    Yields:
        (rows, columns, 3) before it is enlarged, and 1 or 2.
    """
    shape = [job["rows"], job["columns"], job["samples"]]
    pixels = np.frombuffer(data, np.dtype(job["dtype"]).newbyteorder("<")).reshape(shape)
    values = pixels.astype(np.float32)
    for low, high in job["ranges"]:
        shown = (np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8)
        picture = np.ascontiguousarray(np.broadcast_to(shown, (*shape[:2], 3)))
        yield picture, 1
        yield 255 - picture, 1
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)
    even = cv2.createCLAHE(_CLIP, (_CORNERS, _CORNERS)).apply(grey)
    yield cv2.cvtColor(even, cv2.COLOR_GRAY2RGB), 2
