"""The viewer as a reader uses it: scrolling, grey levels, zoom, keys, what it tells the page."""

import hashlib
import json
import re

import pytest
from playwright.sync_api import expect

from tests.browser.viewer.desk import Desk
from tests.browser.viewer.page import STATIC

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]  # busy cores draw slowly

both = pytest.mark.parametrize("renderer", ["cpu", "webgl"], indirect=True)


def test_each_notch_of_the_wheel_is_one_slice_and_the_page_stays(desk: Desk) -> None:
    desk.page.set_viewport_size({"width": 1000, "height": 400})  # lower than the page
    desk.open("ct")
    expect(desk.slice).to_have_text("Slice 16 / 30")
    x, y, _, _ = desk.pane()
    desk.page.mouse.move(x + 300, y + 60)
    for _ in range(5):
        desk.page.mouse.wheel(0, 100)
    expect(desk.slice).to_have_text("Slice 21 / 30")
    desk.page.mouse.wheel(0, -100)
    expect(desk.slice).to_have_text("Slice 20 / 30")
    assert desk.page.evaluate("window.scrollY") == 0


def test_keys_scroll_and_stop_at_the_ends(desk: Desk) -> None:
    desk.open("ct")
    for key, there in [
        ("ArrowDown", 17),
        ("ArrowUp", 16),
        ("PageUp", 6),
        ("Home", 1),
        ("ArrowUp", 1),
        ("PageDown", 11),
        ("End", 30),
        ("ArrowDown", 30),
    ]:
        desk.press(key)
        expect(desk.slice).to_have_text(f"Slice {there} / 30")


def test_slider_scrolls_and_follows(desk: Desk) -> None:
    desk.open("ct")
    slider = desk.page.get_by_role("slider")
    slider.focus()
    desk.page.keyboard.press("ArrowRight")
    expect(desk.slice).to_have_text("Slice 17 / 30")
    desk.press("End")
    expect(slider).to_have_value("29")


def test_every_frame_is_fetched_once(desk: Desk) -> None:
    desk.open("ct")
    expect(desk.page.locator(".ovr-progress")).to_be_empty()
    desk.press("Home", "End")
    frames = [path for path in desk.images.asked if "/images/ct/frames/" in path]
    assert sorted(frames) == sorted(f"/api/v1/images/ct/frames/{n}" for n in range(30))


def test_drag_changes_width_and_level(desk: Desk) -> None:
    desk.open("ct")
    expect(desk.reading).to_contain_text("W 350  L 40 HU")
    desk.drag((300, 200), (428, 136))  # 128 right, 64 up; one pixel is 350 / 256 HU
    expect(desk.reading).to_contain_text("W 525  L −47 HU")
    assert desk.heard()["view"]["window"] == {"center": -47, "width": 525}
    expect(desk.page.get_by_label("Window preset")).to_have_value("")


def test_presets_by_key_and_by_list(desk: Desk) -> None:
    desk.open("ct")
    for key, reading in [
        ("Shift+Digit1", "W 400  L 40 HU"),
        ("Shift+Digit2", "W 1500  L −600 HU"),
        ("Shift+Digit3", "W 150  L 90 HU"),
        ("Shift+Digit4", "W 2500  L 480 HU"),
        ("Shift+Digit5", "W 80  L 40 HU"),
    ]:
        desk.press(key)
        expect(desk.reading).to_contain_text(reading)
    presets = desk.page.get_by_label("Window preset")
    assert presets.evaluate("e => e.selectedOptions[0].text") == "Brain"
    presets.select_option(label="Lung")
    expect(desk.reading).to_contain_text("W 1500  L −600 HU")
    expect(desk.stage).to_be_focused()


def test_a_film_offers_its_own_windows_only(desk: Desk) -> None:
    desk.open("film")
    options = desk.page.get_by_label("Window preset").locator("option")
    assert options.all_text_contents() == ["Custom", "Standard", "Contrast"]
    desk.press("Shift+Digit2")
    expect(desk.reading).to_contain_text("W 2000  L 1800")


@both
@pytest.mark.parametrize("name", ["ramp", "scaled"])
def test_grey_levels_follow_the_standard_within_one_step(desk: Desk, name: str) -> None:
    desk.open(name)
    geometry = desk.images.stacks[name].geometry
    window = geometry["windows"][0]
    blocks = [(column, row) for row in range(60) for column in range(16)]  # above the notice
    points = desk.places(name, [(8 * column + 3.5, 8 * row + 3.5) for column, row in blocks])
    worst = 0.0
    for (column, row), rgb in zip(blocks, desk.pixels(points), strict=True):
        value = (16 * row + column) * geometry["slope"] + geometry["intercept"]
        # PS3.3 C.11.2.1.2.1
        share = (value - (window["center"] - 0.5)) / (window["width"] - 1) + 0.5
        grey = 255 * min(1.0, max(0.0, share))
        expected = 255 - grey if geometry["inverted"] else grey
        worst = max(worst, *(abs(part - expected) for part in rgb))
    assert worst <= 1.0


@both
def test_invert_swaps_black_and_white_and_back(desk: Desk) -> None:
    desk.open("ct")
    spine = desk.place("ct", (128, 179))
    assert desk.pixels([spine]) == [(255, 255, 255)]
    desk.press("i")
    assert desk.pixels([spine]) == [(0, 0, 0)]
    assert desk.heard()["view"]["invert"] is True
    expect(desk.page.locator('[data-command="invert"]')).to_have_attribute("aria-pressed", "true")
    desk.press("ArrowDown")
    assert desk.pixels([spine]) == [(0, 0, 0)]
    desk.tool("invert")
    assert desk.pixels([spine]) == [(255, 255, 255)]


@both
def test_zoom_by_key_button_and_right_drag(desk: Desk) -> None:
    desk.open("oblong")
    before = desk.bright_box()
    desk.press("+")
    left, top, right, bottom = desk.bright_box()
    assert right - left == pytest.approx(1.25 * (before[2] - before[0]), abs=2)
    assert bottom - top == pytest.approx(1.25 * (before[3] - before[1]), abs=2)
    desk.tool("zoomOut")
    assert desk.bright_box() == pytest.approx(before, abs=2)
    desk.drag((400, 200), (400, 260), button="right")
    assert desk.bright_box() != pytest.approx(before, abs=4)
    desk.press("=")
    assert desk.bright_box() == pytest.approx(before, abs=1)


@pytest.mark.parametrize(
    ("renderer", "how"),
    [("cpu", "middle button"), ("webgl", "tool")],
    indirect=["renderer"],
)
def test_pan_moves_the_image_with_the_pointer(desk: Desk, how: str) -> None:
    desk.open("oblong")
    left, top, right, bottom = desk.bright_box()
    if how == "tool":
        desk.press("p")
    desk.drag((400, 200), (460, 170), button="left" if how == "tool" else "middle")
    moved = (left + 60, top - 30, right + 60, bottom - 30)
    assert desk.bright_box() == pytest.approx(moved, abs=1.5)


def test_space_resets_window_zoom_place_and_inversion(desk: Desk) -> None:
    desk.open("ct")
    before, place = desk.reading.text_content(), desk.place("ct", (128, 179))
    desk.press("i", "+", "Shift+Digit2")
    desk.drag((300, 200), (340, 240), button="middle")
    desk.press("Space")
    assert desk.reading.text_content() == before
    assert desk.pixels([place]) == [(255, 255, 255)]
    assert desk.heard()["view"]["invert"] is False


@both
def test_pixels_stay_in_proportion_when_the_toolbar_wraps(desk: Desk) -> None:
    desk.open("oblong")
    for width in (1000, 520, 760):
        desk.resize(width, 760)
        left, top, right, bottom = desk.bright_box()
        # 40 columns of 0.9 mm by 40 rows of 0.6 mm
        assert (right - left) / (bottom - top) == pytest.approx(1.5, rel=0.03)
        x0, y0 = desk.place("oblong", (49.5, 99.5))
        assert (left, top) == pytest.approx((x0, y0), abs=1.5)


@both
def test_a_magnified_image_keeps_its_middle_when_the_pane_changes(desk: Desk) -> None:
    desk.open("oblong")
    desk.press("+", "+")
    desk.drag((400, 300), (430, 340), button="middle")
    shown = []
    for width, height in ((1000, 760), (700, 620)):
        desk.resize(width, height)
        _, _, pane_width, pane_height = desk.pane()
        left, top, right, bottom = desk.bright_box()
        size = right - left
        shown.append(((pane_width / 2 - left) / size, (pane_height / 2 - top) / size))
        assert size / (bottom - top) == pytest.approx(1.5, rel=0.03)
    assert shown[1] == pytest.approx(shown[0], abs=0.03)


@both
def test_the_notice_is_in_the_pixels_after_every_drawing(desk: Desk) -> None:
    desk.open("ct")
    for key in ("Home", "i", "+", "Space"):
        desk.press(key)
        assert desk.count((255, 176, 32)) > 400
    expect(desk.page.locator(".ovr-notice")).to_have_text("DRAFT – NOT FOR CLINICAL USE")


@both
def test_colour_is_shown_as_it_is(desk: Desk) -> None:
    desk.open("colour")
    places = [desk.place("colour", (40, 100)), desk.place("colour", (260, 100))]
    for shown, stored in zip(desk.pixels(places), [(200, 40, 10), (10, 60, 220)], strict=True):
        assert shown == pytest.approx(stored, abs=1)
    desk.press("i", "Shift+Digit1")
    desk.drag((200, 200), (300, 200))
    assert desk.pixels(places)[0] == pytest.approx((200, 40, 10), abs=1)


def test_edge_letters_only_where_the_orientation_is_known(desk: Desk) -> None:
    desk.open("ct", "film")
    edges = {side: desk.page.locator(f".ovr-{side}") for side in ("left", "right", "top", "bottom")}
    for side, letter in {"left": "R", "right": "L", "top": "A", "bottom": "P"}.items():
        expect(edges[side]).to_have_text(letter)
    desk.press("]")
    expect(desk.page.locator(".ovr-tl")).to_contain_text("Image film")
    for edge in edges.values():
        expect(edge).to_be_empty()


def test_each_image_is_found_again_as_it_was_left(desk: Desk) -> None:
    desk.open("ct", "film")
    desk.press("Home", "Shift+Digit2")
    expect(desk.slice).to_have_text("Slice 1 / 30")
    desk.page.get_by_role("button", name="Image film").click()
    expect(desk.page.locator(".ovr-tl")).to_contain_text("DX · PA")
    assert desk.heard()["view"]["image_id"] == "film"
    desk.press("[")
    expect(desk.slice).to_have_text("Slice 1 / 30")
    expect(desk.reading).to_contain_text("W 1500  L −600 HU")
    assert desk.heard()["view"]["seen"] == [0, 15]


def test_the_view_is_told_as_an_event_and_as_text(desk: Desk) -> None:
    desk.page.evaluate(
        "() => { window.told = []; document.getElementById('overread-viewer')"
        ".addEventListener('overread:view', e => window.told.push(e.detail)) }"
    )
    desk.open("ct")
    for number in (17, 18):
        desk.press("ArrowDown")
        expect(desk.slice).to_have_text(f"Slice {number} / 30")
    view = desk.heard()["view"]
    assert view == {
        "image_id": "ct",
        "frame": 17,
        "window": {"center": 40, "width": 350},
        "invert": False,
        "seen": [15, 16, 17],
    }
    assert desk.page.evaluate("window.told.at(-1)") == view
    assert desk.heard()["case_id"] == "case-1"


def test_typing_a_report_changes_nothing_in_the_viewer(desk: Desk) -> None:
    desk.open("ct")
    before = desk.heard()
    report = desk.page.get_by_label("Report")
    report.focus()
    desk.page.keyboard.type("irbpwz=+-? [x] !@#")
    for key in ("ArrowDown", "PageDown", "Home", "Delete", "Backspace", "Shift+Digit2", "Space"):
        desk.page.keyboard.press(key)
    assert desk.heard() == before
    assert report.input_value() != ""


def test_tab_goes_through_the_viewer_and_out_again(desk: Desk) -> None:
    desk.open("ct")
    desk.page.evaluate(
        "() => document.body.append(Object.assign(document.createElement('button'), {id: 'after'}))"
    )
    desk.page.get_by_label("Report").focus()
    visited = []
    for _ in range(30):
        desk.page.keyboard.press("Tab")
        visited.append(desk.page.evaluate("document.activeElement.className"))
        if desk.page.evaluate("document.activeElement.id") == "after":
            break
    else:
        pytest.fail("the focus never left the viewer")
    assert {"ovr-button", "ovr-select", "ovr-stage", "ovr-slider"} <= set(visited)


def test_help_lists_the_keys_and_closes_with_escape(desk: Desk) -> None:
    desk.open("ct")
    desk.press("?")
    dialog = desk.page.get_by_role("dialog", name="Keys and mouse")
    expect(dialog).to_contain_text("Shift+1 … 5")
    desk.page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(desk.stage).to_be_focused()


def test_theme_follows_the_page_and_the_pane_stays_black(desk: Desk) -> None:
    desk.open("ct")
    read = "s => getComputedStyle(document.querySelector(s)).backgroundColor"
    light = desk.page.evaluate(read, ".ovr-toolbar")
    desk.page.evaluate("document.body.classList.add('dark')")
    assert desk.page.evaluate(read, ".ovr-toolbar") != light
    assert desk.page.evaluate(read, ".ovr-stage") == "rgb(0, 0, 0)"


@pytest.mark.parametrize("width", [700, 900, 1400])
def test_nothing_overlaps_or_sticks_out(desk: Desk, width: int) -> None:
    desk.page.set_viewport_size({"width": width, "height": 760})
    desk.open("ct", "film", selected_sentence=2)
    desk.press("b")
    script = """() => {
        const box = element => {
            const {left, top, right, bottom} = element.getBoundingClientRect();
            return [left, top, right, bottom];
        };
        const texts = [...document.querySelectorAll('.ovr-corner, .ovr-edge, .ovr-notice')]
            .filter(e => e.textContent).map(e => [e.className, box(e)]);
        const tools = [...document.querySelectorAll('.ovr-toolbar button, .ovr-select')]
            .map(e => [e.title, box(e)]);
        return [box(document.querySelector('.ovr')), texts, tools];
    }"""
    frame, *layers = desk.page.evaluate(script)
    for boxes in layers:
        for index, (name, a) in enumerate(boxes):
            assert frame[0] <= a[0], name
            assert a[2] <= frame[2], name
            for other, b in boxes[index + 1 :]:
                apart = a[2] <= b[0] or b[2] <= a[0] or a[3] <= b[1] or b[3] <= a[1]
                assert apart, f"{name} and {other}"


def test_labels_are_shown_as_text_whatever_they_hold(desk: Desk) -> None:
    label = '<img src=x onerror="window.pwned=1">${window.pwned=1}'
    images = [{"id": "film", "label": label}, {"id": "ct", "label": label}]
    desk.tell("film", images=images)
    expect(desk.page.locator(".ovr-tl")).to_contain_text(label)
    assert desk.page.evaluate("window.pwned") is None


def test_manifest_names_the_module_that_is_there() -> None:
    module = (STATIC / "viewer" / "viewer.js").read_bytes()
    manifest = json.loads((STATIC / "viewer" / "manifest.json").read_text())
    entry = manifest["viewer.js"]
    assert entry["sha256"] == hashlib.sha256(module).hexdigest()
    assert entry["bytes"] == len(module)
    assert re.search(rb"new Worker|WebAssembly", module) is None
