"""Marking rectangles, and keeping them in step with the page and its sentences."""

from typing import Any

import pytest
from playwright.sync_api import expect

from tests.browser.viewer.desk import Box, Desk

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]  # busy cores draw slowly

both = pytest.mark.parametrize("renderer", ["cpu", "webgl"], indirect=True)


def region(name: str, image: str, coords: list[float], **more: object) -> dict[str, Any]:
    return {
        "id": name,
        "type": "bbox",
        "coords": coords,
        "space": "pixel",
        "image_id": image,
        "frame": 0,
        "label": "",
    } | more


def draw(desk: Desk, image: str, coords: Box) -> Box:
    """Draw a box near these pixels, and return the pixels that the pointer really went over."""
    desk.press("b")
    x, y, _, _ = desk.pane()
    # A pointer stands on whole pixels of the page, the pane need not begin on one.
    points = [desk.place(image, coords[:2]), desk.place(image, coords[2:])]
    (x0, y0), (x1, y1) = [(round(x + px) - x, round(y + py) - y) for px, py in points]
    desk.drag((x0, y0), (x1, y1))
    return (*desk.pixel_at(image, (x0, y0)), *desk.pixel_at(image, (x1, y1)))


@pytest.mark.parametrize(
    ("renderer", "ratio", "image", "coords"),
    [
        pytest.param("cpu", 1, "film", (300, 420, 520, 610), id="square pixels on the CPU"),
        pytest.param("webgl", 1, "film", (300, 420, 520, 610), id="square pixels by WebGL"),
        pytest.param("cpu", 1, "oblong", (40, 90, 110, 150), id="oblong pixels on the CPU"),
        pytest.param("webgl", 1, "oblong", (40, 90, 110, 150), id="oblong pixels by WebGL"),
        pytest.param("cpu", 2, "oblong", (40, 90, 110, 150), id="a fine screen, CPU"),
        pytest.param("webgl", 2, "oblong", (40, 90, 110, 150), id="a fine screen, WebGL"),
    ],
    indirect=["renderer", "ratio"],
)
def test_a_drawn_box_is_told_in_pixels_of_the_image(desk: Desk, image: str, coords: Box) -> None:
    desk.open(image)
    drawn = draw(desk, image, coords)
    (box,) = desk.boxes()
    assert box["coords"] == pytest.approx(drawn, abs=1)
    assert (box["type"], box["space"], box["image_id"], box["frame"]) == ("bbox", "pixel", image, 0)


@both
def test_the_same_box_after_the_pane_changed_its_size(desk: Desk) -> None:
    desk.open("film")
    desk.resize(620, 700)
    drawn = draw(desk, "film", (300, 420, 520, 610))
    (box,) = desk.boxes()
    assert box["coords"] == pytest.approx(drawn, abs=1)


def test_a_box_reaches_no_further_than_the_image(desk: Desk) -> None:
    desk.open("film")
    draw(desk, "film", (900, 900, 1400, 1000))
    (box,) = desk.boxes()
    assert box["coords"][2] == 1023.5


def test_a_box_drawn_while_a_sentence_is_selected_belongs_to_it(desk: Desk) -> None:
    desk.open("ct", selected_sentence=2)
    desk.press("Home")
    draw(desk, "ct", (60, 60, 100, 100))
    (box,) = desk.boxes()
    assert (box["label"], box["sentence"], box["frame"]) == ("Sentence 3", 2, 0)
    label = desk.page.locator(".ovr-label")
    expect(label).to_have_text("Sentence 3")
    desk.press("ArrowDown")
    expect(label).to_have_count(0)


def test_a_slip_of_the_hand_makes_no_box(desk: Desk) -> None:
    desk.open("film")
    desk.press("b")
    x, y = desk.place("film", (300, 300))
    desk.drag((x, y), (x + 80, y + 1))
    assert desk.boxes() == []


def test_escape_gives_up_a_box_half_drawn(desk: Desk) -> None:
    desk.open("film")
    desk.press("b")
    x, y, _, _ = desk.pane()
    desk.page.mouse.move(x + 300, y + 200)
    desk.page.mouse.down()
    desk.page.mouse.move(x + 360, y + 260, steps=4)
    desk.page.keyboard.press("Escape")
    desk.page.mouse.up()
    assert desk.boxes() == []


def test_a_box_can_be_selected_and_deleted(desk: Desk) -> None:
    desk.open("film", regions=[region("r1", "film", [200, 300, 400, 500])])
    expect(desk.page.locator('[data-command="delete"]')).to_be_disabled()
    desk.click(desk.place("film", (200, 400)))
    expect(desk.page.locator('[data-command="delete"]')).to_be_enabled()
    expect(desk.page.locator(".ovr-live")).to_contain_text("Box selected")
    desk.press("Delete")
    assert desk.boxes() == []
    expect(desk.page.locator('[data-command="delete"]')).to_be_disabled()


def test_a_box_can_be_moved_by_its_edge(desk: Desk) -> None:
    desk.open("film", regions=[region("r1", "film", [200, 300, 400, 500], label="Sentence 1")])
    desk.drag(desk.place("film", (200, 400)), desk.place("film", (250, 380)))
    (box,) = desk.boxes()
    assert box["id"] == "r1"
    assert box["sentence"] == 0
    assert box["coords"] == pytest.approx((250, 280, 450, 480), abs=1.5)


def test_boxes_of_the_page_are_kept_with_those_drawn_meanwhile(desk: Desk) -> None:
    first = region("r1", "film", [200, 300, 400, 500])
    desk.open("film", regions=[first])
    draw(desk, "film", (600, 300, 800, 500))
    drawn = desk.boxes()[1]["id"]
    desk.tell("film", regions=[first], selected_sentence=0)  # the page has not heard of it yet
    assert [box["id"] for box in desk.boxes()] == ["r1", drawn]
    desk.tell("film", regions=[])  # now the page takes its own away
    assert [box["id"] for box in desk.boxes()] == [drawn]
    draw(desk, "film", (100, 700, 200, 800))
    assert desk.boxes()[0]["id"] == drawn
    assert len(desk.boxes()) == 2


def test_what_the_page_sends_during_a_drawing_waits_for_its_end(desk: Desk) -> None:
    desk.open("film")
    desk.press("b")
    x, y, _, _ = desk.pane()
    desk.page.mouse.move(x + 500, y + 200)
    desk.page.mouse.down()
    desk.page.mouse.move(x + 540, y + 240, steps=3)
    desk.tell("film", regions=[region("r1", "film", [200, 300, 400, 500])], selected_sentence=1)
    desk.page.mouse.move(x + 580, y + 260, steps=3)
    desk.page.mouse.up()
    boxes = {box["id"]: box["sentence"] for box in desk.boxes()}
    assert boxes.pop("r1") is None
    assert len(boxes) == 1
    assert desk.page.locator(".ovr-host svg rect").count() == 2


def test_selecting_a_sentence_goes_to_its_box(desk: Desk) -> None:
    regions = [
        region("r1", "ct", [60, 60, 100, 100], frame=3, label="Sentence 1"),
        region("r2", "film", [60, 60, 100, 100], label="Sentence 2"),
    ]
    desk.open("ct", "film", regions=regions)
    desk.tell("ct", "film", regions=regions, selected_sentence=0)
    expect(desk.slice).to_have_text("Slice 4 / 30")
    expect(desk.page.locator(".ovr-label-bound")).to_have_text("Sentence 1")
    desk.tell("ct", "film", regions=regions, selected_sentence=1)
    expect(desk.page.locator(".ovr-tl")).to_contain_text("Image film")


def test_read_only_shows_boxes_and_changes_none(desk: Desk) -> None:
    desk.open("film", regions=[region("r1", "film", [200, 300, 400, 500])], readonly=True)
    expect(desk.page.locator('[data-command="box"]')).to_be_disabled()
    draw(desk, "film", (600, 300, 800, 500))
    desk.click(desk.place("film", (200, 400)))
    desk.press("Delete")
    desk.drag(desk.place("film", (200, 400)), desk.place("film", (300, 380)))
    assert desk.page.locator(".ovr-host svg rect").count() == 1
    assert [box["coords"] for box in desk.heard()["regions"]] == [[200, 300, 400, 500]]


def test_another_case_starts_without_the_marks_of_the_last(desk: Desk) -> None:
    desk.open("film", regions=[region("r1", "film", [200, 300, 400, 500])])
    draw(desk, "film", (600, 300, 800, 500))
    desk.open("film", case="case-2")
    assert desk.page.locator(".ovr-host svg rect").count() == 0
    assert desk.heard()["case_id"] == "case-2"
    assert desk.boxes() == []
