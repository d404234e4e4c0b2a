"""The pages, built with Gradio and mounted on the application."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import gradio as gr
from fastapi import FastAPI
from gradio.components import Navbar
from starlette.requests import Request
from starlette.routing import Mount

from storage.vocabulary import Role
from webapp.auth.inline_scripts import InlineScripts
from webapp.services.actor import Actor
from webapp.services.bundle import Services
from webapp.services.errors import ServiceError
from webapp.ui.account_page import build_account_page
from webapp.ui.admin_page import build_admin_page
from webapp.ui.audit_page import build_audit_page
from webapp.ui.common import QUIET, ActorOf, asker, plainly
from webapp.ui.exports_page import build_exports_page
from webapp.ui.pages import Pages
from webapp.ui.reading_page import build_reading_page
from webapp.ui.upload_page import build_upload_page
from webapp.ui.worklist_page import build_worklist_page

STATIC: Final = Path(__file__).parents[1] / "static"
SCRIPTS: Final = "".join(
    f'<script type="module" src="/overread/{name}"></script>'
    for name in ("pages.js", "viewer/viewer.js")
)
SYSTEM_FONTS: Final = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "sans-serif")
PAGES: Final = (
    ("Upload", "/upload", build_upload_page),
    ("Read", "/read", build_reading_page),
)
OWN_PAGES: Final = (("Account", "/account", build_account_page),)
"""Pages that the strip at the top leads to, not the list of pages."""
ADMIN_PAGES: Final = (
    ("Exports", "/exports", build_exports_page),
    ("Audit", "/audit", build_audit_page),
    ("Admin", "/admin", build_admin_page),
)
"""Pages that the gate opens to administrators only, and that nobody else is shown a link to."""
LINKS: Final = [(name, path.removeprefix("/")) for name, path, _ in ADMIN_PAGES]


def build_pages(services: Services, actor_of: Callable[[Request], Actor]) -> gr.Blocks:
    """Build every page over the given use cases."""
    pages = Pages(title="Overread", analytics_enabled=False, fill_width=True)
    with pages:
        _navigation(pages, actor_of)
        build_worklist_page(pages, services, actor_of)
    for name, path, build in (*PAGES, *OWN_PAGES, *ADMIN_PAGES):
        public = (name, path, build) in PAGES
        with pages.route(name, path, show_in_navbar=public) as page:
            _navigation(page, actor_of)
            build(page, services, actor_of)
    pages.queue(default_concurrency_limit=16)
    return pages


def _navigation(page: gr.Blocks, actor_of: ActorOf) -> None:
    """Lay out the links to the pages; Gradio's own list is the same for everybody."""
    navbar = Navbar(main_page_name="Worklist")

    @plainly
    def links(request: gr.Request) -> dict[str, Any]:
        is_admin = asker(actor_of, request).role is Role.ADMIN
        return gr.update(value=LINKS if is_admin else [])

    page.load(links, None, navbar, **QUIET)


def mount_pages(app: FastAPI, services: Services, actor_of: Callable[[Request], Actor]) -> FastAPI:
    """Mount the pages at the root of `app`, with Gradio's unsafe defaults turned off.

    Gradio skips its file path check unless a Blocks was launched, which mounting never does,
    so `has_launched` is set by hand; and no component that takes files is used anywhere.
    """

    def name_of(request: Request) -> str | None:
        try:
            return actor_of(request).name
        except ServiceError:
            return None

    pages = build_pages(services, actor_of)
    gr.mount_gradio_app(
        app,
        pages,
        path="/",
        auth_dependency=name_of,
        show_error=False,
        run_history=False,
        footer_links=[],
        allowed_paths=[],
        blocked_paths=["/"],
        max_file_size=1,
        mcp_server=False,
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        theme=gr.themes.Base(
            primary_hue="teal",
            neutral_hue="slate",
            radius_size="sm",
            spacing_size="sm",
            font=SYSTEM_FONTS,
            font_mono=("ui-monospace", "monospace"),
        ),
        css_paths=STATIC / "pages.css",
        head=SCRIPTS,
    )
    pages.has_launched = True
    mount = next(route for route in app.routes if isinstance(route, Mount) and not route.path)
    mount.app = InlineScripts(mount.app)
    return app
