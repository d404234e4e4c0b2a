"""Asking before what cannot be undone, a secret shown once, and one step back."""

from typing import Any

import gradio as gr

from webapp.ui import admin_words as words

Updates = dict[Any, Any]  # component -> its update


class Confirmation:
    """A row that says what will happen and waits for yes or no; what is pending stays here."""

    def __init__(self) -> None:
        """Lay the row out, hidden."""
        with gr.Row(visible=False, elem_classes="confirm") as self.row:
            self.question = gr.Markdown()
            self.yes = gr.Button(
                "", variant="stop", size="sm", min_width=120, elem_classes="danger"
            )
            self.no = gr.Button(words.CONFIRM_NO, size="sm", min_width=120)
        self.pending = gr.State(None)
        self.parts = (self.row, self.question, self.yes, self.pending)
        self.no.click(self.gone, None, self.parts, api_visibility="private")

    def asking(self, question: str, yes: str, pending: tuple[str, str]) -> Updates:
        """Return the updates that ask; `pending` comes back with the answer yes."""
        return {
            self.row: gr.update(visible=True),
            self.question: question,
            self.yes: gr.update(value=yes),
            self.pending: pending,
        }

    def gone(self) -> Updates:
        """Return the updates that ask nothing."""
        return {
            self.row: gr.update(visible=False),
            self.question: "",
            self.yes: gr.update(),
            self.pending: None,
        }


class Outcome:
    """What came of the last step: a sentence, perhaps a secret, perhaps the way back."""

    def __init__(self) -> None:
        """Lay it out, empty."""
        with gr.Row(elem_classes="beside"):
            self.told = gr.Markdown(elem_classes="outcome")
            self.undo = gr.Button(words.UNDO, visible=False, size="sm", min_width=90, scale=0)
        self.secret = gr.Textbox(
            label=words.SECRET_ONCE,
            visible=False,
            interactive=True,  # with the keyboard, too, it can be chosen and copied
            elem_classes="secret",
        )
        self.back = gr.State(None)
        self.parts = (self.told, self.undo, self.secret, self.back)

    def telling(
        self, text: str = "", *, secret: str | None = None, back: tuple[str, str] | None = None
    ) -> Updates:
        """Return the updates that show it; a secret shown before is gone."""
        return {
            self.told: text,
            self.secret: gr.update(value=secret or "", visible=secret is not None),
            self.undo: gr.update(visible=back is not None),
            self.back: back,
        }
