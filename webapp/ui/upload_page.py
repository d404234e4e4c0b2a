"""Upload: a slot that the page's own script fills, because files never pass through Gradio."""

import json

import gradio as gr

from webapp.services.bundle import Services
from webapp.ui.common import QUIET, ActorOf, asker, plainly, strip


def build_upload_page(page: gr.Blocks, services: Services, actor_of: ActorOf) -> None:
    """Lay out the upload page on `page` and connect it."""
    strip()
    gr.Markdown(
        "### Upload studies\n"
        "Identity is removed from every file before anything is stored: only what is on an "
        "allow-list is kept, dates and names are dropped, ids are replaced. PNG, JPEG, NIfTI, "
        "ultrasound and secondary captures are held until a person has looked at the pixels."
    )
    with gr.Group(elem_id="overread-upload"):
        pass
    state = gr.Textbox(visible="hidden", elem_id="overread-upload-state")

    @plainly
    def collections(request: gr.Request) -> str:
        found = services.collections.list(asker(actor_of, request))
        return json.dumps({"collections": [collection.name for collection in found]})

    page.load(collections, None, state, **QUIET)
