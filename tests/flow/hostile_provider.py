"""An identity provider that answers rightly unless a test tells it how to lie.

It keeps to the protocol as strictly as a good one does: one use of a code, PKCE, the client's
secret, the redirect address. So a sign-in that works with it shows that our side asks rightly.
"""

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import Any, Final
from urllib.parse import parse_qs, parse_qsl, urlsplit

import httpx2
from joserfc import jws
from joserfc.jwk import ECKey, OctKey, RSAKey

ISSUER: Final = "https://login.hospital.example/realms/staff"
CLIENT: Final = "overread"
SECRET: Final = "a long secret between both"
ALGORITHMS: Final = ["RS256", "PS256", "ES256", "HS256", "none"]
MISSING: Final = object()

Claims = dict[str, Any]


@cache
def rsa_key(kid: str) -> RSAKey:
    return RSAKey.generate_key(2048, {"kid": kid, "use": "sig"})


@cache
def ec_key(kid: str) -> ECKey:
    return ECKey.generate_key("P-256", {"kid": kid, "use": "sig"})


def changed(given: Claims, changes: Claims) -> Claims:
    """Return a copy with the changes; `MISSING` takes a field out."""
    return {name: value for name, value in (given | changes).items() if value is not MISSING}


@dataclass
class HostileProvider:
    """Plays the provider's pages and answers its three addresses."""

    now: Callable[[], datetime]
    issuer: str = ISSUER
    client: str = CLIENT
    claims: Claims = field(default_factory=dict)  # changes to what the ID token says
    header: Claims = field(default_factory=dict)
    discovery: Claims = field(default_factory=dict)
    answer: Claims = field(default_factory=dict)  # changes to what the token endpoint answers
    redirect: Claims = field(default_factory=dict)  # changes to what the person comes back with
    published: list[Any] | None = None  # keys, instead of the one it signs with
    signing: Any = None
    forged: Callable[["HostileProvider", Claims], str] | None = None
    replays: bool = False  # takes a code again
    instead: dict[str, httpx2.Response | Exception] = field(default_factory=dict)  # by last word
    asked: list[httpx2.Request] = field(default_factory=list)
    _codes: dict[str, Claims] = field(default_factory=dict)

    @property
    def origin(self) -> str:
        return "{0.scheme}://{0.netloc}".format(urlsplit(self.issuer))

    def transport(self) -> httpx2.MockTransport:
        return httpx2.MockTransport(self._respond)

    def sign_in(self, address: str) -> dict[str, str]:
        """Be the person at the provider's page; return what the browser comes back with."""
        parts = urlsplit(address)
        asked = dict(parse_qsl(parts.query))
        assert address.startswith(f"{self.origin}/authorize?")
        assert (asked["response_type"], asked["code_challenge_method"]) == ("code", "S256")
        assert asked["client_id"] == self.client
        assert "openid" in asked["scope"].split()
        code = f"code-{len(self._codes)}"
        self._codes[code] = {**asked, "used": False}
        back = {"code": code, "state": asked["state"], "iss": self.issuer}
        return changed(back, self.redirect)

    def _respond(self, request: httpx2.Request) -> httpx2.Response:
        self.asked.append(request)
        last = request.url.path.rpartition("/")[2]
        if last in self.instead:
            if isinstance(said := self.instead[last], Exception):
                raise said
            return said
        if last == "openid-configuration":
            return httpx2.Response(200, json=self._document())
        if last == "keys":
            keys = [self._key()] if self.published is None else self.published
            shown = [key if isinstance(key, dict) else key.as_dict(private=False) for key in keys]
            return httpx2.Response(200, json={"keys": shown})
        if last == "token":
            return self._tokens(request)
        raise AssertionError(f"nobody should ask for {request.url}")

    def _document(self) -> Claims:
        document = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.origin}/authorize",
            "token_endpoint": f"{self.origin}/token",
            "jwks_uri": f"{self.origin}/keys",
            "end_session_endpoint": f"{self.origin}/leave",
            "id_token_signing_alg_values_supported": ALGORITHMS,
            "authorization_response_iss_parameter_supported": True,
        }
        return changed(document, self.discovery)

    def _tokens(self, request: httpx2.Request) -> httpx2.Response:
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        asked = self._codes.get(form.get("code", ""))
        challenge = hashlib.sha256(form.get("code_verifier", "").encode()).digest()
        good = (
            asked is not None
            and (self.replays or not asked["used"])
            and form.get("grant_type") == "authorization_code"
            and form.get("redirect_uri") == asked["redirect_uri"]
            and base64.urlsafe_b64encode(challenge).rstrip(b"=").decode() == asked["code_challenge"]
            and self._knows(request, form)
        )
        if asked is None or not good:
            return httpx2.Response(400, json={"error": "invalid_grant"})
        asked["used"] = True
        at = int(self.now().timestamp())
        claims = {
            "iss": self.issuer,
            "sub": "7",
            "aud": self.client,
            "exp": at + 300,
            "iat": at,
            "nonce": asked["nonce"],
            "preferred_username": "ada",
            "roles": ["readers"],
        }
        claims = changed(claims, self.claims)
        token = self.forged(self, claims) if self.forged else self.signed(claims)
        tokens = {"access_token": "an access token", "token_type": "Bearer", "id_token": token}
        return httpx2.Response(200, json=changed(tokens, self.answer))

    def _knows(self, request: httpx2.Request, form: dict[str, str]) -> bool:
        basic = base64.b64encode(f"{self.client}:{SECRET}".encode()).decode()
        posted = (form.get("client_id"), form.get("client_secret"))
        return request.headers.get("authorization") == f"Basic {basic}" or posted == (
            self.client,
            SECRET,
        )

    def _key(self) -> Any:  # noqa: ANN401 - a key of any kind
        return self.signing or rsa_key("first")

    def signed(self, claims: Claims, key: Any = None, **header: Any) -> str:  # noqa: ANN401 - likewise
        """Sign with our key, or as the header says with another."""
        key = key or self._key()
        told = {"alg": "RS256", "kid": key.kid, **self.header, **header}
        told = {name: value for name, value in told.items() if value is not MISSING}
        registry = jws.JWSRegistry(algorithms=ALGORITHMS, strict_check_header=False)
        return jws.serialize_compact(told, json.dumps(claims).encode(), key, registry=registry)


def unsigned(_provider: HostileProvider, claims: Claims) -> str:
    """Return a token without a signature, which says so."""

    def part(value: Claims) -> str:
        return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()

    return f"{part({'alg': 'none'})}.{part(claims)}."


def signed_with_the_public_key(provider: HostileProvider, claims: Claims) -> str:
    """Return a token whose shared secret is the provider's public key."""
    pem = rsa_key("first").as_pem(private=False)
    return provider.signed(claims, OctKey.import_key(pem), alg="HS256", kid="first")


def signed_with_a_key_it_brings(provider: HostileProvider, claims: Claims) -> str:
    """Return a token that carries the key it is signed with."""
    key = rsa_key("own")
    return provider.signed(claims, key, kid=MISSING, jwk=key.as_dict(private=False))


def signed_by_another(provider: HostileProvider, claims: Claims) -> str:
    """Return a token of another key under the known key's name."""
    return provider.signed(claims, rsa_key("own"), kid="first")


def signed_under_an_unknown_name(provider: HostileProvider, claims: Claims) -> str:
    """Return a token of a key that the provider does not publish."""
    return provider.signed(claims, rsa_key("own"))


def tampered(provider: HostileProvider, claims: Claims) -> str:
    """Return a token whose claims were changed after it was signed."""
    header, _, signature = provider.signed(claims).split(".")
    other = json.dumps(claims | {"roles": ["admins"]}).encode()
    return f"{header}.{base64.urlsafe_b64encode(other).rstrip(b'=').decode()}.{signature}"
