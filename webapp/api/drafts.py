"""What the model answered, and what people decide about it."""

from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel

from storage.vocabulary import Verdict
from webapp.api.asker import Asker
from webapp.api.bodies import ReviewBody
from webapp.services.bundle import Services
from webapp.services.reviewing import ReviewInput
from webapp.services.views import DraftView


class SavedReview(BaseModel):
    """What is left to know once a review is saved."""

    id: UUID
    revision: int
    verdict: Verdict


def drafts_router(services: Services) -> APIRouter:
    """Return the routes."""
    router = APIRouter(prefix="/drafts", tags=["drafts"])

    @router.get("/{draft_id}")
    def draft(draft_id: UUID, asker: Asker) -> DraftView:
        """Return a draft, its sentences, and everything that made it."""
        return services.asking.draft(asker, draft_id)

    @router.post("/{draft_id}/reviews", status_code=201)
    def review(draft_id: UUID, body: ReviewBody, asker: Asker) -> SavedReview:
        """Save a review as the next revision of one's own."""
        given = ReviewInput(**body.model_dump(exclude_none=True))
        saved = services.reviewing.submit(asker, draft_id, given)
        return SavedReview(id=saved.id, revision=saved.revision, verdict=saved.verdict)

    return router
