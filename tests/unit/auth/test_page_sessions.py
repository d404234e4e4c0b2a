"""A session hash or event id belongs to whoever used it first."""

from uuid import UUID

from webapp.auth import page_sessions
from webapp.auth.page_sessions import KEPT_FOR_EACH_PERSON, PageSessions

ANNA, BEN = UUID(int=1), UUID(int=2)


def test_the_first_person_keeps_it() -> None:
    sessions = PageSessions()

    assert sessions.claim("hash", ANNA)
    assert sessions.claim("hash", ANNA)
    assert not sessions.claim("hash", BEN)
    assert sessions.owns("hash", ANNA)
    assert not sessions.owns("hash", BEN)


def test_an_id_nobody_used_belongs_to_nobody() -> None:
    assert not PageSessions().owns("hash", ANNA)


def test_empty_and_endless_ids_are_refused() -> None:
    sessions = PageSessions()

    assert not sessions.claim("", ANNA)
    assert not sessions.claim("x" * (page_sessions.LONGEST_ID + 1), ANNA)


def test_nobody_can_push_out_another_persons_ids() -> None:
    sessions = PageSessions()
    sessions.claim("annas", ANNA)

    for number in range(KEPT_FOR_EACH_PERSON + 1):
        sessions.claim(f"bens-{number}", BEN)

    assert sessions.owns("annas", ANNA)
    assert not sessions.owns("bens-0", BEN)
    assert sessions.owns("bens-1", BEN)
