"""Looking at the trail, taking it out, and verifying it."""

import csv
import io
import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from storage.audit_check import Fault
from storage.errors import NotFoundError
from storage.vocabulary import Outcome, Role
from tests.unit.services.world import World, done, on_both_databases, refused
from webapp.services.audit_formats import KINDS, MESSAGES, SUBTYPES, as_csv, audit_event
from webapp.services.auditing import Auditing, Filters
from webapp.services.collections import Collections
from webapp.services.errors import InvalidRequestError, NotAllowedError, NotSignedInError
from webapp.services.policy import Action
from webapp.services.trail import Attempt
from webapp.services.views import EventView

DOCS = Path(__file__).parents[3] / "docs" / "audit.md"


@pytest.fixture
def auditing(world: World) -> Auditing:
    return Auditing(world.store, world.clock, world.trail())


def _read(world: World, times: int, role: Role = Role.READER, name: str = "ada") -> None:
    reader = world.make_actor(role, name)
    for _ in range(times):
        Collections(world.store, world.clock).list(reader)
        world.clock.forward(hours=1)


@on_both_databases
def test_pages_go_back_in_time_without_gap_or_repeat(world: World) -> None:
    auditing = Auditing(world.store, world.clock, world.trail())
    _read(world, 7)
    admin = world.make_actor(Role.ADMIN)
    seen: list[str] = []
    cursor = None
    while True:
        page = auditing.page(admin, Filters(action="collections.listed"), cursor, limit=3)
        seen += [event.id for event in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert seen == ["7", "6", "5", "4", "3", "2", "1"]


def test_filters_narrow_by_person_action_outcome_and_day(world: World, auditing: Auditing) -> None:
    _read(world, 2)  # at noon and at one
    world.clock.forward(days=1)
    _read(world, 1, name="bob")
    auditing.trail.note(None, Attempt("not_signed_in", "r1", "192.0.2.0/24"))
    admin = world.make_actor(Role.ADMIN)

    def found(**given: str) -> list[tuple[str, str]]:
        return [(e.person, e.action) for e in auditing.page(admin, Filters(**given)).items]

    listed = "collections.listed"
    assert found(person="ADA") == [("ada", listed)] * 2
    assert found(action=listed, since="2026-11-23") == [("bob", listed)]
    assert found(action=listed, until="2026-11-22") == [("ada", listed)] * 2
    assert found(since="2026-11-22T13:00:00Z", until="2026-11-22T14:00:00Z") == [("ada", listed)]
    assert found(outcome="refused") == [("", "request.refused")]


@pytest.mark.parametrize(
    "filters",
    [
        Filters(action="nothing"),
        Filters(outcome="maybe"),
        Filters(since="yesterday"),
        Filters(until="2026-11-22T13:00:00"),
        Filters(until="9999-12-31"),
        Filters(since="9999-12-31T23:59:59-12:00"),
        Filters(until="0001-01-01T00:00:00+12:00"),
    ],
    ids=["action", "outcome", "since", "no offset", "beyond time", "after time", "before time"],
)
def test_a_filter_that_cannot_be_meant_is_refused(
    world: World, auditing: Auditing, filters: Filters
) -> None:
    admin = world.make_actor(Role.ADMIN)
    with pytest.raises(InvalidRequestError):
        auditing.page(admin, filters)
    with pytest.raises(InvalidRequestError):
        auditing.export(admin, "csv", filters)


@pytest.mark.parametrize("cursor", ["x", "-1", "１", "9" * 30, ""])
def test_a_cursor_that_was_never_given_is_refused(
    world: World, auditing: Auditing, cursor: str
) -> None:
    with pytest.raises(InvalidRequestError):
        auditing.page(world.make_actor(Role.ADMIN), cursor=cursor)


def test_only_administrators_and_each_look_leaves_its_event(
    world: World, auditing: Auditing
) -> None:
    reader, admin = world.make_actor(Role.READER), world.make_actor(Role.ADMIN)
    for call in (auditing.page, auditing.verify, lambda actor: auditing.export(actor, "fhir")):
        with pytest.raises(NotAllowedError):
            call(reader)
        with pytest.raises(NotSignedInError):
            call(None)
        call(admin)
    names = ["audit.opened", "audit.verified", "audit.exported"]
    assert world.events() == [
        event
        for name in names
        for event in (refused(name, "not_allowed"), refused(name, "not_signed_in"), done(name))
    ]
    with pytest.raises(NotFoundError):
        auditing.page(admin, Filters(person="nobody"))


def test_fhir_has_one_audit_event_a_line_with_dicoms_codes(
    world: World, auditing: Auditing
) -> None:
    _read(world, 1)
    auditing.trail.note(
        None, Attempt("sign_in_failed", "r1", "192.0.2.0/24", action=Action.SIGN_IN)
    )
    lines = list(auditing.export(world.make_actor(Role.ADMIN), "fhir"))

    first, second, _own = (json.loads(line) for line in lines)
    assert first["resourceType"] == "AuditEvent"
    assert first["recorded"] == "2026-11-22T12:00:00.000+00:00"
    assert (first["action"], first["outcome"]) == ("E", "0")
    assert first["type"]["code"] == "110112"
    assert first["agent"][0]["who"]["display"] == "ada"
    assert first["agent"][0]["requestor"] is True
    assert (second["type"]["code"], second["outcome"], second["outcomeDesc"]) == (
        "110114",
        "4",
        "sign_in_failed",
    )
    assert second["subtype"][0]["code"] == "110122"
    assert second["agent"][0]["who"] == {"display": "nobody signed in"}
    assert second["agent"][0]["network"] == {"address": "192.0.2.0/24"}
    for resource in (first, second):  # what R4 requires of an AuditEvent
        assert {"type", "recorded", "agent", "source"} <= resource.keys()
        assert resource["source"]["observer"]


def test_every_action_has_codes_and_the_document_shows_them() -> None:
    assert set(KINDS) == set(Action)
    table = "\n".join(
        f"| `{action.value}` | {kind.message} {MESSAGES[kind.message]} | "
        f"{f'{kind.subtype} {SUBTYPES[kind.subtype]}' if kind.subtype else ''} | {kind.does} |"
        for action, kind in KINDS.items()
    )
    assert table in DOCS.read_text(), table


EVENT = EventView(
    id="1",
    at=datetime(2026, 11, 22, tzinfo=UTC),
    person_id=None,
    person="",
    role="",
    via="",
    came_from="",
    action="person.signed_in",
    object_type="",
    object_id="",
    outcome=Outcome.SUCCESS,
    code="",
    count=1,
    request_id="",
    app_version="0.1",
    previous_hash="0" * 64,
    hash="1" * 64,
)


@pytest.mark.parametrize("name", ["=cmd|' /C calc'!A1", "+1", "-1", "@SUM(1)", "\t=1", "\r=1"])
def test_no_cell_of_the_csv_begins_like_a_formula(name: str) -> None:
    content = "".join(as_csv([replace(EVENT, person=name, object_id=name)]))
    header, row = csv.reader(io.StringIO(content, newline=""))
    found = dict(zip(header, row, strict=True))
    assert (found["person"], found["object_id"]) == (f"'{name}", f"'{name}")
    assert found["at"] == "2026-11-22T00:00:00+00:00"


def test_an_event_of_a_later_release_is_still_exported() -> None:
    resource = audit_event(replace(EVENT, action="thing.done"))
    assert resource["subtype"] == [{"system": "urn:overread:audit:action", "code": "thing.done"}]


def test_verify_names_the_first_bad_event(world: World, auditing: Auditing) -> None:
    _read(world, 3)
    admin = world.make_actor(Role.ADMIN)
    assert auditing.verify(admin).whole
    auditing.trail.keep_head()
    with world.store.write() as session:
        session.execute(text("DROP TRIGGER audit_event_no_update"))
        session.execute(text("UPDATE audit_event SET role = 'admin' WHERE seq = 2"))
    found = auditing.verify(admin)
    assert (found.whole, found.first_bad, found.fault) == (False, 2, Fault.EDITED)


def test_a_cut_end_is_found_by_the_heads_or_by_a_copy_of_them(
    world: World, auditing: Auditing, tmp_path: Path
) -> None:
    _read(world, 3)
    admin = world.make_actor(Role.ADMIN)
    heads = auditing.trail.heads
    assert auditing.trail.keep_head() is not None
    assert auditing.trail.keep_head() is None  # nothing new
    copy = tmp_path / "elsewhere"
    copy.write_bytes(heads.path.read_bytes())
    with world.store.write() as session:
        session.execute(text("DROP TRIGGER audit_event_no_delete"))
        session.execute(text("DELETE FROM audit_event WHERE seq >= 2"))
    found = auditing.verify(admin)  # whose own event is a new number 2
    assert (found.first_bad, found.fault) == (3, Fault.CUT)
    heads.path.unlink()
    assert auditing.verify(admin).first_bad is None
    assert auditing.verify(admin, copy).fault is Fault.REWRITTEN
    with pytest.raises(NotFoundError):
        auditing.verify(admin, tmp_path / "nothing")


def test_a_file_of_heads_that_is_gone_or_damaged_is_told(world: World, auditing: Auditing) -> None:
    _read(world, 1)
    admin = world.make_actor(Role.ADMIN)
    auditing.trail.keep_head()
    path = auditing.trail.heads.path
    kept = path.read_bytes()
    path.write_bytes(kept.replace(b'"seq": 1', b'"seq": 2'))
    damaged = auditing.verify(admin)
    path.unlink()
    gone = auditing.verify(admin)
    assert (damaged.whole, gone.whole) == (False, False)
    assert damaged.heads_fault.startswith("Line 1 ")
    assert gone.heads_fault == "missing"
