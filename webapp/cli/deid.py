"""`overread deid`: what the study door keeps of a file, and what it drops."""

import argparse

from storage.intake.profile import explain, profile
from webapp.cli.context import Context
from webapp.cli.parsing import Parsers


def add_parser(commands: Parsers, common: argparse.ArgumentParser) -> None:
    """Describe the command."""
    command = commands.add_parser(
        "deid", parents=[common], help="say what de-identification keeps of a DICOM file"
    )
    command.add_argument(
        "--explain", required=True, action="store_true", help="print the whole profile as a table"
    )
    command.set_defaults(run=_run)


def _run(context: Context) -> int:
    chosen = profile()
    kept = [
        {
            "tag": f"{entry.tag:08X}",
            "keyword": entry.keyword,
            "vr": entry.vr,
            "rule": entry.rule,
            "section": entry.section,
            "reason": entry.reason,
        }
        for entry in chosen.entries.values()
    ]
    context.output.result({"edition": chosen.edition, "kept": kept}, explain().rstrip("\n"))
    return 0
