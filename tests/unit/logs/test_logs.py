"""What may stand in a log line, and what may not."""

import ast
import json
import logging
import sys
from pathlib import Path
from typing import Any

from webapp.logs import ALLOWED, EventFormatter

REPO = Path(__file__).parents[3]


def _line(record: logging.LogRecord) -> dict[str, Any]:
    line = EventFormatter().format(record)
    assert "\n" not in line
    parsed: dict[str, Any] = json.loads(line)
    return parsed


def _record(name: str, message: str, **extra: object) -> logging.LogRecord:
    record = logging.makeLogRecord({"name": name, "msg": message, "levelname": "INFO"})
    record.__dict__.update(extra)
    return record


def test_an_event_carries_its_allowed_fields() -> None:
    line = _line(_record("webapp.auth.gate", "http.request", route="/login", status=201))

    assert line["event"] == "http.request"
    assert (line["route"], line["status"], line["level"]) == ("/login", 201, "info")


def test_a_field_outside_the_list_is_named_and_its_value_dropped() -> None:
    line = _line(_record("webapp.x", "case.opened", patient="DOE^JANE"))

    assert line["dropped"] == ["patient"]
    assert "DOE" not in json.dumps(line)


def test_a_sentence_instead_of_an_event_name_is_not_kept() -> None:
    assert _line(_record("webapp.x", "opened case of DOE^JANE"))["event"] == "unnamed"


def test_another_librarys_record_keeps_only_where_it_came_from() -> None:
    line = _line(_record("pydicom", "bad.value", status="DOE^JANE"))

    assert (line["logger"], line["event"]) == ("pydicom", "unnamed")
    assert "DOE" not in json.dumps(line)


def test_every_field_that_our_code_logs_is_on_the_list() -> None:
    given = {
        key.value
        for package in ("webapp", "storage")
        for path in (REPO / package).rglob("*.py")
        if "node_modules" not in path.parts
        for call in ast.walk(ast.parse(path.read_text()))
        if isinstance(call, ast.Call)
        for keyword in call.keywords
        if keyword.arg == "extra" and isinstance(keyword.value, ast.Dict)
        for key in keyword.value.keys
        if isinstance(key, ast.Constant)
    }

    assert given <= ALLOWED
    assert given >= {"route", "restarts"}  # the walk sees them


def test_an_exception_keeps_class_and_place_but_not_its_text() -> None:
    try:
        raise ValueError("DOE^JANE")
    except ValueError:
        record = _record("webapp.x", "import.failed", exc_info=sys.exc_info())

    line = _line(record)

    assert line["error"] == "ValueError"
    assert line["stack"][0].startswith("test_an_exception_keeps_class_and_place")
    assert "DOE" not in json.dumps(line)
