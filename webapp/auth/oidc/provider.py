"""One identity provider: where it is, what we ask of it, and what its answer is worth."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

import httpx2
from authlib.common.errors import AuthlibBaseError
from authlib.integrations.httpx_client import AsyncOAuth2Client
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from pydantic import BaseModel, ConfigDict, StrictBool, StrictStr, ValidationError

from webapp.auth.oidc.errors import (
    NotBegunHereError,
    ProviderDeclinedError,
    ProviderMisplacedError,
    ProviderUnreachableError,
    ProviderUnsafeError,
    UnprovenError,
)
from webapp.auth.oidc.settings import ProviderSettings, origin_of
from webapp.auth.oidc.tokens import Expected, verified
from webapp.auth.oidc.transport import PinnedTransport
from webapp.services.federation import Vouched
from webapp.services.pending import Pending

CONNECT_S: Final = 5.0
ANSWER_WITHIN_S: Final = 10.0
CALLS_AT_ONCE: Final = 8  # whoever knocks without being signed in can cause one
KEPT_FOR: Final = timedelta(hours=1)
KEYS_AGAIN_AFTER: Final = timedelta(seconds=10)
QUIET_FOR: Final = timedelta(seconds=5)  # after a failure, so that visitors do not queue up
LONGEST_CODE: Final = 4096

Json = dict[str, Any]


class Discovered(BaseModel):
    """What we use of a provider's discovery document, OpenID Connect Discovery 1.0 section 3."""

    model_config = ConfigDict(frozen=True, extra="ignore", hide_input_in_errors=True)

    issuer: StrictStr
    authorization_endpoint: StrictStr
    token_endpoint: StrictStr
    jwks_uri: StrictStr
    end_session_endpoint: StrictStr | None = None
    authorization_response_iss_parameter_supported: StrictBool = False  # RFC 9207


@dataclass(slots=True)
class _Known:
    """What was read from the provider, and when; `failed_at`: when that did not work."""

    discovered: tuple[datetime, Discovered] | None = None
    keys: tuple[datetime, KeySet] | None = None
    failed_at: datetime | None = None
    certificates: ssl.SSLContext | None = None  # reading them takes longer than a call
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    calls: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(CALLS_AT_ONCE))


@dataclass(frozen=True, slots=True)
class Provider:
    """Talks to one identity provider; `inner` is how requests travel, replaced in tests."""

    settings: ProviderSettings
    now: Callable[[], datetime]
    inner: httpx2.AsyncBaseTransport | None = None
    _known: _Known = field(default_factory=_Known)

    async def begin(self, pending: Pending) -> str:
        """Return the address at the provider where a person signs in.

        Raises:
            ProviderUnreachableError: it does not answer.
            ProviderUnsafeError: what it says of itself does not fit the settings.
        """
        discovered = await self.discovered()
        asked: Json = {"nonce": pending.nonce}
        if self.settings.max_age_minutes is not None:
            asked["max_age"] = self.settings.max_age_minutes * 60
        async with self._client(pending.redirect_uri) as client:
            url, _ = client.create_authorization_url(
                discovered.authorization_endpoint,
                state=pending.state,
                code_verifier=pending.verifier,
                **asked,
            )
        return str(url)

    async def finish(self, answer: Mapping[str, str], pending: Pending) -> tuple[Vouched, str]:
        """Return whom the provider vouches for, and its ID token.

        Args:
            answer: The query it sent the person back with.
            pending: What this browser had begun.

        Raises:
            NotBegunHereError: the answer is to another request.
            ProviderDeclinedError: the provider signed nobody in.
            UnprovenError: the answer does not hold.
            ProviderUnreachableError: it does not answer.
            ProviderUnsafeError: what it says of itself does not fit the settings.
        """
        discovered = await self.discovered()
        if answer.get("state") != pending.state:
            raise NotBegunHereError("another state")
        issuer = answer.get("iss")
        named = discovered.authorization_response_iss_parameter_supported
        if (issuer is not None or named) and issuer != self.settings.issuer:
            raise UnprovenError("the answer names another issuer, or none")
        if "error" in answer:
            raise ProviderDeclinedError
        code = answer.get("code", "")
        if not 0 < len(code) <= LONGEST_CODE:
            raise UnprovenError("no code")
        tokens = await self._tokens(discovered, code, pending)
        id_token, access_token = tokens.get("id_token"), tokens.get("access_token")
        if not isinstance(id_token, str) or not isinstance(access_token, str):
            raise UnprovenError("no ID token or no access token")
        expected = Expected(pending.nonce, access_token, self.now())
        claims = await self._verified(id_token, expected)
        label = claims.get(self.settings.name_claim)
        vouched = Vouched(
            self.settings.issuer,
            claims["sub"],
            self.settings.role_of(claims),
            label if isinstance(label, str) else "",
        )
        return vouched, id_token

    async def leave(self, id_token: str, back_to: str) -> str | None:
        """Return the address at the provider that signs a person out there; None for none.

        OpenID Connect RP-Initiated Logout 1.0; an unreachable provider never keeps anybody in.
        """
        if self.settings.sign_out == "here":
            return None
        try:
            endpoint = (await self.discovered()).end_session_endpoint
        except (ProviderUnreachableError, ProviderUnsafeError):
            return None
        if endpoint is None:
            return None
        told = {"client_id": self.settings.client_id, "post_logout_redirect_uri": back_to}
        if id_token:
            told["id_token_hint"] = id_token
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(told)}"

    async def discovered(self) -> Discovered:
        """Return where the provider's doors are; read anew once an hour.

        Raises:
            ProviderUnreachableError: it does not answer.
            ProviderUnsafeError: what it says of itself does not fit the settings.
        """
        known = self._known
        async with known.lock:
            if known.discovered is None or self._is_old(known.discovered[0], KEPT_FOR):
                if known.failed_at and not self._is_old(known.failed_at, QUIET_FOR):
                    raise ProviderUnreachableError("it did not answer a moment ago")
                address = f"{self.settings.issuer.rstrip('/')}/.well-known/openid-configuration"
                try:
                    document = await self._get(address)
                except ProviderUnreachableError:
                    known.failed_at = self.now()
                    raise
                known.discovered = self.now(), self._fitting(document)
            return known.discovered[1]

    def _fitting(self, document: Json) -> Discovered:
        try:
            found = Discovered.model_validate(document)
        except ValidationError:
            raise ProviderUnsafeError("a discovery document without what we need") from None
        if found.issuer != self.settings.issuer:
            raise ProviderUnsafeError("it says that it is another issuer")
        doors = (
            found.authorization_endpoint,
            found.token_endpoint,
            found.jwks_uri,
            found.end_session_endpoint or found.issuer,
        )
        for door in doors:
            if (
                not (door.isascii() and door.isprintable())
                or origin_of(door) not in self.settings.origins
            ):
                raise ProviderUnsafeError(
                    "an address outside of its issuer's origin and other_origins"
                )
        return found

    async def _verified(self, id_token: str, expected: Expected) -> Json:
        """Verify with the keys we know; with the provider's newest where that fails."""
        keys = await self._keys(older_than=KEPT_FOR)
        try:
            return verified(id_token, keys, self.settings, expected)
        except UnprovenError:
            newest = await self._keys(older_than=KEYS_AGAIN_AFTER)
            if newest is keys:
                raise
            return verified(id_token, newest, self.settings, expected)

    async def _keys(self, *, older_than: timedelta) -> KeySet:
        discovered, known = await self.discovered(), self._known
        async with known.lock:
            if known.keys is None or self._is_old(known.keys[0], older_than):
                published: Any = await self._get(discovered.jwks_uri)
                try:
                    keys = KeySet.import_key_set(published)
                except (JoseError, ValueError, KeyError, TypeError, AttributeError):
                    raise ProviderUnsafeError("keys that cannot be read") from None
                known.keys = self.now(), keys
            return known.keys[1]

    async def _tokens(self, discovered: Discovered, code: str, pending: Pending) -> Json:
        async with self._client(pending.redirect_uri) as client, self._calling():
            try:
                answer: Json = await client.fetch_token(
                    discovered.token_endpoint,
                    grant_type="authorization_code",
                    code=code,
                    redirect_uri=pending.redirect_uri,
                    code_verifier=pending.verifier,
                )
            except (AuthlibBaseError, ValueError):
                raise UnprovenError("the token endpoint gave no tokens") from None
        return answer

    async def _get(self, address: str) -> Json:
        async with self._client() as client, self._calling():
            response = await client.request("GET", address, withhold_token=True)
        status = response.status_code
        if status >= httpx2.codes.INTERNAL_SERVER_ERROR:
            raise ProviderUnreachableError(f"it answers with status {status}")
        if status != httpx2.codes.OK:
            raise ProviderMisplacedError(f"its address answers with status {status}")
        try:
            document = response.json()
        except (ValueError, RecursionError):
            document = None
        if not isinstance(document, dict):
            raise ProviderMisplacedError("no JSON object where there should be one")
        return document

    def _client(self, redirect_uri: str | None = None) -> AsyncOAuth2Client:
        told = self.settings
        return AsyncOAuth2Client(
            told.client_id,
            told.client_secret.get_secret_value(),
            token_endpoint_auth_method=f"client_secret_{told.client_auth}",
            scope=" ".join(told.scopes),
            redirect_uri=redirect_uri,
            code_challenge_method="S256",
            transport=PinnedTransport(told.origins, self.inner or self._network()),
            timeout=httpx2.Timeout(ANSWER_WITHIN_S, connect=CONNECT_S),
            follow_redirects=False,
            trust_env=False,
        )

    def _network(self) -> httpx2.AsyncBaseTransport:
        known = self._known
        if known.certificates is None:
            known.certificates = ssl.create_default_context(cafile=self.settings.ca_file)
        return httpx2.AsyncHTTPTransport(verify=known.certificates, trust_env=False)

    @asynccontextmanager
    async def _calling(self) -> AsyncIterator[None]:
        """Bound a call with its waiting, and tell every failure of the network alike."""
        try:
            async with asyncio.timeout(ANSWER_WITHIN_S), self._known.calls:
                yield
        except (httpx2.HTTPError, httpx2.InvalidURL, TimeoutError) as error:
            raise ProviderUnreachableError(type(error).__name__) from error

    def _is_old(self, at: datetime, limit: timedelta) -> bool:
        return self.now() - at >= limit
