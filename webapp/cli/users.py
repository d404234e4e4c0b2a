"""`overread users`: accounts."""

import argparse

from storage.vocabulary import Role
from webapp.cli.context import Context
from webapp.cli.parsing import Parsers, password_from_stdin
from webapp.services.views import PersonView


def add_parser(commands: Parsers, common: argparse.ArgumentParser) -> None:
    """Describe the command."""
    group = commands.add_parser("users", help="add, list and disable accounts")
    actions = group.add_subparsers(title="actions", required=True, metavar="ACTION")
    add = actions.add_parser("add", parents=[common], help="make an account")
    add.add_argument("name", metavar="NAME")
    add.add_argument("--role", required=True, choices=[role.value for role in Role])
    add.add_argument(
        "--password-stdin",
        action="store_true",
        help="read the password from standard input; without it a one-time one is printed",
    )
    add.set_defaults(run=_add)
    listed = actions.add_parser("list", parents=[common], help="list accounts")
    listed.set_defaults(run=_list)
    disable = actions.add_parser("disable", parents=[common], help="close an account")
    disable.add_argument("name", metavar="NAME")
    disable.set_defaults(run=_disable)


def _add(context: Context) -> int:
    given = context.arguments
    password = password_from_stdin() if given.password_stdin else None
    with context.services() as (services, operator):
        added = services.people.add(operator, given.name, Role(given.role), password)
    once = added.one_time_password
    text = f"Added {added.person.name} as {added.person.role.value}."
    if once is not None:
        text += f"\nOne-time password, to be replaced at the first sign-in: {once}"
    text += f"\nGive access to studies: overread collections add-member NAME {added.person.name}"
    context.output.result({**_shown(added.person), "one_time_password": once}, text)
    return 0


def _list(context: Context) -> int:
    with context.services() as (services, operator):
        people = services.people.list(operator)
    table = [("name", "role", "state")]
    table += [(p.name, p.role.value, "closed" if p.disabled else "open") for p in people]
    context.output.rows([_shown(person) for person in people], table, "There are no accounts.")
    return 0


def _disable(context: Context) -> int:
    with context.services() as (services, operator):
        person = services.people.disable(operator, context.arguments.name)
    context.output.result(
        _shown(person), f"{person.name} is closed; its sessions and tokens ended with it."
    )
    return 0


def _shown(person: PersonView) -> dict[str, object]:
    return {
        "id": person.id,
        "name": person.name,
        "role": person.role,
        "disabled": person.disabled,
        "must_change_password": person.must_change_password,
        "created_at": person.created_at,
    }
