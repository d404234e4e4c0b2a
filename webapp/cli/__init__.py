"""`overread`: set up, start and drive an installation from a terminal.

Every command acts as the local operator, the first administrator: whoever may read the data
folder's keys may do anything here. The exit code is 0 only when all of it worked.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence

from inference.errors import InferenceError
from storage.errors import StorageError
from webapp.cli import (
    ask,
    audit,
    backup,
    check,
    collections,
    deid,
    demo,
    export,
    ingest,
    init,
    keys,
    pull,
    serve,
    studies,
    tokens,
    users,
)
from webapp.cli.context import Context
from webapp.cli.output import CommandError, Output
from webapp.cli.sentences import for_operator, of_the_system
from webapp.logs import configure_logging
from webapp.services.errors import ServiceError
from webapp.services.work import app_version
from webapp.settings import SettingsRefusedError, WebSettings

COMMANDS = (
    init,
    serve,
    users,
    tokens,
    collections,
    ingest,
    pull,
    studies,
    ask,
    export,
    deid,
    audit,
    backup,
    keys,
    check,
    demo,
)


def main(arguments: Sequence[str] | None = None, environ: Mapping[str, str] | None = None) -> int:
    """Run one command; return the process's exit code."""
    given = parser().parse_args(arguments)
    output = Output(json=given.json)
    try:
        settings = WebSettings.from_environment(os.environ if environ is None else environ)
        configure_logging(settings.log_level)
        code: int = given.run(Context(settings, given, output))
    except SettingsRefusedError as refusal:
        output.refusal(refusal.code, str(refusal))
        return 2
    except (CommandError, ServiceError, StorageError, InferenceError) as refusal:
        output.refusal(refusal.code, for_operator(refusal))
        return 1
    except KeyboardInterrupt:
        output.note("Stopped.")
        return 130
    except BrokenPipeError:  # the reader, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # a full disk, a folder that is not ours
        output.refusal(*of_the_system(error))
        return 1
    return code


def parser() -> argparse.ArgumentParser:
    """Return the parser of all commands."""
    result = argparse.ArgumentParser(
        prog="overread",
        description="A reading room for medical vision-language models. Not a medical device.",
    )
    result.add_argument("--version", action="version", version=f"overread {app_version()}")
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--json", action="store_true", help="print results as JSON")
    commands = result.add_subparsers(title="commands", required=True, metavar="COMMAND")
    for command in COMMANDS:
        command.add_parser(commands, common)
    return result
