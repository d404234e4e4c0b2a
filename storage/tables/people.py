"""Who may come in: people, their sign-in sessions and their API tokens."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint
from sqlmodel import Field, SQLModel

from storage.columns import UtcDateTime, words
from storage.vocabulary import Role


class Person(SQLModel, table=True):
    """One account. `name` is what the person types to sign in, lower case, unique."""

    __tablename__ = "person"
    __table_args__ = (CheckConstraint("name = lower(name)", name="person_name_is_lower_case"),)

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    name: str = Field(unique=True, min_length=1, max_length=64)
    role: Role = Field(sa_type=words(Role))
    password_hash: str | None = Field(default=None, description="argon2id; none: cannot sign in.")
    must_change_password: bool = False
    disabled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    created_at: datetime = Field(sa_type=UtcDateTime)


class LoginSession(SQLModel, table=True):
    """A sign-in held on the server; the cookie carries a random value, here is its SHA-256."""

    __tablename__ = "session"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    token_sha256: str = Field(unique=True, min_length=64, max_length=64)
    person_id: UUID = Field(foreign_key="person.id", index=True)
    created_at: datetime = Field(sa_type=UtcDateTime)
    last_seen_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)


class ApiToken(SQLModel, table=True):
    """A bearer token; shown once when made, stored as SHA-256."""

    __tablename__ = "api_token"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    token_sha256: str = Field(unique=True, min_length=64, max_length=64)
    person_id: UUID = Field(foreign_key="person.id", index=True)
    role: Role = Field(sa_type=words(Role), description="At most the person's own role.")
    created_at: datetime = Field(sa_type=UtcDateTime)
    expires_at: datetime = Field(sa_type=UtcDateTime)
    revoked_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
