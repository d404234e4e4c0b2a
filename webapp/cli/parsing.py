"""Reading arguments and what comes on standard input."""

import argparse
import sys
from typing import Final, TypeAlias
from uuid import UUID

from webapp.cli.output import CommandError

HIGHEST_PORT: Final = 65_535
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
    """Return an id as typed; argparse puts the error behind its usage message."""
    try:
        return UUID(text)
    except ValueError:
        told = f"{text!r} is no id, such as 3f0c9a52-7f7c-4c0b-9a55-0c2f6c1f8f11"
        raise argparse.ArgumentTypeError(told) from None


def a_port(text: str) -> int:
    """Return a TCP port as typed."""
    if not (text.isascii() and text.isdecimal() and int(text) <= HIGHEST_PORT):
        raise argparse.ArgumentTypeError(f"a port is a whole number from 0 to {HIGHEST_PORT}")
    return int(text)
