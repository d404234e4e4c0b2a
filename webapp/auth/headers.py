"""What every answer tells the browser not to do with it."""

from collections.abc import Mapping
from typing import Final

from starlette.datastructures import MutableHeaders

from webapp.auth.inline_scripts import INLINE_SCRIPTS
from webapp.auth.routes import Surface

_NOTHING: Final = "default-src 'none'; frame-ancestors 'none'; base-uri 'none'"
_PAGE: Final = "; ".join(
    (
        "default-src 'self'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",  # Gradio and the viewer set styles from scripts
        "img-src 'self' data: blob:",
        "font-src 'self' data:",
        "connect-src 'self'",
        "worker-src 'self' blob:",
        "object-src 'none'",
        "frame-src 'none'",
        "frame-ancestors 'none'",
        "form-action 'self'",
        "base-uri 'self'",
    )
)
CONTENT_SECURITY_POLICY: Final[Mapping[Surface, str]] = {
    Surface.API: f"{_NOTHING}; form-action 'none'",
    Surface.ASSET: f"{_NOTHING}; form-action 'none'",
    Surface.SIGN_IN: f"{_NOTHING}; style-src 'self'; img-src data:; form-action 'self'",
    Surface.PAGE: _PAGE,
}
ALWAYS: Final[Mapping[str, str]] = {
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "referrer-policy": "same-origin",  # no-referrer makes browsers send a form with Origin: null
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
ASSET_CACHE: Final = "private, max-age=3600"
HSTS: Final = "max-age=31536000"


def harden(headers: MutableHeaders, surface: Surface, *, secure: bool) -> None:
    """Add the security headers of `surface` to an answer, and take other origins' rights away.

    Caching is off unless the route itself allowed it; styles and scripts, which say nothing
    about anybody, may be kept for an hour.
    """
    for name in [name for name in headers if name.lower().startswith("access-control-")]:
        del headers[name]
    policy = CONTENT_SECURITY_POLICY[surface]
    if INLINE_SCRIPTS in headers:
        policy = policy.replace("script-src 'self'", f"script-src 'self' {headers[INLINE_SCRIPTS]}")
        del headers[INLINE_SCRIPTS]
    headers.update({**ALWAYS, "content-security-policy": policy})
    if surface is Surface.ASSET:
        headers["cache-control"] = ASSET_CACHE
    headers.setdefault("cache-control", "no-store")
    if secure:
        headers["strict-transport-security"] = HSTS
