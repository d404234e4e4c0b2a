"""`overread demo`: everything in a temporary folder that is gone when you stop it."""

import argparse
import dataclasses
import tempfile
from pathlib import Path

from webapp.cli.context import OPERATOR, Context
from webapp.cli.init import set_up
from webapp.cli.parsing import Parsers
from webapp.cli.samples import bring_samples
from webapp.cli.serve import listening_arguments, serve


def add_parser(commands: Parsers, common: argparse.ArgumentParser) -> None:
    """Describe the command."""
    command = commands.add_parser(
        "demo", parents=[common], help="a temporary data folder with sample studies, and serve"
    )
    listening_arguments(command)
    command.set_defaults(run=_run)


def _run(context: Context) -> int:
    with tempfile.TemporaryDirectory(prefix="overread-demo-") as folder:
        settings = context.settings.model_copy(
            update={"data_dir": Path(folder) / "data", "database_url": None}
        )
        here = dataclasses.replace(context, settings=settings)
        account = set_up(settings, OPERATOR, None)
        with here.services() as (services, operator):
            bring_samples(services, operator, context.output.note)
        shown = {"admin": account.person.name, "one_time_password": account.one_time_password}
        context.output.result(
            shown,
            f"Sign in as {account.person.name} with the one-time password "
            f"{account.one_time_password}\nEverything here is deleted when you stop it.",
        )
        return serve(here)
