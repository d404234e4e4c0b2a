"""The few pages shown before anybody is signed in: plain HTML, no script."""

from html import escape
from pathlib import Path
from string import Template
from typing import Final

from starlette.responses import HTMLResponse

_FOLDER: Final = Path(__file__).parent


def page(name: str, status: int = 200, /, **values: str) -> HTMLResponse:
    """Return one page of this folder inside the common frame, every value escaped."""
    body = _template(name).substitute({key: escape(value) for key, value in values.items()})
    return HTMLResponse(_template("frame.html").substitute(body=body), status_code=status)


def _template(name: str) -> Template:
    return Template((_FOLDER / name).read_text(encoding="utf-8"))
