"""Which objects a person may know of: being asked for every time one is loaded.

"Not yours" and "not there" give the same answer, so that nobody learns what exists.
"""

from typing import Final
from uuid import UUID

from sqlmodel import Session

from storage.cases import Visible, case_with_collection, has_attested
from storage.collections import collections_of, is_member, named
from storage.errors import NotFoundError
from storage.reading import own_read_of
from storage.tables import Case, Collection, Draft
from storage.vocabulary import CaseState, Role
from webapp.services.actor import Actor
from webapp.services.errors import CaseRefusedError, HeldError, OwnReadRequiredError
from webapp.services.policy import Action, may, must_read_first

WORKLIST_STATES: Final = frozenset({CaseState.ADMITTED, CaseState.HELD, CaseState.CHECKING})


def collections_open_to(session: Session, actor: Actor) -> tuple[Collection, ...]:
    """Return the collections the actor may open; an administrator may open all."""
    person_id = None if actor.role is Role.ADMIN else actor.id
    return tuple(collections_of(session, person_id))


def collection_open_to(session: Session, actor: Actor, name_or_id: str) -> Collection:
    """Return one of them by its name or its id.

    Raises:
        NotFoundError: there is none, or it is not the actor's.
    """
    found = collections_open_to(session, actor)
    by_id = (each for each in found if str(each.id) == name_or_id)
    collection = next(by_id, named(found, name_or_id))
    if collection is None:
        raise NotFoundError("collection")
    return collection


def states_open_to(actor: Actor) -> frozenset[CaseState]:
    """Return the states a case may be in for this role to know of it.

    Held pixels may show an identity, so only those who may decide about them see them.
    """
    if may(actor.role, Action.ATTEST):
        return frozenset(CaseState)
    return frozenset({CaseState.ADMITTED})


def visible_to(
    actor: Actor, collections: tuple[Collection, ...] | None, states: frozenset[CaseState]
) -> Visible:
    """Describe the cases of these collections (None: of all) that the actor may know of."""
    return Visible(
        person_id=actor.id,
        collection_ids=None if collections is None else tuple(c.id for c in collections),
        states=states & states_open_to(actor),
        everyones_checking=actor.role is Role.ADMIN,
    )


def known_case(session: Session, actor: Actor, case_id: UUID) -> tuple[Case, Collection]:
    """Return a case the actor may know of, in whatever state.

    Raises:
        NotFoundError: there is none, or it is not the actor's.
    """
    found = case_with_collection(session, case_id)
    if found is None:
        raise NotFoundError("case")
    case, collection = found
    mine = actor.role is Role.ADMIN or is_member(session, collection.id, actor.id)
    hidden = case.state is CaseState.CHECKING and not (
        actor.role is Role.ADMIN
        or case.uploaded_by == actor.id
        or has_attested(session, case.id, actor.id)  # and waits for the search after a mask
    )
    if not mine or hidden or case.state not in states_open_to(actor):
        raise NotFoundError("case")
    return case, collection


def readable_case(session: Session, actor: Actor, case_id: UUID) -> tuple[Case, Collection]:
    """Return a case the actor may read, that is, an admitted one.

    Raises:
        NotFoundError: there is none, or it is not the actor's.
        HeldError: its pixels wait for a person's decision, or are still being looked at.
        CaseRefusedError: it was refused.
    """
    case, collection = known_case(session, actor, case_id)
    if case.state is CaseState.REFUSED:
        raise CaseRefusedError
    if case.state is not CaseState.ADMITTED:
        raise HeldError
    return case, collection


def open_draft(session: Session, actor: Actor, draft_id: UUID) -> tuple[Draft, Case, Collection]:
    """Return a draft the actor may see: an own one, or a colleague's once it cannot mislead.

    Raises:
        NotFoundError: there is none, or it is not the actor's.
        OwnReadRequiredError: the protocol wants the actor's own findings first.
    """
    draft = session.get(Draft, draft_id)
    if draft is None:
        raise NotFoundError("draft")
    try:
        case, collection = readable_case(session, actor, draft.case_id)
    except NotFoundError:
        raise NotFoundError("draft") from None
    if draft.person_id != actor.id and actor.role is Role.TRAINEE:
        raise NotFoundError("draft")
    require_own_read(session, actor, case, collection)
    return draft, case, collection


def require_own_read(session: Session, actor: Actor, case: Case, collection: Collection) -> None:
    """Refuse until the actor has committed own findings, where the protocol says so.

    Raises:
        OwnReadRequiredError: they are missing.
    """
    required = must_read_first(actor.role, collection.protocol)
    if required and own_read_of(session, case.id, actor.id) is None:
        raise OwnReadRequiredError
