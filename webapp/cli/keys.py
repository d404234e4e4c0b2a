"""`overread keys`: which keys there are, and replace the one that wraps the others."""

import argparse

from storage.rotation import Rotated, seal_file
from webapp.cli.context import Context
from webapp.cli.parsing import Parsers
from webapp.cli.sentences import counted
from webapp.services.keeping import KekView, KeysView


def add_parser(commands: Parsers, common: argparse.ArgumentParser) -> None:
    """Describe the command."""
    group = commands.add_parser("keys", help="list the keys, or replace the one that wraps all")
    actions = group.add_subparsers(title="actions", required=True, metavar="ACTION")
    show = actions.add_parser("show", parents=[common], help="ids and counts, no secrets")
    show.set_defaults(run=_show)
    rotate = actions.add_parser(
        "rotate", parents=[common], help="a new key for all objects; run again if it was stopped"
    )
    rotate.add_argument("--unseal", action="store_true", help="leave the key file without its seal")
    rotate.set_defaults(run=_rotate)


def _show(context: Context) -> int:
    with context.services() as (services, operator):
        found = services.keeping.keys(operator)
    context.output.result(found, "\n".join(_listed(found)))
    return 1 if found.unknown else 0


def _listed(found: KeysView) -> list[str]:
    lines = [f"Seal of the key file: {found.seal}", *(_line(kek) for kek in found.keks)]
    if len(found.keks) > 1:
        lines.append("A rotation was stopped; `overread keys rotate` finishes it.")
    if found.unknown:
        lines.append(f"Under a key that is not in this file: {counted(found.unknown, 'object')}.")
    return lines


def _line(kek: KekView) -> str:
    made = "before keys could be replaced" if kek.made_at is None else f"{kek.made_at:%Y-%m-%d}"
    state = "active" if kek.active else "old"
    return f"{kek.id}  {state:6}  {counted(kek.objects, 'object')}  made {made}"


def _rotate(context: Context) -> int:
    settings, output = context.settings, context.output
    context.require_installation()
    if settings.key_seal is not None:  # a file without a seal gets it first
        seal_file(settings.key_file, settings.key_seal)
    with context.services() as (services, operator):
        done = services.keeping.rotate(
            operator,
            lambda at, of: output.note(f"{at:,} of {counted(of, 'object')}"),
            unseal=context.arguments.unseal,
        )
    output.result(done, "\n".join(_told(done)))
    return 1 if done.damaged else 0


def _told(done: Rotated) -> list[str]:
    begun = "Finished the rotation that was stopped" if done.resumed else "Done"
    wrapped = counted(done.rewrapped, "object")
    lines = [f"{begun}: {wrapped} wrapped anew; the active key is {done.kek_id}."]
    if done.damaged:
        lines.append(
            f"Damaged and not wrapped anew: {counted(done.damaged, 'object')}. Restore from a "
            "backup, then run this again."
        )
    if done.kept:
        lines.append(f"Kept because damaged objects name it: {', '.join(done.kept)}.")
    if done.retired:
        lines.append(
            "Copy the key file to where you keep it now. Backups from before need the copy from "
            "before: keep that too, or make a new backup."
        )
    return lines
