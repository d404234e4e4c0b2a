"""People sign in at a certified provider, in a browser, and out of both again."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from storage.accounts import people, person_named
from storage.engine import Store
from tests.browser.conftest import Running

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]  # starts two servers

BUTTON = "Sign in with City Hospital"


@contextmanager
def person(chromium: Browser, trusting: Running) -> Iterator[tuple[Page, list[str]]]:
    """Yield a page of a fresh browser and what our pages' policy kept it from doing."""
    context = chromium.new_context()
    context.route(lambda url: "127.0.0.1" not in url, lambda route: route.abort())  # its fonts
    page = context.new_page()
    refused: list[str] = []

    def listen(said: ConsoleMessage) -> None:
        if "Content Security Policy" in said.text and page.url.startswith(trusting.url):
            refused.append(said.text)

    page.on("console", listen)
    yield page, refused
    context.close()


def sign_in_at_the_provider(page: Page, name: str) -> None:
    page.get_by_role("link", name=BUTTON).click()
    page.get_by_placeholder("Enter any login").fill(name)
    page.get_by_placeholder("and password").fill("any")
    page.get_by_role("button", name="Sign-in").click()
    page.get_by_role("button", name="Continue").click()


def test_in_and_out_of_both(chromium: Browser, trusting: Running) -> None:
    with person(chromium, trusting) as (page, refused):
        page.goto(f"{trusting.url}/upload")
        sign_in_at_the_provider(page, "ada")
        expect(page).to_have_url(f"{trusting.url}/upload")
        expect(page.get_by_text("ada", exact=True)).to_be_visible()
        cookies = {cookie["name"]: cookie for cookie in page.context.cookies(trusting.url)}
        kept = cookies["overread"]

        page.get_by_role("button", name="Sign out").click()
        page.get_by_role("button", name="Yes, sign me out").click()
        expect(page).to_have_url(f"{trusting.url}/login")
        after = page.context.request.get(
            f"{trusting.url}/api/v1/cases", headers={"cookie": f"overread={kept['value']}"}
        )
        page.get_by_role("link", name=BUTTON).click()
        expect(page.get_by_placeholder("Enter any login")).to_be_visible()

    assert "overread-sign-in" not in cookies
    assert (kept["httpOnly"], kept["sameSite"], kept["expires"]) == (True, "Lax", -1)
    assert after.status == 401
    assert refused == []


@pytest.mark.parametrize(
    ("name", "status"),
    [pytest.param("ada", 403, id="a reader"), pytest.param("chief", 200, id="an administrator")],
)
def test_the_role_comes_from_the_provider(
    chromium: Browser, trusting: Running, name: str, status: int
) -> None:
    with person(chromium, trusting) as (page, refused):
        page.goto(f"{trusting.url}/login?next=/account/password")  # a light page
        sign_in_at_the_provider(page, name)
        expect(page.get_by_text("Its password is changed there")).to_be_visible()
        exports = page.context.request.get(f"{trusting.url}/api/v1/exports")

    assert exports.status == status
    assert refused == []


def test_somebody_without_a_role_is_told_and_gets_nothing(
    chromium: Browser, trusting: Running
) -> None:
    with person(chromium, trusting) as (page, refused):
        page.goto(f"{trusting.url}/login")
        sign_in_at_the_provider(page, "visitor")
        expect(page.get_by_role("alert")).to_contain_text("you have no role in Overread")
        expect(page.get_by_role("link", name=BUTTON)).to_be_visible()
        names = {cookie["name"] for cookie in page.context.cookies(trusting.url)}

    assert not names & {"overread", "overread-sign-in"}
    store = Store.open(f"sqlite:///{trusting.data / 'overread.db'}", migrate=False)
    with store.read() as session:
        assert trusting.name in {each.name for each in people(session)}
        assert person_named(session, "visitor") is None
    store.close()
    assert refused == []


def test_who_turns_back_at_the_provider_is_told(chromium: Browser, trusting: Running) -> None:
    with person(chromium, trusting) as (page, _):
        page.goto(f"{trusting.url}/login")
        page.get_by_role("link", name=BUTTON).click()
        page.get_by_role("link", name="Cancel").click()
        expect(page.get_by_role("alert")).to_contain_text("did not sign you in")
