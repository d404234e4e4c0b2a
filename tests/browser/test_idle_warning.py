"""The warning before an idle sign-out, with a scripted server: nobody waits for a quarter hour."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect

pytestmark = pytest.mark.browser

SCRIPT = Path(__file__).parents[2] / "webapp" / "static" / "pages.js"
HERE = "http://overread.test"
BODY = """<!doctype html><body><textarea id="draft"></textarea>
<script>window.typed = [];
document.addEventListener("input", (event) => typed.push(event.target.value));</script>
<script type="module" src="/overread/pages.js"></script>"""


class Server:
    """Answers as the real one does, with as much time left as the test says."""

    def __init__(self) -> None:
        self.left: int | None = 900  # None: signed out
        self.asked: list[str] = []

    def answer(self, route: Route) -> None:
        path = route.request.url.removeprefix(HERE).partition("?")[0]
        if path == "/overread/pages.js":
            route.fulfill(body=SCRIPT.read_text(), content_type="text/javascript")
        elif path == "/account/session":
            self.asked.append(route.request.method)
            if route.request.method == "POST":
                self.left = 900
            if self.left is None:
                route.fulfill(status=401, json={})
            else:
                route.fulfill(json={"signed_out_in_s": self.left, "warn_s": 120})
        else:
            route.fulfill(body=BODY, content_type="text/html")


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def page(chromium: Browser, server: Server) -> Iterator[Page]:
    context = chromium.new_context()
    context.route(f"{HERE}/**", server.answer)
    page = context.new_page()
    yield page
    context.close()


def _typed(page: Page) -> Any:  # noqa: ANN401 - JSON
    return page.evaluate("typed")


def test_no_warning_while_there_is_time(page: Page, server: Server) -> None:
    page.goto(f"{HERE}/read?case=1")
    page.wait_for_function("document.readyState === 'complete'")
    while not server.asked:
        page.wait_for_timeout(50)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_the_warning_saves_first_and_its_button_keeps_the_session(
    page: Page, server: Server
) -> None:
    server.left = 100
    page.goto(f"{HERE}/read?case=1")
    warning = page.get_by_role("alert")
    expect(warning).to_contain_text("You will be signed out in 1:")
    assert _typed(page) == [""]  # its field was sent once more, without a person's doing
    assert set(server.asked) == {"GET"}

    page.get_by_role("button", name="Stay signed in").click()

    expect(warning).to_have_count(0)
    assert server.asked[-1] == "POST"


def test_at_the_end_the_page_gives_way_to_the_sign_in_and_knows_the_way_back(
    page: Page, server: Server
) -> None:
    server.left = 2
    page.goto(f"{HERE}/read?case=1")
    expect(page.get_by_role("alert")).to_be_visible()
    server.left = None
    page.wait_for_url(f"{HERE}/login?next=%2Fread%3Fcase%3D1")
