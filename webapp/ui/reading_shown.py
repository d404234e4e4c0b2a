"""What every component of the reading page shows of a case, read back from the store."""

from typing import Any
from uuid import UUID

import gradio as gr

from storage.vocabulary import CaseState, Verdict
from webapp.services.actor import Actor
from webapp.services.bundle import Services
from webapp.services.views import CaseView, DraftView
from webapp.ui import held_text, words
from webapp.ui import reading_view as view
from webapp.ui.common import ActorOf, asker, in_markdown, when

DEMO_MODEL = "overread-demo"


class Shown:
    """Fills the page; `shown` returns a value for each of `Parts.all_parts`."""

    def __init__(self, services: Services, actor_of: ActorOf) -> None:
        self.services = services
        self.actor_of = actor_of

    def keep(
        self,
        actor: Actor,
        case_id: UUID,
        of_draft: dict[str, dict[str, Any]] | None = None,
        **changes: Any,  # noqa: ANN401 - JSON values
    ) -> None:
        """Merge `changes` into the half-written work; texts about a draft are kept by draft."""
        half = self.services.reading.progress(actor, case_id) or {}
        drafts = dict(half.get("drafts", {}))
        for draft_id, texts in (of_draft or {}).items():
            drafts[draft_id] = drafts.get(draft_id, {}) | texts
        merged = half | changes | ({"drafts": drafts} if drafts else {})
        if merged != half:
            self.services.reading.save_progress(actor, case_id, merged)

    def shown(self, case_id: UUID, request: gr.Request, draft_id: UUID | None) -> list[Any]:
        """Return the values of a case, its form filled with one draft or the newest."""
        actor = asker(self.actor_of, request)
        case = self.services.worklist.case(actor, case_id)
        half = self.services.reading.progress(actor, case_id) or {}
        drafts = view.drafts(case, draft_id)
        chosen = [draft for draft in drafts if draft.id == draft_id] or drafts[-1:]
        draft = chosen[0] if chosen else None
        return [
            str(case.id),
            *self._head(case, half, draft),
            *self._own_read(case, half),
            *self._ask(case, half),
            *self._review(case, half, draft),
        ]

    def _head(self, case: CaseView, half: dict[str, Any], draft: DraftView | None) -> list[Any]:
        review = view.latest_review(case, draft.id) if draft else None
        regions = self.regions(case, half, draft)
        return [
            str(draft.id) if draft else None,
            review.revision if review else 0,
            view.header(case),
            self._model_note(),
            view.viewer_state(case, regions),
            gr.update(visible=case.state is CaseState.HELD),
            view.held(case) if case.state is CaseState.HELD else "",
            "",
            view.search_state(case),
        ]

    def regions(
        self, case: CaseView, half: dict[str, Any], draft: DraftView | None
    ) -> list[dict[str, Any]]:
        """Return the rectangles to draw: half-written ones, found text, or those of a review."""
        if half.get("regions"):
            return list(half["regions"])
        review = view.latest_review(case, draft.id) if draft else None
        return held_text.regions(case) or view.regions_of(review)

    def _own_read(self, case: CaseView, half: dict[str, Any]) -> list[Any]:
        read = case.own_read
        shown = (
            ""
            if read is None
            else words.OWN_READ_COMMITTED.format(
                when=when(read.committed_at),
                confidence=read.confidence or "not given",
                text=in_markdown(read.text),
            )
        )
        return [
            gr.update(visible=case.state is CaseState.ADMITTED and read is None),
            half.get("own_text", ""),
            half.get("confidence"),
            shown,
        ]

    def _ask(self, case: CaseView, half: dict[str, Any]) -> list[Any]:
        open_to_questions = case.state is CaseState.ADMITTED and case.own_read is not None
        return [
            gr.update(visible=open_to_questions),
            view.conversation(case.messages),
            half.get("question", ""),
            gr.skip(),
            gr.update(visible=view.suits_battery(case)),
            view.battery_state(view.of_battery(case)),
        ]

    def _review(self, case: CaseView, half: dict[str, Any], draft: DraftView | None) -> list[Any]:
        if draft is None:
            return [gr.update(visible=False), gr.skip(), "", False, "", ""]
        review = view.latest_review(case, draft.id)
        choices = view.draft_choices(case, draft.id)
        kept = half.get("drafts", {}).get(str(draft.id), {})
        text = review.final_text if review and review.final_text else draft.shown_text
        comment = review.comment if review else ""
        return [
            gr.update(visible=True),
            gr.update(choices=choices, value=str(draft.id), visible=len(choices) > 1),
            text if kept.get("correction") is None else kept["correction"],
            review is not None and review.verdict is Verdict.MAJOR_EDIT,
            comment if kept.get("comment") is None else kept["comment"],
            view.review_status(review),
        ]

    def _model_note(self) -> str:
        ready = self.services.serving.ready()
        if not ready.worker:
            return words.MODEL_AWAY.format(reason=ready.worker_reason or "it is still starting")
        return words.DEMO_MODEL if ready.details.get("model") == DEMO_MODEL else ""

    @staticmethod
    def nothing(said: str) -> list[Any]:
        """Return the values of a page without a case."""
        hidden = gr.update(visible=False)
        return [
            *(
                None,
                None,
                0,
                said,
                "",
                "",
                hidden,
                "",
                "",
                "",
                hidden,
                "",
                None,
                "",
                hidden,
                [],
                "",
                gr.skip(),
                hidden,
                "",
            ),
            *(hidden, gr.skip(), "", False, "", ""),
        ]
