"""How the events of an answer are told, over HTTP and in a terminal alike."""

from dataclasses import asdict
from typing import Any

from webapp.services.views import (
    AskEvent,
    BatteryDoneEvent,
    BatteryErrorEvent,
    BatteryEvent,
    BatteryResultEvent,
    DoneEvent,
    DraftView,
    FlagEvent,
    TokenEvent,
)


def told(event: AskEvent | BatteryEvent) -> tuple[str, dict[str, Any]]:
    """Return an event's name and data."""
    match event:
        case TokenEvent(text):
            return "token", {"text": text}
        case FlagEvent(flag):
            return "flag", dict(flag)
        case DoneEvent(draft):
            return "done", _draft(draft)
        case BatteryResultEvent(question, draft, replayed):
            return "result", {
                **_draft(draft),
                "question": asdict(question),
                "replayed": replayed,
            }
        case BatteryErrorEvent(question, code, message):
            return "error", {"question": asdict(question), "code": code, "message": message}
        case BatteryDoneEvent():
            return "done", asdict(event)


def _draft(draft: DraftView) -> dict[str, Any]:
    return {
        "draft_id": str(draft.id),
        "text": draft.shown_text,
        "finish_reason": draft.finish_reason.value,
        "flags": [dict(flag) for flag in draft.flags],
        "choices": None if draft.choices is None else dict(draft.choices),
        "consistency": None if draft.consistency is None else dict(draft.consistency),
        "sentences": [{"index": s.index, "text": s.text} for s in draft.sentences],
        "notice": draft.notice,
    }
