"""The worker's log: one JSON object a line, and nothing that was not given on purpose.

Names of events, numbers and ids only; a question's or an answer's text never reaches a logger.
"""

import json
import logging
import sys

ALLOWED = frozenset(
    {
        "cached_tokens", "completion_tokens", "error", "family", "finish_reason",
        "first_token_ms", "model", "needed_gb", "free_gb", "port", "prompt_tokens", "quantize",
        "queue_ms", "reason", "running", "queued", "seconds", "tokens_per_second", "total_ms",
    }
)  # fmt: skip


class EventFormatter(logging.Formatter):
    """Drops every `extra` key that is not allowed, and the text of every exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Render event name, level, logger and the allowed fields."""
        fields = {key: value for key, value in record.__dict__.items() if key in ALLOWED}
        event = {"level": record.levelname, "logger": record.name, "event": record.msg, **fields}
        if record.exc_info and record.exc_info[0]:
            event["error"] = record.exc_info[0].__name__
        return json.dumps(event)


def configure_logs() -> None:
    """Send our own events, and other libraries' warnings by name only, to standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(EventFormatter())
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("inference").setLevel(logging.INFO)
    logging.getLogger("bitsandbytes").setLevel(logging.ERROR)  # a warning a layer and a token
