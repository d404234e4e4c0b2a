"""Collections and their members, for administrators."""

import gradio as gr

from storage.vocabulary import Protocol
from webapp.services import inputs
from webapp.services.actor import Actor
from webapp.services.bundle import Services
from webapp.services.views import CollectionView, PersonView
from webapp.ui import admin_words as words
from webapp.ui.common import QUIET, ActorOf, asker, in_table, plainly, when
from webapp.ui.confirming import Outcome, Updates
from webapp.ui.words import PROTOCOLS


class CollectionsTab:
    """Lays the tab out and connects it; `load` fills it."""

    def __init__(self, services: Services, actor_of: ActorOf) -> None:
        """Build it inside the tab that is open."""
        self.services, self.actor_of = services, actor_of
        gr.Markdown(words.COLLECTIONS_HELP)
        self.table = gr.Markdown(elem_classes="worklist", elem_id="overread-collections-table")
        self.outcome = Outcome()
        with gr.Row():
            with gr.Column(elem_classes="card"):
                gr.Markdown(words.NEW_COLLECTION)
                self.name = gr.Textbox(label=words.NAME, max_lines=1, max_length=100)
                self.protocol = gr.Radio(
                    [(text, word) for word, text in PROTOCOLS.items()],
                    value=Protocol.READER_FIRST.value,
                    label=words.PROTOCOL,
                )
                self.make = gr.Button(words.DO_MAKE, variant="primary")
            with gr.Column(elem_classes="card", scale=2):
                self._lay_out_members()
        self.everything = [
            *(self.table, self.collection, self.members, self.member, self.other, self.name),
            *self.outcome.parts,
        ]
        self._connect()

    def _lay_out_members(self) -> None:
        self.collection = gr.Dropdown([], value=None, label=words.COLLECTION)
        self.members = gr.Markdown()
        with gr.Row(elem_classes="beside"):
            self.other = gr.Dropdown([], value=None, label=words.NOT_A_MEMBER, scale=2)
            self.add = gr.Button(words.DO_ADD_MEMBER, size="sm")
        with gr.Row(elem_classes="beside"):
            self.member = gr.Dropdown([], value=None, label=words.MEMBER, scale=2)
            self.remove = gr.Button(
                words.DO_REMOVE_MEMBER, size="sm", variant="stop", elem_classes="danger"
            )

    def _connect(self) -> None:
        shown = self.everything
        self.collection.input(self._choose, self.collection, shown, **QUIET)
        for start in (self.make.click, self.name.submit):
            start(self._make, [self.name, self.protocol], shown, **QUIET)
        self.add.click(self._add, [self.collection, self.other], shown, **QUIET)
        self.remove.click(self._remove, [self.collection, self.member], shown, **QUIET)
        self.outcome.undo.click(self._undo, self.outcome.back, shown, **QUIET)

    @plainly
    def load(self, request: gr.Request) -> Updates:
        """Return the tab as the store has it, the first collection chosen."""
        return self._shown(asker(self.actor_of, request), None, self.outcome.telling())

    def _shown(self, actor: Actor, chosen: str | None, told: Updates) -> Updates:
        found = self.services.collections.list(actor)
        names = [each.name for each in found]
        name = chosen if chosen in names else next(iter(names), None)
        members = () if name is None else self.services.collections.members(actor, name)
        inside = [person.name for person in members]
        outside = [
            person.name
            for person in self.services.people.list(actor)
            if not person.disabled and person.name not in inside
        ]
        return {
            self.table: collections_table(found),
            self.collection: gr.update(choices=names, value=name),
            self.members: "" if name is None else members_list(name, members),
            self.member: gr.update(choices=inside, value=None),
            self.other: gr.update(choices=outside, value=None),
            self.name: gr.update(),
            **told,
        }

    @plainly
    def _choose(self, name: str | None, request: gr.Request) -> Updates:
        return self._shown(asker(self.actor_of, request), name, self.outcome.telling())

    @plainly
    def _make(self, name: str, protocol: str, request: gr.Request) -> Updates:
        actor = asker(self.actor_of, request)
        made = self.services.collections.ensure(
            actor, name, inputs.word(protocol, Protocol, "protocol")
        )
        told = self.outcome.telling(words.MADE_COLLECTION.format(name=in_table(made.name)))
        return {**self._shown(actor, made.name, told), self.name: ""}

    @plainly
    def _add(self, name: str | None, person: str | None, request: gr.Request) -> Updates:
        return self._added(asker(self.actor_of, request), name, person)

    def _added(self, actor: Actor, name: str | None, person: str | None) -> Updates:
        name, person = _both(name, person)
        self.services.collections.add_member(actor, name, person)
        text = words.MEMBER_ADDED.format(person=in_table(person), name=in_table(name))
        return self._shown(actor, name, self.outcome.telling(text))

    @plainly
    def _remove(self, name: str | None, person: str | None, request: gr.Request) -> Updates:
        actor, (name, person) = asker(self.actor_of, request), _both(name, person)
        self.services.collections.remove_member(actor, name, person)
        text = words.MEMBER_REMOVED.format(person=in_table(person), name=in_table(name))
        return self._shown(actor, name, self.outcome.telling(text, back=(name, person)))

    @plainly
    def _undo(self, back: tuple[str, str] | None, request: gr.Request) -> Updates:
        return self._added(asker(self.actor_of, request), *(back or (None, None)))


def collections_table(collections: list[CollectionView]) -> str:
    """Return the collections as a Markdown table."""
    if not collections:
        return words.NO_COLLECTIONS
    head = "| Name | Protocol | Since |\n|-|-|-|\n"
    return head + "\n".join(
        f"| {in_table(each.name)} | {PROTOCOLS[each.protocol]} | {when(each.created_at)} |"
        for each in collections
    )


def members_list(name: str, members: tuple[PersonView, ...]) -> str:
    """Return who may open a collection, as Markdown."""
    head = words.MEMBERS.format(name=in_table(name))
    named = ", ".join(f"{in_table(person.name)} ({person.role.value})" for person in members)
    return f"{head}\n\n{named or words.NO_MEMBERS}"


def _both(name: str | None, person: str | None) -> tuple[str, str]:
    if not name or not person:
        raise gr.Error(words.CHOOSE_MEMBER, print_exception=False)
    return name, person
