"""The hashes that let Gradio's own inline scripts run, and nothing else."""

from starlette.applications import Starlette
from starlette.responses import HTMLResponse, PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient

from webapp.auth.inline_scripts import INLINE_SCRIPTS, InlineScripts, script_hashes

# printf 'alert(1)' | openssl dgst -sha256 -binary | base64
ALERT = "'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='"


def test_inline_scripts_are_named_once_and_linked_ones_not_at_all() -> None:
    page = (
        b'<script src="/a.js"></script><script>alert(1)</script>'
        b'<SCRIPT type="module">alert(1)</SCRIPT>'
    )
    assert script_hashes(page) == (ALERT,)


def test_a_page_says_its_scripts_and_anything_else_says_nothing() -> None:
    inner = Starlette(
        routes=[
            Route("/page", lambda _: HTMLResponse("<p>x</p><script>alert(1)</script>")),
            Route("/text", lambda _: PlainTextResponse("<script>alert(1)</script>")),
        ]
    )
    client = TestClient(InlineScripts(inner))
    page = client.get("/page")
    assert page.headers[INLINE_SCRIPTS] == ALERT
    assert page.text == "<p>x</p><script>alert(1)</script>"
    assert INLINE_SCRIPTS not in client.get("/text").headers


def test_a_page_links_no_manifest_that_its_browser_could_not_fetch() -> None:
    linked = '<link rel="manifest" href="/manifest.json" /><p>x</p>'
    inner = Starlette(routes=[Route("/page", lambda _: HTMLResponse(linked))])
    page = TestClient(InlineScripts(inner)).get("/page")
    assert page.text == "<p>x</p>"
    assert page.headers["content-length"] == "8"
