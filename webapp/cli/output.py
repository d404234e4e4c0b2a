"""What commands print: results on standard output, everything else on standard error."""

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from pydantic_core import to_jsonable_python


class CommandError(Exception):
    """A command cannot do what was asked; the message says what to do next."""

    code = "command_failed"


@dataclass(frozen=True, slots=True)
class Output:
    """Prints one command's results, for people or, with `--json`, for programs."""

    json: bool

    def result(self, value: object, text: str) -> None:
        """Print the result: `value` as one JSON object, or `text`."""
        self.line(as_json(value) if self.json else text)

    def rows(self, items: Sequence[object], table: Iterable[Sequence[object]], empty: str) -> None:
        """Print a list: one JSON object with `items`, or an aligned table."""
        if self.json:
            self.line(as_json({"items": items, "next": None}))
            return
        self.line(aligned(table) if items else empty)

    def line(self, text: str) -> None:
        """Write one line to standard output now."""
        sys.stdout.write(text + "\n")
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """Write one line for a person to standard error."""
        sys.stderr.write(text + "\n")
        sys.stderr.flush()

    def refusal(self, code: str, message: str) -> None:
        """Say why the command failed, in both places where it may be looked for."""
        if self.json:
            self.line(as_json({"error": {"code": code, "message": message}}))
        self.note(f"overread: {message}")


def as_json(value: object) -> str:
    """Return views, ids and instants as one line of JSON, as the API would."""
    return json.dumps(to_jsonable_python(value), ensure_ascii=False)


def aligned(table: Iterable[Sequence[object]]) -> str:
    """Return rows as lines whose columns stand below each other.

    What would move a terminal's cursor or turn a line around is written out.
    """
    rows = [[_printable(str(cell)) for cell in row] for row in table]
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _printable(cell: str) -> str:
    return "".join(
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in cell
    )
