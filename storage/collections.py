"""Look up collections and who may open them."""

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

from sqlmodel import Session, col, select

from storage.tables import Collection, Membership, Person


def collection_named(session: Session, name: str) -> Collection | None:
    """Return the collection of this name: with exactly it, else with one that reads alike."""
    return named(session.exec(select(Collection).order_by(col(Collection.created_at))), name)


def named(collections: Iterable[Collection], name: str) -> Collection | None:
    """Return the one with exactly this name, else the first whose name reads alike.

    Names read alike that differ only in case, in spaces or in how Unicode writes a letter.
    """
    found = list(collections)
    exact = (each for each in found if each.name == name)
    alike = (each for each in found if _read(each.name) == _read(name))
    return next(exact, next(alike, None))


def collections_of(session: Session, person_id: UUID | None) -> Sequence[Collection]:
    """Return the collections a person is a member of, or all of them, by name."""
    statement = select(Collection).order_by(col(Collection.name))
    if person_id is not None:
        statement = statement.join(
            Membership, col(Membership.collection_id) == col(Collection.id)
        ).where(Membership.person_id == person_id)
    return session.exec(statement).all()


def is_member(session: Session, collection_id: UUID, person_id: UUID) -> bool:
    """Tell whether the person was made a member of the collection."""
    return session.get(Membership, (collection_id, person_id)) is not None


def add_member(session: Session, collection_id: UUID, person_id: UUID, at: datetime) -> None:
    """Make the person a member; nothing happens to one who is."""
    if not is_member(session, collection_id, person_id):
        session.add(
            Membership.model_validate(
                {"collection_id": collection_id, "person_id": person_id, "created_at": at}
            )
        )
        session.flush()


def remove_member(session: Session, collection_id: UUID, person_id: UUID) -> None:
    """Take the membership away; nothing happens to one who is no member."""
    found = session.get(Membership, (collection_id, person_id))
    if found is not None:
        session.delete(found)
        session.flush()


def members_of(session: Session, collection_id: UUID) -> Sequence[Person]:
    """Return the accounts that may open the collection by membership, by name."""
    statement = (
        select(Person)
        .join(Membership, col(Membership.person_id) == col(Person.id))
        .where(Membership.collection_id == collection_id)
    )
    return session.exec(statement.order_by(col(Person.name))).all()


def _read(name: str) -> str:
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())
    return " ".join(folded.split())
