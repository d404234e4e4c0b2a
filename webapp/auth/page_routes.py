"""The routes that Gradio brings with it, with the same default: what is not needed is shut.

Gradio answers more than its pages need, and a signed-in person could use the rest to read
server files, other people's uploads or their results. Every route of it stands here, so that
a new release with a new route is noticed by the test that walks the running application.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from webapp.auth.routes import NOBODY, Route, Surface
from webapp.services.policy import ADMINS, TRAINEES_UP

ASSETS: Final = (
    "/assets/{path:path}",
    "/static/{path:path}",
    "/svelte/{path:path}",
    "/theme.css",
    "/gradio_api/theme.css",
    "/favicon.ico",
    "/manifest.json",
)
"""Scripts, styles and icons of Gradio itself."""

LIVING: Final = (
    ("GET", "/config"),
    ("POST", "/gradio_api/queue/join"),
    ("GET", "/gradio_api/queue/data"),
    ("POST", "/gradio_api/run/{api_name}"),
    ("POST", "/gradio_api/cancel"),
    ("POST", "/gradio_api/reset"),
    ("GET", "/gradio_api/heartbeat/{session_hash}"),
    ("GET", "/gradio_api/startup-events"),
    ("GET", "/gradio_api/app_id"),
)
"""What a page calls while it is open; session and event ids in them are bound to the person."""

UNATTENDED: Final = frozenset(
    {
        ("GET", "/gradio_api/queue/data"),
        ("GET", "/gradio_api/heartbeat/{session_hash}"),
        ("GET", "/gradio_api/startup-events"),
        ("GET", "/gradio_api/app_id"),
    }
)
"""Of these, what a page asks again by itself: an empty room must not keep a session alive."""

SHUT: Final = (
    ("files from the server's disk", "GET", "/gradio_api/file={path_or_url:path}"),
    ("files from the server's disk", "GET", "/gradio_api/file/{path:path}"),
    ("uploads go to our own route", "POST", "/gradio_api/upload"),
    ("uploads go to our own route", "GET", "/gradio_api/upload_progress"),
    ("uploads go to our own route", "POST", "/gradio_api/process_recording"),
    ("requests to other servers", "GET", "/gradio_api/proxy={url_path:path}"),
    ("results by id alone", "POST", "/gradio_api/call/{api_name}"),
    ("results by id alone", "POST", "/gradio_api/call/v2/{api_name}"),
    ("results by id alone", "GET", "/gradio_api/call/{api_name}/{event_id}"),
    ("results by id alone", "GET", "/gradio_api/call/v2/{api_name}/{event_id}"),
    ("results by id alone", "POST", "/gradio_api/api/{api_name}"),
    ("streams by id alone", "POST", "/gradio_api/stream/{event_id}"),
    ("streams by id alone", "POST", "/gradio_api/stream/{event_id}/close"),
    (
        "streams by id alone",
        "GET",
        "/gradio_api/stream/{session_hash}/{run}/{component_id}/playlist.m3u8",
    ),
    (
        "streams by id alone",
        "GET",
        "/gradio_api/stream/{session_hash}/{run}/{component_id}/{segment_id}.{ext}",
    ),
    (
        "streams by id alone",
        "GET",
        "/gradio_api/stream/{session_hash}/{run}/{component_id}/playlist-file",
    ),
    ("our pages use no server functions", "POST", "/gradio_api/component_server"),
    (
        "our pages use no custom components",
        "GET",
        "/gradio_api/custom_component/{id}/{environment}/{type}/{file_name}",
    ),
    ("the API is ours, not a page's", "GET", "/gradio_api/info"),
    ("the API is ours, not a page's", "GET", "/gradio_api/openapi.json"),
    ("the API is ours, not a page's", "GET", "/openapi.json"),
    ("how busy others are", "GET", "/gradio_api/queue/status"),
    ("sign-in is ours", "POST", "/login"),
    ("sign-in is ours", "GET", "/logout"),
    ("sign-in is ours", "GET", "/gradio_api/user"),
    ("sign-in is ours", "GET", "/gradio_api/login_check"),
    ("sign-in is ours", "GET", "/gradio_api/token"),
    ("runs are not kept", "GET", "/gradio_api/runs"),
    ("links to another person's state", "GET", "/gradio_api/deep_link"),
    ("watching others", "GET", "/monitoring"),
    ("watching others", "GET", "/monitoring/summary"),
    ("watching others", "GET", "/monitoring/{key}"),
    ("for the makers of Gradio apps", "GET", "/gradio_api/dev/reload"),
    ("for the makers of Gradio apps", "POST", "/gradio_api/vibe-edit"),
    ("for the makers of Gradio apps", "POST", "/gradio_api/undo-vibe-edit"),
    ("for the makers of Gradio apps", "GET", "/gradio_api/vibe-code"),
    ("for the makers of Gradio apps", "POST", "/gradio_api/vibe-code"),
    ("for the makers of Gradio apps", "POST", "/gradio_api/vibe-starter-queries"),
    ("not an installable app", "GET", "/pwa_icon"),
    ("not an installable app", "GET", "/pwa_icon/{size}"),
    ("no search engine comes here", "GET", "/robots.txt"),
)
"""What nobody may call, with the reason."""


def page_routes(
    mounted_at: str, pages: Iterable[str], admin_pages: Iterable[str] = ()
) -> Iterator[Route]:
    """Yield the entries of one Gradio mount.

    Args:
        mounted_at: Path of the mount without a trailing slash; empty for the root.
        pages: Paths of the pages below it, each with its leading slash.
        admin_pages: Those that only administrators open.
    """
    for path in pages:
        yield Route("GET", mounted_at + path, TRAINEES_UP, "a page", Surface.PAGE)
    for path in admin_pages:
        yield Route("GET", mounted_at + path, ADMINS, "a page of administrators", Surface.PAGE)
    for method, path in LIVING:
        yield Route(
            method,
            mounted_at + path,
            TRAINEES_UP,
            "an open page calls it",
            Surface.PAGE,
            page_ids=True,
            attended=(method, path) not in UNATTENDED,
        )
    for path in ASSETS:
        yield Route("GET", mounted_at + path, TRAINEES_UP, "how the pages look", Surface.ASSET)
    for reason, method, path in SHUT:
        yield Route(method, mounted_at + path, NOBODY, reason, Surface.PAGE)
