"""Use cases on the trail itself: look at it, take it out, verify it.

Each leaves its own event, like everything else; that event is not in what it tells of.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Final
from uuid import UUID

from sqlmodel import Session

from storage.accounts import people
from storage.audit_check import Fault, check_chain
from storage.audit_heads import Head, Heads
from storage.audit_query import Wanted, every_event, has_event, page_of_events
from storage.engine import Store
from storage.errors import HeadsDamagedError, NotFoundError
from storage.tables import AuditEvent
from storage.vocabulary import Outcome
from webapp.services import inputs
from webapp.services.actor import Actor
from webapp.services.audit_formats import CSV, FHIR, as_csv, as_fhir
from webapp.services.errors import InvalidRequestError
from webapp.services.policy import Action
from webapp.services.rates import Paced, Rates
from webapp.services.trail import Trail
from webapp.services.views import EventView, Page
from webapp.services.work import use_case

MAX_PAGE: Final = 200
DAY: Final = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Filters:
    """Which events, as a person asks for them; what is empty is not asked."""

    person: str | None = None  # an account's name or id
    action: str | None = None
    outcome: str | None = None
    since: str | None = None  # a day, or an instant with its offset
    until: str | None = None  # a day, which is included, or an instant, which is not


@dataclass(frozen=True, slots=True)
class VerifiedView:
    """What a walk along the chain found; `whole` when there is nothing to worry about."""

    whole: bool
    events: int  # that fit, from the first on
    head: str
    first_bad: int | None
    fault: Fault | None
    heads: int  # lines that were compared
    last_head_at: datetime | None
    heads_fault: str  # empty, "missing" or the sentence that says what is wrong


@dataclass(frozen=True, slots=True)
class Auditing:
    """The trail, for those who answer for it."""

    store: Store
    now: Callable[[], datetime]
    trail: Trail
    rates: Rates = field(default_factory=Rates)

    def page(
        self,
        actor: Actor | None,
        filters: Filters = Filters(),
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page[EventView]:
        """Return events, newest first.

        Args:
            actor: Who asks.
            filters: Which ones.
            cursor: `next` of the page before.
            limit: 1 to 200.

        Raises:
            NotFoundError: there is no such account.
            InvalidRequestError: a filter, cursor or limit that does not exist.
        """
        with use_case(self, actor, Action.OPEN_AUDIT, ("audit", "")) as work:
            if not 1 <= limit <= MAX_PAGE:
                raise InvalidRequestError(f"A page has 1 to {MAX_PAGE} events.")
            names = _names(work.session)
            found = page_of_events(
                work.session,
                _wanted(filters, names),
                before=None if cursor is None else _number(cursor),
                limit=limit + 1,
            )
            items = tuple(_view(event, names) for event in found[:limit])
            return Page(items, items[-1].id if len(found) > limit else None)

    def export(
        self,
        actor: Actor | None,
        format: str,
        filters: Filters = Filters(),
    ) -> Iterator[str]:
        """Return the events, oldest first, as lines of FHIR NDJSON or of CSV.

        They are read from one snapshot while the lines are taken.

        Raises:
            NotFoundError: there is no such account.
            InvalidRequestError: a format or filter that does not exist.
        """
        with use_case(self, actor, Action.EXPORT_AUDIT, ("audit", format[:64])) as work:
            self.rates.check(work.actor, Paced.EXPORTS)
            if format not in {FHIR, CSV}:
                work.about = ("audit", "")
                raise InvalidRequestError(f"The format is one of {FHIR}, {CSV}.")
            names = _names(work.session)
            wanted = _wanted(filters, names)
        put = as_fhir if format == FHIR else as_csv
        return put(self._events(wanted, names))

    def verify(self, actor: Actor | None, heads_file: Path | None = None) -> VerifiedView:
        """Walk along the whole chain and compare it with the heads kept outside.

        Args:
            actor: Who asks.
            heads_file: A copy of the file with the heads, instead of the installation's own.

        Raises:
            NotFoundError: there is no such copy.
        """
        with use_case(self, actor, Action.VERIFY_AUDIT, ("audit", "")):
            if heads_file is not None and not heads_file.is_file():
                raise NotFoundError("file")
        return verified(self.store, self.trail.heads, heads_file)

    def _events(self, wanted: Wanted, names: Mapping[UUID, str]) -> Iterator[EventView]:
        with self.store.read() as session:
            for event in every_event(session, wanted):
                yield _view(event, names)


def verified(store: Store, kept: Heads, copy: Path | None = None) -> VerifiedView:
    """Walk along the whole chain and compare it with the heads kept outside; writes nothing.

    Args:
        store: Where the trail is.
        kept: The installation's own heads.
        copy: A copy of their file, to be read instead.
    """
    heads: list[Head] = []
    fault = ""
    try:
        heads = kept.read(copy)
    except HeadsDamagedError as damage:
        fault = str(damage)
    with store.read() as session:
        checked = check_chain(session, {head.seq: head.hash for head in heads})
        if not heads and not fault and has_event(session, Action.KEEP_HEAD):
            fault = "missing"
    broken = checked.broken
    return VerifiedView(
        whole=broken is None and not fault,
        events=checked.events,
        head=checked.head,
        first_bad=None if broken is None else broken.seq,
        fault=None if broken is None else broken.fault,
        heads=len(heads),
        last_head_at=heads[-1].at if heads else None,
        heads_fault=fault,
    )


def _names(session: Session) -> dict[UUID, str]:
    return {person.id: person.name for person in people(session)}


def _wanted(filters: Filters, names: Mapping[UUID, str]) -> Wanted:
    person_id = None
    if filters.person:
        asked = filters.person.strip().lower()
        person_id = next((i for i, name in names.items() if asked in {name, str(i)}), None)
        if person_id is None:
            raise NotFoundError("account")
    return Wanted(
        person_id=person_id,
        action=inputs.word(filters.action, Action, "action") if filters.action else None,
        outcome=inputs.word(filters.outcome, Outcome, "outcome") if filters.outcome else None,
        since=_moment(filters.since) if filters.since else None,
        until=_moment(filters.until, after=DAY) if filters.until else None,
    )


def _moment(text: str, after: timedelta = timedelta()) -> datetime:
    """Read a day, to which `after` is added, or an instant."""
    try:
        if len(text) == len("2026-01-01"):
            return datetime.combine(date.fromisoformat(text), time(), UTC) + after
        return inputs.instant(text)
    except (ValueError, OverflowError):
        raise InvalidRequestError(
            "A time is a day such as 2026-01-31, or an instant with its offset, such as Z."
        ) from None


def _number(cursor: str) -> int:
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) <= 18):
        raise InvalidRequestError("This page does not exist; start from the first one.")
    return int(cursor)


def _view(event: AuditEvent, names: Mapping[UUID, str]) -> EventView:
    return EventView(
        id=str(event.seq),
        at=event.at,
        person_id=event.actor_id,
        person="" if event.actor_id is None else names.get(event.actor_id, ""),
        role=event.role,
        via=event.via,
        came_from=event.came_from,
        action=event.action,
        object_type=event.object_type,
        object_id=event.object_id,
        outcome=event.outcome,
        code=event.code,
        count=event.count,
        request_id=event.request_id,
        app_version=event.app_version,
        previous_hash=event.previous_hash,
        hash=event.hash,
    )
