"""To whom Gradio's session hashes and event ids belong.

A browser tab picks its own session hash, and Gradio hands state, results and running events
to whoever names the hash or an event's id. Here the first person to use one owns it; for
everybody else it does not exist. Kept in memory, like the state it protects.
"""

import json
import re
from collections import OrderedDict
from dataclasses import dataclass, field
from threading import Lock
from typing import Final
from urllib.parse import parse_qs
from uuid import UUID

from starlette.types import Message, Receive, Scope, Send

from webapp.auth.bodies import read_ahead
from webapp.auth.page_streams import PageStreams

KEPT_FOR_EACH_PERSON: Final = 2_000
LONGEST_ID: Final = 128
LONGEST_ANSWER: Final = 4_096  # bytes; longer ones carry results, not ids
HEARTBEAT: Final = re.compile(r"/heartbeat/([^/]+)$")


@dataclass(slots=True)
class PageSessions:
    """Owners of session hashes and event ids; a person's oldest are forgotten first."""

    streams: PageStreams = field(default_factory=PageStreams)
    _owners: dict[str, UUID] = field(default_factory=dict)
    _ids_of: dict[UUID, OrderedDict[str, None]] = field(default_factory=dict)
    _lock: Lock = field(default_factory=Lock)

    def claim(self, identifier: str, person: UUID) -> bool:
        """Bind `identifier` to `person` unless somebody has it; return whether it is theirs."""
        if not 0 < len(identifier) <= LONGEST_ID:
            return False
        with self._lock:
            if self._owners.setdefault(identifier, person) != person:
                return False
            ids = self._ids_of.setdefault(person, OrderedDict())
            ids[identifier] = None
            ids.move_to_end(identifier)
            if len(ids) > KEPT_FOR_EACH_PERSON:
                oldest, _ = ids.popitem(last=False)
                del self._owners[oldest]
            return True

    def owns(self, identifier: str, person: UUID) -> bool:
        """Whether `person` claimed `identifier` before."""
        with self._lock:
            return self._owners.get(identifier) == person


async def bind(
    sessions: PageSessions, person: UUID, scope: Scope, receive: Receive, send: Send
) -> tuple[Receive, Send] | None:
    """Check every id a page's call names against its owner, and learn the ids it is given.

    Returns:
        `receive` and `send` to go on with; None when an id is somebody else's or unreadable.
    """
    query = parse_qs(scope["query_string"].decode("latin-1"), keep_blank_values=True)
    hashes = query.get("session_hash", [])
    if (path := HEARTBEAT.search(scope["path"])) is not None:
        hashes.append(path[1])
    events: list[str] = []
    if scope["method"] == "POST":
        body, receive = await read_ahead(receive)
        named = _ids_in(body)
        if named is None:
            return None
        hashes += named[0]
        events += named[1]
        send = _learning(sessions, person, scope, send)
    ours = all(sessions.claim(each, person) for each in hashes) and all(
        sessions.owns(each, person) for each in events
    )
    return sessions.streams.in_step(scope["path"], hashes, receive, send) if ours else None


def _ids_in(body: bytes) -> tuple[list[str], list[str]] | None:
    """Return the session hashes and event ids in a call's JSON; None when it is not readable."""
    try:
        content = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(content, dict):
        return None
    found: tuple[list[str], list[str]] = ([], [])
    for name, ids in zip(("session_hash", "event_id"), found, strict=True):
        match content.get(name):
            case str(identifier):
                ids.append(identifier)
            case None:
                pass
            case _:
                return None
    return found


def _learning(sessions: PageSessions, person: UUID, scope: Scope, send: Send) -> Send:
    """Wrap `send` so that an event id in the answer is bound to `person` before it leaves."""
    # an answer must stay readable: compression is asked off for these few bytes
    scope["headers"] = [pair for pair in scope["headers"] if pair[0] != b"accept-encoding"]
    answer = b""

    async def learn(message: Message) -> None:
        nonlocal answer
        if message["type"] == "http.response.body" and len(answer) <= LONGEST_ANSWER:
            answer += message.get("body", b"")
            if not message.get("more_body", False):
                named = _ids_in(answer)
                for identifier in named[1] if named else []:
                    sessions.claim(identifier, person)
        await send(message)

    return learn
