"""All routes of the API in one router."""

from pathlib import Path

from fastapi import APIRouter

from webapp.api.audit import audit_router
from webapp.api.cases import cases_router
from webapp.api.dicomweb import dicomweb_router
from webapp.api.drafts import drafts_router
from webapp.api.exports import exports_router
from webapp.api.images import images_router
from webapp.api.serving import serving_router
from webapp.api.studies import studies_router
from webapp.auth.routes import API
from webapp.services.bundle import Services


def api_router(services: Services, data_dir: Path) -> APIRouter:
    """Return `/api/v1` over the given use cases; uploads pass through `data_dir`."""
    router = APIRouter(prefix=API)
    router.include_router(studies_router(services, data_dir))
    router.include_router(dicomweb_router(services, data_dir))
    for part in (
        cases_router,
        images_router,
        drafts_router,
        exports_router,
        audit_router,
        serving_router,
    ):
        router.include_router(part(services))
    return router
