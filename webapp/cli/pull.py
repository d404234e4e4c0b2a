"""`overread pull`: studies out of a DICOMweb archive, found by what the operator names.

The sign-in comes from a file or the environment, never from the command line, where every user
of the machine could read it.
"""

import argparse
import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from webapp.cli.context import Context
from webapp.cli.output import CommandError, as_json
from webapp.cli.parsing import Parsers
from webapp.services.dicomweb import Credentials, opened
from webapp.services.pulling import Progress, Pulled, Pulling

_SEARCHED: Final = {
    "patient_id": ("PatientID", re.compile(r"[^*?\\]{1,64}")),
    "study_uid": ("StudyInstanceUID", re.compile(r"[0-9.]{1,64}")),
    "modality": ("ModalitiesInStudy", re.compile(r"[A-Z0-9_]{1,16}")),
    "date": ("StudyDate", re.compile(r"\d{8}|\d{8}-\d{8}|-\d{8}|\d{8}-")),
}
_LIMIT: Final = 100
_EVERY: Final = 2.0  # seconds between two lines of progress


def add_parser(commands: Parsers, common: argparse.ArgumentParser) -> None:
    """Describe the command."""
    command = commands.add_parser(
        "pull",
        parents=[common],
        help="bring studies in from a DICOMweb archive; prints one JSON line a study",
    )
    command.add_argument(
        "url", metavar="URL", help="of the service, such as https://pacs/dicom-web"
    )
    command.add_argument("--collection", required=True, metavar="NAME")
    command.add_argument("--patient-id", metavar="ID")
    command.add_argument("--study-uid", metavar="UID")
    command.add_argument("--modality", metavar="CT")
    command.add_argument("--date", metavar="YYYYMMDD[-YYYYMMDD]", help="of the study")
    command.add_argument("--limit", type=int, default=_LIMIT, metavar="N", help="studies at most")
    signing = command.add_mutually_exclusive_group()
    signing.add_argument("--token-file", type=Path, metavar="FILE", help="holds a bearer token")
    signing.add_argument("--token-env", metavar="VARIABLE", help="holds a bearer token")
    signing.add_argument("--basic-file", type=Path, metavar="FILE", help="holds name:password")
    signing.add_argument("--basic-env", metavar="VARIABLE", help="holds name:password")
    command.add_argument("--ca", type=Path, metavar="FILE", help="certificates to trust as well")
    command.add_argument(
        "--plain-http", action="store_true", help="allow http:// to another machine"
    )
    command.set_defaults(run=_run)


def _run(context: Context) -> int:
    given, output = context.arguments, context.output
    criteria = _criteria(vars(given))
    if given.limit < 1:
        raise CommandError("--limit is at least 1.")
    credentials = _credentials(vars(given), os.environ)
    failed = False
    last = 0.0

    def told(progress: Progress) -> None:
        nonlocal last
        if time.monotonic() - last >= _EVERY or progress.files == progress.of_files:
            last = time.monotonic()
            output.note(
                f"Study {progress.study} of {progress.studies}: {progress.files} of "
                f"{progress.of_files} files, {progress.bytes_in / 1e6:.1f} MB"
            )

    ca = None if given.ca is None else str(given.ca)
    with (
        context.services() as (services, operator),
        opened(given.url, credentials, ca=ca, plain=given.plain_http) as archive,
    ):
        pulling = Pulling(services.studies, context.settings.data_dir)
        pulled = pulling.pull(
            operator, archive, given.collection, criteria, most=given.limit, told=told
        )
        count = 0
        for study in pulled:
            count += 1
            failed = failed or study.outcome == "failed" or bool(study.outcomes.get("refused"))
            output.line(as_json(study))
            _explain(context, study)
    if not count:
        output.note("The archive has no study that fits.")
    return 1 if failed else 0


def _explain(context: Context, study: Pulled) -> None:
    """Tell a person what became of a study."""
    match study.outcome:
        case "failed":
            context.output.note(f"Study {study.study}: {study.message}")
        case "present":
            context.output.note(f"Study {study.study}: already here.")
        case "empty":
            context.output.note(f"Study {study.study}: no images that are read here.")
        case _:
            counts = ", ".join(f"{count} {word}" for word, count in sorted(study.outcomes.items()))
            context.output.note(f"Study {study.study}: {counts}.")


def _criteria(given: Mapping[str, object]) -> dict[str, str]:
    """Return what to search for, as QIDO-RS names it.

    Raises:
        CommandError: nothing to search for, or something that cannot be meant.
    """
    criteria = {}
    for option, (attribute, form) in _SEARCHED.items():
        value = given[option]
        if value is None:
            continue
        if not form.fullmatch(str(value)):
            raise CommandError(f"--{option.replace('_', '-')} cannot be what was meant.")
        criteria[attribute] = str(value)
    if not criteria:
        raise CommandError(
            "Say what to pull: --patient-id, --study-uid, --modality, --date, or several of them."
        )
    return criteria


def _credentials(given: Mapping[str, object], environ: Mapping[str, str]) -> Credentials:
    """Return how to sign in.

    Raises:
        CommandError: the file or variable is missing, empty or not one line.
    """
    for kind, make in (("token", Credentials.bearer), ("basic", Credentials.basic)):
        path, variable = given[f"{kind}_file"], given[f"{kind}_env"]
        if path is None and variable is None:
            continue
        if isinstance(path, Path):
            try:
                secret = path.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError):
                raise CommandError("The file with the sign-in cannot be read.") from None
        else:
            secret = environ.get(str(variable), "").strip()
        if not secret or not secret.isprintable() or (kind == "basic" and ":" not in secret):
            raise CommandError("The sign-in is one line: a token, or name:password.")
        return make(secret)
    return Credentials()
