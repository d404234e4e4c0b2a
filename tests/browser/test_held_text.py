"""A film with a name burned in: found, shown, masked, and open once nothing is left."""

import re
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image, ImageDraw, ImageFont
from playwright.sync_api import Browser, Page, expect

from storage.phantoms import write_studies
from tests.browser.conftest import Running
from webapp.ui import words

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(180)]

SEARCH_MS = 60_000


@pytest.fixture
def page(chromium: Browser) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1500, "height": 950})
    yield context.new_page()
    context.close()


@pytest.fixture
def named(tmp_path: Path) -> Path:
    """Return a made-up film of 384 pixels with a name in one corner and a number in another."""
    write_studies(tmp_path, count=1, seed=23, size=384, ct_every=100)
    path = next(tmp_path.rglob("*.dcm"))
    film = pydicom.dcmread(path)
    layer = Image.new("L", (384, 384))
    draw = ImageDraw.Draw(layer)
    draw.text((12, 12), "HOLLOWAY, Anna", fill=255, font=ImageFont.load_default(20))
    draw.text((220, 340), "MRN 4471902", fill=255, font=ImageFont.load_default(20))
    pixels = film.pixel_array.copy()
    pixels[np.asarray(layer) > 100] = pixels.max()
    film.PixelData = pixels.tobytes()
    film.save_as(path)
    return path


def test_a_name_is_found_masked_and_gone(page: Page, running: Running, named: Path) -> None:
    page.goto(running.url)
    page.get_by_label("Name").fill(running.name)
    page.get_by_label("Password").fill(running.password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{running.url}/")
    page.goto(f"{running.url}/upload")
    page.get_by_label("Collection").fill("Names")
    page.locator("#overread-upload input[type=file]").first.set_input_files(named)
    page.get_by_role("button", name="Upload", exact=True).click()
    outcome = page.locator(".upload-results td").nth(1)
    expect(outcome).to_have_text("held for a person", timeout=SEARCH_MS)
    page.locator("#overread-upload").get_by_role("link").click()

    expect(page.get_by_text(words.HELD["text_in_pixels"])).to_be_visible()
    expect(page.get_by_text("Text stands on 1 of 1 images")).to_be_visible()
    expect(page.locator("#overread-viewer canvas").first).to_be_visible()
    labels = page.locator("#overread-viewer").get_by_text(words.FOUND_LABEL, exact=True)
    expect(labels).to_have_count(2)
    page.get_by_role("button", name=words.FOUND_NEXT).click()
    expect(page.locator("#overread-found-at")).to_have_text("Text 1 of 1: image 1, frame 1")

    assert _brightest(page) > 200

    page.get_by_role("button", name=words.ATTEST_MASK).click()
    expect(page.locator("#overread-own-read textarea")).to_be_visible(timeout=SEARCH_MS)
    expect(page.get_by_text(re.compile("being searched", re.IGNORECASE))).to_have_count(0)
    expect(labels).to_have_count(0)
    page.wait_for_timeout(1000)  # to draw
    assert _brightest(page) < 60  # the masked pixels are what is on screen


def _brightest(page: Page) -> int:
    """Return the brightest value on screen where the number was burned in."""
    canvas = page.locator("#overread-viewer canvas").first
    shown = Image.open(BytesIO(canvas.screenshot())).convert("L")
    scale = min(shown.width, shown.height) / 384
    left, top = (shown.width - 384 * scale) / 2, (shown.height - 384 * scale) / 2
    number = (225, 343, 330, 358)
    edges = [round(offset + scale * at) for offset, at in zip((left, top) * 2, number, strict=True)]
    return int(np.asarray(shown.crop((edges[0], edges[1], edges[2], edges[3]))).max())
