"""The whole loop as a person does it, in a real browser, on the embedded demo model."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from storage.notice import NOTICE
from storage.phantoms import write_studies
from tests.browser.conftest import Running, rows
from webapp.ui import words

pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(300)]

SENTENCE = "There is a small left pleural effusion, corrected by hand."
ANSWER_MS = 30_000
UNDER_WAY_MS = 2000
# What Gradio's own script says when a page is left while it still waits for the server.
LEAVING = ("AbortError: signal is aborted", "Unexpected error Connection errored out")


@pytest.fixture
def page(chromium: Browser, running: Running) -> Iterator[Page]:
    context = chromium.new_context(viewport={"width": 1500, "height": 950})
    page = context.new_page()
    outside: list[str] = []
    complaints: list[str] = []
    page.on(
        "console",
        lambda said: (
            complaints.append(said.text)
            if said.type == "error" and not said.text.startswith(LEAVING)
            else None
        ),
    )
    page.on(
        "request",
        lambda request: (
            outside.append(request.url)
            if not request.url.startswith((running.url, "data:", "blob:"))
            else None
        ),
    )
    yield page
    context.close()
    assert outside == []
    assert complaints == [], "\n".join(complaints)


@pytest.fixture
def film(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """Return a real DX where the data folder is there, else a made-up chest film."""
    try:
        shared: Path = request.getfixturevalue("shared")
    except pytest.skip.Exception:
        write_studies(tmp_path, count=1, seed=11, size=512)
        return next(tmp_path.rglob("*.dcm"))
    return shared / "data/dicom/nih_dx.dcm"


def _sign_in(page: Page, running: Running) -> None:
    page.goto(running.url)
    page.get_by_label("Name").fill(running.name)
    page.get_by_label("Password").fill(running.password)
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Read the next case")).to_be_visible()


def _upload(page: Page, running: Running, film: Path) -> None:
    page.goto(f"{running.url}/upload")
    page.get_by_label("Collection").fill("Loop")
    page.locator("#overread-upload input[type=file]").first.set_input_files(film)
    page.get_by_role("button", name="Upload", exact=True).click()
    told = page.locator("#overread-upload [role=status]")
    expect(told).to_have_text(re.compile("admitted, . held, 0 refused"), timeout=ANSWER_MS)
    outcome = page.locator(".upload-results td").nth(1)
    expect(outcome).to_have_text(re.compile("admitted|held for a person"), timeout=ANSWER_MS)
    held = outcome.inner_text() != "admitted"  # a secondary capture waits for a person
    page.locator("#overread-upload").get_by_role("link").click()
    expect(page.locator("#overread-viewer canvas").first).to_be_visible()
    if held:
        page.get_by_role("button", name=words.ATTEST_CLEAN).click()
    expect(page.locator("#overread-own-read textarea")).to_be_visible()


def _ask_and_stop(page: Page, running: Running) -> None:
    ask = page.get_by_role("button", name="Ask", exact=True)
    page.locator("#overread-question textarea").fill("Describe the findings in detail.")
    with running.slow_model():
        ask.click()
        stop = page.get_by_role("button", name="Stop", exact=True)
        expect(stop).to_be_enabled()
        page.wait_for_timeout(UNDER_WAY_MS)
        stop.click()
        expect(page.locator("#overread-chat")).to_contain_text(words.STOPPED.strip())
    expect(ask).to_be_enabled()


def _is_refused(page: Page, button: str, sentence: str) -> None:
    """Press a button that refuses; its sentence appears and the page stays as it is."""
    page.get_by_role("button", name=button).click()
    expect(page.get_by_text(sentence)).to_be_visible()
    expect(page.get_by_text("Error", exact=True)).to_have_count(0)


def _chat(page: Page) -> str:
    return page.locator("#overread-chat").inner_text()


def test_sign_in_to_export(page: Page, running: Running, film: Path, tmp_path: Path) -> None:
    _sign_in(page, running)
    _upload(page, running, film)
    case = page.url.rpartition("=")[2]

    page.goto(running.url)
    expect(page.locator("#overread-account")).to_contain_text(running.name)
    page.get_by_role("radio", name="Loop").check()
    page.get_by_role("button", name="Read the next case").click()
    expect(page).to_have_url(f"{running.url}/read?case={case}")
    expect(page.locator("#overread-own-read textarea")).to_be_visible()
    _is_refused(page, "Commit my read", words.OWN_READ_EMPTY)

    page.locator("#overread-own-read textarea").fill("Small left effusion.")
    page.get_by_role("radio", name="4").check()
    page.get_by_role("button", name="Commit my read").click()
    expect(page.get_by_text("Small left effusion.")).to_be_visible()

    _ask_and_stop(page, running)

    page.get_by_role("button", name="Describe the findings.").click()
    expect(page.locator("#overread-correction textarea")).to_have_value(
        re.compile(r"\w+"), timeout=ANSWER_MS
    )
    assert f"[{NOTICE}]" in _chat(page)
    expect(page.get_by_role("button", name="Ask", exact=True)).to_be_enabled(timeout=ANSWER_MS)

    correction = page.locator("#overread-correction textarea")
    draft = correction.input_value()
    _is_refused(page, "Save correction", words.NOTHING_CHANGED)
    correction.fill(f"{draft} {SENTENCE}")
    page.wait_for_timeout(1000)  # typing is saved as it happens; let the last save leave
    page.reload()
    expect(correction).to_have_value(f"{draft} {SENTENCE}")
    assert "Describe the findings." in _chat(page)

    page.get_by_role("button", name="Save correction").click()
    expect(page.locator("#overread-review-status")).to_contain_text("revision 1, minor edit")
    page.get_by_role("button", name="Next case").click()
    another = page.locator(".case-head").filter(has_not_text=case[:8].upper())
    expect(page.get_by_text(words.ALL_DONE).or_(another).first).to_be_visible()

    page.goto(running.url)
    row = page.get_by_role("row").filter(has_text=case[:8].upper())
    expect(row).to_contain_text("done")

    page.goto(f"{running.url}/exports")
    page.get_by_role("button", name="Export", exact=True).click()
    expect(page.get_by_role("row").filter(has_text="trl-dpo").first).to_be_visible()

    out = tmp_path / "export"
    running.cli("export", "--format", "trl-dpo", "--out", str(out), "--collection", "Loop")
    pairs = [
        row for split in ("train", "validation", "test") for row in rows(out, f"{split}.jsonl")
    ]
    assert len(pairs) == 1
    chosen, rejected = pairs[0]["chosen"], pairs[0]["rejected"]
    assert SENTENCE in str(chosen)
    assert draft in str(rejected)
    assert pairs[0]["notice"] == NOTICE
