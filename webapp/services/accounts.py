"""Use cases on sign-in sessions and one's own password, and whom a secret stands for.

A cookie or a bearer token is a random value; the store has its SHA-256. Whom it stands for and
with which role is looked up at every request, so that signing out, a lower role or a closed
account count at once.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from storage.accounts import (
    end_session,
    end_sessions,
    first_admin,
    person_named,
    revoke_tokens,
    session_with_person,
    token_with_person,
    touch_session,
)
from storage.engine import Store
from storage.errors import NotFoundError
from storage.tables import LoginSession, Person
from storage.vocabulary import Role
from webapp.services.actor import Actor
from webapp.services.errors import (
    InvalidRequestError,
    NotSignedInError,
    PasswordSignInOffError,
    ServiceError,
    SignInFailedError,
)
from webapp.services.login_sessions import new_session
from webapp.services.passwords import Passwords, Throttle, check_chosen
from webapp.services.people import account_name, is_account_name, new_person
from webapp.services.policy import Action, at_most
from webapp.services.present import person_view
from webapp.services.trail import Attempt, Trail
from webapp.services.views import (
    AddedPerson,
    SignedIn,
    TimeLeft,
)
from webapp.services.work import record, refusals_recorded, use_case

WARN_BEFORE: Final = timedelta(minutes=2)
SEEN_EVERY: Final = timedelta(minutes=1)  # no write at every request


@dataclass(frozen=True, slots=True)
class Accounts:
    """Sign-in and accounts."""

    store: Store
    now: Callable[[], datetime]
    passwords: Passwords
    trail: Trail
    throttle: Throttle = field(default_factory=Throttle)
    session_idle: timedelta = timedelta(minutes=15)
    session_length: timedelta = timedelta(hours=12)
    password_sign_in: bool = True
    providers: frozenset[str] | None = None  # whose word counts; None: any that was taken

    def first_account(self, name: str, password: str | None) -> AddedPerson:
        """Make the first administrator, or return the one there is: safe to repeat.

        A chosen password takes the place of a one-time one that still waits to be replaced.

        Args:
            name: What the person types to sign in.
            password: A chosen one; without it a one-time password is made and returned.

        Raises:
            InvalidRequestError: the name or the password cannot be used.
        """
        with refusals_recorded(self, None, Action.ENSURE_FIRST_ACCOUNT):
            name = account_name(name)
            with self.store.read() as session:
                existing = first_admin(session)
            if existing is None:
                person, secret = new_person(self.passwords, name, Role.ADMIN, password, self.now())
            else:
                person, secret = existing, None
            chosen = None if existing is None else self._chosen_instead(existing, name, password)
        operator = Actor(person.id, person.name, Role.ADMIN, "cli")
        with use_case(self, operator, Action.ENSURE_FIRST_ACCOUNT, ("person", person.id)) as work:
            if (existing := first_admin(work.session)) is not None:  # perhaps since a moment ago
                work.actor, work.about = _operator(existing), ("person", existing.id)
                if chosen is not None and existing.must_change_password:
                    existing.password_hash, existing.must_change_password = chosen, False
                    end_sessions(work.session, existing.id, work.at)
                return AddedPerson(person_view(existing), None)
            work.session.add(person)
        return AddedPerson(person_view(person), secret)

    def operator(self, request_id: str = "") -> Actor:
        """Return the actor the command line works as: the first administrator.

        Raises:
            NotSignedInError: there is no administrator yet.
        """
        with self.store.read() as session:
            person = first_admin(session)
        if person is None:
            raise NotSignedInError
        return _operator(person, request_id)

    def sign_in(
        self, name: str, password: str, *, request_id: str = "", came_from: str = ""
    ) -> SignedIn:
        """Start a session on the server; an unknown name takes as long as a wrong password.

        Raises:
            SignInFailedError: wrong name, wrong password or closed account.
            TooManyAttemptsError: this name is paused.
            PasswordSignInOffError: nobody signs in with a password here.
        """
        name = name.strip().lower()
        throttle_key, started = _sha256(name), self.now()
        with self.store.read() as session:
            person = person_named(session, name) if is_account_name(name) else None
        try:
            if not self.password_sign_in:
                raise PasswordSignInOffError
            self.throttle.check(throttle_key, started)
            stored = None if person is None else person.password_hash
            good = self.passwords.matches(stored, password)
            if person is None or person.disabled_at is not None or not good:
                self.throttle.failed(throttle_key, self.now())
                raise SignInFailedError
        except ServiceError as refusal:
            about = ("person", "" if person is None else person.id)
            self.trail.note(
                None, Attempt(refusal.code, request_id, came_from, about, Action.SIGN_IN)
            )
            raise
        self.throttle.succeeded(throttle_key)
        actor = Actor(
            person.id, person.name, person.role, "session", request_id, came_from=came_from
        )
        return self._start_session(person, password, actor)

    def actor_of_session(
        self, token: str, *, request_id: str = "", seen: bool = True
    ) -> Actor | None:
        """Return whom a cookie's value stands for now, or None once it stands for nobody.

        Args:
            token: The cookie's value.
            request_id: Goes into the actor.
            seen: Whether this shows that somebody is there; a page that asks by itself does not.
        """
        at = self.now()
        with self.store.read() as session:
            found = session_with_person(session, _sha256(token))
        if found is None:
            return None
        sign_in, person = found
        idle = at - sign_in.last_seen_at >= self.session_idle
        if sign_in.ended_at is not None or person.disabled_at is not None:
            return None
        if not self._is_trusted(sign_in.provider):
            return None
        if idle or at >= sign_in.expires_at:
            return None
        if seen and at - sign_in.last_seen_at >= SEEN_EVERY:
            with self.store.write() as session:
                touch_session(session, sign_in.id, at)
        return Actor(
            person.id,
            person.name,
            person.role,
            "session",
            request_id,
            must_change_password=person.must_change_password,
            session_id=sign_in.id,
        )

    def _is_trusted(self, provider: str) -> bool:
        """Tell whether sessions on this provider's word, or on a password, still count."""
        if not provider:
            return self.password_sign_in
        return self.providers is None or provider in self.providers

    def is_current(self, actor: Actor) -> bool:
        """Tell whether the session behind an actor lasts, with the same role; of a token: yes."""
        if actor.session_id is None:
            return True
        with self.store.read() as session:
            sign_in = session.get(LoginSession, actor.session_id)
            person = session.get(Person, actor.id)
        if sign_in is None or person is None or sign_in.ended_at is not None:
            return False
        end = min(sign_in.last_seen_at + self.session_idle, sign_in.expires_at)
        return self.now() < end and person.disabled_at is None and person.role is actor.role

    def time_left(self, actor: Actor | None) -> TimeLeft:
        """Return how long the actor's session lasts if nothing happens in it.

        Raises:
            NotSignedInError: there is no session, as of a token.
        """
        if actor is None or actor.session_id is None:
            raise NotSignedInError
        with self.store.read() as session:
            sign_in = session.get(LoginSession, actor.session_id)
        if sign_in is None:
            raise NotSignedInError
        end = min(sign_in.last_seen_at + self.session_idle, sign_in.expires_at)
        left = max(timedelta(), end - self.now())
        warn = min(WARN_BEFORE, self.session_idle / 2)
        return TimeLeft(int(left.total_seconds()), int(warn.total_seconds()))

    def actor_of_token(self, token: str, *, request_id: str = "") -> Actor | None:
        """Return whom a bearer token stands for now, or None once it stands for nobody."""
        at = self.now()
        with self.store.read() as session:
            found = token_with_person(session, _sha256(token))
        if found is None:
            return None
        api_token, person = found
        if api_token.revoked_at is not None or person.disabled_at is not None:
            return None
        if at >= api_token.expires_at:
            return None
        return Actor(
            person.id, person.name, at_most(api_token.role, person.role), "token", request_id
        )

    def sign_out(self, token: str, *, request_id: str = "", came_from: str = "") -> None:
        """End the session; one that has ended, or never was, is no error."""
        with self.store.read() as session:
            found = session_with_person(session, _sha256(token))
        if found is None or found[0].ended_at is not None:
            return
        sign_in, person = found
        actor = Actor(
            person.id, person.name, person.role, "session", request_id, came_from=came_from
        )
        with use_case(self, actor, Action.SIGN_OUT, ("session", sign_in.id)) as work:
            end_session(work.session, sign_in.id, work.at)

    def has_password(self, actor: Actor) -> bool:
        """Tell whether the actor could sign in with a password."""
        with self.store.read() as session:
            person = session.get(Person, actor.id)
        return self.password_sign_in and person is not None and person.password_hash is not None

    def change_password(self, actor: Actor | None, old: str, new: str) -> None:
        """Replace the actor's own password; other sessions end, API tokens are revoked.

        Raises:
            SignInFailedError: the old password is not right.
            TooManyAttemptsError: it was wrong too often.
            PasswordSignInOffError: the actor has none here.
            InvalidRequestError: the new one cannot be used.
        """
        about = ("person", "" if actor is None else actor.id)
        hashed = None if actor is None else self._checked_change(actor, old, new)
        with use_case(self, actor, Action.CHANGE_OWN_PASSWORD, about) as work:
            person = _existing(work.session.get(Person, work.actor.id))
            person.password_hash, person.must_change_password = hashed, False
            end_sessions(work.session, person.id, work.at, keep=work.actor.session_id)
            revoke_tokens(work.session, person.id, work.at)

    def _chosen_instead(self, existing: Person, name: str, password: str | None) -> str | None:
        """Hash a password that replaces the account's one-time one; None where none does."""
        if password is None or existing.name != name or not existing.must_change_password:
            return None
        check_chosen(password, name)
        return self.passwords.hash(password)

    def _start_session(self, person: Person, password: str, actor: Actor) -> SignedIn:
        outdated = self.passwords.is_outdated(person.password_hash or "")
        renewed = self.passwords.hash(password) if outdated else None
        with use_case(self, actor, Action.SIGN_IN, ("person", person.id)) as work:
            current = _existing(work.session.get(Person, person.id))
            if current.disabled_at is not None:
                raise SignInFailedError
            if renewed is not None:
                current.password_hash = renewed
            token, row = new_session(current, work.at, self.session_length)
            work.session.add(row)
        return SignedIn(token, person_view(current), current.must_change_password, row.expires_at)

    def _checked_change(self, actor: Actor, old: str, new: str) -> str:
        """Verify the old and hash the new password, outside of any transaction."""
        throttle_key = _sha256(actor.name)
        about = ("person", actor.id)
        with self.store.read() as session:
            person = _existing(session.get(Person, actor.id))
        try:
            if not self.password_sign_in or person.password_hash is None:
                raise PasswordSignInOffError
            self.throttle.check(throttle_key, self.now())
            if not self.passwords.matches(person.password_hash, old):
                self.throttle.failed(throttle_key, self.now())
                raise SignInFailedError
            check_chosen(new, actor.name)
            if new == old:
                raise InvalidRequestError("The new password must differ from the old one.")
        except ServiceError as refusal:
            record(self, actor, Action.CHANGE_OWN_PASSWORD, about, refusal.code)
            raise
        return self.passwords.hash(new)


def _sha256(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()


def _existing(person: Person | None) -> Person:
    if person is None:
        raise NotFoundError("account")
    return person


def _operator(person: Person, request_id: str = "") -> Actor:
    return Actor(person.id, person.name, person.role, "cli", request_id)
