"""The reading page: own read, questions and drafts, review; wiring only, no rules.

Everything a reader has typed is saved as it is typed, and everything shown is read back from
the store, so that a refresh, another window or a restart shows the same page again.
"""

from typing import Any

import gradio as gr

from storage.vocabulary import Attestation, Verdict
from webapp.services.bundle import Services
from webapp.ui import words
from webapp.ui.common import QUIET, ActorOf
from webapp.ui.reading_handlers import Handlers
from webapp.ui.reading_parts import Controls, Parts, lay_out


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


def _wire_held(handlers: Handlers, parts: Parts, controls: Controls) -> None:
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
    for button, step in zip(controls.found_steps, (-1, 1), strict=True):
        button.click(
            handlers.going_to_text(step),
            [parts.case_id, controls.found],
            [controls.found, parts.found_at, parts.viewer_state],
            **QUIET,
        ).then(handlers.let_go_of_text, parts.case_id, parts.viewer_state, **QUIET)


def _wire_own_read(handlers: Handlers, parts: Parts, controls: Controls) -> None:
    controls.normal.click(lambda: words.OWN_READ_NORMAL, None, parts.own_text, **QUIET)
    controls.commit.click(
        handlers.commit,
        [parts.case_id, parts.own_text, parts.confidence],
        parts.all_parts(),
        **QUIET,
    )


def _wire_asking(handlers: Handlers, parts: Parts, controls: Controls) -> None:
    inputs = [parts.case_id, parts.question, parts.model, controls.viewer_out]
    outputs = [parts.chat, parts.question, controls.ask, controls.stop]
    running = [
        start(handlers.ask, inputs, outputs, concurrency_limit=None, **QUIET)
        for start in (controls.ask.click, parts.question.submit)
    ]
    for button, text in zip(controls.quick, words.QUICK_QUESTIONS, strict=True):
        asked = button.click(
            handlers.asking(text),
            [parts.case_id, parts.model, controls.viewer_out],
            outputs,
            concurrency_limit=None,
            **QUIET,
        )
        running.append(asked)
    _wire_stop(
        controls.stop,
        running,
        handlers.answered,
        parts.case_id,
        [*parts.all_parts(), controls.ask, controls.stop],
    )


def _wire_stop(
    stop: gr.Button,
    running: list[Any],
    ended: Any,  # noqa: ANN401 - Gradio takes any callable
    case_id: gr.State,
    outputs: list[Any],
) -> None:
    """End what runs with `stop`; what `ended` returns is shown when it is over, however it ended.

    A button that the stopping call itself gives back can be pressed while the browser still
    waits for the cancelled call, and such a press is lost.
    """
    for asked in running:
        asked.then(ended, case_id, outputs, **QUIET)
    stop.click(None, cancels=running, **QUIET)


def _wire_battery(handlers: Handlers, parts: Parts, controls: Controls) -> None:
    buttons = [controls.battery_ask, controls.battery_stop]
    asked = controls.battery_ask.click(
        handlers.ask_battery,
        [parts.case_id, parts.model, controls.viewer_out],
        [parts.battery_state, *buttons],
        concurrency_limit=None,
        **QUIET,
    )
    _wire_stop(
        controls.battery_stop,
        [asked],
        handlers.battery_answered,
        parts.case_id,
        [parts.battery_state, *buttons],
    )
    controls.battery_open.change(
        handlers.open_draft,
        [parts.case_id, controls.battery_open],
        parts.all_parts(),
        **QUIET,
    )


def _wire_review(handlers: Handlers, parts: Parts, controls: Controls) -> None:
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


def _wire_saving(handlers: Handlers, parts: Parts, controls: Controls) -> None:
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
