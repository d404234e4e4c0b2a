"""The audit trail, for administrators."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response
from fastapi.responses import StreamingResponse

from webapp.api.asker import Asker
from webapp.services.audit_formats import CSV
from webapp.services.auditing import Filters
from webapp.services.bundle import Services
from webapp.services.views import EventView, Page


def _filters(
    person: Annotated[str | None, Query(description="An account's name or id.")] = None,
    action: Annotated[str | None, Query(description="Such as review.submitted.")] = None,
    outcome: Annotated[str | None, Query(description="success, refused or failed")] = None,
    since: Annotated[str | None, Query(description="A day, or an instant.")] = None,
    until: Annotated[str | None, Query(description="A day, included, or an instant.")] = None,
) -> Filters:
    return Filters(person, action, outcome, since, until)


Filtered = Annotated[Filters, Depends(_filters)]


def audit_router(services: Services) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/audit", tags=["audit"])

    @router.get("")
    def events(
        asker: Asker,
        filters: Filtered,
        cursor: Annotated[str | None, Query(description="`next` of the page before.")] = None,
        limit: int = 50,
    ) -> Page[EventView]:
        """List events, newest first."""
        return services.auditing.page(asker, filters, cursor, limit)

    @router.get(
        "/export",
        response_class=Response,
        responses={200: {"content": {"application/fhir+ndjson": {}, "text/csv": {}}}},
    )
    def export(asker: Asker, filters: Filtered, format: str = "fhir") -> Response:
        """Return events, oldest first, as a file of FHIR NDJSON or CSV."""
        lines = services.auditing.export(asker, format, filters)
        is_csv = format == CSV
        name = f"overread-audit.{'csv' if is_csv else 'ndjson'}"
        return StreamingResponse(
            _bytes(lines),
            media_type="text/csv; charset=utf-8" if is_csv else "application/fhir+ndjson",
            headers={"content-disposition": f'attachment; filename="{name}"'},
        )

    return router


def _bytes(lines: Iterator[str]) -> Iterator[bytes]:
    """Join lines into pieces: a piece a line would take a turn in a thread each."""
    piece: list[str] = []
    for line in lines:
        piece.append(line)
        if len(piece) == 500:
            yield "".join(piece).encode()
            piece = []
    yield "".join(piece).encode()
