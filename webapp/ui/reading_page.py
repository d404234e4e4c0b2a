"""The reading page: own read, questions and drafts, review; wiring only, no rules.

Everything a reader has typed is saved as it is typed, and everything shown is read back from
the store, so that a refresh, another window or a restart shows the same page again.
"""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any
from uuid import UUID, uuid4

import gradio as gr

from storage.vocabulary import Attestation, CaseState, Verdict
from webapp.services.actor import Actor
from webapp.services.bundle import Services
from webapp.services.judging import ReviewInput
from webapp.services.views import (
    BatteryErrorEvent,
    BatteryResultEvent,
    CaseView,
    DoneEvent,
    DraftView,
    TokenEvent,
)
from webapp.ui import reading_view as view
from webapp.ui import words
from webapp.ui.common import QUIET, REFUSALS, ActorOf, as_text, asker, plainly, when
from webapp.ui.reading_parts import Controls, Parts, lay_out

WAIT_FOR_STOPPED_DRAFT_S = 3.0
STOPPED_DRAFT_POLL_S = 0.25
DEMO_MODEL = "overread-demo"
OF_A_DRAFT = ("correction", "comment")


def build_reading_page(page: gr.Blocks, services: Services, actor_of: ActorOf) -> None:
    """Lay out the reading page on `page` and connect it."""
    parts, controls = lay_out()
    handlers = Handlers(services, actor_of)
    everything = parts.all_parts()
    page.load(handlers.open, None, everything, **QUIET)
    _wire_held(handlers, parts, controls)
    _wire_own_read(handlers, parts, controls)
    _wire_asking(handlers, parts, controls)
    _wire_battery(handlers, parts, controls)
    _wire_review(handlers, parts, controls)
    _wire_saving(handlers, parts, controls)
    controls.next_case.click(handlers.next_case, None, controls.goto, **QUIET)


def _wire_held(handlers: "Handlers", parts: Parts, controls: Controls) -> None:
    for button, decision in (
        (controls.clean, Attestation.CLEAN),
        (controls.mask, Attestation.MASK),
        (controls.refuse, Attestation.REFUSE),
    ):
        button.click(
            handlers.attesting(decision),
            [parts.case_id, controls.viewer_out],
            parts.all_parts(),
            **QUIET,
        )


def _wire_own_read(handlers: "Handlers", parts: Parts, controls: Controls) -> None:
    controls.normal.click(lambda: words.OWN_READ_NORMAL, None, parts.own_text, **QUIET)
    controls.commit.click(
        handlers.commit,
        [parts.case_id, parts.own_text, parts.confidence],
        parts.all_parts(),
        **QUIET,
    )


def _wire_asking(handlers: "Handlers", parts: Parts, controls: Controls) -> None:
    inputs = [parts.case_id, parts.question, parts.model, controls.viewer_out]
    outputs = [parts.chat, parts.question, controls.ask, controls.stop]
    running: list[Any] = []
    for start in (controls.ask.click, parts.question.submit):
        asked = start(handlers.ask, inputs, outputs, concurrency_limit=None, **QUIET)
        asked.then(handlers.refresh, parts.case_id, parts.all_parts(), **QUIET)
        running.append(asked)
    for button, text in zip(controls.quick, words.QUICK_QUESTIONS, strict=True):
        asked = button.click(
            handlers.asking(text),
            [parts.case_id, parts.model, controls.viewer_out],
            outputs,
            concurrency_limit=None,
            **QUIET,
        )
        asked.then(handlers.refresh, parts.case_id, parts.all_parts(), **QUIET)
        running.append(asked)
    controls.stop.click(
        handlers.stopped,
        parts.case_id,
        [*parts.all_parts(), controls.ask, controls.stop],
        cancels=running,
        **QUIET,
    )


def _wire_battery(handlers: "Handlers", parts: Parts, controls: Controls) -> None:
    buttons = [controls.battery_ask, controls.battery_stop]
    asked = controls.battery_ask.click(
        handlers.ask_battery,
        [parts.case_id, parts.model, controls.viewer_out],
        [parts.battery_state, *buttons],
        concurrency_limit=None,
        **QUIET,
    )
    controls.battery_stop.click(
        handlers.battery_stopped,
        parts.case_id,
        [parts.battery_state, *buttons],
        cancels=[asked],
        **QUIET,
    )
    controls.battery_open.change(
        handlers.open_draft,
        [parts.case_id, controls.battery_open],
        parts.all_parts(),
        **QUIET,
    )


def _wire_review(handlers: "Handlers", parts: Parts, controls: Controls) -> None:
    parts.which.input(handlers.choose, [parts.case_id, parts.which], parts.all_parts(), **QUIET)
    inputs = [
        parts.case_id,
        parts.draft_id,
        parts.revision,
        parts.correction,
        parts.significant,
        parts.comment,
        controls.viewer_out,
    ]
    for button, verdict in (
        (controls.accept, Verdict.ACCEPT_AS_IS),
        (controls.save, None),
        (controls.reject, Verdict.REJECT),
        (controls.abstain, Verdict.ABSTAIN),
    ):
        button.click(handlers.deciding(verdict), inputs, parts.all_parts(), **QUIET)


def _wire_saving(handlers: "Handlers", parts: Parts, controls: Controls) -> None:
    # Each field sends itself alone: while a page fills, the others still hold old values.
    # Not `.input`: Gradio 6.31 sends that event with the text of one keystroke before.
    for name, field in (
        ("own_text", parts.own_text),
        ("confidence", parts.confidence),
        ("question", parts.question),
        ("correction", parts.correction),
        ("comment", parts.comment),
        ("regions", controls.viewer_out),
    ):
        field.change(
            handlers.saving(name),
            [parts.case_id, parts.draft_id, field],
            None,
            trigger_mode="always_last",
            concurrency_id="saving",
            concurrency_limit=1,
            **QUIET,
        )


class Handlers:
    """Read inputs, call one use case, show the result."""

    def __init__(self, services: Services, actor_of: ActorOf) -> None:
        self.services = services
        self.actor_of = actor_of

    @plainly
    def open(self, request: gr.Request) -> list[Any]:
        """Show the case that the address names."""
        text = request.query_params.get("case", "")
        try:
            case_id = UUID(text)
        except ValueError:
            return self._nothing(words.NO_CASE)
        try:
            return self._shown(case_id, request, None)
        except REFUSALS as refusal:
            return self._nothing(f"{as_text(str(refusal))} {words.NO_CASE}")

    @plainly
    def refresh(self, case_id: str, request: gr.Request) -> list[Any]:
        """Show the case as the store has it now."""
        return self._shown(UUID(case_id), request, None)

    @plainly
    def choose(self, case_id: str, draft_id: str, request: gr.Request) -> list[Any]:
        """Show another draft in the review form."""
        return self._shown(UUID(case_id), request, UUID(draft_id))

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
            regions = view.OnScreen.read(viewer_out).regions
            boxes = [{key: region[key] for key in ("image_id", "coords")} for region in regions]
            masks = boxes if decision is Attestation.MASK else []
            if decision is Attestation.MASK and not masks:
                raise gr.Error(words.NO_RECTANGLES, print_exception=False)
            self.services.studies.attest(
                asker(self.actor_of, request), UUID(case_id), decision, masks, uuid4().hex
            )
            gr.Info(words.ATTESTED[decision.value])
            return self._shown(UUID(case_id), request, None)

        return attest

    @plainly
    def commit(
        self, case_id: str, text: str, confidence: int | None, request: gr.Request
    ) -> list[Any]:
        """Commit the reader's own findings."""
        if not text.strip():
            raise gr.Error(words.OWN_READ_EMPTY, print_exception=False)
        self.services.reading.commit_own_read(
            asker(self.actor_of, request),
            UUID(case_id),
            text=text,
            findings=(),
            confidence=confidence,
            idempotency_key=uuid4().hex,
        )
        return self._shown(UUID(case_id), request, None)

    async def ask(
        self, case_id: str, text: str, model: str | None, viewer_out: str, request: gr.Request
    ) -> AsyncGenerator[tuple[Any, ...], None]:
        """Stream an answer into the conversation; closing this generator stops the worker."""
        actor = asker(self.actor_of, request)
        idle = gr.update(interactive=True), gr.update(interactive=False)
        try:
            case = await asyncio.to_thread(self.services.worklist.case, actor, UUID(case_id))
            before = [
                *view.conversation(case.messages),
                {"role": "user", "content": as_text(text)},
            ]
            busy = gr.update(interactive=False), gr.update(interactive=True)
            yield [*before, view.answer("…")], text, *busy
            said = ""
            asked = self.services.asking.ask(
                actor,
                UUID(case_id),
                text=text,
                idempotency_key=uuid4().hex,
                model=model,
                images=view.OnScreen.read(viewer_out).images(),
            )
            async with aclosing(asked) as events:
                async for event in events:
                    if isinstance(event, TokenEvent):
                        said += event.text
                        yield [*before, view.answer(said)], "", *busy
                    elif isinstance(event, DoneEvent):
                        await asyncio.to_thread(self._keep, actor, UUID(case_id), question="")
                        done = view.answer(event.draft.shown_text, event.draft)
                        yield [*before, done], "", *idle
        except REFUSALS as refusal:
            gr.Warning(str(refusal))
            yield gr.skip(), text, *idle

    def asking(self, text: str) -> Any:  # noqa: ANN401 - Gradio takes any callable
        """Return the handler of one ready-made question."""

        async def ask(
            case_id: str, model: str | None, viewer_out: str, request: gr.Request
        ) -> AsyncGenerator[tuple[Any, ...], None]:
            async with aclosing(self.ask(case_id, text, model, viewer_out, request)) as answers:
                async for shown in answers:
                    yield shown[0], gr.skip(), *shown[2:]

        return ask

    async def ask_battery(
        self, case_id: str, model: str | None, viewer_out: str, request: gr.Request
    ) -> AsyncGenerator[tuple[Any, ...], None]:
        """Fill the table as answers come; closing this generator stops the worker."""
        actor = asker(self.actor_of, request)
        idle = gr.update(interactive=True), gr.update(interactive=False)
        busy = gr.update(interactive=False), gr.update(interactive=True)
        drafts: dict[str, DraftView] = {}
        failed: list[str] = []
        yield view.battery_state(drafts, running=True), *busy
        try:
            asked = self.services.batteries.ask(
                actor,
                UUID(case_id),
                battery=view.BATTERY,
                idempotency_key=uuid4().hex,
                model=model,
                images=view.OnScreen.read(viewer_out).images(),
            )
            async with aclosing(asked) as events:
                async for event in events:
                    if isinstance(event, BatteryResultEvent):
                        drafts[event.question.id] = event.draft
                        yield view.battery_state(drafts, running=True), *busy
                    elif isinstance(event, BatteryErrorEvent):
                        failed.append(event.message)
        except REFUSALS as refusal:
            failed.append(str(refusal))
        for message in dict.fromkeys(failed):
            gr.Warning(message)
        yield await self._battery(actor, case_id), *idle

    async def battery_stopped(self, case_id: str, request: gr.Request) -> tuple[Any, ...]:
        """Show what was stored of a stopped battery."""
        await asyncio.sleep(STOPPED_DRAFT_POLL_S)
        idle = gr.update(interactive=True), gr.update(interactive=False)
        return await self._battery(asker(self.actor_of, request), case_id), *idle

    async def _battery(self, actor: Actor, case_id: str) -> str:
        case = await asyncio.to_thread(self.services.worklist.case, actor, UUID(case_id))
        return view.battery_state(view.of_battery(case))

    @plainly
    def open_draft(self, case_id: str, opened: str, request: gr.Request) -> list[Any]:
        """Open a draft of the table for review; behind its id stands a count of clicks."""
        return self._shown(UUID(case_id), request, UUID(opened.partition(" ")[0]))

    async def stopped(self, case_id: str, request: gr.Request) -> list[Any]:
        """Show the conversation once the stopped draft is stored."""
        actor = asker(self.actor_of, request)
        for _ in range(int(WAIT_FOR_STOPPED_DRAFT_S / STOPPED_DRAFT_POLL_S)):
            case = await asyncio.to_thread(self.services.worklist.case, actor, UUID(case_id))
            if not case.messages or case.messages[-1].draft is not None:
                break
            await asyncio.sleep(STOPPED_DRAFT_POLL_S)
        shown = await asyncio.to_thread(self._shown, UUID(case_id), request, None)
        return [*shown, gr.update(interactive=True), gr.update(interactive=False)]

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
            draft = self.services.asking.draft(actor, UUID(draft_id))
            if verdict is None and correction.strip() == draft.shown_text.strip():
                raise gr.Error(words.NOTHING_CHANGED, print_exception=False)
            edited = verdict is None
            self.services.reviewing.submit(
                actor,
                UUID(draft_id),
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
            self._keep(actor, UUID(case_id), of_draft=done, regions=[])
            return self._shown(UUID(case_id), request, UUID(draft_id))

        return decide

    def saving(self, name: str) -> Any:  # noqa: ANN401 - Gradio takes any callable
        """Return the handler that keeps one half-written field."""

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
                    self._keep(actor, UUID(case_id), of_draft={draft_id: {name: value}})
            elif name == "regions":
                regions = view.OnScreen.read(value).regions
                self._keep(actor, UUID(case_id), regions=regions)
            else:
                self._keep(actor, UUID(case_id), **{name: value})

        return save

    def _keep(
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

    def _shown(self, case_id: UUID, request: gr.Request, draft_id: UUID | None) -> list[Any]:
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
        regions = half.get("regions") or view.regions_of(review)
        return [
            str(draft.id) if draft else None,
            review.revision if review else 0,
            view.header(case),
            self._model_note(),
            view.viewer_state(case, regions),
            gr.update(visible=case.state is CaseState.HELD),
            view.held(case) if case.state is CaseState.HELD else "",
        ]

    def _own_read(self, case: CaseView, half: dict[str, Any]) -> list[Any]:
        read = case.own_read
        shown = (
            ""
            if read is None
            else words.OWN_READ_COMMITTED.format(
                when=when(read.committed_at),
                confidence=read.confidence or "not given",
                text=as_text(read.text),
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
    def _nothing(said: str) -> list[Any]:
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
