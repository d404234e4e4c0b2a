"""The few pages shown before anybody is signed in: plain HTML, no script."""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from string import Template
from typing import Final

from starlette.responses import HTMLResponse

_FOLDER: Final = Path(__file__).parent


def page(
    name: str, status: int = 200, parts: Mapping[str, str] | None = None, /, **values: str
) -> HTMLResponse:
    """Return one page of this folder inside the common frame, every value escaped.

    `parts` are fragments: they are markup already.
    """
    body = fragment(name, parts, **values)
    return HTMLResponse(_template("frame.html").substitute(body=body), status_code=status)


def fragment(name: str, parts: Mapping[str, str] | None = None, /, **values: str) -> str:
    """Return a piece of markup of this folder, every value escaped."""
    escaped = {key: escape(value) for key, value in values.items()}
    return _template(name).substitute(escaped | dict(parts or {}))


def _template(name: str) -> Template:
    return Template((_FOLDER / name).read_text(encoding="utf-8"))
