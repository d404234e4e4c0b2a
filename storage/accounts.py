"""Look up and change people, their identities elsewhere, their sessions and their API tokens.

Secrets are found by their SHA-256. What is expired, ended or disabled is still returned: the
use case decides, with its own clock.
"""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import func
from sqlmodel import Session, col, select, update

from storage.tables import ApiToken, Identity, LoginSession, Person
from storage.vocabulary import Role


def person_named(session: Session, name: str) -> Person | None:
    """Return the account with this name, which is stored in lower case."""
    return session.exec(select(Person).where(Person.name == name)).first()


def person_of_identity(session: Session, issuer: str, subject: str) -> Person | None:
    """Return the account of whom an identity provider means."""
    statement = (
        select(Person)
        .join(Identity, col(Identity.person_id) == col(Person.id))
        .where(Identity.issuer == issuer, Identity.subject == subject)
    )
    return session.exec(statement).first()


def was_used(session: Session, state_sha256: str) -> bool:
    """Tell whether a sign-in came of this request to an identity provider already."""
    statement = select(LoginSession.id).where(LoginSession.state_sha256 == state_sha256)
    return session.exec(statement).first() is not None


def people(session: Session) -> Sequence[Person]:
    """Return every account, by name."""
    return session.exec(select(Person).order_by(col(Person.name))).all()


def first_admin(session: Session) -> Person | None:
    """Return the oldest administrator whose account is open."""
    statement = select(Person).where(Person.role == Role.ADMIN, col(Person.disabled_at).is_(None))
    return session.exec(statement.order_by(col(Person.created_at), col(Person.id))).first()


def count_open_admins(session: Session) -> int:
    """Count administrators whose account is open."""
    statement = select(func.count()).where(
        Person.role == Role.ADMIN, col(Person.disabled_at).is_(None)
    )
    return session.exec(statement).one()


def session_with_person(session: Session, token_sha256: str) -> tuple[LoginSession, Person] | None:
    """Return the sign-in with this token's hash, and whose it is."""
    statement = (
        select(LoginSession, Person)
        .join(Person, col(Person.id) == col(LoginSession.person_id))
        .where(LoginSession.token_sha256 == token_sha256)
    )
    return session.exec(statement).first()


def touch_session(session: Session, session_id: UUID, at: datetime) -> None:
    """Note that the person was seen; nothing else of the sign-in changes."""
    session.exec(
        update(LoginSession).where(col(LoginSession.id) == session_id).values(last_seen_at=at)
    )


def end_session(session: Session, session_id: UUID, at: datetime) -> None:
    """End one sign-in that has not ended."""
    session.exec(
        update(LoginSession)
        .where(col(LoginSession.id) == session_id, col(LoginSession.ended_at).is_(None))
        .values(ended_at=at, logout_hint=None)
    )


def end_sessions(
    session: Session, person_id: UUID, at: datetime, *, keep: UUID | None = None
) -> None:
    """End every sign-in of a person that has not ended, except `keep`."""
    statement = update(LoginSession).where(
        col(LoginSession.person_id) == person_id, col(LoginSession.ended_at).is_(None)
    )
    if keep is not None:
        statement = statement.where(col(LoginSession.id) != keep)
    session.exec(statement.values(ended_at=at, logout_hint=None))


def token_with_person(session: Session, token_sha256: str) -> tuple[ApiToken, Person] | None:
    """Return the API token with this hash, and whose it is."""
    statement = (
        select(ApiToken, Person)
        .join(Person, col(Person.id) == col(ApiToken.person_id))
        .where(ApiToken.token_sha256 == token_sha256)
    )
    return session.exec(statement).first()


def tokens(session: Session, person_id: UUID | None) -> Sequence[tuple[ApiToken, Person]]:
    """Return the API tokens of one person, or of everybody, oldest first."""
    statement = select(ApiToken, Person).join(Person, col(Person.id) == col(ApiToken.person_id))
    if person_id is not None:
        statement = statement.where(ApiToken.person_id == person_id)
    return session.exec(statement.order_by(col(ApiToken.created_at), col(ApiToken.id))).all()


def revoke_tokens(session: Session, person_id: UUID, at: datetime) -> None:
    """Revoke every API token of a person that is not revoked yet."""
    session.exec(
        update(ApiToken)
        .where(col(ApiToken.person_id) == person_id, col(ApiToken.revoked_at).is_(None))
        .values(revoked_at=at)
    )


def open_sessions(session: Session, at: datetime, seen_after: datetime) -> dict[UUID, int]:
    """Count the sign-ins of each person that are neither ended, nor too old, nor idle."""
    statement = (
        select(LoginSession.person_id, func.count())
        .where(
            col(LoginSession.ended_at).is_(None),
            col(LoginSession.expires_at) > at,
            col(LoginSession.last_seen_at) > seen_after,
        )
        .group_by(col(LoginSession.person_id))
    )
    return dict(session.exec(statement).all())
