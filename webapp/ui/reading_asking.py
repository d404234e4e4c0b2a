"""Asking on the reading page: one question, or the list of findings; both stream and stop."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any, Final, TypeVar
from uuid import uuid4

import gradio as gr

from webapp.services.actor import Actor
from webapp.services.lasting import while_signed_in
from webapp.services.views import (
    BatteryErrorEvent,
    BatteryResultEvent,
    DoneEvent,
    DraftView,
    TokenEvent,
)
from webapp.ui import reading_view as view
from webapp.ui.common import as_text, asker, id_of, plainly, tell
from webapp.ui.reading_shown import Shown

WAIT_FOR_STOPPED_DRAFT_S = 3.0
STOPPED_DRAFT_POLL_S = 0.25
BUSY: Final = gr.update(interactive=False), gr.update(interactive=True)  # asking, stopping
IDLE: Final = gr.update(interactive=True), gr.update(interactive=False)

T = TypeVar("T")


class AskingHandlers(Shown):
    """The handlers that wait for a model; what follows its end gives the buttons back."""

    async def ask(
        self, case_id: str, text: str, model: str | None, viewer_out: str, request: gr.Request
    ) -> AsyncGenerator[tuple[Any, ...], None]:
        """Stream an answer into the conversation; closing this generator stops the worker."""
        actor = asker(self.actor_of, request)
        try:
            case = await asyncio.to_thread(
                self.services.worklist.case, actor, id_of(case_id, "case")
            )
            before = [
                *view.conversation(case.messages),
                {"role": "user", "content": as_text(text)},
            ]
            yield [*before, view.answer("…")], text, *BUSY
            said = ""
            asked = self.services.asking.ask(
                actor,
                id_of(case_id, "case"),
                text=text,
                idempotency_key=uuid4().hex,
                model=model,
                images=view.OnScreen.read(viewer_out).images(),
            )
            async with aclosing(self._lasting(asked, actor)) as events:
                async for event in events:
                    if isinstance(event, TokenEvent):
                        said += event.text
                        yield [*before, view.answer(said)], "", *BUSY
                    elif isinstance(event, DoneEvent):
                        await asyncio.to_thread(
                            self.keep, actor, id_of(case_id, "case"), question=""
                        )
                        done = view.answer(event.draft.shown_text, event.draft)
                        yield [*before, done], "", *BUSY
        except Exception as error:  # noqa: BLE001 - told, and the question kept
            tell(error)
            yield gr.skip(), text, *BUSY

    def _lasting(self, events: AsyncGenerator[T, None], actor: Actor) -> AsyncGenerator[T, None]:
        """End the events with the session: Gradio would go on until the model's next word."""
        return while_signed_in(events, partial(self.services.accounts.is_current, actor))

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
        drafts: dict[str, DraftView] = {}
        failed: list[str] = []
        yield view.battery_state(drafts, running=True), *BUSY
        try:
            asked = self.services.batteries.ask(
                actor,
                id_of(case_id, "case"),
                battery=view.BATTERY,
                idempotency_key=uuid4().hex,
                model=model,
                images=view.OnScreen.read(viewer_out).images(),
            )
            async with aclosing(self._lasting(asked, actor)) as events:
                async for event in events:
                    if isinstance(event, BatteryResultEvent):
                        drafts[event.question.id] = event.draft
                        yield view.battery_state(drafts, running=True), *BUSY
                    elif isinstance(event, BatteryErrorEvent):
                        failed.append(event.message)
        except Exception as error:  # noqa: BLE001 - told; what was answered stays
            tell(error)
        for message in dict.fromkeys(failed):
            gr.Warning(message)

    @plainly
    async def battery_answered(self, case_id: str, request: gr.Request) -> tuple[Any, ...]:
        """Show what was stored of a battery, which of a stopped one is a little later."""
        await asyncio.sleep(STOPPED_DRAFT_POLL_S)
        actor = asker(self.actor_of, request)
        case = await asyncio.to_thread(self.services.worklist.case, actor, id_of(case_id, "case"))
        return view.battery_state(view.of_battery(case)), *IDLE

    @plainly
    def open_draft(self, case_id: str, opened: str, request: gr.Request) -> list[Any]:
        """Open a draft of the table for review; behind its id stands a count of clicks."""
        return self.shown(id_of(case_id, "case"), request, id_of(opened.partition(" ")[0], "draft"))

    @plainly
    async def answered(self, case_id: str, request: gr.Request) -> list[Any]:
        """Show the conversation once the draft is stored, which a stopped one is a little later."""
        actor = asker(self.actor_of, request)
        for _ in range(int(WAIT_FOR_STOPPED_DRAFT_S / STOPPED_DRAFT_POLL_S)):
            case = await asyncio.to_thread(
                self.services.worklist.case, actor, id_of(case_id, "case")
            )
            if not case.messages or case.messages[-1].draft is not None:
                break
            await asyncio.sleep(STOPPED_DRAFT_POLL_S)
        shown = await asyncio.to_thread(self.shown, id_of(case_id, "case"), request, None)
        return [*shown, *IDLE]
