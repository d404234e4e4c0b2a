"""What every page shares: the strip at its top, who is asking, and how a refusal is shown."""

import functools
import html
import inspect
import logging
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any, ParamSpec, TypeVar, cast
from uuid import UUID

import gradio as gr
from starlette.requests import Request

from inference.errors import InferenceError
from storage.errors import NotFoundError, StorageError
from webapp.services.actor import Actor
from webapp.services.errors import NotSignedInError, ServiceError
from webapp.ui import words

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")
ActorOf = Callable[[Request], Actor]
REFUSALS = (ServiceError, StorageError, InferenceError)
_ADDRESS = re.compile(r":(?=//)|(?<=www)\.|@", re.IGNORECASE)
QUIET: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


def strip() -> None:
    """Lay out the line every page begins with: what this is, and the way out."""
    with gr.Row(elem_id="overread-top"):
        gr.Markdown(words.STRIP, elem_id="overread-strip", container=False)
        with gr.Group(elem_id="overread-account"):
            pass


def tell(error: Exception) -> None:
    """Show a refusal's own sentence, and of any other failure only that it happened."""
    if isinstance(error, REFUSALS):
        gr.Warning(str(error))
    elif isinstance(error, gr.Error):
        gr.Warning(error.message)
    else:
        logger.error("page.failed", exc_info=error)
        gr.Warning(words.FAILED)


def plainly(handler: Callable[P, R]) -> Callable[P, R]:
    """Tell the person of whatever goes wrong in a handler, and leave the page as it is.

    An error raised to Gradio would cover every component that the handler fills, and Gradio
    would print its text, in which a person's words may stand.
    """
    if inspect.iscoroutinefunction(handler):

        @functools.wraps(handler)
        async def waiting(*args: P.args, **kwargs: P.kwargs) -> Any:  # noqa: ANN401 - as the handler
            try:
                return await handler(*args, **kwargs)
            except Exception as error:  # noqa: BLE001 - the last place before Gradio prints it
                tell(error)
            return gr.skip()

        return cast("Callable[P, R]", waiting)

    @functools.wraps(handler)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return handler(*args, **kwargs)
        except Exception as error:  # noqa: BLE001 - the last place before Gradio prints it
            tell(error)
        return cast("R", gr.skip())

    return wrapped


def asker(actor_of: ActorOf, request: gr.Request) -> Actor:
    """Return who sent this event, from the request itself and never from the page."""
    if request.request is None:  # an event that no browser sent
        raise NotSignedInError
    return actor_of(request.request)


def id_of(text: object, what: str) -> UUID:
    """Return the id of a thing that a page names.

    Raises:
        NotFoundError: it is none, so there is no such thing.
    """
    try:
        return UUID(str(text))
    except ValueError:
        raise NotFoundError(what) from None


def as_text(text: str) -> str:
    """Return text that Gradio's components show letter by letter, markup and all.

    An address in it stays text too: Markdown would make a link of one that begins with a scheme
    or `www.`, and of what has an `@`.
    """
    return _ADDRESS.sub(lambda found: f"&#{ord(found[0])};", html.escape(text, quote=False))


def in_markdown(text: str) -> str:
    """Return text for a paragraph of Markdown, with nothing left that Markdown reads."""
    escaped = as_text(text)
    for mark in "\\`*_[]|~":
        escaped = escaped.replace(mark, f"&#{ord(mark)};")
    return escaped


def in_table(text: str) -> str:
    """Return text for one cell of a Markdown table."""
    return in_markdown(text).replace("\n", " ")


def when(instant: datetime) -> str:
    """Return an instant as people read it; the store and the server keep UTC."""
    return instant.strftime("%d %b %Y %H:%M UTC")
