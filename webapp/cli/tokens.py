"""`overread tokens`: API tokens."""

import argparse

from storage.vocabulary import Role
from webapp.cli.context import Context
from webapp.cli.parsing import Parsers, an_id


def add_parser(commands: Parsers, common: argparse.ArgumentParser) -> None:
    """Describe the command."""
    group = commands.add_parser("tokens", help="make, list and revoke API tokens")
    actions = group.add_subparsers(title="actions", required=True, metavar="ACTION")
    create = actions.add_parser("create", parents=[common], help="make a token, shown once")
    create.add_argument("name", metavar="NAME", help="the account it stands for")
    create.add_argument("--role", choices=[role.value for role in Role], help="the most it may do")
    create.add_argument("--days", type=int, default=90, help="until it expires (default 90)")
    create.set_defaults(run=_create)
    listed = actions.add_parser("list", parents=[common], help="list tokens")
    listed.set_defaults(run=_list)
    revoke = actions.add_parser("revoke", parents=[common], help="end a token now")
    revoke.add_argument("token_id", metavar="ID", type=an_id)
    revoke.set_defaults(run=_revoke)


def _create(context: Context) -> int:
    given = context.arguments
    role = None if given.role is None else Role(given.role)
    with context.services() as (services, operator):
        token = services.tokens.create(operator, given.name, role, given.days)
    shown = {
        "id": token.id,
        "token": token.secret,
        "role": token.role,
        "expires_at": token.expires_at,
    }
    context.output.result(shown, token.secret)
    if not context.output.json:
        context.output.note(
            f"Shown this once. It may act as {token.role.value} until "
            f"{token.expires_at:%Y-%m-%d %H:%M} UTC."
        )
    return 0


def _list(context: Context) -> int:
    with context.services() as (services, operator):
        tokens = services.tokens.list(operator)
    table: list[tuple[object, ...]] = [("id", "account", "role", "expires", "revoked")]
    table += [
        (t.id, t.person, t.role.value, f"{t.expires_at:%Y-%m-%d}", "yes" if t.revoked_at else "")
        for t in tokens
    ]
    context.output.rows(tokens, table, "There are no tokens.")
    return 0


def _revoke(context: Context) -> int:
    token_id = context.arguments.token_id
    with context.services() as (services, operator):
        services.tokens.revoke(operator, token_id)
    context.output.result({"id": token_id, "revoked": True}, "The token is revoked.")
    return 0
