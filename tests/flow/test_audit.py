"""The audit trail from the command line and over HTTP."""

import csv
import io
import json
import sqlite3
from pathlib import Path

import pytest

from storage.vocabulary import Role
from tests.flow.place import Place
from tests.flow.terminal import Overread
from webapp.auth.routes import API


@pytest.fixture
def installed(overread: Overread) -> Overread:
    overread("init", "--password-stdin", stdin="a password for a test\n")
    overread(
        "users", "add", "ada", "--role", "reader", "--password-stdin", stdin="another one 12\n"
    )
    overread("users", "list")
    return overread


def _tamper(folder: Path, *statements: str) -> None:
    with sqlite3.connect(folder / "overread.db") as database:
        for name in ("update", "delete"):
            database.execute(f"DROP TRIGGER audit_event_no_{name}")
        for statement in statements:
            database.execute(statement)
    database.close()


def test_verify_is_content_with_what_nobody_touched(installed: Overread) -> None:
    ran = installed("audit", "verify", "--json")

    assert ran.code == 0
    assert (ran.json["whole"], ran.json["first_bad"], ran.json["events"]) == (True, None, 4)


def test_verify_names_an_edited_event_and_fails(installed: Overread, tmp_path: Path) -> None:
    _tamper(tmp_path / "data", "UPDATE audit_event SET outcome = 'refused' WHERE seq = 2")

    ran = installed("audit", "verify")

    assert ran.code == 1
    assert "Event 2 is the first bad one: edited." in ran.out


def test_export_writes_a_new_private_file(installed: Overread, tmp_path: Path) -> None:
    out = tmp_path / "trail.csv"
    ran = installed("audit", "export", "--format", "csv", "--out", str(out), "--json")
    again = installed("audit", "export", "--format", "csv", "--out", str(out))
    nobody = installed(
        "audit", "export", "--format", "fhir", "--out", str(tmp_path / "x"), "--person", "nobody"
    )

    rows = list(csv.DictReader(io.StringIO(out.read_text(), newline="")))
    assert ran.json["events"] == len(rows) == 4
    assert [row["action"] for row in rows][:2] == ["person.first_ensured", "person.added"]
    assert {row["via"] for row in rows} == {"cli"}
    assert out.stat().st_mode & 0o777 == 0o600
    assert (again.code, nobody.code) == (1, 1)
    assert "cannot be written" in again.err
    assert not (tmp_path / "x").exists()


async def test_the_trail_over_http_is_the_administrators(place: Place) -> None:
    async with place.program(Role.ADMIN) as admin, place.program(Role.ADJUDICATOR) as other:
        first = (await admin.get(f"{API}/audit", params={"limit": 2})).json()
        second = (
            await admin.get(f"{API}/audit", params={"limit": 2, "cursor": first["next"]})
        ).json()
        exported = await admin.get(
            f"{API}/audit/export", params={"format": "fhir", "action": "person.added"}
        )
        refused = [(await other.get(f"{API}/audit{more}")).status_code for more in ("", "/export")]
        wrong = await admin.get(f"{API}/audit/export", params={"format": "pdf"})

    ids = [int(event["id"]) for event in (*first["items"], *second["items"])]
    assert ids == sorted(ids, reverse=True)
    assert len(set(ids)) == 4
    assert refused == [403, 403]
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (422, "invalid_request")
    assert exported.headers["content-disposition"] == 'attachment; filename="overread-audit.ndjson"'
    assert exported.headers["x-content-type-options"] == "nosniff"
    assert exported.headers["content-type"] == "application/fhir+ndjson"
    assert exported.headers["cache-control"] == "no-store"
    resources = [json.loads(line) for line in exported.text.splitlines()]
    assert len(resources) == 3
    assert {resource["agent"][0]["who"]["display"] for resource in resources} == {"admin"}
