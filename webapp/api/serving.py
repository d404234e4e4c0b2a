"""What is served, and whether the parts answer."""

from typing import Any

from fastapi import APIRouter, Response

from webapp.api.asker import Asker
from webapp.services.bundle import Services
from webapp.services.views import Page, ServedModelView


def serving_router(services: Services) -> APIRouter:
    """Return the routes."""
    router = APIRouter(tags=["serving"])

    @router.get("/models")
    def models(asker: Asker) -> Page[ServedModelView]:
        """List the models that can be asked."""
        return Page(tuple(services.serving.models(asker)), None)

    @router.get("/health/live")
    async def live() -> dict[str, str]:
        """Say that the process runs; anybody may ask."""
        return {"status": "live"}

    @router.get("/health/ready", responses={503: {"description": "People cannot work now."}})
    def ready(response: Response) -> dict[str, Any]:
        """Say which parts answer; the model may still be loading while people can work."""
        found = services.serving.ready()
        response.status_code = 200 if found.ready else 503
        return {
            "ready": found.ready,
            "database": found.database,
            "blobs": found.blobs,
            "worker": found.worker,
            "worker_reason": found.worker_reason,
            **found.details,
        }

    return router
