"""`overread collections`: named sets of cases, and who may open them."""

import argparse

from storage.vocabulary import Protocol
from webapp.cli.context import Context
from webapp.cli.parsing import Parsers


def add_parser(commands: Parsers, common: argparse.ArgumentParser) -> None:
    """Describe the command."""
    group = commands.add_parser("collections", help="make collections and give access to them")
    actions = group.add_subparsers(title="actions", required=True, metavar="ACTION")
    add = actions.add_parser("add", parents=[common], help="make a collection; safe to repeat")
    add.add_argument("name", metavar="NAME")
    add.add_argument(
        "--protocol",
        choices=[protocol.value for protocol in Protocol],
        help="in which order reader and model speak (default reader_first)",
    )
    add.set_defaults(run=_add)
    listed = actions.add_parser("list", parents=[common], help="list collections")
    listed.set_defaults(run=_list)
    member = actions.add_parser("add-member", parents=[common], help="let a person open it")
    member.add_argument("name", metavar="NAME")
    member.add_argument("person", metavar="PERSON")
    member.set_defaults(run=_add_member)


def _add(context: Context) -> int:
    given = context.arguments
    protocol = None if given.protocol is None else Protocol(given.protocol)
    with context.services() as (services, operator):
        collection = services.collections.ensure(operator, given.name, protocol)
    context.output.result(
        collection, f"The collection {collection.name} is read {collection.protocol.value}."
    )
    return 0


def _list(context: Context) -> int:
    with context.services() as (services, operator):
        found = services.collections.list(operator)
    table = [("name", "protocol"), *((c.name, c.protocol.value) for c in found)]
    context.output.rows(found, table, "There are no collections.")
    return 0


def _add_member(context: Context) -> int:
    given = context.arguments
    with context.services() as (services, operator):
        services.collections.add_member(operator, given.name, given.person)
    context.output.result(
        {"collection": given.name, "person": given.person},
        f"{given.person} may open the cases of {given.name}.",
    )
    return 0
