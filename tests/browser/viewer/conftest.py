"""A desk in front of the viewer's own page, drawing on the CPU or with (software) WebGL."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest
from playwright.sync_api import Browser, BrowserContext

from tests.browser.conftest import CHROMIUM, FLAGS
from tests.browser.viewer.desk import Desk
from tests.browser.viewer.page import Ward, application, serving, ward


@pytest.fixture(scope="module")
def context_for(chromium: Browser) -> Iterator[Callable[[str, float], BrowserContext]]:
    """Yield a function that gives the browser context for a renderer and a device pixel ratio.

    Contexts are shared so that Chromium compiles the module once, not for every test.
    """
    browsers = {"webgl": chromium}  # Chromium brings its own software WebGL
    contexts: dict[tuple[str, float], BrowserContext] = {}
    with ExitStack() as closing:

        def give(renderer: str, ratio: float) -> BrowserContext:
            if renderer not in browsers:
                flags = [*FLAGS, "--disable-3d-apis"]
                own = chromium.browser_type.launch(executable_path=CHROMIUM, args=flags)
                browsers[renderer] = own
                closing.callback(own.close)
            if (renderer, ratio) not in contexts:
                made = browsers[renderer].new_context(device_scale_factor=ratio)
                contexts[renderer, ratio] = made
                closing.callback(made.close)
            return contexts[renderer, ratio]

        yield give


@pytest.fixture(scope="module")
def server() -> Iterator[tuple[str, Ward]]:
    """Yield the address of the viewer's page and the images behind it."""
    images = ward()
    with serving(application(images)) as address:
        yield address, images


@pytest.fixture
def renderer(request: pytest.FixtureRequest) -> str:
    """Return how this test draws: on the CPU, which is faster, unless it asks for both."""
    return str(getattr(request, "param", "cpu"))


@pytest.fixture
def ratio(request: pytest.FixtureRequest) -> float:
    """Return the device pixels to a CSS pixel."""
    return float(getattr(request, "param", 1))


@pytest.fixture
def desk(
    renderer: str,
    ratio: float,
    context_for: Callable[[str, float], BrowserContext],
    server: tuple[str, Ward],
) -> Iterator[Desk]:
    """Yield a fresh page with the viewer; afterwards nothing may have gone wrong unseen."""
    address, images = server
    images.broken.clear()
    images.asked.clear()
    images.signed_in = True
    page = context_for(renderer, ratio).new_page()
    page.set_viewport_size({"width": 1000, "height": 760})
    seat = Desk(page, images, address)
    page.goto(address)
    yield seat
    page.close()
    seat.assert_quiet()
