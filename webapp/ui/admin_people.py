"""People, for administrators: who has an account, with which role, and whether it is open."""

from typing import Any

import gradio as gr

from storage.vocabulary import Role
from webapp.services import inputs
from webapp.services.actor import Actor
from webapp.services.bundle import Services
from webapp.services.policy import ACTIONS, Action
from webapp.services.views import PersonView
from webapp.ui import admin_words as words
from webapp.ui.common import QUIET, ActorOf, asker, in_table, plainly, when
from webapp.ui.confirming import Confirmation, Outcome, Updates

RESET, SIGN_OUT, DISABLE = "reset", "sign out", "disable"
ASK = {
    RESET: (words.CONFIRM_RESET, words.DO_RESET),
    SIGN_OUT: (words.CONFIRM_SIGN_OUT, words.DO_SIGN_OUT),
    DISABLE: (words.CONFIRM_DISABLE, words.DO_DISABLE),
}
OF_THE_MACHINE = frozenset(
    {
        Action.REQUEST,
        Action.START,
        Action.STOP,
        Action.KEEP_HEAD,
        Action.SEARCH_PIXELS,
        Action.ENSURE_FIRST_ACCOUNT,
    }
)
"""Actions nobody chooses to do."""


class PeopleTab:
    """Lays the tab out and connects it; `load` fills it."""

    def __init__(self, services: Services, actor_of: ActorOf) -> None:
        """Build it inside the tab that is open."""
        self.services, self.actor_of = services, actor_of
        self.table = gr.Markdown(elem_classes="worklist", elem_id="overread-people")
        self.outcome = Outcome()
        self.confirm = Confirmation()
        with gr.Row():
            with gr.Column(elem_classes="card"):
                self._lay_out_adding()
            with gr.Column(elem_classes="card", scale=2):
                self._lay_out_changing()
        with gr.Accordion(words.ROLES_HEADING, open=False):
            gr.Markdown(roles_table(), elem_classes="worklist")
        self.everything = [
            *(self.table, self.person, self.role, self.disable, self.enable, self.reset),
            *(self.sign_out, self.name, *self.outcome.parts, *self.confirm.parts),
        ]
        self._connect()

    def _lay_out_adding(self) -> None:
        gr.Markdown(words.ADD_PERSON)
        self.name = gr.Textbox(label=words.NAME, max_lines=1, max_length=64)
        self.new_role = gr.Radio(roles(), value=Role.READER.value, label=words.ROLE)
        gr.Markdown(words.ADD_PERSON_HELP, elem_classes="hint")
        self.add = gr.Button(words.DO_ADD, variant="primary")

    def _lay_out_changing(self) -> None:
        gr.Markdown(words.CHANGE_PERSON)
        self.person = gr.Dropdown([], value=None, label=words.PERSON)
        with gr.Row(elem_classes="beside"):
            self.role = gr.Radio(roles(), label=words.ROLE, scale=3)
            self.change = gr.Button(words.DO_ROLE, size="sm", min_width=130)
        with gr.Row():
            self.reset = gr.Button(words.DO_RESET, size="sm")
            self.sign_out = gr.Button(words.DO_SIGN_OUT, size="sm")
            self.disable = gr.Button(
                words.DO_DISABLE, size="sm", variant="stop", elem_classes="danger"
            )
            self.enable = gr.Button(words.DO_ENABLE, size="sm", visible=False)

    def _connect(self) -> None:
        shown = self.everything
        self.person.input(self._choose, self.person, shown, **QUIET)
        for start in (self.add.click, self.name.submit):
            start(self._add, [self.name, self.new_role], shown, **QUIET)
        self.change.click(self._change_role, [self.person, self.role], shown, **QUIET)
        self.enable.click(self._enable, self.person, shown, **QUIET)
        for button, what in (
            (self.reset, RESET),
            (self.sign_out, SIGN_OUT),
            (self.disable, DISABLE),
        ):
            button.click(self._asking(what), self.person, shown, **QUIET)
        self.confirm.yes.click(self._confirmed, self.confirm.pending, shown, **QUIET)
        self.outcome.undo.click(self._undo, self.outcome.back, shown, **QUIET)

    @plainly
    def load(self, request: gr.Request) -> Updates:
        """Return the tab as the store has it, nobody chosen."""
        return self._shown(asker(self.actor_of, request), None, self.outcome.telling())

    def _shown(self, actor: Actor, chosen: str | None, told: Updates) -> Updates:
        found = self.services.people.list(actor)
        person = next((each for each in found if each.name == chosen), None)
        closed = person is not None and person.disabled
        return {
            self.table: people_table(found),
            self.person: gr.update(
                choices=[each.name for each in found], value=None if person is None else chosen
            ),
            self.role: None if person is None else person.role.value,
            self.disable: gr.update(visible=not closed),
            self.enable: gr.update(visible=closed),
            self.reset: gr.update(
                interactive=not closed and (person is None or person.has_password)
            ),
            self.sign_out: gr.update(interactive=not closed),
            self.name: gr.update(),
            **told,
            **self.confirm.gone(),
        }

    @plainly
    def _choose(self, name: str | None, request: gr.Request) -> Updates:
        return self._shown(asker(self.actor_of, request), name, self.outcome.telling())

    @plainly
    def _add(self, name: str, role: str, request: gr.Request) -> Updates:
        actor = asker(self.actor_of, request)
        person, secret = self.services.people.add(actor, name, inputs.word(role, Role, "role"))
        text = words.ADDED.format(name=in_table(person.name), role=role)
        shown = self._shown(actor, person.name, self.outcome.telling(text, secret=secret))
        return {**shown, self.name: ""}

    @plainly
    def _change_role(self, name: str | None, role: str | None, request: gr.Request) -> Updates:
        return self._with_role(asker(self.actor_of, request), _chosen(name), _chosen(role))

    def _with_role(self, actor: Actor, name: str, role: str) -> Updates:
        roles = {person.name: person.role.value for person in self.services.people.list(actor)}
        chosen = inputs.word(role, Role, "role")
        person = self.services.people.change_role(actor, name, chosen)
        before = roles[person.name]
        text = words.ROLE_SAME if before == role else words.ROLE_CHANGED
        told = text.format(name=in_table(person.name), role=role, before=before)
        back = None if before == role else (name, before)
        return self._shown(actor, name, self.outcome.telling(told, back=back))

    @plainly
    def _undo(self, back: tuple[str, str] | None, request: gr.Request) -> Updates:
        name, role = back or (None, None)
        return self._with_role(asker(self.actor_of, request), _chosen(name), _chosen(role))

    @plainly
    def _enable(self, name: str | None, request: gr.Request) -> Updates:
        actor = asker(self.actor_of, request)
        person = self.services.people.enable(actor, _chosen(name))
        return self._shown(actor, person.name, self._told(words.ENABLED, person))

    def _asking(self, what: str) -> Any:  # noqa: ANN401 - Gradio takes any callable
        question, yes = ASK[what]

        @plainly
        def ask(name: str | None) -> Updates:
            told = question.format(name=in_table(_chosen(name)))
            asking = self.confirm.asking(told, yes, (what, _chosen(name)))
            return {**self.outcome.telling(), **asking}

        return ask

    @plainly
    def _confirmed(self, pending: tuple[str, str] | None, request: gr.Request) -> Updates:
        actor, people = asker(self.actor_of, request), self.services.people
        what, name = pending or ("", None)
        secret, name = None, _chosen(name)
        if what == RESET:
            person, secret = people.reset_password(actor, name)
            text = words.RESET
        elif what == SIGN_OUT:
            person, text = people.end_sessions(actor, name), words.SIGNED_OUT
        else:
            person, text = people.disable(actor, name), words.DISABLED
        return self._shown(actor, name, self._told(text, person, secret))

    def _told(self, text: str, person: PersonView, secret: str | None = None) -> Updates:
        return self.outcome.telling(text.format(name=in_table(person.name)), secret=secret)


def roles() -> list[str]:
    """Return the roles, the one that may least first."""
    return [role.value for role in Role]


def people_table(people: list[PersonView]) -> str:
    """Return the accounts as a Markdown table."""
    head = "| Name | Role | State | Open sessions | Since |\n|-|-|-|-|-|\n"
    return head + "\n".join(
        f"| {in_table(person.name)} | {person.role.value} | {_state(person)} "
        f"| {person.open_sessions} | {when(person.created_at)} |"
        for person in people
    )


def roles_table() -> str:
    """Return the table of who may do what, from the table that decides it."""
    head = "| May | " + " | ".join(roles()) + " | Because |\n|-|" + "-|" * (len(Role) + 1) + "\n"
    return head + "\n".join(
        f"| {rule.doing} | "
        + " | ".join("yes" if role in rule.roles else "–" for role in Role)
        + f" | {rule.reason} |"
        for action, rule in ACTIONS.items()
        if action not in OF_THE_MACHINE
    )


def _state(person: PersonView) -> str:
    parts = [words.CLOSED if person.disabled else words.OPEN]
    if not person.has_password:
        parts.append(words.NO_PASSWORD)
    elif person.must_change_password:
        parts.append(words.FIRST_PASSWORD)
    return ", ".join(parts)


def _chosen(name: str | None) -> str:
    """Return what was chosen, or say that something must be.

    Raises:
        gr.Error: nothing was.
    """
    if not name:
        raise gr.Error(words.CHOOSE_PERSON, print_exception=False)
    return name
