"""Use cases on API tokens: make, list, revoke.

A token is a random value, shown once; the store has its SHA-256. Which role it acts with is
looked up at every request (`accounts.actor_of_token`): the lower of its own and the account's.
"""

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from storage.accounts import person_named, tokens
from storage.engine import Store
from storage.errors import NotFoundError
from storage.tables import ApiToken
from storage.vocabulary import Role
from webapp.services.actor import Actor
from webapp.services.errors import InvalidRequestError, NotAllowedError
from webapp.services.policy import ACTIONS, Action, at_most, may
from webapp.services.present import token_view
from webapp.services.views import NewToken, TokenView
from webapp.services.work import use_case

TOKEN_PREFIX: Final = "ovr_"  # noqa: S105 - lets a leaked token be recognised; not a secret
MAX_TOKEN_DAYS: Final = 365


@dataclass(frozen=True, slots=True)
class Tokens:
    """API tokens."""

    store: Store
    now: Callable[[], datetime]

    def create(
        self, actor: Actor | None, name: str, role: Role | None = None, days: int = 90
    ) -> NewToken:
        """Make an API token for an account, one's own unless the actor manages others'.

        Args:
            actor: Who asks.
            name: Whose token it is.
            role: The most it may do; None: all that the account may.
            days: It expires after so many, 1 to 365.

        Raises:
            NotFoundError: there is no such account.
            InvalidRequestError: the role is above the account's, or `days` out of range.
        """
        name = name.strip().lower()
        with use_case(self, actor, Action.CREATE_TOKEN) as work:
            if name != work.actor.name and not may(work.actor.role, Action.MANAGE_OTHERS_TOKENS):
                raise NotAllowedError(ACTIONS[Action.MANAGE_OTHERS_TOKENS].doing)
            person = person_named(work.session, name)
            if person is None or person.disabled_at is not None:
                raise NotFoundError("account")
            own = person.id == work.actor.id
            ceiling = at_most(person.role, work.actor.role) if own else person.role
            granted = ceiling if role is None else role
            if at_most(granted, ceiling) is not granted:
                raise InvalidRequestError("A token's role is at most the account's.")
            if not 1 <= days <= MAX_TOKEN_DAYS:
                raise InvalidRequestError(f"A token lasts 1 to {MAX_TOKEN_DAYS} days.")
            secret = TOKEN_PREFIX + secrets.token_urlsafe(32)
            token = ApiToken.model_validate(
                {
                    "token_sha256": hashlib.sha256(secret.encode()).hexdigest(),
                    "person_id": person.id,
                    "role": granted,
                    "created_at": work.at,
                    "expires_at": work.at + timedelta(days=days),
                }
            )
            work.session.add(token)
            work.about = ("token", token.id)
        return NewToken(token.id, secret, token.role, token.expires_at)

    def list(self, actor: Actor | None) -> list[TokenView]:
        """Return the actor's tokens, or everybody's for those who manage them."""
        with use_case(self, actor, Action.LIST_TOKENS) as work:
            everybodys = may(work.actor.role, Action.MANAGE_OTHERS_TOKENS)
            found = tokens(work.session, None if everybodys else work.actor.id)
            return [token_view(token, person) for token, person in found]

    def revoke(self, actor: Actor | None, token_id: UUID) -> None:
        """End a token now; one that has ended stays as it is.

        Raises:
            NotFoundError: there is none, or it is not the actor's.
        """
        with use_case(self, actor, Action.REVOKE_TOKEN, ("token", token_id)) as work:
            token = work.session.get(ApiToken, token_id)
            others = may(work.actor.role, Action.MANAGE_OTHERS_TOKENS)
            if token is None or not (others or token.person_id == work.actor.id):
                raise NotFoundError("token")
            if token.revoked_at is None:
                token.revoked_at = work.at
