"""How the events of an answer are told, over HTTP and in a terminal alike."""

from typing import Any

from webapp.services.views import AskEvent, DoneEvent, FlagEvent, TokenEvent


def told(event: AskEvent) -> tuple[str, dict[str, Any]]:
    """Return an event's name and data."""
    match event:
        case TokenEvent(text):
            return "token", {"text": text}
        case FlagEvent(flag):
            return "flag", dict(flag)
        case DoneEvent(draft):
            return "done", {
                "draft_id": str(draft.id),
                "text": draft.shown_text,
                "finish_reason": draft.finish_reason.value,
                "flags": [dict(flag) for flag in draft.flags],
                "choices": None if draft.choices is None else dict(draft.choices),
                "consistency": None if draft.consistency is None else dict(draft.consistency),
                "sentences": [{"index": s.index, "text": s.text} for s in draft.sentences],
                "notice": draft.notice,
            }
