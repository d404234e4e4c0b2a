"""The reading page's components, named, in the order a reader meets them."""

from dataclasses import dataclass, fields
from typing import Any, Final

import gradio as gr

from webapp.ui import words
from webapp.ui.common import strip

HIDDEN: Final = "hidden"
CARD: Final = "card"


@dataclass(frozen=True, slots=True)
class Parts:
    """Every component that a handler fills; `all_parts` is the order of a full refresh."""

    case_id: gr.State
    draft_id: gr.State
    revision: gr.State
    header: gr.Markdown
    model_note: gr.Markdown
    viewer_state: gr.Textbox
    held_group: gr.Column
    held_text: gr.Markdown
    found_at: gr.Markdown
    search: gr.Textbox
    own_form: gr.Column
    own_text: gr.Textbox
    confidence: gr.Radio
    own_shown: gr.Markdown
    ask_group: gr.Column
    chat: gr.Chatbot
    question: gr.Textbox
    model: gr.Radio
    battery_group: gr.Column
    battery_state: gr.Textbox
    review_group: gr.Column
    which: gr.Radio
    correction: gr.Textbox
    significant: gr.Checkbox
    comment: gr.Textbox
    review_status: gr.Markdown

    def all_parts(self) -> list[Any]:
        """Return the components in field order."""
        return [getattr(self, each.name) for each in fields(self)]


@dataclass(frozen=True, slots=True)
class Controls:
    """What a reader presses, and the two hidden fields that carry values to and from scripts."""

    viewer_out: gr.Textbox
    goto: gr.Textbox
    clean: gr.Button
    mask: gr.Button
    found: gr.State
    found_steps: tuple[gr.Button, gr.Button]
    refuse: gr.Button
    normal: gr.Button
    commit: gr.Button
    quick: list[gr.Button]
    ask: gr.Button
    stop: gr.Button
    battery_ask: gr.Button
    battery_stop: gr.Button
    battery_open: gr.Textbox
    accept: gr.Button
    save: gr.Button
    reject: gr.Button
    abstain: gr.Button
    next_case: gr.Button


def lay_out() -> tuple[Parts, Controls]:
    """Lay the page out: the viewer on the left, the three steps of a read on the right."""
    strip()
    viewer_out = gr.Textbox(visible=HIDDEN, elem_id="overread-viewer-out")
    viewer_state = gr.Textbox(visible=HIDDEN, elem_id="overread-viewer-state")
    battery_state = gr.Textbox(visible=HIDDEN, elem_id="overread-battery-state")
    battery_open = gr.Textbox(visible=HIDDEN, elem_id="overread-battery-open")
    goto = gr.Textbox(visible=HIDDEN, elem_id="overread-goto")
    states = gr.State(None), gr.State(None), gr.State(0)
    with gr.Row():
        with gr.Column(scale=3, min_width=420), gr.Group(elem_id="overread-viewer"):
            pass
        with gr.Column(scale=2, min_width=380, elem_classes="reading-panel"):
            with gr.Row(elem_classes="case-head"):
                header = gr.Markdown(words.NO_CASE)
                next_case = gr.Button("Next case", size="sm", scale=0, min_width=96)
            held_group, held_text, found_at, found_steps, decisions = _held()
            search = gr.Textbox(visible=HIDDEN, elem_id="overread-search-state")
            with gr.Group(elem_id="overread-search"):
                pass
            own_form, own_text, confidence, normal, commit, own_shown = _own_read()
            with gr.Column(visible=False, elem_classes=CARD) as ask_group:
                gr.Markdown("### 2 · Ask", elem_classes="step")
                model_note = gr.Markdown(elem_classes="hint")
                model = gr.Radio([], label="Model", visible=False)
                chat = gr.Chatbot(
                    show_label=False,
                    render_markdown=False,
                    allow_tags=False,
                    feedback_options=None,
                    buttons=[],
                    height=250,
                    elem_classes="conversation",
                    elem_id="overread-chat",
                )
                with gr.Row(elem_classes="quick"):
                    quick = [gr.Button(text, size="sm") for text in words.QUICK_QUESTIONS]
                with gr.Row(equal_height=True, elem_classes="ask"):
                    question = gr.Textbox(
                        label=words.ASK_LABEL,
                        placeholder=words.ASK_PLACEHOLDER,
                        lines=1,
                        max_lines=6,
                        scale=5,
                        elem_id="overread-question",
                    )
                    ask = gr.Button("Ask", variant="primary", size="sm", min_width=64)
                    stop = gr.Button(
                        "Stop", variant="stop", size="sm", min_width=64, interactive=False
                    )
                battery_group, battery_ask, battery_stop = _battery()
            review_group, review, buttons = _review()
    parts = Parts(
        *states,
        header,
        model_note,
        viewer_state,
        held_group,
        held_text,
        found_at,
        search,
        own_form,
        own_text,
        confidence,
        own_shown,
        ask_group,
        chat,
        question,
        model,
        battery_group,
        battery_state,
        review_group,
        *review,
    )
    clean, mask, refuse = decisions
    accept, save, reject, abstain = buttons
    controls = Controls(
        viewer_out=viewer_out,
        goto=goto,
        clean=clean,
        mask=mask,
        found=gr.State(-1),
        found_steps=found_steps,
        refuse=refuse,
        normal=normal,
        commit=commit,
        quick=quick,
        ask=ask,
        stop=stop,
        battery_ask=battery_ask,
        battery_stop=battery_stop,
        battery_open=battery_open,
        accept=accept,
        save=save,
        reject=reject,
        abstain=abstain,
        next_case=next_case,
    )
    return parts, controls


def _held() -> tuple[
    gr.Column,
    gr.Markdown,
    gr.Markdown,
    tuple[gr.Button, gr.Button],
    tuple[gr.Button, gr.Button, gr.Button],
]:
    with gr.Column(visible=False, elem_classes=CARD) as group:
        text = gr.Markdown()
        with gr.Row():
            previous = gr.Button(words.FOUND_PREVIOUS, size="sm")
            following = gr.Button(words.FOUND_NEXT, size="sm")
        found_at = gr.Markdown(elem_classes="hint", elem_id="overread-found-at")
        clean = gr.Button(words.ATTEST_CLEAN, size="sm")
        mask = gr.Button(words.ATTEST_MASK, size="sm")
        refuse = gr.Button(words.ATTEST_REFUSE, variant="stop", size="sm")
    return group, text, found_at, (previous, following), (clean, mask, refuse)


def _own_read() -> tuple[gr.Column, gr.Textbox, gr.Radio, gr.Button, gr.Button, gr.Markdown]:
    with gr.Column(visible=False, elem_classes=CARD) as group:
        gr.Markdown("### 1 · Your own read", elem_classes="step")
        text = gr.Textbox(
            label=words.OWN_READ_LABEL,
            placeholder=words.OWN_READ_PLACEHOLDER,
            lines=4,
            elem_id="overread-own-read",
        )
        confidence = gr.Radio([1, 2, 3, 4, 5], label=words.CONFIDENCE)
        with gr.Row():
            normal = gr.Button("Nothing abnormal", size="sm")
            commit = gr.Button("Commit my read", variant="primary", size="sm")
    shown = gr.Markdown(elem_classes="hint")
    return group, text, confidence, normal, commit, shown


def _battery() -> tuple[gr.Column, gr.Button, gr.Button]:
    """Lay out the slot that the page's own script fills with a table: its cells hold model text."""
    with gr.Column(visible=False) as group:
        with gr.Row(elem_classes="quick"):
            ask = gr.Button(words.BATTERY_ASK, size="sm")
            stop = gr.Button(words.BATTERY_STOP, variant="stop", size="sm", interactive=False)
        with gr.Group(elem_id="overread-battery"):
            pass
    return group, ask, stop


def _review() -> tuple[
    gr.Column, tuple[Any, ...], tuple[gr.Button, gr.Button, gr.Button, gr.Button]
]:
    with gr.Column(visible=False, elem_classes=CARD) as group:
        gr.Markdown("### 3 · Review the draft", elem_classes="step")
        which = gr.Radio([], label=words.REVIEW_WHICH, visible=False)
        correction = gr.Textbox(label=words.REVIEW_LABEL, lines=5, elem_id="overread-correction")
        significant = gr.Checkbox(label=words.SIGNIFICANT_LABEL)
        comment = gr.Textbox(label=words.COMMENT_LABEL, lines=1, elem_id="overread-comment")
        with gr.Row():
            accept = gr.Button("Accept as is", size="sm")
            save = gr.Button("Save correction", variant="primary", size="sm")
            reject = gr.Button("Reject", variant="stop", size="sm")
            abstain = gr.Button("Cannot judge", size="sm")
        status = gr.Markdown(elem_classes="hint", elem_id="overread-review-status")
    return (
        group,
        (which, correction, significant, comment, status),
        (accept, save, reject, abstain),
    )
