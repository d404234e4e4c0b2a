"""`overread serve`: the web process and, unless there is one elsewhere, a worker beside it."""

import argparse
import os
from importlib import import_module
from typing import Any

from webapp.cli.check import refuse_unsafe
from webapp.cli.context import Context
from webapp.cli.parsing import Parsers, a_port
from webapp.services.folders import private_folder


def add_parser(commands: Parsers, common: argparse.ArgumentParser) -> None:
    """Describe the command."""
    command = commands.add_parser(
        "serve", parents=[common], help="start web and model worker; Ctrl-C stops both"
    )
    listening_arguments(command)
    command.set_defaults(run=serve)


def listening_arguments(command: argparse.ArgumentParser) -> None:
    """Describe where to listen."""
    command.add_argument("--host", help="address to listen on (OVERREAD_HOST)")
    command.add_argument("--port", type=a_port, help="TCP port, 0 picks a free one (OVERREAD_PORT)")


def serve(context: Context) -> int:
    """Serve until told to stop.

    Raises:
        CommandError: there is no installation, it is not safe, or the address cannot be
            listened on.
    """
    context.require_installation()
    host = context.arguments.host or context.settings.host
    refuse_unsafe(context.settings.model_copy(update={"host": host}))
    with private_folder(context.settings.data_dir) as scratch:
        os.environ["GRADIO_TEMP_DIR"] = str(scratch)  # else /tmp/gradio, from its import on
        web: Any = import_module("webapp.cli.web")
        code: int = web.serve(context)
    return code
