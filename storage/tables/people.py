"""Who may come in: people, by whom they are vouched for, their sessions and their API tokens."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy import CheckConstraint, UniqueConstraint
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


class Identity(SQLModel, table=True):
    """Whom an identity provider means: issuer and subject, and nothing else of what it says.

    Names and addresses change hands; a subject of an issuer does not.
    """

    __tablename__ = "identity"
    __table_args__ = (UniqueConstraint("issuer", "subject"),)

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    person_id: UUID = Field(foreign_key="person.id", index=True)
    issuer: str = Field(min_length=1, max_length=512)
    subject: str = Field(min_length=1, max_length=255)
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
    provider: str = Field(
        default="",
        max_length=32,
        sa_column_kwargs={"server_default": ""},
        description="The identity provider that vouched, by its id; empty: a password.",
    )
    state_sha256: str | None = Field(
        default=None,
        unique=True,
        index=True,
        min_length=64,
        max_length=64,
        description="Of the request to the provider that led here: it leads here once.",
    )
    logout_hint: bytes | None = Field(
        default=None,
        description="The provider's ID token, encrypted under the cookie's value; none once ended.",
    )


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
