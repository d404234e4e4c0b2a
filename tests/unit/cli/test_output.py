"""What commands print, for people and for programs."""

import json
from datetime import UTC, datetime
from uuid import UUID

import pytest

from storage.vocabulary import Role
from webapp.cli.output import Output, aligned, as_json
from webapp.services.views import PersonView

PERSON = PersonView(
    UUID(int=7), "rita", Role.READER, False, False, datetime(2026, 11, 22, 12, tzinfo=UTC)
)


def test_views_become_the_json_the_api_would_send() -> None:
    assert json.loads(as_json(PERSON)) == {
        "id": "00000000-0000-0000-0000-000000000007",
        "name": "rita",
        "role": "reader",
        "disabled": False,
        "must_change_password": False,
        "created_at": "2026-11-22T12:00:00Z",
        "open_sessions": 0,
        "has_password": True,
    }


def test_columns_stand_below_each_other() -> None:
    table = [("name", "role"), ("rita", "reader"), ("christopher", "admin")]

    assert aligned(table) == "name         role\nrita         reader\nchristopher  admin"


def test_a_table_does_not_move_the_cursor() -> None:
    table = [("name",), ("Chest\x1b[2J\x07\nB\u202eA\u200b",), ("Zürich 肺",)]

    assert aligned(table).split("\n") == [
        "name",
        "Chest\\x1b[2J\\x07\\nB\\u202eA\\u200b",
        "Zürich 肺",
    ]


def test_a_list_is_an_object_with_items(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=True).rows([{"id": 1}], [("id",), (1,)], "none")

    assert json.loads(capsys.readouterr().out) == {"items": [{"id": 1}], "next": None}


def test_an_empty_list_is_said_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=False).rows([], [("id",)], "There are none.")

    assert capsys.readouterr().out == "There are none.\n"


def test_a_refusal_is_found_wherever_it_is_looked_for(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=True).refusal("not_found", "There is no such case.")

    printed = capsys.readouterr()
    assert json.loads(printed.out) == {
        "error": {"code": "not_found", "message": "There is no such case."}
    }
    assert printed.err == "overread: There is no such case.\n"
