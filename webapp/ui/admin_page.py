"""Administration: people, collections, tokens, held studies, models, health.

Each tab is filled when it is opened, so that looking at one asks, and notes in the trail,
nothing of the others.
"""

import gradio as gr

from inference.errors import WorkerUnavailableError
from webapp.services.bundle import Services
from webapp.services.health import HealthLine
from webapp.services.views import ServedModelView
from webapp.ui import admin_words as words
from webapp.ui.admin_collections import CollectionsTab
from webapp.ui.admin_people import PeopleTab
from webapp.ui.common import QUIET, ActorOf, asker, in_table, plainly, strip
from webapp.ui.token_parts import Tokens
from webapp.ui.worklist_page import worklist_table

MOST_HELD = 50


def build_admin_page(page: gr.Blocks, services: Services, actor_of: ActorOf) -> None:
    """Lay out the administration page on `page` and connect it."""
    strip()
    gr.Markdown(words.HEADING)
    with gr.Tabs():
        with gr.Tab(words.TABS["people"]):
            people = PeopleTab(services, actor_of)
        with gr.Tab(words.TABS["collections"]) as tab:
            collections = CollectionsTab(services, actor_of)
            tab.select(collections.load, None, collections.everything, **QUIET)
        with gr.Tab(words.TABS["tokens"]) as tab:
            tokens = Tokens(services, actor_of, everybodys=True)
            tab.select(tokens.load, None, tokens.everything, **QUIET)
        with gr.Tab(words.TABS["held"]) as tab:
            _build_held(tab, services, actor_of)
        with gr.Tab(words.TABS["models"]) as tab:
            _build_models(tab, services, actor_of)
        with gr.Tab(words.TABS["health"]) as tab:
            _build_health(tab, services, actor_of)
    page.load(people.load, None, people.everything, **QUIET)


def _build_held(tab: gr.Tab, services: Services, actor_of: ActorOf) -> None:
    gr.Markdown(words.HELD_HEADING)
    table = gr.Markdown(elem_classes="worklist")

    @plainly
    def held(request: gr.Request) -> str:
        found = services.worklist.page(asker(actor_of, request), state="held", limit=MOST_HELD)
        if not found.items:
            return words.HELD_NONE
        more = f"\n\n{words.HELD_MORE}" if found.next else ""
        return worklist_table(found.items) + more

    tab.select(held, None, table, **QUIET)


def _build_models(tab: gr.Tab, services: Services, actor_of: ActorOf) -> None:
    gr.Markdown(words.MODELS_HEADING)
    table = gr.Markdown(elem_classes="worklist", elem_id="overread-models")

    @plainly
    def models(request: gr.Request) -> str:
        try:
            return models_table(services.serving.models(asker(actor_of, request)))
        except WorkerUnavailableError:
            return words.MODELS_AWAY

    tab.select(models, None, table, **QUIET)


def _build_health(tab: gr.Tab, services: Services, actor_of: ActorOf) -> None:
    table = gr.Markdown(elem_classes="worklist")
    again = gr.Button(words.HEALTH_LOOK, size="sm", scale=0, min_width=140)

    @plainly
    def health(request: gr.Request) -> str:
        return health_table(services.health.report(asker(actor_of, request)))

    for start in (tab.select, again.click):
        start(health, None, table, **QUIET)


def models_table(models: list[ServedModelView]) -> str:
    """Return the served models as a Markdown table, with the licence of each."""
    if not models:
        return words.MODELS_NONE
    head = "| Model | Family | Licence | Weights | Adapters | About |\n|-|-|-|-|-|-|\n"
    return head + "\n".join(_model_row(model) for model in models)


def health_table(lines: tuple[HealthLine, ...]) -> str:
    """Return the state of the parts as a Markdown table."""
    head = "| Part | State | Found |\n|-|-|-|\n"
    return head + "\n".join(
        f"| {line.part} | {words.HEALTH_STATE[line.state]} | {in_table(line.detail)} |"
        for line in lines
    )


def _model_row(model: ServedModelView) -> str:
    cells = (
        model.id,
        model.family or "–",
        model.licence or "–",
        (model.weights_sha256 or "–")[:12],
        ", ".join(model.adapters) or "–",
        model.description or "–",
    )
    return "| " + " | ".join(in_table(cell) for cell in cells) + " |"
