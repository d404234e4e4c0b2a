"""The worklist, one case, and what a reader says about it."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Response

from webapp.api.asker import Asker
from webapp.api.bodies import BatteryBody, NextBody, OwnReadBody, ProgressBody, QuestionBody
from webapp.api.event_stream import Events, EventStream
from webapp.api.wire import told
from webapp.services.bundle import Services
from webapp.services.views import (
    AskEvent,
    BatteryEvent,
    CaseRow,
    CaseView,
    OwnReadView,
    Page,
    SearchView,
)


def cases_router(services: Services) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/cases", tags=["cases"])

    @router.get("")
    def page(
        asker: Asker,
        collection: Annotated[str | None, Query(description="Its name or id.")] = None,
        state: Annotated[str | None, Query(description="Of the case or of one's work.")] = None,
        cursor: Annotated[str | None, Query(description="`next` of the page before.")] = None,
        limit: int = 20,
    ) -> Page[CaseRow]:
        """List the cases of one's own collections, newest first."""
        return services.worklist.page(
            asker, collection=collection, state=state, cursor=cursor, limit=limit
        )

    @router.post(
        "/next",
        response_model=CaseView,
        responses={204: {"description": "Nothing is left to read."}},
    )
    def claim(asker: Asker, body: NextBody | None = None) -> CaseView | Response:
        """Take the next case to read, with a lease."""
        case = services.worklist.next(asker, body.collection if body else None)
        return Response(status_code=204) if case is None else case

    @router.get("/{case_id}")
    def case(case_id: UUID, asker: Asker) -> CaseView:
        """Open a case with one's own conversation and reviews."""
        return services.worklist.case(asker, case_id)

    @router.get("/{case_id}/search")
    def search(case_id: UUID, asker: Asker) -> SearchView:
        """Tell how far the search of the pixels for text is."""
        return services.worklist.search(asker, case_id)

    @router.post("/{case_id}/own-reads", status_code=201)
    def own_read(case_id: UUID, body: OwnReadBody, asker: Asker) -> OwnReadView:
        """Commit one's own findings; they are never changed."""
        return services.reading.commit_own_read(
            asker,
            case_id,
            text=body.text,
            findings=[finding.model_dump(exclude_none=True) for finding in body.findings],
            confidence=body.confidence,
            idempotency_key=body.idempotency_key,
        )

    @router.get("/{case_id}/progress")
    def progress(case_id: UUID, asker: Asker) -> dict[str, Any]:
        """Return one's half-written work, `content` null when there is none."""
        return {"id": case_id, "content": services.reading.progress(asker, case_id)}

    @router.put("/{case_id}/progress", status_code=204)
    def save_progress(case_id: UUID, body: ProgressBody, asker: Asker) -> Response:
        """Keep half-written work in place of what was kept before."""
        services.reading.save_progress(asker, case_id, body.content)
        return Response(status_code=204)

    @router.post(
        "/{case_id}/questions",
        status_code=200,
        response_class=EventStream,
        responses={
            200: {
                "content": {"text/event-stream": {}},
                "description": "Events `token`, `flag`, `done` and `error`; closing the stream "
                "stops the model.",
            }
        },
    )
    async def ask(case_id: UUID, body: QuestionBody, asker: Asker) -> EventStream:
        """Ask the model about a case."""
        given = body.model_dump(exclude_none=True)
        return EventStream(_told(services.asking.ask(asker, case_id, **given)))

    @router.post(
        "/{case_id}/batteries",
        status_code=200,
        response_class=EventStream,
        responses={
            200: {
                "content": {"text/event-stream": {}},
                "description": "Events `result` and `error`, one a question as it finishes, then "
                "`done` with counts; closing the stream stops the rest.",
            }
        },
    )
    async def ask_battery(case_id: UUID, body: BatteryBody, asker: Asker) -> EventStream:
        """Ask the model a list of questions about a case."""
        given = body.model_dump(exclude_none=True)
        return EventStream(_told(services.batteries.ask(asker, case_id, **given)))

    return router


async def _told(events: AsyncGenerator[AskEvent | BatteryEvent, None]) -> Events:
    async with aclosing(events):
        async for event in events:
            yield told(event)
