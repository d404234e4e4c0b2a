"""The viewer inside a Gradio page: state in, view and boxes out, and parts that come and go."""

import json
import re
from collections.abc import Iterator

import gradio as gr
import pytest
from fastapi import FastAPI
from playwright.sync_api import Browser, Page, expect

from tests.browser.viewer.page import application, serving, ward

pytestmark = [
    pytest.mark.browser,
    pytest.mark.timeout(180),  # busy cores draw slowly
    # Gradio's own queue asks pandas for things that pandas is about to drop.
    pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning"),
]

SCRIPT = '<script type="module" src="/overread/viewer/viewer.js"></script>'


def state(sentence: int | None, label: str) -> str:
    """Return a page's state, with text in it that Markdown and templates would stumble over."""
    images = [{"id": "ct", "label": label}]
    return json.dumps({"case_id": "c", "images": images, "selected_sentence": sentence})


def pages(label: str) -> gr.Blocks:
    """Build the slot and the two hidden fields as the reading page has them."""
    blocks = gr.Blocks(analytics_enabled=False)
    with blocks:
        told = gr.Textbox(visible="hidden", elem_id="overread-viewer-state")
        out = gr.Textbox(visible="hidden", elem_id="overread-viewer-out")
        heard = gr.Textbox(label="Heard")
        second = gr.Button("Second sentence")
        folded = gr.Checkbox(label="Folded away")
        with gr.Column() as column, gr.Group(elem_id="overread-viewer"):
            pass
        blocks.load(lambda: state(None, label), None, told)
        second.click(lambda: state(1, label), None, told)
        out.input(lambda text: text, out, heard, trigger_mode="always_last")
        folded.change(lambda away: gr.Column(visible=not away), folded, column)
    return blocks


@pytest.fixture
def page(chromium: Browser, monkeypatch: pytest.MonkeyPatch) -> Iterator[Page]:
    """Yield the page, open in Chromium."""
    monkeypatch.setenv("GRADIO_ANALYTICS_ENABLED", "False")
    images: FastAPI = application(ward(), page=False)
    mounted = gr.mount_gradio_app(
        images, pages('a_b_ "q" `c` $x$ <i>'), path="/pages", ssr_mode=False, head=SCRIPT,
        footer_links=[],
    )  # fmt: skip
    with serving(mounted) as address:
        page = chromium.new_page(viewport={"width": 1000, "height": 900})
        page.goto(f"{address}/pages")
        yield page
        page.close()


def test_state_arrives_as_it_is_and_boxes_come_back(page: Page) -> None:
    expect(page.locator(".ovr-br")).to_have_text("Slice 16 / 30")
    expect(page.locator(".ovr-tl")).to_contain_text('a_b_ "q" `c` $x$ <i>')
    heard = page.get_by_label("Heard")
    page.locator(".ovr-stage").focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".ovr-br")).to_have_text("Slice 17 / 30")
    expect(heard).to_have_value(re.compile('"frame":16'))
    page.get_by_role("button", name="Second sentence").click()
    page.locator('[data-command="box"]').click()
    expect(page.locator(".ovr-tr")).to_contain_text("New boxes belong to sentence 2")
    box = page.locator(".ovr-stage").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 300, box["y"] + 200)
    page.mouse.down()
    page.mouse.move(box["x"] + 380, box["y"] + 260, steps=4)
    page.mouse.up()
    expect(page.locator(".ovr-label-bound")).to_have_text("Sentence 2")
    expect(heard).to_have_value(re.compile("bbox"))
    (region,) = json.loads(heard.input_value())["regions"]
    assert (region["sentence"], region["frame"]) == (1, 16)


def test_a_column_folded_away_and_back_has_a_working_viewer(page: Page) -> None:
    expect(page.locator(".ovr-br")).to_have_text("Slice 16 / 30")
    for _ in range(2):
        page.get_by_label("Folded away").check()
        expect(page.locator(".ovr")).to_have_count(0)
        page.get_by_label("Folded away").uncheck()
        expect(page.locator(".ovr-br")).to_have_text("Slice 16 / 30")
