"""API tokens on a page: everybody's for administrators, one's own on the account page."""

from datetime import datetime

import gradio as gr

from storage.vocabulary import Role
from webapp.services import inputs
from webapp.services.actor import Actor
from webapp.services.bundle import Services
from webapp.services.policy import at_most
from webapp.services.tokens import MAX_TOKEN_DAYS
from webapp.services.views import TokenView
from webapp.ui import admin_words as words
from webapp.ui.common import QUIET, ActorOf, asker, id_of, in_table, plainly, when
from webapp.ui.confirming import Confirmation, Outcome, Updates

DAYS = 90


class Tokens:
    """Lays tokens out and connects them; `load` fills them."""

    def __init__(self, services: Services, actor_of: ActorOf, *, everybodys: bool) -> None:
        """Build them in place; `everybodys`: of all accounts, for who may manage them."""
        self.services, self.actor_of, self.everybodys = services, actor_of, everybodys
        gr.Markdown(words.TOKENS_HELP)
        self.table = gr.Markdown(elem_classes="worklist", elem_id="overread-tokens")
        self.outcome = Outcome()
        self.confirm = Confirmation()
        with gr.Row():
            with gr.Column(elem_classes="card"):
                self.person = gr.Dropdown([], value=None, label=words.TOKEN_FOR, visible=everybodys)
                self.role = gr.Radio([role.value for role in Role], label=words.TOKEN_ROLE)
                self.days = gr.Number(
                    DAYS, label=words.TOKEN_DAYS, precision=0, minimum=1, maximum=MAX_TOKEN_DAYS
                )
                self.make = gr.Button(words.DO_TOKEN, variant="primary")
            with gr.Column(elem_classes="card"):
                self.token = gr.Dropdown([], value=None, label=words.TOKEN)
                self.revoke = gr.Button(words.DO_REVOKE, variant="stop", elem_classes="danger")
        self.everything = [
            *(self.table, self.person, self.role, self.token),
            *(*self.outcome.parts, *self.confirm.parts),
        ]
        shown = self.everything
        self.person.input(self._choose, self.person, shown, **QUIET)
        self.make.click(self._make, [self.person, self.role, self.days], shown, **QUIET)
        self.revoke.click(self._ask, self.token, shown, **QUIET)
        self.confirm.yes.click(self._revoke, self.confirm.pending, shown, **QUIET)

    @plainly
    def load(self, request: gr.Request) -> Updates:
        """Return the tokens as the store has them."""
        actor = asker(self.actor_of, request)
        return self._shown(actor, actor.name, self.outcome.telling())

    def _shown(self, actor: Actor, person: str, told: Updates) -> Updates:
        found, at = self._tokens(actor), self.services.tokens.now()
        accounts = {actor.name: actor.role}
        if self.everybodys:
            people = self.services.people.list(actor)
            accounts = {each.name: each.role for each in people if not each.disabled}
        ceiling = accounts.get(person, actor.role)
        granted = [role.value for role in Role if at_most(role, ceiling) is role]
        return {
            self.table: tokens_table(found, at),
            self.person: gr.update(choices=list(accounts), value=person),
            self.role: gr.update(choices=granted, value=ceiling.value),
            self.token: gr.update(
                choices=[(_label(token), str(token.id)) for token in found if _is_good(token, at)],
                value=None,
            ),
            **told,
            **self.confirm.gone(),
        }

    def _tokens(self, actor: Actor) -> list[TokenView]:
        found = self.services.tokens.list(actor)
        return [each for each in found if self.everybodys or each.person_id == actor.id]

    @plainly
    def _choose(self, person: str | None, request: gr.Request) -> Updates:
        actor = asker(self.actor_of, request)
        return self._shown(actor, person or actor.name, self.outcome.telling())

    @plainly
    def _make(
        self, person: str | None, role: str | None, days: float | None, request: gr.Request
    ) -> Updates:
        actor = asker(self.actor_of, request)
        name = (person if self.everybodys else None) or actor.name
        new = self.services.tokens.create(
            actor, name, inputs.optional_word(role, Role, "role"), int(days or 0)
        )
        text = words.TOKEN_MADE.format(
            name=in_table(name), role=new.role.value, until=when(new.expires_at)
        )
        return self._shown(actor, name, self.outcome.telling(text, secret=new.secret))

    @plainly
    def _ask(self, token: str | None, request: gr.Request) -> Updates:
        actor = asker(self.actor_of, request)
        chosen = next((each for each in self._tokens(actor) if str(each.id) == token), None)
        if chosen is None:
            raise gr.Error(words.CHOOSE_TOKEN, print_exception=False)
        question = words.CONFIRM_REVOKE.format(name=in_table(chosen.person))
        asking = self.confirm.asking(question, words.DO_REVOKE, ("revoke", str(chosen.id)))
        return {**self.outcome.telling(), **asking}

    @plainly
    def _revoke(self, pending: tuple[str, str] | None, request: gr.Request) -> Updates:
        actor = asker(self.actor_of, request)
        if pending is None:
            raise gr.Error(words.CHOOSE_TOKEN, print_exception=False)
        self.services.tokens.revoke(actor, id_of(pending[1], "token"))
        return self._shown(actor, actor.name, self.outcome.telling(words.REVOKED))


def tokens_table(tokens: list[TokenView], at: datetime) -> str:
    """Return tokens as a Markdown table, without any secret: nobody has them."""
    if not tokens:
        return words.NO_TOKENS
    head = "| No. | Of | At most as | Made | Expires | State |\n|-|-|-|-|-|-|\n"
    return head + "\n".join(
        f"| {token.id.hex[:8]} | {in_table(token.person)} | {token.role.value} "
        f"| {when(token.created_at)} | {when(token.expires_at)} | {_state(token, at)} |"
        for token in tokens
    )


def _label(token: TokenView) -> str:
    return f"{token.id.hex[:8]} · {token.person} · {token.role.value} · {when(token.expires_at)}"


def _is_good(token: TokenView, at: datetime) -> bool:
    return token.revoked_at is None and at < token.expires_at


def _state(token: TokenView, at: datetime) -> str:
    if token.revoked_at is not None:
        return words.REVOKED_ON.format(when=when(token.revoked_at))
    return words.GOOD if _is_good(token, at) else words.EXPIRED
