"""The trail in other people's words: FHIR R4 AuditEvent with DICOM's codes, and CSV.

One table says for every action which audit message of DICOM PS3.15 A.5 it is, with which event
type code of PS3.16, and whether it created, read, updated, deleted or executed. The same table
stands in `docs/audit.md`; a test holds them together.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import astuple, dataclass, fields
from datetime import UTC
from typing import Any, Final

from storage.vocabulary import Outcome
from webapp.services.policy import Action
from webapp.services.views import EventView

FHIR: Final = "fhir"
CSV: Final = "csv"
DCM: Final = "http://dicom.nema.org/resources/ontology/DCM"
OURS: Final = "urn:overread:audit"
OUTCOMES: Final = {Outcome.SUCCESS: "0", Outcome.REFUSED: "4", Outcome.FAILED: "8"}
FORMULA_STARTS: Final = ("=", "+", "-", "@", "\t", "\r", "\n")

MESSAGES: Final[Mapping[str, str]] = {
    "110100": "Application Activity",
    "110101": "Audit Log Used",
    "110103": "DICOM Instances Accessed",
    "110106": "Export",
    "110107": "Import",
    "110110": "Patient Record",
    "110112": "Query",
    "110113": "Security Alert",
    "110114": "User Authentication",
}
SUBTYPES: Final[Mapping[str, str]] = {
    "110120": "Application Start",
    "110121": "Application Stop",
    "110122": "Login",
    "110123": "Logout",
    "110129": "Security Configuration",
    "110132": "Use of Restricted Function",
    "110135": "Object Security Attributes Changed",
    "110137": "User security Attributes Changed",
}


@dataclass(frozen=True, slots=True)
class Kind:
    """An action in DICOM's and FHIR's codes."""

    message: str  # of MESSAGES
    does: str  # C, R, U, D or E
    subtype: str = ""  # of SUBTYPES


_RECORD_MADE: Final = Kind("110110", "C")
_RECORD_READ: Final = Kind("110110", "R")
_PEOPLE: Final = "110137"
KINDS: Final[Mapping[Action, Kind]] = {
    Action.LIST_CASES: Kind("110112", "E"),
    Action.CLAIM_CASE: Kind("110103", "R"),
    Action.OPEN_CASE: Kind("110103", "R"),
    Action.OPEN_IMAGE: Kind("110103", "R"),
    Action.COMMIT_OWN_READ: _RECORD_MADE,
    Action.SAVE_PROGRESS: Kind("110110", "U"),
    Action.OPEN_PROGRESS: _RECORD_READ,
    Action.ASK: _RECORD_MADE,
    Action.STORE_DRAFT: _RECORD_MADE,
    Action.OPEN_DRAFT: _RECORD_READ,
    Action.REVIEW: _RECORD_MADE,
    Action.OPEN_REVIEWS: _RECORD_READ,
    Action.OPEN_OTHERS_REVIEWS: _RECORD_READ,
    Action.LIST_COLLECTIONS: Kind("110112", "E"),
    Action.ENSURE_COLLECTION: Kind("110113", "C", "110135"),
    Action.ADD_MEMBER: Kind("110113", "U", "110135"),
    Action.REMOVE_MEMBER: Kind("110113", "U", "110135"),
    Action.LIST_MEMBERS: Kind("110112", "E"),
    Action.UPLOAD: Kind("110107", "C"),
    Action.SEARCH_PIXELS: Kind("110103", "U"),
    Action.ATTEST: Kind("110103", "U"),
    Action.EXPORT_STUDY: Kind("110106", "R"),
    Action.EXPORT: Kind("110106", "C"),
    Action.OPEN_EXPORT: Kind("110106", "R"),
    Action.LIST_MODELS: Kind("110112", "E"),
    Action.SIGN_IN: Kind("110114", "E", "110122"),
    Action.SIGN_OUT: Kind("110114", "E", "110123"),
    Action.TAKE_ROLE: Kind("110113", "U", _PEOPLE),
    Action.LOSE_ROLE: Kind("110113", "U", _PEOPLE),
    Action.ENSURE_FIRST_ACCOUNT: Kind("110113", "C", _PEOPLE),
    Action.CHANGE_OWN_PASSWORD: Kind("110113", "U", _PEOPLE),
    Action.CREATE_TOKEN: Kind("110113", "C", _PEOPLE),
    Action.LIST_TOKENS: Kind("110112", "E"),
    Action.REVOKE_TOKEN: Kind("110113", "U", _PEOPLE),
    Action.MANAGE_OTHERS_TOKENS: Kind("110113", "U", _PEOPLE),
    Action.ADD_PERSON: Kind("110113", "C", _PEOPLE),
    Action.LIST_PEOPLE: Kind("110112", "E"),
    Action.DISABLE_PERSON: Kind("110113", "U", _PEOPLE),
    Action.ENABLE_PERSON: Kind("110113", "U", _PEOPLE),
    Action.CHANGE_ROLE: Kind("110113", "U", _PEOPLE),
    Action.RESET_PASSWORD: Kind("110113", "U", _PEOPLE),
    Action.END_SESSIONS: Kind("110113", "U", _PEOPLE),
    Action.OPEN_HEALTH: Kind("110112", "E"),
    Action.REQUEST: Kind("110113", "E", "110132"),
    Action.START: Kind("110100", "E", "110120"),
    Action.STOP: Kind("110100", "E", "110121"),
    Action.KEEP_HEAD: Kind("110101", "R"),
    Action.OPEN_AUDIT: Kind("110101", "R"),
    Action.EXPORT_AUDIT: Kind("110101", "R"),
    Action.VERIFY_AUDIT: Kind("110101", "R"),
    Action.ROTATE_KEYS: Kind("110113", "U", "110129"),
    Action.SHOW_KEYS: Kind("110113", "R", "110129"),
    Action.BACK_UP: Kind("110106", "R"),
    Action.RESTORE: Kind("110107", "C"),
}


def as_fhir(events: Iterable[EventView]) -> Iterator[str]:
    """Yield one AuditEvent a line."""
    for event in events:
        yield json.dumps(audit_event(event), separators=(",", ":"), ensure_ascii=False) + "\n"


def audit_event(event: EventView) -> dict[str, Any]:
    """Return an event as a FHIR R4 AuditEvent."""
    kind = KINDS.get(Action(event.action)) if event.action in set(Action) else None
    message = "110113" if kind is None else kind.message
    subtypes = [{"system": f"{OURS}:action", "code": event.action}]
    if kind is not None and kind.subtype:
        subtypes.insert(0, _coding(kind.subtype, SUBTYPES))
    resource: dict[str, Any] = {
        "resourceType": "AuditEvent",
        "id": f"overread-{event.id}",
        "type": _coding(message, MESSAGES),
        "subtype": subtypes,
        "action": "E" if kind is None else kind.does,
        "recorded": event.at.astimezone(UTC).isoformat(timespec="milliseconds"),
        "outcome": OUTCOMES[event.outcome],
        "agent": [_agent(event)],
        "source": {"observer": {"display": f"Overread {event.app_version}"}},
        "entity": [*_thing(event), _chain(event)],
    }
    if event.code:
        resource["outcomeDesc"] = event.code
    return resource


def _coding(code: str, names: Mapping[str, str]) -> dict[str, str]:
    return {"system": DCM, "code": code, "display": names[code]}


def _agent(event: EventView) -> dict[str, Any]:
    agent: dict[str, Any] = {"requestor": True}
    if event.person_id is None:
        agent["who"] = {"display": "nobody signed in"}
    else:
        identifier = {"system": f"{OURS}:person", "value": str(event.person_id)}
        agent["who"] = {"identifier": identifier, "display": event.person}
    if event.role:
        agent["role"] = [{"coding": [{"system": f"{OURS}:role", "code": event.role}]}]
    if event.via:
        agent["type"] = {"coding": [{"system": f"{OURS}:via", "code": event.via}]}
    if event.came_from:
        agent["network"] = {"address": event.came_from}
    return agent


def _thing(event: EventView) -> list[dict[str, Any]]:
    if not event.object_type:
        return []
    what = {"identifier": {"system": f"{OURS}:{event.object_type}", "value": event.object_id}}
    kind = {"system": f"{OURS}:object", "code": event.object_type}
    return [{"what": what, "type": kind} if event.object_id else {"type": kind}]


def _chain(event: EventView) -> dict[str, Any]:
    details = {
        "count": str(event.count),
        "request_id": event.request_id,
        "previous_hash": event.previous_hash,
        "hash": event.hash,
    }
    return {
        "type": {"system": f"{OURS}:object", "code": "audit-event"},
        "what": {"identifier": {"system": f"{OURS}:seq", "value": event.id}},
        "detail": [{"type": k, "valueString": v} for k, v in details.items() if v],
    }


def as_csv(events: Iterable[EventView]) -> Iterator[str]:
    """Yield a header and one line an event; no cell begins like a formula of a spreadsheet."""
    yield _line([column.name for column in fields(EventView)])
    for event in events:
        yield _line([_cell(value) for value in astuple(event)])


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = value.isoformat() if hasattr(value, "isoformat") else str(value)
    return f"'{text}" if text.startswith(FORMULA_STARTS) else text


def _line(cells: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()
