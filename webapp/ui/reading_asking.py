"""Asking on the reading page: one question, or the list of findings; both stream and stop."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from functools import partial
from typing import Any, TypeVar
from uuid import UUID, uuid4

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
from webapp.ui.common import as_text, asker, plainly, tell
from webapp.ui.reading_shown import Shown

WAIT_FOR_STOPPED_DRAFT_S = 3.0
STOPPED_DRAFT_POLL_S = 0.25


T = TypeVar("T")


class AskingHandlers(Shown):
    """The handlers that wait for a model; whatever happens, the buttons are given back."""

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
            async with aclosing(self._lasting(asked, actor)) as events:
                async for event in events:
                    if isinstance(event, TokenEvent):
                        said += event.text
                        yield [*before, view.answer(said)], "", *busy
                    elif isinstance(event, DoneEvent):
                        await asyncio.to_thread(self.keep, actor, UUID(case_id), question="")
                        done = view.answer(event.draft.shown_text, event.draft)
                        yield [*before, done], "", *idle
        except Exception as error:  # noqa: BLE001 - told, and the buttons given back
            tell(error)
            yield gr.skip(), text, *idle

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
            async with aclosing(self._lasting(asked, actor)) as events:
                async for event in events:
                    if isinstance(event, BatteryResultEvent):
                        drafts[event.question.id] = event.draft
                        yield view.battery_state(drafts, running=True), *busy
                    elif isinstance(event, BatteryErrorEvent):
                        failed.append(event.message)
        except Exception as error:  # noqa: BLE001 - told, and the buttons given back
            tell(error)
        for message in dict.fromkeys(failed):
            gr.Warning(message)
        yield await self._battery(actor, case_id), *idle

    @plainly
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
        return self.shown(UUID(case_id), request, UUID(opened.partition(" ")[0]))

    @plainly
    async def stopped(self, case_id: str, request: gr.Request) -> list[Any]:
        """Show the conversation once the stopped draft is stored."""
        actor = asker(self.actor_of, request)
        for _ in range(int(WAIT_FOR_STOPPED_DRAFT_S / STOPPED_DRAFT_POLL_S)):
            case = await asyncio.to_thread(self.services.worklist.case, actor, UUID(case_id))
            if not case.messages or case.messages[-1].draft is not None:
                break
            await asyncio.sleep(STOPPED_DRAFT_POLL_S)
        shown = await asyncio.to_thread(self.shown, UUID(case_id), request, None)
        return [*shown, gr.update(interactive=True), gr.update(interactive=False)]
