"""`overread audit`: is the trail whole, and the trail as a file."""

import argparse
import os
from pathlib import Path

from webapp.cli.context import Context
from webapp.cli.output import CommandError
from webapp.cli.parsing import Parsers
from webapp.cli.sentences import counted
from webapp.services.audit_formats import CSV, FHIR
from webapp.services.auditing import Filters, VerifiedView


def add_parser(commands: Parsers, common: argparse.ArgumentParser) -> None:
    """Describe the command."""
    group = commands.add_parser("audit", help="verify the audit trail, or write it to a file")
    actions = group.add_subparsers(title="actions", required=True, metavar="ACTION")
    verify = actions.add_parser(
        "verify", parents=[common], help="is any event edited, gone, moved or cut off?"
    )
    verify.add_argument(
        "--heads", type=Path, metavar="FILE", help="a copy of audit-heads.jsonl kept elsewhere"
    )
    verify.set_defaults(run=_verify)
    export = actions.add_parser("export", parents=[common], help="write events to a file")
    export.add_argument("--format", required=True, choices=[FHIR, CSV])
    export.add_argument("--out", required=True, type=Path, metavar="FILE", help="a new file")
    export.add_argument("--since", metavar="DAY", help="from this day or instant on")
    export.add_argument("--until", metavar="DAY", help="to the end of this day, or an instant")
    export.add_argument("--person", metavar="NAME", help="only of this account")
    export.set_defaults(run=_export)


def _verify(context: Context) -> int:
    with context.services() as (services, operator):
        found = services.auditing.verify(operator, context.arguments.heads)
    context.output.result(found, "\n".join(said(found)))
    return 0 if found.whole else 1


def said(found: VerifiedView) -> list[str]:
    """Return what verifying found, in sentences."""
    lines = [
        f"The chain fits over {counted(found.events, 'event')}; its head is {found.head[:16]}…"
    ]
    if found.first_bad is not None:
        lines.append(f"Event {found.first_bad} is the first bad one: {found.fault}.")
    if found.heads_fault == "missing":
        lines.append("The file with the heads is gone, though the trail says that it was written.")
    elif found.heads_fault:
        lines.append(found.heads_fault)
    elif found.last_head_at is not None:
        at = found.last_head_at.isoformat(timespec="seconds")
        lines.append(f"Compared with {counted(found.heads, 'head')}, the last one of {at}.")
    else:
        lines.append("No head was kept outside yet, so a cut at the end would not show.")
    return lines


def _export(context: Context) -> int:
    given = context.arguments
    filters = Filters(person=given.person, since=given.since, until=given.until)
    count = -1 if given.format == CSV else 0  # its first line is no event
    with context.services() as (services, operator):
        lines = services.auditing.export(operator, given.format, filters)
        try:
            descriptor = os.open(given.out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
                for line in lines:
                    file.write(line)
                    count += 1
        except OSError as error:
            raise CommandError(f"{given.out} cannot be written: {error.strerror}.") from None
    context.output.result(
        {"out": str(given.out), "format": given.format, "events": count},
        f"{counted(count, 'event')} in {given.out}.",
    )
    return 0
