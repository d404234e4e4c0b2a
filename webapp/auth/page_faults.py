"""What Gradio answers to a call that is none, in the one shape that every error has.

Its own answers say what is wrong with each field and repeat what stood in it.
"""

import json
from typing import Final

from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

UNREADABLE: Final = ("invalid_request", "This call of a page could not be read. Load it again.")
FAILED: Final = ("internal_error", "Something went wrong on our side. It has been noted.")
LONGEST: Final = 64 * 1024  # bytes of an answer that are looked at


def in_one_shape(scope: Scope, receive: Receive, send: Send) -> Send:
    """Wrap `send` so that an error of Gradio's goes out with our code and sentence instead.

    A call whose fields do not fit their components is told as a failure of the server, with a
    sentence; it is the caller's.
    """
    status, body = 0, b""

    async def tell(message: Message) -> None:
        nonlocal status, body
        if message["type"] == "http.response.start" and message["status"] >= 400:
            status = message["status"]
        elif not status:
            await send(message)
        elif message["type"] == "http.response.body":
            body = (body + message.get("body", b""))[:LONGEST]
            if not message.get("more_body", False):
                await _answer(status, body)(scope, receive, send)

    return tell


def _answer(status: int, body: bytes) -> JSONResponse:
    if status >= 500 and _has_sentence(body):
        status = 422
    code, message = UNREADABLE if status < 500 else FAILED
    return JSONResponse({"error": {"code": code, "message": message}}, status)


def _has_sentence(body: bytes) -> bool:
    try:
        content = json.loads(body)
    except ValueError:
        return False
    return isinstance(content, dict) and isinstance(content.get("error"), str)
