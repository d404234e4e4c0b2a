"""Training exports: make them, list them, fetch their files."""

from pathlib import PurePosixPath
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Response
from starlette.responses import StreamingResponse

from storage.exports import zipped
from webapp.api.asker import Asker
from webapp.api.bodies import ExportBody
from webapp.services.bundle import Services
from webapp.services.views import ExportView, Page


def exports_router(services: Services) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/exports", tags=["exports"])

    @router.get("")
    def exports(asker: Asker) -> Page[ExportView]:
        """List the exports that were made, newest first."""
        return Page(tuple(services.exporting.list(asker)), None)

    @router.post("", status_code=201)
    def make(body: ExportBody, asker: Asker) -> ExportView:
        """Make an export from what has been decided so far."""
        return services.exporting.make(
            asker, body.format, collection=body.collection, filters=body.filters
        )

    @router.get(
        "/{export_id}/files/{name:path}",
        response_class=Response,
        responses={200: {"content": {"application/octet-stream": {}}}},
    )
    def file(export_id: UUID, name: str, asker: Asker) -> Response:
        """Return one file of an export, or all of them as `export.zip`, to be saved."""
        saved_as = quote(PurePosixPath(name).name)
        headers = {"content-disposition": f"attachment; filename*=UTF-8''{saved_as}"}
        if name == zipped.NAME:
            pieces = services.exporting.archive(asker, export_id)
            return StreamingResponse(pieces, media_type="application/zip", headers=headers)
        content, media_type = services.exporting.file(asker, export_id, name)
        return Response(content, media_type=media_type, headers=headers)

    return router
