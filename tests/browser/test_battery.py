"""The 14 chest findings on the reading page, in a real browser, on the embedded demo model."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from storage.notice import NOTICE
from storage.phantoms import write_studies
from tests.browser.conftest import Running
from webapp.ui import words

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

ANSWERS_MS = 90_000
CANCELS_LATE = """() => {
  const fetch = window.fetch;
  const late = (...call) => new Promise((go) => setTimeout(go, 6000)).then(() => fetch(...call));
  window.fetch = (...call) => (/\\/cancel$/.test(call[0]) ? late(...call) : fetch(...call));
}"""  # as on a busy machine
SPILLING = """() => [...document.querySelectorAll("button")].filter((button) => {
  const label = document.createRange();
  label.selectNodeContents(button);
  const [inner, outer] = [label.getBoundingClientRect(), button.getBoundingClientRect()];
  return outer.width && (inner.left < outer.left - 1 || inner.right > outer.right + 1);
}).map((button) => button.innerText)"""
CHOICE = re.compile("present|absent|indeterminate")


@pytest.fixture
def page(chromium: Browser, running: Running) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1500, "height": 950})
    page = context.new_page()
    page.goto(running.url)
    page.get_by_label("Name").fill(running.name)
    page.get_by_label("Password").fill(running.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Read the next case")).to_be_visible()
    yield page
    context.close()


def _open(page: Page, running: Running, folder: Path, *, ct: bool) -> None:
    """Bring a made-up study in, open it and commit an own read."""
    write_studies(folder, count=1, seed=1, size=256, ct_every=1 if ct else 0)
    study = next(folder.rglob("*.dcm")).parent
    listed = running.cli("ingest", str(study), "--collection", f"Battery {ct}").splitlines()
    case_id = re.search(r'"case_id": ?"([0-9a-f-]{36})"', listed[0])
    assert case_id is not None
    page.goto(f"{running.url}/read?case={case_id[1]}")
    page.locator("#overread-own-read textarea").fill("Nothing seen.")
    page.get_by_role("button", name="Commit my read").click()
    expect(page.get_by_role("button", name="Ask", exact=True)).to_be_visible()


def test_findings_fill_a_table_whose_drafts_open_for_review(
    page: Page, running: Running, tmp_path: Path
) -> None:
    _open(page, running, tmp_path, ct=False)
    for width in (1280, 1400, 1920, 1500):
        page.set_viewport_size({"width": width, "height": 950})
        assert page.evaluate(SPILLING) == [], f"a label is wider than its button at {width}"
    ask = page.get_by_role("button", name=words.BATTERY_ASK)
    stop = page.get_by_role("button", name=words.BATTERY_STOP)
    table = page.locator("#overread-battery table")

    page.evaluate(CANCELS_LATE)
    with running.slow_model():
        ask.click()
        expect(stop).to_be_enabled()
        expect(table).to_contain_text("of 14 answered")
        stop.click()
    expect(ask).to_be_enabled()

    ask.click()
    expect(ask).to_be_disabled()  # it runs again
    expect(table).to_contain_text("14 of 14 answered", timeout=ANSWERS_MS)
    expect(ask).to_be_enabled(timeout=ANSWERS_MS)
    expect(table.locator("caption")).to_contain_text(NOTICE)
    effusion = table.get_by_role("row").filter(has_text="Pleural Effusion")
    expect(effusion).to_contain_text(CHOICE)
    expect(effusion).to_contain_text("%")
    assert "pleural effusion" not in page.locator("#overread-chat").inner_text()

    page.get_by_role("button", name="Review the draft: Pleural Effusion").click()
    expect(page.locator("#overread-correction textarea")).to_have_value(CHOICE)
    page.get_by_role("button", name="Accept as is").click()
    expect(page.locator("#overread-review-status")).to_contain_text("revision 1")

    page.reload()
    expect(table).to_contain_text("14 of 14 answered")


def test_findings_are_not_offered_for_a_ct(page: Page, running: Running, tmp_path: Path) -> None:
    _open(page, running, tmp_path, ct=True)
    expect(page.get_by_role("button", name=words.BATTERY_ASK)).to_be_hidden()
