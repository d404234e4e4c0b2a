"""Is this ID token what we asked for? Signature, issuer, audience, time, nonce: all or nothing."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet
from joserfc.jws import JWSRegistry

from webapp.auth.oidc.errors import UnprovenError
from webapp.auth.oidc.settings import ProviderSettings

LEEWAY: Final = timedelta(seconds=60)
LONGEST_SUBJECT: Final = 255  # OpenID Connect Core 1.0, section 2
LONGEST_TOKEN: Final = 64 * 1024
UNREADABLE: Final = (JoseError, ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What the libraries raise on a token that somebody else composed."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a token must fit, beside the provider's settings."""

    nonce: str
    access_token: str
    now: datetime


def verified(
    id_token: str, keys: KeySet, provider: ProviderSettings, expected: Expected
) -> dict[str, Any]:
    """Return the claims of a token that is the answer to our question.

    The algorithm is the operator's and not the header's, the keys the issuer's and not the
    token's.

    Raises:
        UnprovenError: it is not.
    """
    if len(id_token) > LONGEST_TOKEN:
        raise UnprovenError("an ID token beyond 64 KiB")
    registry = JWSRegistry(algorithms=[provider.algorithm], strict_check_header=False)
    try:
        token = jwt.decode(id_token, keys, registry=registry)
        claims = CodeIDToken(
            token.claims,
            token.header,
            {
                "iss": {"essential": True, "value": provider.issuer},
                "aud": {"essential": True, "value": provider.client_id},
            },
            {
                "nonce": expected.nonce,
                "client_id": provider.client_id,
                "access_token": expected.access_token,
                "max_age": provider.max_age_minutes,
            },
        )
        claims.validate(int(expected.now.timestamp()), int(LEEWAY.total_seconds()))
    except UNREADABLE as error:
        raise UnprovenError(type(error).__name__) from error
    subject = claims["sub"]
    if not (0 < len(subject) <= LONGEST_SUBJECT and subject.isascii() and subject.isprintable()):
        raise UnprovenError("no subject")
    if provider.max_age_minutes is not None:
        signed_in = datetime.fromtimestamp(_seconds(claims["auth_time"]), expected.now.tzinfo)
        if expected.now - signed_in > timedelta(minutes=provider.max_age_minutes) + LEEWAY:
            raise UnprovenError("a sign-in at the provider too long ago")
    return dict(claims)


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise UnprovenError("a time that is none")
    return float(value)
