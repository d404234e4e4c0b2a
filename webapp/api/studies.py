"""Bringing studies in, and deciding about held ones."""

from pathlib import Path
from typing import Final
from uuid import UUID

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect

from webapp.api.asker import Asker
from webapp.api.bodies import AttestBody
from webapp.api.uploads import receive_upload
from webapp.services.bundle import Services
from webapp.services.errors import InvalidRequestError
from webapp.services.folders import private_folder
from webapp.services.views import CaseView, FileOutcomeView, Page

MULTIPART: Final = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files", "collection"],
                    "properties": {
                        "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
                        "collection": {"type": "string"},
                    },
                }
            }
        },
    }
}


def studies_router(services: Services, data_dir: Path) -> APIRouter:
    """Return the routes; uploads pass through a private folder below `data_dir`."""
    router = APIRouter(prefix="/studies", tags=["studies"])

    @router.post("", openapi_extra=MULTIPART)
    async def upload(request: Request, asker: Asker) -> Page[FileOutcomeView]:
        """Take files in; one outcome a file, in the order they came."""
        with private_folder(data_dir) as folder:
            try:
                upload = await receive_upload(request, folder)
            except ClientDisconnect:  # nobody is left to answer
                return Page((), None)
            if not upload.paths:
                raise InvalidRequestError("The upload holds no files.")
            collection = upload.fields.get("collection", "").strip()
            received = await run_sync(
                lambda: tuple(
                    services.studies.receive(asker, upload.paths, collection, upload.names)
                )
            )
        return Page(received, None)

    @router.post("/{case_id}/attest")
    def attest(case_id: UUID, body: AttestBody, asker: Asker) -> CaseView:
        """Decide about the pixels of a held study."""
        return services.studies.attest(
            asker,
            case_id,
            decision=body.decision,
            masks=body.masks or [],
            idempotency_key=body.idempotency_key,
        )

    return router
