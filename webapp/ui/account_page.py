"""One's own account: the role, the password, and the API tokens that act for it."""

import gradio as gr

from webapp.services.bundle import Services
from webapp.ui import admin_words as words
from webapp.ui.common import QUIET, ActorOf, asker, in_table, plainly, strip
from webapp.ui.token_parts import Tokens


def build_account_page(page: gr.Blocks, services: Services, actor_of: ActorOf) -> None:
    """Lay out the account page on `page` and connect it."""
    strip()
    gr.Markdown(words.ACCOUNT_HEADING)
    who = gr.Markdown()
    tokens = Tokens(services, actor_of, everybodys=False)

    @plainly
    def introduce(request: gr.Request) -> str:
        actor = asker(actor_of, request)
        doing = words.ROLE_IN_WORDS[actor.role.value]
        return words.ACCOUNT.format(name=in_table(actor.name), role=actor.role.value, doing=doing)

    page.load(introduce, None, who, **QUIET)
    page.load(tokens.load, None, tokens.everything, **QUIET)
