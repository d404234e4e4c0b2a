"""`overread ingest`: bring files in, one JSON line for each, while a person sees how far it is."""

import argparse
import time
from collections import Counter
from pathlib import Path
from typing import Final

from webapp.cli.context import Context
from webapp.cli.output import CommandError, Output, as_json
from webapp.cli.parsing import Parsers

EVERY_S: Final = 2.0


def add_parser(commands: Parsers, common: argparse.ArgumentParser) -> None:
    """Describe the command."""
    command = commands.add_parser(
        "ingest",
        parents=[common],
        help="bring files, folders or zips in; prints one JSON line a file",
    )
    command.add_argument("paths", metavar="PATH", nargs="+", type=Path)
    command.add_argument("--collection", required=True, metavar="NAME")
    command.set_defaults(run=_run)


def _run(context: Context) -> int:
    given, output = context.arguments, context.output
    if missing := [str(path) for path in given.paths if not path.exists()]:
        raise CommandError(f"{missing[0]} does not exist.")
    outcomes: Counter[str] = Counter()
    with context.services() as (services, operator):
        output.note("Removing identity and checking every file …")
        names = [str(path) for path in given.paths]
        for outcome in services.studies.receive(
            *(operator, given.paths, given.collection, names),
            tell_inner_names=True,
            within_s=None,
            told=_Telling(output),
        ):
            outcomes[outcome.outcome] += 1
            output.line(as_json(outcome))
    output.note(
        f"{outcomes['admitted']} admitted, {outcomes['held']} held, {outcomes['refused']} refused."
    )
    if outcomes["held"]:
        output.note("Held ones wait until a person has looked at their pixels, in the worklist.")
    return 1 if outcomes["refused"] else 0


class _Telling:
    """Tells how far the search for text is, once in a while."""

    def __init__(self, output: Output) -> None:
        self._output, self._next = output, time.monotonic() + EVERY_S

    def __call__(self, done: int, frames: int) -> None:
        if time.monotonic() >= self._next and frames:
            self._next = time.monotonic() + EVERY_S
            self._output.note(f"Looking for text in the pixels: {done} of {frames} images …")
