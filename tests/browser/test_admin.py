"""Administration in a real browser: what a person clicks counts, can be declined, or undone."""

import asyncio
import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, Locator, Page, expect

from storage.vocabulary import CaseState, Role
from tests.flow.fake_worker import MODEL, running_worker
from tests.flow.place import COLLECTION, PASSWORD, Place, furnished
from tests.flow.served import served
from webapp.auth.routes import API
from webapp.ui import mount_pages

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]

LEAVING = ("AbortError: signal is aborted", "Unexpected error Connection errored out")
REFUSED = "Failed to load resource: the server responded with a status of 403"


@contextmanager
def _living(folder: Path, migrated: Path) -> Iterator[tuple[Place, str]]:
    """Serve a whole application from a thread of its own, with pages and a scripted model."""
    there: queue.Queue[tuple[Place, str]] = queue.Queue()
    done = threading.Event()

    async def live() -> None:
        with running_worker() as worker:
            async with furnished(folder, migrated, worker, mount=mount_pages) as place:
                with served(place.gate) as url:
                    there.put((place, url))
                    await asyncio.to_thread(done.wait)

    thread = threading.Thread(target=lambda: asyncio.run(live()))
    thread.start()
    try:
        yield there.get(timeout=60)
    finally:
        done.set()
        thread.join()


@pytest.fixture(scope="module")
def living(
    tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path
) -> Iterator[tuple[Place, str]]:
    with _living(tmp_path_factory.mktemp("place"), migrated_sqlite) as found:
        yield found


@pytest.fixture
def place(living: tuple[Place, str]) -> Place:
    return living[0]


@pytest.fixture
def url(living: tuple[Place, str]) -> str:
    return living[1]


@pytest.fixture
def context(chromium: Browser, url: str) -> Iterator[BrowserContext]:
    context = chromium.new_context(viewport={"width": 1400, "height": 950})
    outside: list[str] = []
    complaints: list[str] = []
    context.on(
        "request",
        lambda asked: (
            outside.append(asked.url) if not asked.url.startswith((url, "data:", "blob:")) else None
        ),
    )
    context.on(
        "console",
        lambda said: (
            complaints.append(said.text)
            if said.type == "error" and not said.text.startswith((*LEAVING, REFUSED))
            else None
        ),
    )
    yield context
    context.close()
    assert outside == []
    assert complaints == []


def _signed_in(context: BrowserContext, url: str, name: str, password: str = PASSWORD) -> Page:
    page = context.new_page()
    page.goto(f"{url}/login")
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(lambda address: not address.endswith("/login"))
    return page


def _admin(context: BrowserContext, url: str, tab: str = "People") -> Page:
    page = _signed_in(context, url, "admin")
    page.goto(f"{url}/admin")
    expect(page.locator("#overread-people")).to_contain_text("adjudicator")
    if tab != "People":
        page.get_by_role("tab", name=tab).click()
    return page


def _pick(page: Page, label: str, name: str) -> None:
    page.get_by_label(label, exact=True).filter(visible=True).click()
    page.get_by_role("option", name=name).click()


def _yes(page: Page, name: str) -> None:
    page.locator(".confirm").get_by_role("button", name=name).filter(visible=True).click()


def _secret(page: Page) -> Locator:
    return page.get_by_label("Shown only now").filter(visible=True)


def test_a_person_is_added_moved_and_closed(
    context: BrowserContext, chromium: Browser, url: str
) -> None:
    page = _admin(context, url)
    people = page.locator("#overread-people")
    page.get_by_label("Name", exact=True).first.fill("Newcomer")
    page.get_by_role("button", name="Add", exact=True).click()
    expect(people).to_contain_text("newcomer")
    secret = _secret(page).input_value()

    elsewhere = chromium.new_context()
    theirs = _signed_in(elsewhere, url, "newcomer", secret)
    expect(theirs).to_have_url(f"{url}/account/password")

    page.get_by_role("radio", name="adjudicator").last.check()
    page.get_by_role("button", name="Change the role").click()
    expect(page.get_by_text("newcomer is adjudicator now, was reader.")).to_be_visible()
    theirs.reload()
    expect(theirs.get_by_role("button", name="Sign in")).to_be_visible()
    elsewhere.close()
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("newcomer is reader now, was adjudicator.")).to_be_visible()

    page.get_by_role("button", name="Close the account").click()
    expect(page.get_by_text("Close the account of newcomer?")).to_be_visible()
    page.get_by_role("button", name="Keep it as it is").click()
    expect(page.get_by_text("Close the account of newcomer?")).to_be_hidden()
    expect(people).not_to_contain_text("closed")
    page.get_by_role("button", name="Close the account").click()
    _yes(page, "Close the account")
    expect(people).to_contain_text("closed")
    page.get_by_role("button", name="Reopen the account").click()
    expect(people).not_to_contain_text("closed")


def test_the_last_administrator_is_told_why_not(context: BrowserContext, url: str) -> None:
    page = _admin(context, url)
    _pick(page, "Person", "admin")
    page.get_by_role("button", name="Close the account").click()
    _yes(page, "Close the account")
    expect(page.get_by_text("This is the last administrator")).to_be_visible()


def test_members_are_removed_and_brought_back(
    context: BrowserContext, place: Place, url: str
) -> None:
    page = _admin(context, url, "Collections")
    expect(page.get_by_text(f"Members of {COLLECTION}")).to_be_visible()
    _pick(page, "Member", "trainee")
    page.get_by_role("button", name="Remove from the collection").click()
    expect(page.get_by_text("trainee does not open")).to_be_visible()
    trainee = place.people[Role.TRAINEE]
    assert place.services.collections.list(trainee) == []
    page.get_by_role("button", name="Undo").click()
    expect(page.get_by_text("trainee opens")).to_be_visible()
    assert [each.name for each in place.services.collections.list(trainee)] == [COLLECTION]


def test_a_token_is_shown_once_works_and_is_revoked(context: BrowserContext, url: str) -> None:
    page = _signed_in(context, url, "reader")
    page.goto(f"{url}/account")
    expect(page.get_by_role("radio", name="admin")).to_have_count(0)
    tokens = page.locator("#overread-tokens")
    expect(tokens).to_contain_text("good")  # the one everybody here has
    expect(tokens).not_to_contain_text("adjudicator")
    page.get_by_role("radio", name="trainee").check()
    page.get_by_role("button", name="Make a token").click()
    expect(_secret(page)).to_be_visible()
    bearer = {"authorization": f"Bearer {_secret(page).input_value()}"}
    assert httpx.get(f"{url}{API}/cases", headers=bearer).status_code == 200
    assert httpx.post(f"{url}{API}/studies", headers=bearer).status_code == 403  # as a trainee

    page.reload()
    expect(tokens).to_contain_text("trainee")
    expect(_secret(page)).to_have_count(0)
    _pick(page, "Token to revoke", "trainee")
    page.get_by_role("button", name="Revoke").click()
    _yes(page, "Revoke")
    expect(tokens).to_contain_text("revoked")
    assert httpx.get(f"{url}{API}/cases", headers=bearer).status_code == 401


def test_held_studies_models_and_health(context: BrowserContext, place: Place, url: str) -> None:
    admin = place.people[Role.ADMIN]
    held = place.world.make_case(place.world.make_collection(admin), admin, state=CaseState.HELD)
    page = _admin(context, url, "Held studies")
    expect(page.get_by_role("link", name=held.id.hex[:8].upper())).to_be_visible()
    page.get_by_role("tab", name="Models").click()
    expect(page.get_by_role("cell", name=MODEL).first).to_be_visible()
    page.get_by_role("tab", name="Health").click()
    expect(page.get_by_role("cell", name=f"{MODEL} answers")).to_be_visible()
    expect(page.get_by_role("cell", name="keys.json, mode 0600")).to_be_visible()


def test_others_have_no_such_page(context: BrowserContext, url: str) -> None:
    page = _signed_in(context, url, "adjudicator")
    expect(page.get_by_role("button", name="Read the next case")).to_be_visible()
    expect(page.get_by_role("link", name="Admin")).to_have_count(0)
    page.goto(f"{url}/admin")
    expect(page.get_by_text("Your account may not do this.")).to_be_visible()
