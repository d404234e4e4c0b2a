"""The handlers of the reading page: read inputs, call one use case, show the result."""

import time
from typing import Any, Final
from uuid import UUID, uuid4

import gradio as gr

from storage.vocabulary import Attestation, Verdict
from webapp.services.errors import TextLeftError
from webapp.services.judging import ReviewInput
from webapp.services.views import CaseView
from webapp.ui import held_text, words
from webapp.ui import reading_view as view
from webapp.ui.common import REFUSALS, as_text, asker, id_of, plainly, tell
from webapp.ui.reading_asking import AskingHandlers

OF_A_DRAFT = ("correction", "comment")
VIEWER_FOLLOWS_S: Final = 0.5  # the viewer looks at its state four times a second


class Handlers(AskingHandlers):
    """What each control of the page does."""

    @plainly
    def open(self, request: gr.Request) -> list[Any]:
        """Show the case that the address names."""
        text = request.query_params.get("case", "")
        try:
            case_id = UUID(text)
        except ValueError:
            return self.nothing(words.NO_CASE)
        try:
            return self.shown(case_id, request, None)
        except REFUSALS as refusal:
            return self.nothing(f"{as_text(str(refusal))} {words.NO_CASE}")

    @plainly
    def choose(self, case_id: str, draft_id: str, request: gr.Request) -> list[Any]:
        """Show another draft in the review form."""
        return self.shown(id_of(case_id, "case"), request, id_of(draft_id, "draft"))

    @plainly
    def next_case(self, request: gr.Request) -> str:
        """Go to the next case of the worklist."""
        case = self.services.worklist.next(asker(self.actor_of, request))
        if case is None:
            gr.Info(words.ALL_DONE)
            return ""
        return f"/read?case={case.id}"

    def attesting(self, decision: Attestation) -> Any:  # noqa: ANN401 - Gradio takes any callable
        """Return the handler of one decision about held pixels."""

        @plainly
        def attest(case_id: str, viewer_out: str, request: gr.Request) -> list[Any]:
            actor, case = asker(self.actor_of, request), id_of(case_id, "case")
            regions = view.OnScreen.read(viewer_out).regions
            boxes = held_text.masks(self.services.worklist.case(actor, case), regions)
            masks = boxes if decision is Attestation.MASK else []
            if decision is Attestation.MASK and not masks:
                raise gr.Error(words.NO_RECTANGLES, print_exception=False)
            try:
                self.services.studies.attest(actor, case, decision, masks, uuid4().hex)
                gr.Info(words.ATTESTED[decision.value])
            except TextLeftError as left:
                tell(left)
            self.keep(actor, case, regions=[])
            return self.shown(case, request, None)

        return attest

    def going_to_text(self, step: int) -> Any:  # noqa: ANN401 - Gradio takes any callable
        """Return the handler that goes to another frame on which text was found."""

        @plainly
        def go(case_id: str, number: int, request: gr.Request) -> tuple[int, str, Any]:
            case, half = self._half(case_id, request)
            count = len(held_text.places(case))
            if not count:
                return -1, words.FOUND_NONE, gr.skip()
            now = (max(number, -1 if step > 0 else 0) + step) % count
            regions = self.regions(case, half, None)
            return now, held_text.described(case, now), view.viewer_state(case, regions, now)

        return go

    @plainly
    def let_go_of_text(self, case_id: str, request: gr.Request) -> str:
        """Have the viewer stay there, so that a rectangle drawn next is bound to nothing."""
        time.sleep(VIEWER_FOLLOWS_S)
        case, half = self._half(case_id, request)
        return view.viewer_state(case, self.regions(case, half, None))

    def _half(self, case_id: str, request: gr.Request) -> tuple[CaseView, dict[str, Any]]:
        actor = asker(self.actor_of, request)
        case = self.services.worklist.case(actor, id_of(case_id, "case"))
        return case, self.services.reading.progress(actor, case.id) or {}

    @plainly
    def commit(
        self, case_id: str, text: str, confidence: int | None, request: gr.Request
    ) -> list[Any]:
        """Commit the reader's own findings."""
        if not text.strip():
            raise gr.Error(words.OWN_READ_EMPTY, print_exception=False)
        self.services.reading.commit_own_read(
            asker(self.actor_of, request),
            id_of(case_id, "case"),
            text=text,
            findings=(),
            confidence=confidence,
            idempotency_key=uuid4().hex,
        )
        return self.shown(id_of(case_id, "case"), request, None)

    def deciding(self, verdict: Verdict | None) -> Any:  # noqa: ANN401 - Gradio takes any callable
        """Return the handler of one review button; None is the edit, whose verdict is inferred."""

        @plainly
        def decide(
            case_id: str,
            draft_id: str,
            revision: int,
            correction: str,
            significant: bool,
            comment: str,
            viewer_out: str,
            request: gr.Request,
        ) -> list[Any]:
            actor = asker(self.actor_of, request)
            draft = self.services.asking.draft(actor, id_of(draft_id, "draft"))
            if verdict is None and correction.strip() == draft.shown_text.strip():
                raise gr.Error(words.NOTHING_CHANGED, print_exception=False)
            edited = verdict is None
            self.services.reviewing.submit(
                actor,
                id_of(draft_id, "draft"),
                ReviewInput(
                    idempotency_key=uuid4().hex,
                    based_on_revision=revision,
                    verdict=Verdict.MAJOR_EDIT if edited and significant else verdict,
                    final_text=correction if edited else None,
                    comment=comment,
                    regions=tuple(view.OnScreen.read(viewer_out).regions),
                ),
            )
            done = {draft_id: dict.fromkeys(OF_A_DRAFT)}
            self.keep(actor, id_of(case_id, "case"), of_draft=done, regions=[])
            return self.shown(id_of(case_id, "case"), request, id_of(draft_id, "draft"))

        return decide

    def saving(self, name: str) -> Any:  # noqa: ANN401 - Gradio takes any callable
        """Return the handler that keeps one half-written field."""

        @plainly
        def save(
            case_id: str | None,
            draft_id: str | None,
            value: Any,  # noqa: ANN401 - JSON
            request: gr.Request,
        ) -> None:
            if case_id is None or value is None:
                return
            actor = asker(self.actor_of, request)
            if name in OF_A_DRAFT:
                if draft_id is not None:
                    self.keep(actor, id_of(case_id, "case"), of_draft={draft_id: {name: value}})
            elif name == "regions":
                regions = view.OnScreen.read(value).regions
                self.keep(actor, id_of(case_id, "case"), regions=regions)
            else:
                self.keep(actor, id_of(case_id, "case"), **{name: value})

        return save
