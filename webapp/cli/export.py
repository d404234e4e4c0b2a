"""`overread export`: training data as files."""

import argparse
from pathlib import Path

from pydantic_core import to_jsonable_python

from storage.vocabulary import ExportFormat
from webapp.cli.context import Context
from webapp.cli.parsing import Parsers


def add_parser(commands: Parsers, common: argparse.ArgumentParser) -> None:
    """Describe the command."""
    command = commands.add_parser("export", parents=[common], help="write training data to files")
    command.add_argument(
        "--format", required=True, choices=[format_.value for format_ in ExportFormat]
    )
    command.add_argument("--out", required=True, type=Path, metavar="DIR")
    command.add_argument("--collection", metavar="NAME", help="only of this one")
    command.set_defaults(run=_run)


def _run(context: Context) -> int:
    given = context.arguments
    with context.services() as (services, operator):
        made = services.exporting.write_to(
            operator, ExportFormat(given.format), given.out, given.collection
        )
    counts = ", ".join(f"{split} {count}" for split, count in made.counts.items())
    text = f"{len(made.files)} files in {given.out}; rows: {counts or 'none'}."
    if made.skipped:
        left_out = ", ".join(f"{reason} {count}" for reason, count in sorted(made.skipped.items()))
        text += f"\nNo row: {left_out}."
    if not any(made.counts.values()):
        text += "\nNothing has been reviewed yet that this format can hold."
    context.output.result({**to_jsonable_python(made), "out": str(given.out)}, text)
    return 0
