"""Text in pixels: what is found, what may stay, and that nothing passes unsearched."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from storage.errors import StorageError
from storage.imaging.window import Window
from storage.intake.limits import Limits
from storage.intake.markers import marker
from storage.intake.pixel_text import SIDE, Frames, TextBox, assembled, blocking, pieces, ranges
from storage.intake.refusals import RefusedFileError
from storage.intake.sandbox import READING, Crew, Sandbox

WHOLE = Window("all", 2048, 4096)


@pytest.fixture(scope="module")
def crew() -> Iterator[Crew]:
    with Sandbox(children=READING) as sandbox, sandbox.crew() as crew:
        yield crew


def film(*lines: tuple[str, int, int, int], shade: int = 120) -> NDArray[np.uint8]:
    """Return a grey wedge with (text, column, row, height) drawn in a lighter shade."""
    rng = np.random.default_rng(5)
    ground = np.linspace(30, 90, 320)[np.newaxis, :] + rng.normal(0, 2, (240, 320))
    picture = Image.fromarray(ground.astype(np.uint8))
    draw = ImageDraw.Draw(picture)
    for text, column, row, height in lines:
        draw.text((column, row), text, fill=shade, font=ImageFont.load_default(height))
    return np.asarray(picture)


@pytest.mark.parametrize(
    ("text", "score", "said"),
    [
        pytest.param("PORTABLE AP", 0.97, "PORTABLE AP", id="two words of the list"),
        pytest.param("erect", 0.97, "ERECT", id="in small letters"),
        pytest.param("PORTABLEAP", 0.97, "PORTABLE AP", id="a space was lost"),
        pytest.param("PAPA", 0.97, "", id="two short words run together may be a name"),
        pytest.param("L", 0.89, "", id="not sure"),
        pytest.param("L DG", 0.99, "", id="a radiographer's initials beside the side"),
        pytest.param("AP PA LAT ERECT", 0.99, "", id="more words than a marker has"),
        pytest.param("", 1.0, "", id="nothing was read"),
        pytest.param("SMITH", 0.99, "", id="a name"),
    ],
)
def test_only_listed_words_surely_read_are_markers(text: str, score: float, said: str) -> None:
    assert marker(text, score) == said


def test_a_name_is_found_whole_and_a_marker_may_stay(crew: Crew) -> None:
    picture = film(("HOLLOWAY, Anna", 20, 30, 18), ("PORTABLE AP", 190, 200, 16), shade=220)
    boxes = Frames(crew).search(picture, None, 1.0, 0.0)
    (name,) = blocking(boxes)
    width, height = ImageFont.load_default(18).getbbox("HOLLOWAY, Anna")[2:]
    assert (name.column0 <= 20, name.row0 <= 34) == (True, True)
    assert (name.column1 >= 20 + width - 1, name.row1 >= 30 + height - 1) == (True, True)
    assert [box.marker for box in boxes if box.marker] == ["PORTABLE AP"]


def test_a_film_without_text_has_no_box(crew: Crew) -> None:
    assert Frames(crew).search(film(), None, 1.0, 0.0) == []


@pytest.mark.parametrize("turned", ["upright", "on its side", "mirrored"])
def test_text_is_found_however_it_lies(crew: Crew, turned: str) -> None:
    picture = film(("HOLLOWAY, Anna", 20, 30, 18), shade=220)
    lain = {
        "upright": picture,
        "on its side": np.rot90(picture),
        "mirrored": picture[:, ::-1],
    }[turned]
    assert blocking(Frames(crew).search(lain, None, 1.0, 0.0))


def test_text_above_the_window_is_found(crew: Crew) -> None:
    ground = film().astype(np.uint16) * 40
    written = film(("MRN 4471902", 40, 60, 18), shade=255)
    ground[written == 255] = 60_000  # on a bright block, so that the window shows both as white
    ground[50:90, 30:200] = np.where(written[50:90, 30:200] == 255, 60_000, 20_000)
    assert blocking(Frames(crew).search(ground, Window("as acquired", 2048, 4096), 1.0, 0.0))


def test_what_a_line_says_stays_in_the_child(crew: Crew) -> None:
    picture = film(("HOLLOWAY, Anna", 20, 30, 18), shade=220)
    job = {"rows": 240, "columns": 320, "samples": 1, "dtype": "uint8", "ranges": [(0, 255)]}
    message = crew.look(job, picture.tobytes())
    assert message["found"]
    assert {found[4] for found in message["found"]} == {""}


def test_within_one_shade_there_is_no_text() -> None:
    class Sees:
        def look(self, _job: dict[str, Any], _data: bytes) -> dict[str, Any]:
            return {"found": [[20, 20, 100, 40, ""], [20, 90, 100, 130, ""]]}

    picture = film().copy()
    picture[10:60, 10:120] = 0
    (box,) = Frames(Sees()).search(picture, None, 1.0, 0.0)
    assert box.row0 == 88


def test_a_piece_that_was_not_searched_is_an_error(crew: Crew) -> None:
    job = {"rows": 240, "columns": 320, "samples": 1, "dtype": "uint8", "ranges": [(0, 255)]}
    with pytest.raises(RefusedFileError):
        crew.look(job, b"too few pixels")


def test_a_child_that_takes_too_long_is_an_error() -> None:
    hasty = Limits(child_wall_seconds=0.05)
    with Sandbox(hasty, children=READING) as sandbox, sandbox.crew() as crew:
        sandbox.warm()
        with pytest.raises(StorageError) as refused:
            Frames(crew).search(film(), None, 1.0, 0.0)
    assert refused.value.code in {"decode_failed", "sandbox_unavailable"}


class Scripted:
    """Says of every piece what it is told to."""

    def __init__(self, *found: object) -> None:
        self.found = list(found)
        self.asked = list[dict[str, Any]]()

    def look(self, job: dict[str, Any], data: bytes) -> dict[str, Any]:
        assert len(data) == job["rows"] * job["columns"]
        self.asked.append(job)
        return {"found": self.found}


@pytest.mark.parametrize(
    "found",
    [
        pytest.param([0, 0, 400, 5, ""], id="outside of the piece"),
        pytest.param([5, 0, 4, 5, ""], id="turned round"),
        pytest.param([0, 0, 4.5, 5, ""], id="no whole number"),
        pytest.param([0, 0, 4, 5, "SMITH"], id="a word that is no marker"),
        pytest.param("text", id="no box"),
    ],
)
def test_a_child_is_not_believed(found: object) -> None:
    with pytest.raises(RefusedFileError):
        Frames(Scripted(found)).search(film(), None, 1.0, 0.0)


def test_a_frame_like_the_one_before_is_not_searched_again() -> None:
    crew = Scripted()
    frames = Frames(crew)
    for picture in (film(), film(), film(("A", 5, 5, 20))):
        frames.search(picture, None, 1.0, 0.0)
    assert len(crew.asked) == 2


def test_pieces_cover_every_pixel_and_overlap() -> None:
    seen = np.zeros((1760, 2140), int)
    for row, column in pieces(seen.shape):
        seen[row : row + SIDE, column : column + SIDE] += 1
    assert seen.min() == 1
    assert pieces((512, 512)) == [(0, 0)]


def test_a_frame_of_one_value_has_nothing_to_show() -> None:
    assert ranges(np.zeros((4, 4)), WHOLE, slope=1, intercept=0) == []


def test_the_window_is_shown_beside_all_values_where_it_differs() -> None:
    values = np.array([[0, 65_535]])
    assert ranges(values, WHOLE, slope=1, intercept=0) == [(0, 65_535), (0, 4096)]
    assert ranges(values, Window("all", 32_768, 65_535), slope=1, intercept=0) == [(0, 65_535)]


def box(column: int, row: int, width: int, height: int, said: str = "") -> TextBox:
    return TextBox(column, row, column + width - 1, row + height - 1, said)


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        pytest.param([box(50, 50, 20, 20, "L")], ["L"], id="a letter that stands alone"),
        pytest.param(
            [box(50, 50, 20, 20, "L"), box(80, 50, 40, 20)], ["", ""], id="initials beside it"
        ),
        pytest.param(
            [box(50, 50, 20, 20, "L"), box(80, 50, 20, 20, "R")], ["", ""], id="two letters"
        ),
        pytest.param(
            [box(10, 50, 90, 20, "PORTABLE"), box(110, 50, 30, 20, "AP")],
            ["PORTABLE", "AP"],
            id="two words side by side",
        ),
        pytest.param(
            [box(50, 50, 20, 20, "L"), box(51, 51, 17, 17)], ["L"], id="read poorly once more"
        ),
        pytest.param([box(0, 0, 150, 150)], [], id="the outline of a head"),
        pytest.param([box(10, 10, 50, 10), box(40, 12, 80, 12)], [""], id="pieces of one line"),
    ],
)
def test_what_was_found_is_put_together(found: list[TextBox], kept: list[str]) -> None:
    assert [each.marker for each in assembled(iter(found), (256, 256))] == kept
