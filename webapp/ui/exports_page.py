"""Exports: make training data from decided drafts, and fetch what was made."""

import gradio as gr

from storage.exports.zipped import NAME
from storage.vocabulary import ExportFormat
from webapp.services import inputs
from webapp.services.bundle import Services
from webapp.services.views import ExportView
from webapp.ui import words
from webapp.ui.common import ActorOf, asker, in_table, plainly, strip, when

ALL = "all"


def build_exports_page(page: gr.Blocks, services: Services, actor_of: ActorOf) -> None:
    """Lay out the exports page on `page` and connect it."""
    strip()
    gr.Markdown(
        "### Exports\n"
        "One row a decided draft, split by patient. Each export has a manifest with counts and "
        "hashes; the same reviews give the same bytes."
    )
    with gr.Row(equal_height=True):
        chosen = gr.Radio(
            [(text, word) for word, text in words.EXPORT_FORMATS.items()],
            value=ExportFormat.TRL_DPO.value,
            label="Format",
            scale=4,
        )
        collection = gr.Radio(
            [(words.ALL_COLLECTIONS, ALL)], value=ALL, label="Collection", scale=2
        )
        make = gr.Button("Export", variant="primary", scale=1)
    told = gr.Markdown()
    made = gr.Markdown(elem_classes="worklist")

    @plainly
    def show(request: gr.Request) -> tuple[dict[str, object], str]:
        actor = asker(actor_of, request)
        names = [c.name for c in services.collections.list(actor)]
        choices = [(words.ALL_COLLECTIONS, ALL), *((name, name) for name in names)]
        return gr.update(choices=choices), exports_table(services.exporting.list(actor))

    @plainly
    def export(chosen: str, collection: str, request: gr.Request) -> tuple[str, str]:
        actor = asker(actor_of, request)
        view = services.exporting.make(
            actor,
            inputs.word(chosen, ExportFormat, "format"),
            None if collection == ALL else collection,
        )
        rows = sum(view.counts.values())
        said = (
            words.EXPORT_MADE.format(rows=rows, files=len(view.files))
            if rows
            else words.EXPORT_EMPTY
        )
        return said, exports_table(services.exporting.list(actor))

    page.load(show, None, [collection, made], api_visibility="private")
    make.click(export, [chosen, collection], [told, made], api_visibility="private")


def exports_table(exports: list[ExportView]) -> str:
    """Return the exports as a Markdown table, newest first, with a link a file."""
    if not exports:
        return "Nothing has been exported yet."
    head = "| Made | Format | Rows | No row | Files |\n|-|-|-|-|-|\n"
    return head + "\n".join(_row(view) for view in exports)


def _row(view: ExportView) -> str:
    address = f"/api/v1/exports/{view.id}/files"
    whole = f"[all as one zip]({address}/{NAME})"
    named = [name for name in sorted(view.files) if not name.startswith("images/")]
    links = ", ".join(f"[{in_table(name)}]({address}/{name})" for name in named)
    pictures = len(view.files) - len(named)
    images = f" and {pictures} images" if pictures else ""
    rows = ", ".join(f"{split} {count}" for split, count in view.counts.items())
    skipped = ", ".join(f"{in_table(why)} {count}" for why, count in sorted(view.skipped.items()))
    made = f"{when(view.created_at)} | {view.format.value}"
    return f"| {made} | {rows} | {skipped or '–'} | {whole}, {links}{images} |"
