"""Geometry as JSON and pixels as they are: raw little-endian rows."""

import hashlib
from uuid import UUID

from fastapi import APIRouter, Request, Response

from webapp.api.asker import Asker
from webapp.services.bundle import Services
from webapp.services.views import GeometryView


def images_router(services: Services) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/images", tags=["images"])

    @router.get("/{image_id}")
    def geometry(image_id: UUID, asker: Asker) -> GeometryView:
        """Return how the frames are laid out and shown."""
        return services.images.geometry(asker, image_id)

    @router.get(
        "/{image_id}/frames/{n}",
        response_class=Response,
        responses={
            200: {
                "content": {"application/octet-stream": {}},
                "description": "Rows of `dtype` and `samples` as the geometry names them.",
            },
            304: {"description": "The client has this frame."},
        },
    )
    def frame(image_id: UUID, n: int, request: Request, asker: Asker) -> Response:
        """Return one frame; a browser may keep it but asks again before it uses it."""
        pixels = services.images.frame(asker, image_id, n)
        etag = f'"{hashlib.blake2b(pixels, digest_size=16).hexdigest()}"'
        headers = {"etag": etag, "cache-control": "private, no-cache"}
        if etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(pixels, media_type="application/octet-stream", headers=headers)

    return router
