"""Use cases on people: who has an account, with which role, and whether it is open.

What an administrator takes away is gone at once: a closed account, another role and a new
password end every session of the person, so that nothing goes on under the old right. A closed
account and a new password revoke the API tokens too: an intruder may have made one.
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from storage.accounts import (
    count_open_admins,
    end_sessions,
    open_sessions,
    people,
    person_named,
    revoke_tokens,
)
from storage.engine import Store
from storage.errors import NotFoundError
from storage.tables import Person
from storage.vocabulary import Role
from webapp.services import inputs
from webapp.services.actor import Actor
from webapp.services.errors import (
    InvalidRequestError,
    LastAdminError,
    NameTakenError,
    PasswordSignInOffError,
)
from webapp.services.passwords import Passwords, check_chosen, one_time_password
from webapp.services.policy import Action
from webapp.services.present import person_view
from webapp.services.views import AddedPerson, PersonView
from webapp.services.work import Work, use_case

_NAME: Final = re.compile(r"[\w.@+-]{1,64}")


@dataclass(frozen=True, slots=True)
class People:
    """Accounts, for those who decide who comes in."""

    store: Store
    now: Callable[[], datetime]
    passwords: Passwords
    session_idle: timedelta = timedelta(minutes=15)

    def add(
        self, actor: Actor | None, name: str, role: Role, password: str | None = None
    ) -> AddedPerson:
        """Make an account; without a password, with a one-time one that must be changed.

        Raises:
            NameTakenError: the name is in use.
            InvalidRequestError: the name or the password cannot be used.
        """
        with use_case(self, actor, Action.ADD_PERSON) as work:
            person, secret = new_person(self.passwords, name, role, password, work.at)
            if person_named(work.session, person.name) is not None:
                raise NameTakenError
            work.about = ("person", person.id)
            work.session.add(person)
        return AddedPerson(person_view(person), secret)

    def list(self, actor: Actor | None) -> list[PersonView]:
        """Return every account, by name, with how many sessions are open."""
        with use_case(self, actor, Action.LIST_PEOPLE) as work:
            seen = open_sessions(work.session, work.at, work.at - self.session_idle)
            return [
                replace(person_view(person), open_sessions=seen.get(person.id, 0))
                for person in people(work.session)
            ]

    def disable(self, actor: Actor | None, name: str) -> PersonView:
        """Close an account: its sessions and tokens end with it. Closing it again is no error.

        Raises:
            NotFoundError: there is no such account.
            LastAdminError: it is the only administrator left.
        """
        with self._changing(actor, Action.DISABLE_PERSON, name) as (work, person):
            if person.disabled_at is None:
                _require_another_admin(work, person)
                person.disabled_at = work.at
                end_sessions(work.session, person.id, work.at)
                revoke_tokens(work.session, person.id, work.at)
            return person_view(person)

    def enable(self, actor: Actor | None, name: str) -> PersonView:
        """Open a closed account again; its sessions and tokens stay ended.

        Raises:
            NotFoundError: there is no such account.
        """
        with self._changing(actor, Action.ENABLE_PERSON, name) as (_, person):
            person.disabled_at = None
            return person_view(person)

    def change_role(self, actor: Actor | None, name: str, role: Role) -> PersonView:
        """Give an account another role; its sessions end, its tokens act at most as that role.

        Raises:
            NotFoundError: there is no such account.
            LastAdminError: it is the only administrator left.
        """
        with self._changing(actor, Action.CHANGE_ROLE, name) as (work, person):
            if person.role is not role:
                _require_another_admin(work, person)
                person.role = role
                end_sessions(work.session, person.id, work.at)
            return person_view(person)

    def end_sessions(self, actor: Actor | None, name: str) -> PersonView:
        """Sign a person out everywhere; the person may sign in again, API tokens stay.

        Raises:
            NotFoundError: there is no such account.
        """
        with self._changing(actor, Action.END_SESSIONS, name) as (work, person):
            end_sessions(work.session, person.id, work.at)
            return person_view(person)

    def reset_password(self, actor: Actor | None, name: str) -> AddedPerson:
        """Replace a password by a one-time one that must be changed; sessions and tokens end.

        Raises:
            NotFoundError: there is no such account.
            PasswordSignInOffError: the account has none: an identity provider vouches for it.
        """
        secret = one_time_password()
        hashed = self.passwords.hash(secret)  # before the transaction: it takes a while
        with self._changing(actor, Action.RESET_PASSWORD, name) as (work, person):
            if person.password_hash is None:
                raise PasswordSignInOffError
            person.password_hash, person.must_change_password = hashed, True
            end_sessions(work.session, person.id, work.at)
            revoke_tokens(work.session, person.id, work.at)
            return AddedPerson(person_view(person), secret)

    @contextmanager
    def _changing(
        self, actor: Actor | None, action: Action, name: str
    ) -> Iterator[tuple[Work, Person]]:
        with use_case(self, actor, action) as work:
            person = person_named(work.session, name.strip().lower())
            if person is None:
                raise NotFoundError("account")
            work.about = ("person", person.id)
            yield work, person


def new_person(
    passwords: Passwords, name: str, role: Role, password: str | None, at: datetime
) -> tuple[Person, str | None]:
    """Return an account that is not stored yet, and its one-time password if none was chosen.

    Raises:
        InvalidRequestError: the name or the password cannot be used.
    """
    name = account_name(name)
    one_time = one_time_password() if password is None else None
    if password is not None:
        check_chosen(password, name)
    fields = {
        "name": name,
        "role": role,
        "password_hash": passwords.hash(password or one_time or ""),
        "must_change_password": one_time is not None,
        "created_at": at,
    }
    return Person.model_validate(fields), one_time


def account_name(name: str) -> str:
    """Return a name as it is stored.

    Raises:
        InvalidRequestError: it cannot be one.
    """
    name = name.strip().lower()
    normal = unicodedata.normalize("NFKC", name)
    if not is_account_name(name) or name != normal or not inputs.is_visible(name):
        raise InvalidRequestError(
            "An account's name has 1 to 64 letters, digits or the characters . _ - @ +."
        )
    return name


def is_account_name(name: str) -> bool:
    """Tell whether an account could have this name."""
    return _NAME.fullmatch(name) is not None


def _require_another_admin(work: Work, person: Person) -> None:
    """Refuse what would leave nobody to administer."""
    is_admin = person.role is Role.ADMIN and person.disabled_at is None
    if is_admin and count_open_admins(work.session) == 1:
        raise LastAdminError
