"""The worklist: which cases are there, how far this reader has come, and the next one."""

import gradio as gr

from webapp.services.bundle import Services
from webapp.services.views import CaseRow
from webapp.ui import words
from webapp.ui.common import QUIET, ActorOf, asker, in_table, plainly, strip, when

PAGE_SIZE = 20
ALL = "all"


def build_worklist_page(page: gr.Blocks, services: Services, actor_of: ActorOf) -> None:
    """Lay out the worklist on `page` and connect it."""
    strip()
    with gr.Row(equal_height=True):
        collection = gr.Radio([ALL], value=ALL, label="Collection", scale=3)
        state = gr.Radio(_state_choices(), value=ALL, label="Show", scale=4)
        next_case = gr.Button("Read the next case", variant="primary", scale=1, min_width=180)
    table = gr.Markdown(elem_classes="worklist")
    with gr.Row():
        first = gr.Button("First page", visible=False, size="sm")
        more = gr.Button("Next page", visible=False, size="sm")
    cursor = gr.State(None)
    goto = gr.Textbox(visible="hidden", elem_id="overread-goto")

    @plainly
    def show(collection: str, state: str, cursor: str | None, request: gr.Request) -> tuple:  # type: ignore[type-arg]  # Gradio's outputs differ in kind
        found = services.worklist.page(
            asker(actor_of, request),
            collection=None if collection == ALL else collection,
            state=None if state == ALL else state,
            cursor=cursor,
            limit=PAGE_SIZE,
        )
        return (
            worklist_table(found.items),
            found.next,
            gr.update(visible=found.next is not None),
            gr.update(visible=cursor is not None),
        )

    @plainly
    def collections(request: gr.Request) -> dict[str, object]:
        found = services.collections.list(asker(actor_of, request))
        choices = [(words.ALL_COLLECTIONS, ALL), *((c.name, c.name) for c in found)]
        return gr.update(choices=choices, value=ALL)

    @plainly
    def take_next(collection: str, request: gr.Request) -> str:
        case = services.worklist.next(
            asker(actor_of, request), None if collection == ALL else collection
        )
        if case is None:
            gr.Info(words.ALL_DONE)
            return ""
        return f"/read?case={case.id}"

    def from_the_start(collection: str, state: str, request: gr.Request) -> tuple:  # type: ignore[type-arg]  # as show
        return show(collection, state, None, request)

    shown = [table, cursor, more, first]
    page.load(collections, None, collection, **QUIET).then(
        from_the_start, [collection, state], shown, **QUIET
    )
    for control in (collection, state):
        control.input(from_the_start, [collection, state], shown, **QUIET)
    first.click(from_the_start, [collection, state], shown, **QUIET)
    more.click(show, [collection, state, cursor], shown, **QUIET)
    next_case.click(take_next, [collection], goto, **QUIET)


def worklist_table(rows: tuple[CaseRow, ...]) -> str:
    """Return the rows as a Markdown table whose first column opens the case."""
    if not rows:
        return words.NOTHING_TO_READ
    head = "| Case | Study | Images | Collection | Protocol | Yours | Added |\n|-|-|-|-|-|-|-|\n"
    return head + "\n".join(_row(row) for row in rows)


def _row(row: CaseRow) -> str:
    study = " ".join(part for part in (row.modality, row.body_part) if part)
    made_up = f" ({words.MADE_UP})" if row.made_up else ""
    progress = (
        words.PROGRESS[row.progress]
        if row.state == "admitted"
        else f"**{words.STATES[row.state]}**" + _checked(row)
    )
    cells = (
        f"[{short_name(row)}](/read?case={row.id})",
        in_table(study) + made_up,
        pictures(row),
        in_table(row.collection),
        words.PROTOCOLS[row.protocol],
        progress,
        when(row.created_at),
    )
    return "| " + " | ".join(cells) + " |"


def _checked(row: CaseRow) -> str:
    """Return how far the search for text in a case's pixels is."""
    return "" if row.checked is None else f" {row.checked[0]} of {row.checked[1]}"


def pictures(row: CaseRow) -> str:
    """Return how many images there are, and of how many frames where that is another number."""
    if row.frame_count == row.image_count:
        return str(row.image_count)
    return f"{row.image_count} ({row.frame_count} frames)"


def short_name(case: CaseRow) -> str:
    """Return the eight characters by which people tell cases apart."""
    return case.id.hex[:8].upper()


def _state_choices() -> list[tuple[str, str]]:
    own = [(text, word) for word, text in words.PROGRESS.items()]
    return [("all", ALL), *own, (words.STATES["held"], "held")]
