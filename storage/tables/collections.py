"""Collections of cases, and who may open them."""

from datetime import datetime
from uuid import UUID, uuid4

from sqlmodel import Field, SQLModel

from storage.columns import UtcDateTime, words
from storage.vocabulary import Protocol


class Collection(SQLModel, table=True):
    """A named set of cases read under one protocol."""

    __tablename__ = "collection"

    id: UUID = Field(default_factory=uuid4, primary_key=True)
    name: str = Field(unique=True, min_length=1, max_length=100)
    protocol: Protocol = Field(sa_type=words(Protocol))
    created_at: datetime = Field(sa_type=UtcDateTime)


class Membership(SQLModel, table=True):
    """A person may open the cases of a collection. An administrator needs no row."""

    __tablename__ = "membership"

    collection_id: UUID = Field(foreign_key="collection.id", primary_key=True)
    person_id: UUID = Field(foreign_key="person.id", primary_key=True, index=True)
    created_at: datetime = Field(sa_type=UtcDateTime)
