"""Gradio writes scripts into its pages; name each by its hash, so that no other one may run.

The alternative, `unsafe-inline`, would also run a script that somebody managed to slip into a
page. The hashes are taken from the page as the server sends it, before any browser sees it.
"""

import base64
import hashlib
import re
from dataclasses import dataclass
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

INLINE_SCRIPTS: Final = "x-overread-inline-scripts"
# A browser asks for it without the session, is refused, and complains on every page.
_MANIFEST: Final = re.compile(rb"<link rel=\"manifest\"[^>]*>")
_SCRIPT: Final = re.compile(rb"<script\b([^>]*)>(.*?)</script>", re.DOTALL | re.IGNORECASE)


def script_hashes(page: bytes) -> tuple[str, ...]:
    """Return the CSP source of every inline script of an HTML page, each once."""
    bodies = [body for attributes, body in _SCRIPT.findall(page) if b"src=" not in attributes]
    digests = [base64.b64encode(hashlib.sha256(body).digest()).decode() for body in bodies]
    return tuple(f"'sha256-{digest}'" for digest in dict.fromkeys(digests))


@dataclass(frozen=True, slots=True)
class InlineScripts:
    """Wraps an application; tells the gate, in a header it removes, which scripts a page has."""

    app: ASGIApp

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hold HTML back until it is whole; everything else passes as it comes."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if b"text/html" in dict(scope["headers"]).get(b"accept", b""):  # compressed, none is found
            kept = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
            scope = {**scope, "headers": kept}
        start: Message | None = None
        body = b""

        async def hold(message: Message) -> None:
            nonlocal start, body
            if message["type"] == "http.response.start":
                kind = MutableHeaders(raw=list(message["headers"])).get("content-type", "")
                if kind.startswith("text/html"):
                    start = message
                    return
            if start is None:
                await send(message)
                return
            body += message.get("body", b"")
            if not message.get("more_body", False):
                body = _MANIFEST.sub(b"", body)
                headers = MutableHeaders(raw=list(start["headers"]))
                if "content-length" in headers:
                    headers["content-length"] = str(len(body))
                headers[INLINE_SCRIPTS] = " ".join(script_hashes(body))
                await send({**start, "headers": headers.raw})
                await send({"type": "http.response.body", "body": body})

        await self.app(scope, receive, hold)
