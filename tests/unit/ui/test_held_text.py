"""Found text on the reading page: rectangles to begin with, and the masks they become."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from storage.vocabulary import CaseState, Progress, Protocol
from webapp.services.views import CaseView, FoundTextView, GeometryView
from webapp.ui import held_text, reading_view

FILM, CINE = UUID(int=1), UUID(int=2)


def image(image_id: UUID, frames: int) -> GeometryView:
    known: dict[str, Any] = dict.fromkeys(GeometryView.__dataclass_fields__)
    return GeometryView(**known | {"id": image_id, "frames": frames})


@pytest.fixture
def case() -> CaseView:
    """Return a case with one box on the film and two on the cine, one of them on two frames."""
    return CaseView(
        id=UUID(int=9), collection="Films", collection_id=UUID(int=8), state=CaseState.HELD,
        progress=Progress.TODO, held_because=("text_in_pixels",), modality="XA", body_part="",
        made_up=False, protocol=Protocol.AI_FIRST, created_at=datetime(2026, 5, 4, tzinfo=UTC),
        own_read=None, images=(image(FILM, 1), image(CINE, 40)),
        found_text=(
            FoundTextView(CINE, (1, 2, 30, 8), (3, 37)),
            FoundTextView(CINE, (1, 20, 30, 28), (37,)),
            FoundTextView(FILM, (5, 5, 50, 15), (0,)),
        ),
    )  # fmt: skip


def test_frames_with_text_are_paged_in_the_order_of_the_images(case: CaseView) -> None:
    assert held_text.places(case) == [(FILM, 0), (CINE, 3), (CINE, 37)]
    assert held_text.described(case, 2) == "Text 3 of 3: image 2, frame 38"


def test_every_box_is_drawn_on_each_of_its_frames(case: CaseView) -> None:
    drawn = held_text.regions(case)
    assert [(r["image_id"], r["frame"], r["sentence"], r["coords"][1]) for r in drawn] == [
        (str(FILM), 0, 0, 5),
        (str(CINE), 3, 1, 2),
        (str(CINE), 37, 2, 2),
        (str(CINE), 37, 2, 20),
    ]


def test_found_boxes_are_masked_on_their_frames_and_drawn_ones_on_all(case: CaseView) -> None:
    own = {"id": "mine", "image_id": str(FILM), "coords": [0, 0, 9, 9], "frame": 0}
    assert held_text.masks(case, [*held_text.regions(case), own]) == [
        {"image_id": str(FILM), "coords": [5, 5, 50, 15], "frames": [0]},
        {"image_id": str(CINE), "coords": [1, 2, 30, 8], "frames": [3, 37]},
        {"image_id": str(CINE), "coords": [1, 20, 30, 28], "frames": [37]},
        {"image_id": str(FILM), "coords": [0, 0, 9, 9]},
    ]


def test_a_box_that_was_deleted_is_not_masked(case: CaseView) -> None:
    left = [region for region in held_text.regions(case) if region["image_id"] == str(FILM)]
    assert len(held_text.masks(case, left)) == 1


def test_a_rectangle_of_an_earlier_search_stays_on_its_frame(case: CaseView) -> None:
    old = {"id": "text-9-4", "image_id": str(CINE), "coords": [0, 0, 9, 9], "frame": 4}
    assert held_text.masks(case, [old]) == [
        {"image_id": str(CINE), "coords": [0, 0, 9, 9], "frames": [4]}
    ]


def test_the_page_says_on_how_many_images_text_stands(case: CaseView) -> None:
    assert "Text stands on 3 of 41 images" in reading_view.held(case)
    assert "text was found in the pixels" in reading_view.held(case)
