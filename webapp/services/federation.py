"""Use cases on people whom an identity provider vouches for.

The provider says who comes and which role that means; both are taken anew at every sign-in. An
account is made at the first one that brings a role. It is found by issuer and subject alone: a
name or an address that fits an account of ours opens nothing.
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain, count
from typing import Final

from sqlmodel import Session

from storage.accounts import (
    end_sessions,
    person_named,
    person_of_identity,
    revoke_tokens,
    session_with_person,
    was_used,
)
from storage.engine import Store
from storage.tables import Identity, Person
from storage.vocabulary import Role
from webapp.services import inputs
from webapp.services.actor import Actor
from webapp.services.errors import (
    AccountClosedError,
    NoRoleError,
    ServiceError,
    SignInReplayedError,
)
from webapp.services.login_sessions import Voucher, logout_hint, new_session, sha256_of
from webapp.services.pending import PendingSignIns
from webapp.services.policy import Action
from webapp.services.present import person_view
from webapp.services.trail import Attempt, Trail
from webapp.services.views import SignedIn
from webapp.services.work import use_case

LONGEST_NAME: Final = 64
NAMELESS: Final = "person"
_NOT_OF_A_NAME: Final = re.compile(r"[^\w.@+-]+")


@dataclass(frozen=True, slots=True)
class Vouched:
    """Whom a provider vouches for; `role` is what its word means here, None for nothing."""

    issuer: str
    subject: str
    role: Role | None
    label: str  # what the account is called when it is made; never looked up


@dataclass(frozen=True, slots=True)
class Federation:
    """Sign-in on an identity provider's word."""

    store: Store
    now: Callable[[], datetime]
    trail: Trail
    pending: PendingSignIns
    session_length: timedelta = timedelta(hours=12)

    def sign_in(
        self, vouched: Vouched, voucher: Voucher, *, request_id: str = "", came_from: str = ""
    ) -> SignedIn:
        """Start a session for whom a provider vouches for, making the account if need be.

        Another role than last time ends the sessions that still had that one. Without a role
        whatever there was ends.

        Raises:
            NoRoleError: the provider's word means no role here.
            AccountClosedError: an administrator closed the account.
            SignInReplayedError: this answer of the provider began a session already.
        """
        person: Person | None = None
        try:
            with self.store.read() as session:
                person = person_of_identity(session, vouched.issuer, vouched.subject)
                if was_used(session, sha256_of(voucher.state)):
                    raise SignInReplayedError
            if person is not None and person.disabled_at is not None:
                raise AccountClosedError
            if vouched.role is None:
                if person is not None:
                    self._shut_out(person, request_id, came_from)
                raise NoRoleError
        except ServiceError as refusal:
            about = ("person", "" if person is None else person.id)
            self.trail.note(
                None, Attempt(refusal.code, request_id, came_from, about, Action.SIGN_IN)
            )
            raise
        if person is None or person.role is not vouched.role:
            person = self._admitted(vouched, vouched.role, request_id, came_from)
        actor = _actor(person, request_id, came_from)
        with use_case(self, actor, Action.SIGN_IN, ("person", person.id)) as work:
            current = work.session.get_one(Person, person.id)
            if current.disabled_at is not None:
                raise AccountClosedError
            if was_used(work.session, sha256_of(voucher.state)):
                raise SignInReplayedError
            token, row = new_session(current, work.at, self.session_length, voucher)
            work.session.add(row)
        return SignedIn(
            token, person_view(current), must_change_password=False, expires_at=row.expires_at
        )

    def vouched_by(self, token: str) -> tuple[str, str]:
        """Return the provider that began a session and its ID token; empty where none did."""
        with self.store.read() as session:
            found = session_with_person(session, sha256_of(token))
        if found is None or found[0].ended_at is not None:
            return "", ""
        return found[0].provider, logout_hint(token, found[0])

    def _admitted(self, vouched: Vouched, role: Role, request_id: str, came_from: str) -> Person:
        """Make the account, or give it the role it has from now on."""
        with self.store.read() as session:
            known = person_of_identity(session, vouched.issuer, vouched.subject)
        made = {"name": NAMELESS, "role": role, "created_at": self.now()}
        person = known or Person.model_validate(made)
        actor = _actor(person, request_id, came_from, role)
        with use_case(self, actor, Action.TAKE_ROLE, ("person", person.id)) as work:
            current = person_of_identity(work.session, vouched.issuer, vouched.subject)
            if current is None:
                person.name = _free_name(work.session, vouched.label)
                work.session.add(person)
                work.session.flush()
                identity = {
                    "person_id": person.id,
                    "issuer": vouched.issuer,
                    "subject": vouched.subject,
                    "created_at": work.at,
                }
                work.session.add(Identity.model_validate(identity))
                return person
            work.actor = _actor(current, request_id, came_from, role)
            work.about = ("person", current.id)
            if current.role is not role:
                current.role = role
                end_sessions(work.session, current.id, work.at)
            return current

    def _shut_out(self, person: Person, request_id: str, came_from: str) -> None:
        """End what a person has here whose provider's word means nothing any more."""
        actor = _actor(person, request_id, came_from)
        with use_case(self, actor, Action.LOSE_ROLE, ("person", person.id)) as work:
            end_sessions(work.session, person.id, work.at)
            revoke_tokens(work.session, person.id, work.at)


def _actor(person: Person, request_id: str, came_from: str, role: Role | None = None) -> Actor:
    in_force = role or person.role
    return Actor(person.id, person.name, in_force, "session", request_id, came_from=came_from)


def _free_name(session: Session, label: str) -> str:
    """Return a name nobody has: the provider's word for the person, numbered where it is taken."""
    normal = unicodedata.normalize("NFKC", label.strip().lower())
    seen = "".join(each if inputs.is_visible(each) else " " for each in normal)
    name = _NOT_OF_A_NAME.sub("-", seen).strip("-.")[: LONGEST_NAME - 8] or NAMELESS
    for ending in chain([""], (f"-{number}" for number in count(2))):
        if person_named(session, name + ending) is None:
            break
    return name + ending
