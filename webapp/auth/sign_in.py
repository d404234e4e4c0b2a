"""The sign-in page, signing out, and choosing a password: plain forms, no script needed."""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol
from urllib.parse import parse_qs

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from webapp.auth.cookies import drop_session, keep_session, session_of
from webapp.auth.doorway import Doorway, safe_next
from webapp.auth.gate import ACTOR, CAME_FROM, REQUEST_ID
from webapp.auth.oidc.provider import Provider
from webapp.auth.oidc.routes import FederatedSignIn, Trail
from webapp.auth.pages import page
from webapp.auth.sign_in_page import SignInPage
from webapp.services.actor import Actor
from webapp.services.errors import (
    NotSignedInError,
    PasswordSignInOffError,
    ServiceError,
    SignInFailedError,
    TooManyAttemptsError,
)
from webapp.services.federation import Federation
from webapp.services.passwords import MIN_PASSWORD
from webapp.services.views import SignedIn, TimeLeft

FIRST_PASSWORD: Final = "You signed in with a password that somebody else knows. Choose your own."  # noqa: S105 - a sentence
WRONG_PASSWORD: Final = "Your password until now is not the one you typed."  # noqa: S105 - a sentence
NEW_PASSWORD: Final = "You stay signed in here; everywhere else you sign in again."  # noqa: S105 - a sentence


class Accounts(Protocol):
    """What these pages ask the accounts."""

    @property
    def password_sign_in(self) -> bool:
        """Whether anybody may sign in with a password."""

    def has_password(self, actor: Actor) -> bool:
        """Tell whether the actor could sign in with a password."""

    def sign_in(
        self, name: str, password: str, *, request_id: str = "", came_from: str = ""
    ) -> SignedIn:
        """Check a name and a password."""

    def sign_out(self, token: str, *, request_id: str = "", came_from: str = "") -> None:
        """End a session."""

    def time_left(self, actor: Actor) -> TimeLeft:
        """Return how long a session lasts if nothing happens in it."""

    def change_password(self, actor: Actor, old: str, new: str) -> None:
        """Replace the actor's own password."""


def sign_in_routes(
    accounts: Accounts,
    doorway: Doorway,
    federation: Federation,
    trail: Trail,
    providers: Sequence[Provider] = (),
) -> list[Route]:
    """Return the routes of signing in; the gate stands before them like before all others."""
    known = {provider.settings.id: provider for provider in providers}
    names = {provider.settings.id: provider.settings.name for provider in providers}
    shown = SignInPage(names, accounts.password_sign_in)
    pages = _Pages(accounts, doorway, shown, federation, known)
    return [
        *FederatedSignIn(known, federation, trail, doorway, shown, pages.end).routes(),
        Route("/login", pages.show_sign_in, methods=["GET"]),
        Route("/login", pages.sign_in, methods=["POST"]),
        Route("/logout", pages.sign_out, methods=["POST"]),
        Route("/account/session", pages.time_left, methods=["GET", "POST"]),
        Route("/account/password", pages.show_password, methods=["GET"]),
        Route("/account/password", pages.change_password, methods=["POST"]),
    ]


class _Pages:
    def __init__(
        self,
        accounts: Accounts,
        doorway: Doorway,
        shown: SignInPage,
        federation: Federation,
        providers: Mapping[str, Provider],
    ) -> None:
        self._accounts = accounts
        self._doorway = doorway
        self._shown = shown
        self._federation = federation
        self._providers = providers

    async def show_sign_in(self, request: Request) -> Response:
        return self._shown.show(next_path=safe_next(request.query_params.get("next")))

    async def sign_in(self, request: Request) -> Response:
        form = await _form(request)
        name, next_path = form.get("name", ""), safe_next(form.get("next"))
        try:
            signed_in = await run_sync(
                lambda: self._accounts.sign_in(name, form.get("password", ""), **_about(request))
            )
        except TooManyAttemptsError as refusal:
            return _paused(self._shown.show(name, next_path, str(refusal), status=429), refusal)
        except PasswordSignInOffError as refusal:
            return self._shown.show(next_path=next_path, problem=str(refusal), status=403)
        except SignInFailedError as refusal:
            return self._shown.show(name, next_path, str(refusal), status=401)
        await self.end(request)
        onward = "/account/password" if signed_in.must_change_password else next_path
        response = RedirectResponse(onward, status_code=303)
        keep_session(response, self._doorway, request.scope, signed_in.token)
        return response

    async def sign_out(self, request: Request) -> Response:
        leaving = await run_sync(self._federation.vouched_by, session_of(request, self._doorway))
        await self.end(request)
        response = await self._signed_out(request, *leaving)
        drop_session(response, self._doorway, request.scope)
        response.headers["clear-site-data"] = '"cache", "storage"'
        return response

    async def time_left(self, request: Request) -> Response:
        """Say how long the session lasts; a POST also shows that somebody is there."""
        try:
            left = await run_sync(self._accounts.time_left, request.scope[ACTOR])
        except NotSignedInError as refusal:
            body = {"error": {"code": refusal.code, "message": str(refusal)}}
            return JSONResponse(body, status_code=401)
        return JSONResponse(left._asdict())

    async def show_password(self, request: Request) -> Response:
        if not await run_sync(self._accounts.has_password, request.scope[ACTOR]):
            return page("no_password.html")
        return _password_page(request.scope[ACTOR])

    async def change_password(self, request: Request) -> Response:
        actor: Actor = request.scope[ACTOR]
        form = await _form(request)
        if form.get("new") != form.get("again"):
            return _password_page(actor, "The two new passwords are not the same.", status=400)
        try:
            await run_sync(
                self._accounts.change_password, actor, form.get("old", ""), form.get("new", "")
            )
        except TooManyAttemptsError as refusal:
            return _paused(_password_page(actor, str(refusal), status=429), refusal)
        except SignInFailedError:
            return _password_page(actor, WRONG_PASSWORD, status=400)
        except ServiceError as refusal:
            return _password_page(actor, str(refusal), status=400)
        return RedirectResponse("/", status_code=303)

    async def _signed_out(self, request: Request, provider_id: str, id_token: str) -> Response:
        """Lead to the sign-in page, by way of the provider where it ends its own session.

        A redirect of a form to another origin is what our own policy forbids, hence a page.
        """
        provider = self._providers.get(provider_id)
        back_to = f"{self._doorway.base(request.scope)}/login"
        address = None if provider is None else await provider.leave(id_token, back_to)
        if provider is None or address is None:
            return RedirectResponse("/login", status_code=303)
        name = provider.settings.name
        response = page("signed_out.html", provider=name, address=address)
        response.headers["refresh"] = f"0; url={address}"
        return response

    async def end(self, request: Request) -> None:
        """End the session the request came with: a new sign-in never keeps an old one alive."""
        if token := session_of(request, self._doorway):
            await run_sync(lambda: self._accounts.sign_out(token, **_about(request)))


def _paused(response: Response, refusal: TooManyAttemptsError) -> Response:
    response.headers["retry-after"] = str(refusal.wait_seconds)
    return response


def _about(request: Request) -> dict[str, str]:
    return {"request_id": request.scope[REQUEST_ID], "came_from": request.scope[CAME_FROM]}


async def _form(request: Request) -> dict[str, str]:
    """Read a URL-encoded form; the first value of each field, nothing for another type."""
    fields = parse_qs((await request.body()).decode("utf-8", errors="replace"))
    return {name: values[0] for name, values in fields.items()}


def _password_page(actor: Actor, problem: str = "", *, status: int = 200) -> HTMLResponse:
    reason = FIRST_PASSWORD if actor.must_change_password else NEW_PASSWORD
    return page("password.html", status, reason=reason, problem=problem, least=str(MIN_PASSWORD))
