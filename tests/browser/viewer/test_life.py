"""When things go wrong or come and go: failed frames, hidden panes, a page that rebuilds itself."""

import pytest
from playwright.sync_api import expect

from tests.browser.viewer.desk import Desk

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]  # busy cores draw slowly

webgl = pytest.mark.parametrize("renderer", ["webgl"], indirect=True)
both = pytest.mark.parametrize("renderer", ["cpu", "webgl"], indirect=True)


@webgl
def test_a_failed_frame_covers_the_slice_before_until_it_loads(desk: Desk) -> None:
    desk.expected_failures = True
    desk.images.broken.add(("ct", 17))
    desk.open("ct")
    desk.press("ArrowDown")
    expect(desk.slice).to_have_text("Slice 17 / 30")
    desk.press("ArrowDown")
    expect(desk.cover).to_contain_text("This image could not be loaded.")
    assert desk.heard()["view"]["frame"] == 16
    desk.press("ArrowDown")
    expect(desk.cover).to_be_hidden()
    expect(desk.slice).to_have_text("Slice 19 / 30")
    desk.press("ArrowUp")
    expect(desk.cover).to_be_visible()
    desk.images.broken.clear()
    desk.page.get_by_role("button", name="Try again").click()
    expect(desk.cover).to_be_hidden()
    expect(desk.slice).to_have_text("Slice 18 / 30")
    assert desk.heard()["view"]["seen"] == [15, 16, 17, 18]


def test_an_image_that_does_not_open_can_be_tried_again(desk: Desk) -> None:
    desk.expected_failures = True
    desk.images.broken.add(("film", 0))
    desk.tell("film")
    expect(desk.cover).to_contain_text("This image could not be loaded.")
    desk.images.broken.clear()
    desk.page.get_by_role("button", name="Try again").click()
    expect(desk.page.locator(".ovr-tl")).to_contain_text("DX · PA")
    expect(desk.cover).to_be_hidden()


def test_a_stack_whose_first_slice_fails_opens_at_the_next(desk: Desk) -> None:
    desk.expected_failures = True
    desk.images.broken.add(("ct", 15))
    desk.tell("ct")
    expect(desk.cover).to_contain_text("This image could not be loaded.")
    desk.press("ArrowDown")
    expect(desk.slice).to_have_text("Slice 17 / 30")
    expect(desk.cover).to_be_hidden()


def test_a_frame_of_the_wrong_size_is_not_shown(desk: Desk) -> None:
    desk.images.stacks["ramp"].geometry["rows"] -= 1
    try:
        desk.tell("ramp")
        expect(desk.cover).to_contain_text("This image could not be loaded.")
    finally:
        desk.images.stacks["ramp"].geometry["rows"] += 1


def test_after_the_session_ended_the_pane_says_so(desk: Desk) -> None:
    desk.expected_failures = True
    desk.images.signed_in = False
    desk.tell("film")
    expect(desk.cover).to_contain_text("Sign in again")


def test_the_last_image_chosen_wins_over_one_still_loading(desk: Desk) -> None:
    desk.tell("film", "ct")
    desk.page.get_by_role("button", name="Image ct").click()
    expect(desk.slice).to_have_text("Slice 16 / 30")
    desk.settle()
    assert desk.heard()["view"]["image_id"] == "ct"


@webgl
def test_a_pane_hidden_at_first_shows_its_image_when_it_appears(desk: Desk) -> None:
    desk.page.evaluate("() => { document.getElementById('place').style.display = 'none' }")
    desk.tell("ct")
    desk.settle()
    desk.page.evaluate("() => { document.getElementById('place').style.display = '' }")
    expect(desk.slice).to_have_text("Slice 16 / 30")
    desk.settle()
    assert desk.pixels([desk.place("ct", (128, 179))]) == [(255, 255, 255)]


@both
def test_five_mounts_in_a_row_leave_one_working_viewer(desk: Desk) -> None:
    regions = [
        {"id": "r1", "type": "bbox", "coords": [9, 9, 99, 99], "space": "pixel", "image_id": "ct",
         "frame": 15, "label": "Sentence 1"},
    ]  # fmt: skip
    desk.open("ct", regions=regions)
    for turn in range(5):
        desk.page.evaluate("() => document.getElementById('overread-viewer').remove()")
        expect(desk.page.locator(".ovr")).to_have_count(0)
        desk.tell("ct", case=f"case-{turn + 2}")
        desk.page.evaluate(
            "() => { const slot = document.createElement('div'); slot.id = 'overread-viewer';"
            " document.getElementById('place').append(slot) }"
        )
        expect(desk.slice).to_have_text("Slice 16 / 30")
    desk.settle()
    assert desk.page.locator(".ovr").count() == 1
    assert desk.page.locator(".ovr-host svg rect").count() == 0
    assert desk.pixels([desk.place("ct", (128, 179))]) == [(255, 255, 255)]
    desk.press("ArrowDown")
    expect(desk.slice).to_have_text("Slice 17 / 30")


def test_nothing_of_a_case_stays_in_the_browser(desk: Desk) -> None:
    desk.open("ct")
    kept = desk.page.evaluate("() => Object.keys(localStorage).concat(Object.keys(sessionStorage))")
    assert set(kept) <= {"loglevel", "cornerstone3D.renderingCapabilities"}


def test_a_state_in_a_text_field_is_followed_too(desk: Desk) -> None:
    desk.page.evaluate(
        "() => { const state = document.getElementById('overread-viewer-state');"
        " state.replaceChildren(document.createElement('textarea')) }"
    )
    desk.page.locator("#overread-viewer-state textarea").evaluate(
        "field => { field.value = JSON.stringify({case_id: 'c', images: [{id: 'ct', label: ''}]}) }"
    )
    expect(desk.slice).to_have_text("Slice 16 / 30")
