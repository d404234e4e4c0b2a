"""The audit chain on both databases."""

import hashlib
import json
import threading
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy import text
from sqlmodel import Session, select

from storage import audit
from storage.audit_check import Break, Fault, check_chain
from storage.engine import Store
from storage.tables import AuditEvent
from storage.vocabulary import Outcome

AT = datetime(2026, 5, 4, 8, 30, 0, 120, tzinfo=UTC)


def _append(session: Session, action: str) -> AuditEvent:
    return audit.append_event(
        session,
        actor_id=None,
        role=None,
        action=action,
        object_type="draft",
        object_id=UUID(int=7),
        outcome=Outcome.SUCCESS,
        at=AT,
        app_version="0.1",
    )


def _chain(store: Store, length: int) -> None:
    with store.write() as session:
        for number in range(length):
            _append(session, f"action.{number}")


def _broken(store: Store, heads: dict[int, str] | None = None) -> Break | None:
    with store.read() as session:
        return check_chain(session, heads or {}).broken


def _tamper(store: Store, statement: str) -> None:
    """Change rows as someone with the database's own rights could."""
    drop = {
        "sqlite": ["DROP TRIGGER audit_event_no_update", "DROP TRIGGER audit_event_no_delete"],
        "postgresql": ["DROP TRIGGER audit_event_no_change ON audit_event"],
    }
    with store.write() as session:
        for line in [*drop[store.engine.dialect.name], statement]:
            session.execute(text(line))


def test_the_hash_is_sha256_over_canonical_json(store: Store) -> None:
    with store.write() as session:
        event = _append(session, "review.submitted")
    canonical = json.dumps(
        {
            "action": "review.submitted",
            "actor_id": None,
            "app_version": "0.1",
            "at": "2026-05-04T08:30:00.000120+00:00",
            "code": "",
            "object_id": "00000000-0000-0000-0000-000000000007",
            "object_type": "draft",
            "outcome": "success",
            "previous_hash": "0" * 64,
            "request_id": "",
            "role": "",
            "seq": 1,
        },
        separators=(",", ":"),
    )
    assert event.hash == hashlib.sha256(canonical.encode()).hexdigest()


def test_an_untouched_chain_verifies(store: Store) -> None:
    assert _broken(store) is None
    _chain(store, 5)
    with store.read() as session:
        checked = check_chain(session, {})
    assert (checked.events, checked.broken) == (5, None)
    assert _broken(store, {5: checked.head}) is None


def test_events_from_before_a_column_keep_their_hash(store: Store) -> None:
    """What a release without `via`, `came_from` and `count` wrote stays good."""
    assert {"via", "came_from", "count"} == set(audit.LATER)
    with store.write() as session:
        plain = _append(session, "review.submitted")
        from_somewhere = audit.append_event(
            session,
            actor_id=None,
            role=None,
            action="request.refused",
            outcome=Outcome.REFUSED,
            came_from="192.0.2.0/24",
            count=3,
            at=AT,
            app_version="0.1",
        )
    fields = {name: getattr(plain, name) for name in audit.COLUMNS if name != "hash"}
    assert audit.hash_of({k: v for k, v in fields.items() if k not in audit.LATER}) == plain.hash
    fields = {name: getattr(from_somewhere, name) for name in audit.COLUMNS if name != "hash"}
    assert audit.hash_of({**fields, "count": 2}) != from_somewhere.hash


def test_a_changed_event_is_found(store: Store) -> None:
    _chain(store, 5)
    _tamper(store, "UPDATE audit_event SET action = 'other' WHERE seq = 3")
    assert _broken(store) == Break(3, Fault.EDITED)


def test_a_removed_event_is_found(store: Store) -> None:
    _chain(store, 5)
    _tamper(store, "DELETE FROM audit_event WHERE seq = 2")
    assert _broken(store) == Break(2, Fault.MISSING)


def test_an_event_dated_back_is_found(store: Store) -> None:
    _chain(store, 2)
    _tamper(store, "UPDATE audit_event SET at = '2020-01-01 00:00:00' WHERE seq = 1")
    assert _broken(store) == Break(1, Fault.EDITED)


def test_events_of_a_write_that_failed_leave_no_gap(store: Store) -> None:
    _chain(store, 1)
    try:
        with store.write() as session:
            _append(session, "lost")
            raise ZeroDivisionError
    except ZeroDivisionError:
        pass
    _chain(store, 1)
    assert _broken(store) is None


def test_writers_at_the_same_time_make_one_chain(store: Store) -> None:
    def append_ten() -> None:
        for _ in range(10):
            with store.write() as session:
                _append(session, "action")

    threads = [threading.Thread(target=append_ten) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.read() as session:
        assert sorted(session.exec(select(AuditEvent.seq))) == list(range(1, 41))
    assert _broken(store) is None
