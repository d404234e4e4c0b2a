"""Audit: who did what, for administrators; filter it, read it, take it out as a file."""

from urllib.parse import urlencode

import gradio as gr

from storage.vocabulary import Outcome
from webapp.services.audit_formats import CSV, FHIR
from webapp.services.auditing import Filters
from webapp.services.bundle import Services
from webapp.services.policy import Action
from webapp.services.views import EventView
from webapp.ui import words
from webapp.ui.common import QUIET, ActorOf, asker, in_table, plainly, strip

PAGE_SIZE = 50
ANY = "any"
DOWNLOADS = "/api/v1/audit/export"


def build_audit_page(page: gr.Blocks, services: Services, actor_of: ActorOf) -> None:
    """Lay out the audit page on `page` and connect it."""
    strip()
    gr.Markdown(words.AUDIT_HEADING)
    with gr.Row(equal_height=True):
        person = gr.Textbox(label="Person", placeholder="name of an account", max_lines=1)
        action = gr.Dropdown([ANY, *(each.value for each in Action)], value=ANY, label="Action")
        outcome = gr.Radio(
            [ANY, *(each.value for each in Outcome)], value=ANY, label="Outcome", scale=2
        )
        day = gr.Textbox(label="Day (UTC)", placeholder="2026-01-31", max_lines=1)
        show = gr.Button("Show", variant="primary", min_width=90)
    with gr.Row():
        downloads = gr.Markdown(elem_classes="downloads")
    table = gr.Markdown(elem_classes="worklist wide-table", elem_id="overread-audit")
    with gr.Row():
        first = gr.Button("Newest", visible=False, size="sm")
        more = gr.Button("Older", visible=False, size="sm")
    cursor = gr.State(None)

    @plainly
    def events(
        person: str, action: str, outcome: str, day: str, cursor: str | None, request: gr.Request
    ) -> tuple:  # type: ignore[type-arg]  # Gradio's outputs differ in kind
        filters = _filters(person, action, outcome, day)
        found = services.auditing.page(asker(actor_of, request), filters, cursor, PAGE_SIZE)
        return (
            events_table(found.items),
            download_links(filters),
            found.next,
            gr.update(visible=found.next is not None),
            gr.update(visible=cursor is not None),
        )

    def newest(person: str, action: str, outcome: str, day: str, request: gr.Request) -> tuple:  # type: ignore[type-arg]  # as events
        return events(person, action, outcome, day, None, request)

    fields = [person, action, outcome, day]
    shown = [table, downloads, cursor, more, first]
    page.load(newest, fields, shown, **QUIET)
    for start in (show.click, person.submit, day.submit, action.input, outcome.input, first.click):
        start(newest, fields, shown, **QUIET)
    more.click(events, [*fields, cursor], shown, **QUIET)


def events_table(events: tuple[EventView, ...]) -> str:
    """Return events as a Markdown table, newest first."""
    if not events:
        return words.AUDIT_EMPTY
    head = "| No. | When (UTC) | Who | Did | What | Outcome | From |\n|-|-|-|-|-|-|-|\n"
    return head + "\n".join(_row(event) for event in events)


def download_links(filters: Filters) -> str:
    """Return links that take out what these filters show, through our own route."""
    given = {
        "person": filters.person,
        "action": filters.action,
        "outcome": filters.outcome,
        "since": filters.since,
        "until": filters.until,
    }
    chosen = {name: value for name, value in given.items() if value}
    links = [
        f"[{text}]({DOWNLOADS}?{urlencode({'format': word, **chosen})})"
        for word, text in ((FHIR, "FHIR AuditEvents"), (CSV, "CSV"))
    ]
    return "Download all that fits: " + " · ".join(links)


def _filters(person: str, action: str, outcome: str, day: str) -> Filters:
    return Filters(
        person=person.strip() or None,
        action=None if action == ANY else action,
        outcome=None if outcome == ANY else outcome,
        since=day.strip() or None,
        until=day.strip() or None,
    )


def _row(event: EventView) -> str:
    who = (event.person or words.AUDIT_NOBODY) + (f" ({event.role})" if event.role else "")
    thing = " ".join(part for part in (event.object_type, event.object_id[:36]) if part)
    times = f" × {event.count:,}" if event.count > 1 else ""
    outcome = f"{event.outcome.value} {event.code}".strip() + times
    came = " ".join(part for part in (event.via, event.came_from) if part)
    cells = (who, event.action, thing, outcome, came)
    at = event.at.strftime("%d %b %Y %H:%M:%S")
    return f"| {event.id} | {at} | " + " | ".join(in_table(cell) for cell in cells) + " |"
