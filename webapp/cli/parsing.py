"""Reading arguments and what comes on standard input."""

import argparse
import sys
from typing import TypeAlias
from uuid import UUID

from webapp.cli.output import CommandError

Parsers: TypeAlias = "argparse._SubParsersAction[argparse.ArgumentParser]"


def password_from_stdin() -> str:
    """Return the first line of standard input.

    Raises:
        CommandError: there is none.
    """
    password = sys.stdin.readline().rstrip("\r\n")
    if not password:
        raise CommandError("There was no password on standard input.")
    return password


def an_id(text: str) -> UUID:
    """Return an id as typed; argparse turns the error into its usage message."""
    return UUID(text)
