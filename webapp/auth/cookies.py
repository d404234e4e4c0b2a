"""The cookies: one for a session, one for a sign-in on its way through an identity provider.

Scripts cannot read them and other sites cannot send them along with a form. They name no time
after which the browser drops the session's: the server's own clock ends it.
"""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from webapp.auth.doorway import Doorway
from webapp.services.pending import LASTS

ON_ITS_WAY: Final = "-sign-in"


def session_of(request: Request, doorway: Doorway) -> str:
    """Return the session cookie's value, or nothing."""
    return request.cookies.get(doorway.cookie_name(request.scope), "")


def keep_session(response: Response, doorway: Doorway, scope: Scope, token: str) -> None:
    """Let the browser keep a session."""
    _set(response, doorway, scope, doorway.cookie_name(scope), token)


def drop_session(response: Response, doorway: Doorway, scope: Scope) -> None:
    """Take the session cookie back."""
    _drop(response, doorway, scope, doorway.cookie_name(scope))


def pending_of(request: Request, doorway: Doorway) -> str:
    """Return the value of the cookie of a sign-in on its way, or nothing."""
    return request.cookies.get(doorway.cookie_name(request.scope) + ON_ITS_WAY, "")


def keep_pending(response: Response, doorway: Doorway, scope: Scope, sealed: str) -> None:
    """Let the browser keep what it began, for ten minutes."""
    name = doorway.cookie_name(scope) + ON_ITS_WAY
    _set(response, doorway, scope, name, sealed, max_age=int(LASTS.total_seconds()))


def drop_pending(response: Response, doorway: Doorway, scope: Scope) -> None:
    """Take the cookie of a sign-in on its way back."""
    _drop(response, doorway, scope, doorway.cookie_name(scope) + ON_ITS_WAY)


def _set(
    response: Response,
    doorway: Doorway,
    scope: Scope,
    name: str,
    value: str,
    max_age: int | None = None,
) -> None:
    response.set_cookie(
        name,
        value,
        max_age=max_age,
        secure=doorway.is_secure(scope),
        httponly=True,
        samesite="lax",
        path="/",
    )


def _drop(response: Response, doorway: Doorway, scope: Scope, name: str) -> None:
    secure = doorway.is_secure(scope)
    response.delete_cookie(name, secure=secure, httponly=True, samesite="lax")
