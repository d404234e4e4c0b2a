"""People known by an identity provider: one account for one issuer and subject."""

import pytest
from sqlalchemy.exc import IntegrityError

from storage.accounts import end_sessions, person_of_identity, was_used
from storage.engine import Store
from storage.tables import Identity, LoginSession, Person
from storage.vocabulary import Role
from tests.world import START

ISSUER = "https://login.hospital.example"


@pytest.fixture
def ada(store: Store) -> Person:
    person = Person.model_validate({"name": "ada", "role": Role.READER, "created_at": START})
    with store.write() as session:
        session.add(person)
        session.flush()
        session.add(_identity(person))
    return person


def _identity(person: Person, **fields: object) -> Identity:
    known = {"person_id": person.id, "issuer": ISSUER, "subject": "7", "created_at": START}
    return Identity.model_validate(known | fields)


def test_issuer_and_subject_together_name_a_person(store: Store, ada: Person) -> None:
    with store.read() as session:
        found = person_of_identity(session, ISSUER, "7")
        assert found is not None
        assert found.id == ada.id
        assert person_of_identity(session, ISSUER, "8") is None
        assert person_of_identity(session, "https://login.elsewhere.example", "7") is None


def test_nobody_can_be_two_people(store: Store, ada: Person) -> None:
    with pytest.raises(IntegrityError), store.write() as session:
        session.add(_identity(ada))


def test_a_session_that_ended_keeps_no_token_of_the_provider(store: Store, ada: Person) -> None:
    fields = {"person_id": ada.id, "created_at": START, "last_seen_at": START, "expires_at": START}
    fields |= {"token_sha256": "a" * 64, "state_sha256": "b" * 64, "logout_hint": b"sealed"}
    row = LoginSession.model_validate(fields | {"provider": "hospital"})
    with store.write() as session:
        session.add(row)
    with store.write() as session:
        end_sessions(session, ada.id, START)
    with store.read() as session:
        ended = session.get_one(LoginSession, row.id)
        assert (ended.logout_hint, ended.ended_at) == (None, START)
        assert was_used(session, "b" * 64)
        assert not was_used(session, "c" * 64)
