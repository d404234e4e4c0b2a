"""Structured logs that cannot carry what they were not given on purpose.

One JSON object a line on standard error. Our own records are events with a dotted name and
fields from an allow-list. Another library's record may hold anything a user typed, so only
its origin and level are kept; of an exception, its class and where it happened, never its text.
"""

import json
import logging
import re
import sys
import traceback
from datetime import UTC, datetime
from typing import Any, TextIO

ALLOWED = frozenset(
    {
        "code",
        "count",
        "files",
        "method",
        "milliseconds",
        "port",
        "request_id",
        "restarts",
        "route",
        "status",
    }
)
OURS = ("webapp", "inference", "storage")

_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {
    "asctime",
    "color_message",
    "message",
    "taskName",
}
_EVENT_NAME = re.compile(r"[a-z][a-z0-9_]*(\.[a-z0-9_]+)*")


class EventFormatter(logging.Formatter):
    """Render a record as one JSON object; `extra` keys outside `ALLOWED` are named, not shown."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line for `record`, without a line break inside."""
        event: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": self._event_name(record),
        }
        if record.name.split(".")[0] in OURS:
            event |= {k: v for k, v in record.__dict__.items() if k in ALLOWED}
            if dropped := sorted(set(record.__dict__) - _STANDARD - ALLOWED):
                event["dropped"] = dropped
        if record.exc_info and record.exc_info[0]:
            event["error"] = record.exc_info[0].__name__
            event["stack"] = [
                f"{frame.name}:{frame.lineno}"
                for frame in traceback.extract_tb(record.exc_info[2])[-12:]
            ]
        return json.dumps(event, default=str)

    @staticmethod
    def _event_name(record: logging.LogRecord) -> str:
        ours = record.name.split(".")[0] in OURS and isinstance(record.msg, str)
        return record.msg if ours and _EVENT_NAME.fullmatch(record.msg) else "unnamed"


def configure_logging(level: str, stream: TextIO | None = None) -> None:
    """Send every logger of the process through `EventFormatter`; call once, in `main`."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(EventFormatter())
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(logging.WARNING)
    for package in OURS:
        logging.getLogger(package).setLevel(level.upper())
    logging.captureWarnings(capture=True)
