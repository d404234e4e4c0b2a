"""Use cases on collections: which there are, under which protocol, and who is a member."""

import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlmodel import Session

from storage.accounts import person_named
from storage.collections import add_member, collection_named, members_of, remove_member
from storage.engine import Store
from storage.errors import NotFoundError
from storage.tables import Collection
from storage.vocabulary import Protocol
from webapp.services import inputs
from webapp.services.access import collection_open_to, collections_open_to
from webapp.services.actor import Actor
from webapp.services.errors import InvalidRequestError
from webapp.services.policy import Action
from webapp.services.present import collection_view, person_view
from webapp.services.views import CollectionView, PersonView
from webapp.services.work import use_case

DEFAULT_PROTOCOL: Final = Protocol.READER_FIRST  # Fogliato 2022: the least anchoring on the model
MAX_NAME: Final = 100
_WHAT: Final = "collection's name"


@dataclass(frozen=True, slots=True)
class Collections:
    """Collections and their members."""

    store: Store
    now: Callable[[], datetime]

    def list(self, actor: Actor | None) -> list[CollectionView]:
        """Return the collections the actor may open, by name."""
        with use_case(self, actor, Action.LIST_COLLECTIONS) as work:
            found = collections_open_to(work.session, work.actor)
            return [collection_view(collection) for collection in found]

    def ensure(
        self, actor: Actor | None, name: str, protocol: Protocol | None = None
    ) -> CollectionView:
        """Return the collection of this name, made now if there is none, the actor its member.

        Args:
            actor: Who asks.
            name: 1 to 100 characters that can be seen; in which case and normal form does not
                matter.
            protocol: For a new one; `reader_first` where nothing is said.

        Raises:
            NotFoundError: there is one, and it is not the actor's.
            InvalidRequestError: it exists with another protocol, or the name cannot be used.
        """
        with use_case(self, actor, Action.ENSURE_COLLECTION) as work:
            existing = collection_named(work.session, asked_name(name))
            if existing is None:
                collection = make_collection(
                    work.session, work.actor, name, protocol or DEFAULT_PROTOCOL, work.at
                )
            else:
                collection = collection_open_to(work.session, work.actor, existing.name)
                if protocol not in {None, collection.protocol}:
                    raise InvalidRequestError("There is a collection of this name already.")
            work.about = ("collection", collection.id)
            return collection_view(collection)

    def add_member(self, actor: Actor | None, collection: str, person: str) -> None:
        """Let a person open the collection; one who may already is no error.

        Args:
            actor: Who asks.
            collection: Its name or its id.
            person: The account's name.

        Raises:
            NotFoundError: there is no such collection or account.
        """
        with use_case(self, actor, Action.ADD_MEMBER) as work:
            found = collection_open_to(work.session, work.actor, collection)
            work.about = ("collection", found.id)
            account = person_named(work.session, person.strip().lower())
            if account is None:
                raise NotFoundError("account")
            add_member(work.session, found.id, account.id, work.at)

    def remove_member(self, actor: Actor | None, collection: str, person: str) -> None:
        """Shut the collection to a person; what they read and wrote in it stays.

        Args:
            actor: Who asks.
            collection: Its name or its id.
            person: The account's name; one who is no member is no error.

        Raises:
            NotFoundError: there is no such collection or account.
        """
        with use_case(self, actor, Action.REMOVE_MEMBER) as work:
            found = collection_open_to(work.session, work.actor, collection)
            work.about = ("collection", found.id)
            account = person_named(work.session, person.strip().lower())
            if account is None:
                raise NotFoundError("account")
            remove_member(work.session, found.id, account.id)

    def members(self, actor: Actor | None, collection: str) -> tuple[PersonView, ...]:
        """Return who may open a collection by membership, by name; administrators need none.

        Raises:
            NotFoundError: there is no such collection.
        """
        with use_case(self, actor, Action.LIST_MEMBERS) as work:
            found = collection_open_to(work.session, work.actor, collection)
            work.about = ("collection", found.id)
            return tuple(person_view(one) for one in members_of(work.session, found.id))


def asked_name(name: str) -> str:
    """Return a name as somebody asks for it: one that an older version took is still found.

    Raises:
        InvalidRequestError: empty, too long, or not storable.
    """
    return inputs.text(name, _WHAT, limit=MAX_NAME, required=True).strip()


def name_to_fill(session: Session, actor: Actor, name: str) -> str:
    """Return the name under which a person may put studies: an old one of theirs, or a new one.

    Raises:
        InvalidRequestError: it cannot be a collection's name.
        NotFoundError: there is one, and it is not the actor's.
    """
    asked = asked_name(name)
    if collection_named(session, asked) is None:
        return collection_name(name)
    collection_open_to(session, actor, asked)
    return asked


def collection_name(name: str) -> str:
    """Return the name that a new collection gets: in its normal form, with single spaces.

    Raises:
        InvalidRequestError: empty, too long, not storable, or not to be seen.
    """
    normal = unicodedata.normalize("NFKC", asked_name(name))
    return " ".join(inputs.line(normal, _WHAT, limit=MAX_NAME, required=True).split())


def make_collection(
    session: Session, actor: Actor, name: str, protocol: Protocol, at: datetime
) -> Collection:
    """Add a collection with the actor as its first member; the caller owns the transaction."""
    fields = {"name": collection_name(name), "protocol": protocol, "created_at": at}
    collection = Collection.model_validate(fields)
    session.add(collection)
    session.flush()
    add_member(session, collection.id, actor.id, at)
    return collection
