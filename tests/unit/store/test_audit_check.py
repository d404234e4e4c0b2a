"""Whatever is done to the rows of the trail is found, and the first bad one is named.

Rows are changed with raw SQL after the triggers are gone, as somebody could who owns the
database.
"""

import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from storage import audit
from storage.audit_check import Break, Fault, check_chain
from storage.audit_heads import FIRST_MAC, Heads
from storage.engine import Store
from storage.errors import HeadsDamagedError
from storage.vocabulary import Outcome

AT = datetime(2026, 5, 4, 8, 30, 0, 120, tzinfo=UTC)
LENGTH = 12
KEY = b"h" * 32
TRIGGERS = {
    "sqlite": ["DROP TRIGGER audit_event_no_update", "DROP TRIGGER audit_event_no_delete"],
    "postgresql": ["DROP TRIGGER audit_event_no_change ON audit_event"],
}
TEXTS = sorted(set(audit.COLUMNS) - {"seq", "at", "actor_id", "outcome", "count"})
numbers = st.integers(1, LENGTH)


@pytest.fixture
def trail(store: Store) -> Store:
    """Return a store whose trail has twelve events and nothing that protects them."""
    with store.write() as session:
        for number in range(LENGTH):
            audit.append_event(
                session,
                actor_id=None,
                role=None,
                action=f"action.{number}",
                outcome=Outcome.SUCCESS,
                came_from="192.0.2.0/24",
                at=AT + timedelta(seconds=number),
                app_version="0.1",
            )
    with store.write() as session:
        for line in TRIGGERS[store.engine.dialect.name]:
            session.execute(text(line))
    return store


class TamperedError(Exception):
    """Undoes what was done to the rows."""


def _found(store: Store, done: list[tuple[str, dict[str, Any]]]) -> Break | None:
    """Check the trail as it is after these statements, and undo them."""
    heads = {LENGTH: _hash_of(store, LENGTH)}
    found: list[Break | None] = []
    try:
        with store.write() as session:
            for statement, values in done:
                session.execute(text(statement), values)
            found.append(check_chain(session, heads).broken)
            raise TamperedError
    except TamperedError:
        return found[0]


def _hash_of(store: Store, seq: int) -> str:
    with store.read() as session:
        statement = text("SELECT hash FROM audit_event WHERE seq = :seq")
        return str(session.execute(statement, {"seq": seq}).scalar_one())


def _row(store: Store, seq: int) -> dict[str, Any]:
    with store.read() as session:
        statement = text("SELECT * FROM audit_event WHERE seq = :seq")
        return dict(session.execute(statement, {"seq": seq}).mappings().one())


many = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@many
@given(seq=numbers, name=st.sampled_from(TEXTS), data=st.data())
def test_a_flipped_letter_is_found(trail: Store, seq: int, name: str, data: st.DataObject) -> None:
    before = str(_row(trail, seq)[name])
    place = data.draw(st.integers(0, len(before)))
    letter = data.draw(st.sampled_from("abcdef0123456789 "))
    after = before[:place] + letter + before[place + 1 :]
    if after == before:
        return
    done = [
        (
            f"UPDATE audit_event SET {name} = :value WHERE seq = :seq",  # noqa: S608 - a column of ours
            {"value": after[:64], "seq": seq},
        )
    ]
    if after[:64] == before:
        return
    found = _found(trail, done)
    assert found == Break(seq, Fault.EDITED)


@many
@given(
    seq=numbers,
    change=st.sampled_from(
        ["at = '2020-01-01 00:00:00'", "count = 7", "outcome = 'failed'", "came_from = ''"]
    ),
)
def test_another_value_is_found(trail: Store, seq: int, change: str) -> None:
    statement = f"UPDATE audit_event SET {change} WHERE seq = :seq"  # noqa: S608 - from above
    done = [(statement, {"seq": seq})]
    assert _found(trail, done) == Break(seq, Fault.EDITED)


@many
@given(gone=st.sets(numbers, min_size=1, max_size=LENGTH))
def test_removed_events_are_found(trail: Store, gone: set[int]) -> None:
    done = [("DELETE FROM audit_event WHERE seq = :seq", {"seq": seq}) for seq in gone]
    left = set(range(1, LENGTH + 1)) - gone
    first = min(gone)
    fault = Fault.MISSING if any(seq > first for seq in left) else Fault.CUT
    assert _found(trail, done) == Break(first, fault)


@many
@given(gone=st.sets(numbers, min_size=1, max_size=3))
def test_removed_events_are_found_though_the_rest_moved_up(trail: Store, gone: set[int]) -> None:
    done = [("DELETE FROM audit_event WHERE seq = :seq", {"seq": seq}) for seq in gone]
    for seq in range(1, LENGTH + 1):
        up = sum(each < seq for each in gone)
        if seq not in gone and up:
            move = "UPDATE audit_event SET seq = seq - :up WHERE seq = :seq"
            done.append((move, {"up": up, "seq": seq}))
    found = _found(trail, done)
    assert found is not None
    assert found.seq == min(gone)


@many
@given(pair=st.tuples(numbers, numbers).filter(lambda pair: pair[0] < pair[1]))
def test_swapped_events_are_found(trail: Store, pair: tuple[int, int]) -> None:
    move = "UPDATE audit_event SET seq = :to WHERE seq = :seq"
    first, second = pair
    done = [
        (move, {"seq": first, "to": 1_000}),
        (move, {"seq": second, "to": first}),
        (move, {"seq": 1_000, "to": second}),
    ]
    assert _found(trail, done) == Break(first, Fault.EDITED)


@many
@given(left=st.integers(0, LENGTH - 1))
def test_a_cut_end_is_found_by_the_head_outside(trail: Store, left: int) -> None:
    done = [("DELETE FROM audit_event WHERE seq > :left", {"left": left})]
    assert _found(trail, done) == Break(left + 1, Fault.CUT)


def test_a_chain_that_was_computed_anew_is_found_by_the_head_outside(trail: Store) -> None:
    head = _hash_of(trail, LENGTH)
    with trail.write() as session:
        session.execute(text("DELETE FROM audit_event"))
    with trail.write() as session:
        for number in range(LENGTH):
            audit.append_event(
                session,
                actor_id=None,
                role=None,
                action=f"other.{number}",
                outcome=Outcome.SUCCESS,
                at=AT,
                app_version="0.1",
            )
    with trail.read() as session:
        assert check_chain(session, {}).broken is None
        assert check_chain(session, {LENGTH: head}).broken == Break(LENGTH, Fault.REWRITTEN)


@pytest.mark.parametrize("store", ["sqlite"], indirect=True)  # PostgreSQL would take none of them
def test_a_value_that_no_event_can_hold_is_found(trail: Store) -> None:
    for change in ("at = 'yesterday'", "count = 'many'", "action = x'00ff'"):
        done: list[tuple[str, dict[str, Any]]] = [
            ("PRAGMA ignore_check_constraints = 1", {}),
            (f"UPDATE audit_event SET {change} WHERE seq = 3", {}),  # noqa: S608 - from above
        ]
        assert _found(trail, done) == Break(3, Fault.EDITED)


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines(keepends=True)


@pytest.fixture
def heads(tmp_path: Path) -> Heads:
    kept = Heads(tmp_path / "heads", KEY)
    for number in range(1, 5):
        kept.append(AT + timedelta(hours=number), number * 10, f"{number:064d}")
    return kept


def test_heads_are_read_as_they_were_written(heads: Heads, tmp_path: Path) -> None:
    assert [(head.seq, head.hash) for head in heads.read()] == [
        (number * 10, f"{number:064d}") for number in range(1, 5)
    ]
    assert heads.path.stat().st_mode & 0o777 == 0o600
    copy = Path(shutil.copy(heads.path, tmp_path / "copy"))
    assert Heads(tmp_path / "none", KEY).read(copy) == heads.read()
    assert Heads(tmp_path / "none", KEY).read() == []


@many
@given(line=st.integers(0, 3), data=st.data())
def test_a_changed_line_of_heads_is_found(heads: Heads, line: int, data: st.DataObject) -> None:
    lines = _lines(heads.path)
    place = data.draw(st.integers(0, len(lines[line]) - 2))
    letter = data.draw(st.sampled_from("0123456789abcdef"))
    changed = lines[line][:place] + letter + lines[line][place + 1 :]
    if changed == lines[line]:
        return
    heads.path.write_text("".join([*lines[:line], changed, *lines[line + 1 :]]))
    try:
        with pytest.raises(HeadsDamagedError) as refusal:
            heads.read()
        assert refusal.value.line == line + 1
    finally:
        heads.path.write_text("".join(lines))


@pytest.mark.parametrize("gone", [0, 1, 2])
def test_a_removed_line_of_heads_is_found_and_nothing_is_added(heads: Heads, gone: int) -> None:
    lines = _lines(heads.path)
    del lines[gone]
    heads.path.write_text("".join(lines))
    with pytest.raises(HeadsDamagedError):
        heads.append(AT, 50, "5" * 64)
    assert _lines(heads.path) == lines


def test_a_line_under_another_key_is_found(heads: Heads) -> None:
    Heads(heads.path.with_name("foreign"), b"other" * 8).append(AT, 1, FIRST_MAC)
    with pytest.raises(HeadsDamagedError):
        heads.read(heads.path.with_name("foreign"))
