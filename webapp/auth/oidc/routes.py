"""The two addresses of a sign-in with an identity provider: where it begins and where it ends.

What goes wrong is told on the sign-in page, with the right status, and leaves one event. Nothing
the provider or the visitor sent is shown or kept.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from anyio.to_thread import run_sync
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from webapp.auth.cookies import drop_pending, keep_pending, keep_session, pending_of
from webapp.auth.doorway import Doorway, safe_next
from webapp.auth.gate import CAME_FROM, REQUEST_ID
from webapp.auth.oidc.errors import NotBegunHereError, ProviderError, UnprovenError
from webapp.auth.oidc.provider import Provider
from webapp.auth.sign_in_page import SignInPage
from webapp.services.actor import Actor
from webapp.services.errors import AccountClosedError, NoRoleError, SignInReplayedError
from webapp.services.federation import Federation
from webapp.services.login_sessions import Voucher
from webapp.services.pending import Pending
from webapp.services.policy import Action
from webapp.services.trail import Attempt
from webapp.services.views import SignedIn

logger = logging.getLogger(__name__)

NO_SUCH_PROVIDER: Final = "There is no such way to sign in."


class Trail(Protocol):
    """Where refusals are noted that no use case saw."""

    def note(self, actor: Actor | None, attempt: Attempt) -> None:
        """Write or count one refusal."""


class Ending(Protocol):
    """Ends the session a request came with."""

    async def __call__(self, request: Request) -> None:
        """A new sign-in never keeps an old session alive."""


@dataclass(frozen=True, slots=True)
class FederatedSignIn:
    """Sends people to their provider and takes them back."""

    providers: Mapping[str, Provider]
    federation: Federation
    trail: Trail
    doorway: Doorway
    page: SignInPage
    end: Ending

    def routes(self) -> list[Route]:
        """Return the routes; the gate stands before them like before all others."""
        return [
            Route("/login/{provider}", self.begin, methods=["GET"]),
            Route("/login/{provider}/callback", self.finish, methods=["GET"]),
        ]

    async def begin(self, request: Request) -> Response:
        """Lead to the provider; this browser alone can come back from there."""
        provider = self.providers.get(request.path_params["provider"])
        if provider is None:
            return self.page.show(problem=NO_SUCH_PROVIDER, status=404)
        next_path = safe_next(request.query_params.get("next"))
        pending = Pending(provider.settings.id, self._redirect_uri(request, provider), next_path)
        try:
            address = await provider.begin(pending)
        except ProviderError as refusal:
            return await self._refused(request, provider, refusal, next_path)
        response = RedirectResponse(address, status_code=303)
        sealed = self.federation.pending.seal(pending)
        keep_pending(response, self.doorway, request.scope, sealed)
        return response

    async def finish(self, request: Request) -> Response:
        """Take back whom the provider vouches for; an answer is good once, in one browser."""
        provider = self.providers.get(request.path_params["provider"])
        if provider is None:
            return self.page.show(problem=NO_SUCH_PROVIDER, status=404)
        try:
            signed_in, next_path = await self._signed_in(request, provider)
        except ProviderError as refusal:
            response = await self._refused(request, provider, refusal)
        except SignInReplayedError as refusal:
            response = self.page.show(problem=str(refusal), status=401)
        except (NoRoleError, AccountClosedError) as refusal:
            response = self.page.show(problem=str(refusal), status=403)
        else:
            await self.end(request)
            response = RedirectResponse(next_path, status_code=303)
            keep_session(response, self.doorway, request.scope, signed_in.token)
        drop_pending(response, self.doorway, request.scope)
        return response

    async def _signed_in(self, request: Request, provider: Provider) -> tuple[SignedIn, str]:
        pending = self.federation.pending.open(pending_of(request, self.doorway))
        if pending is None:
            raise NotBegunHereError("no cookie of ours, or an old one")
        if pending.provider != provider.settings.id:
            raise NotBegunHereError("another provider")
        answer = dict(request.query_params)
        if len(answer) != len(request.query_params.multi_items()):
            raise UnprovenError("a field twice")
        vouched, id_token = await provider.finish(answer, pending)
        voucher = Voucher(provider.settings.id, pending.state, id_token)
        signed_in = await run_sync(
            lambda: self.federation.sign_in(
                vouched,
                voucher,
                request_id=request.scope[REQUEST_ID],
                came_from=request.scope[CAME_FROM],
            )
        )
        return signed_in, pending.next_path

    async def _refused(
        self, request: Request, provider: Provider, refusal: ProviderError, next_path: str = "/"
    ) -> Response:
        told = f"{refusal.code}.{refusal.reason.replace(' ', '_')}"
        logger.warning("sign_in.refused", extra={"code": told})
        attempt = Attempt(
            refusal.code,
            request.scope[REQUEST_ID],
            request.scope[CAME_FROM],
            ("provider", provider.settings.id),
            Action.SIGN_IN,
        )
        await run_sync(self.trail.note, None, attempt)
        return self.page.show(next_path=next_path, problem=str(refusal), status=refusal.status)

    def _redirect_uri(self, request: Request, provider: Provider) -> str:
        return f"{self.doorway.base(request.scope)}/login/{provider.settings.id}/callback"
