"""Text that was found in a held case's pixels, as rectangles in the viewer and as masks.

The viewer draws a rectangle on one frame and jumps to the one whose `sentence` is chosen; here
that number counts the frames with text.
"""

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from webapp.services.views import CaseView
from webapp.ui import words

MOST_DRAWN: Final = (
    300  # rectangles in one viewer; a case with more stays held after a mask, and shows the rest
)
_FOUND: Final = "text-"

Place = tuple[UUID, int]  # an image and one of its frames


def places(case: CaseView) -> list[Place]:
    """Return the frames with text, in the order of the case's images."""
    order = {image.id: number for number, image in enumerate(case.images)}
    every = {(text.image_id, frame) for text in case.found_text for frame in text.frames}
    return sorted(every, key=lambda place: (order[place[0]], place[1]))


def regions(case: CaseView) -> list[dict[str, Any]]:
    """Return the rectangles to begin with, one for each box on each of its frames."""
    numbers = {place: number for number, place in enumerate(places(case))}
    drawn: list[dict[str, Any]] = [
        {
            "id": f"{_FOUND}{number}-{frame}",
            "type": "bbox",
            "space": "pixel",
            "coords": list(text.coords),
            "image_id": str(text.image_id),
            "frame": frame,
            "label": words.FOUND_LABEL,
            "sentence": numbers[text.image_id, frame],
        }
        for number, text in enumerate(case.found_text)
        for frame in text.frames
    ]
    return sorted(drawn, key=lambda region: int(region["sentence"]))[:MOST_DRAWN]


def masks(case: CaseView, on_screen: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return what to blank: found boxes on their own frames, a person's own on every frame.

    A found box that was taken off the screen everywhere is not blanked; one that was moved is
    blanked where it was moved to.

    Args:
        case: As it is stored.
        on_screen: The viewer's rectangles.
    """
    boxes: list[dict[str, Any]] = []
    for region in on_screen:
        box = {"image_id": region["image_id"], "coords": region["coords"]}
        number = str(region["id"]).removeprefix(_FOUND).partition("-")[0]
        if str(region["id"]).startswith(_FOUND) and number.isdecimal():
            found = case.found_text[int(number)] if int(number) < len(case.found_text) else None
            box["frames"] = list(found.frames) if found else [region["frame"]]
        if box not in boxes:
            boxes.append(box)
    return boxes


def described(case: CaseView, number: int) -> str:
    """Return which of the frames with text is on screen, as people count."""
    image_id, frame = places(case)[number]
    position = next(n for n, image in enumerate(case.images, 1) if image.id == image_id)
    return words.FOUND_AT.format(
        number=number + 1, count=len(places(case)), image=position, frame=frame + 1
    )
