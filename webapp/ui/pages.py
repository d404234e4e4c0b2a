"""The pages' calls: one whose fields do not fit is refused before a handler sees it."""

from typing import Any

import gradio as gr

from webapp.ui import words


class Pages(gr.Blocks):
    """Gradio's own, but silent about what was typed.

    Of a value that a component does not take Gradio would print the whole stack with the value,
    and send the value back.
    """

    async def preprocess_data(self, block_fn: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - Gradio's own
        """Turn a call's fields into what its handler takes.

        Raises:
            gr.Error: they do not fit, or it runs in the browser; only a forged call does this.
        """
        if block_fn.fn is None:
            raise gr.Error(words.UNREADABLE, print_exception=False)
        try:
            return await super().preprocess_data(block_fn, *args, **kwargs)
        except Exception:  # noqa: BLE001 - components raise whatever they like
            raise gr.Error(words.UNREADABLE, print_exception=False) from None
