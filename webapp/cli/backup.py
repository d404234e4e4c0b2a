"""`overread backup` and `overread restore`: everything into a folder, and back."""

import argparse
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from storage.backup import KEY_FILE, Manifest
from storage.clock import utc_now
from storage.keys import UNSEALED, Keys, seal_of
from storage.restoring import Target, restore, verify
from webapp.cli.context import Context
from webapp.cli.output import CommandError
from webapp.cli.parsing import Parsers
from webapp.cli.sentences import counted
from webapp.services.folders import private_folder


def add_parser(commands: Parsers, common: argparse.ArgumentParser) -> None:
    """Describe both commands."""
    make = commands.add_parser(
        "backup", parents=[common], help="write everything, encrypted, to a folder"
    )
    make.add_argument("dir", type=Path, metavar="DIR", help="a new or an empty folder")
    make.add_argument(
        "--with-keys", action="store_true", help="also the keys: who has the folder reads it all"
    )
    make.set_defaults(run=_back_up)
    back = commands.add_parser(
        "restore", parents=[common], help="check a backup and put it into the data folder"
    )
    back.add_argument("dir", type=Path, metavar="DIR", help="what `overread backup` wrote")
    back.add_argument("--keys", type=Path, metavar="FILE", help="your copy of keys.json")
    back.add_argument("--check", action="store_true", help="check it and write nothing")
    back.add_argument(
        "--replace", action="store_true", help="move what the data folder holds aside"
    )
    back.set_defaults(run=_restore)


def _back_up(context: Context) -> int:
    given = context.arguments
    out: Path = given.dir.absolute()
    try:
        with context.services() as (services, operator):
            made = services.keeping.back_up(
                operator, out, _progress(context, "copied"), with_keys=given.with_keys
            )
    except OSError as error:
        raise CommandError(f"{out} cannot be written: {error.strerror}.") from None
    lines = [f"{_size(made)} in {out}.", *_troubles(made)]
    if given.with_keys:
        lines.append(_with_keys(context))
    else:
        lines.append(
            f"The keys are NOT in it. Without a copy of {context.settings.key_file}, kept "
            "elsewhere, nobody can read it."
        )
    _shown(context, made, {"out": str(out), "with_keys": given.with_keys}, lines)
    return 1 if _troubles(made) else 0


def _restore(context: Context) -> int:
    given, settings = context.arguments, context.settings
    if not given.dir.is_dir():
        raise CommandError(f"There is no folder {given.dir}.")
    key_file = _key_file(context)
    if given.check:
        keys = Keys.load(key_file, settings.key_seal)
        with _somewhere(settings.data_dir) as parent, private_folder(parent) as work:
            made = verify(given.dir, keys, work, _steps(context))
        lines = [f"Whole: {_size(made)}, made {made.made_at}.", *_troubles(made)]
        _shown(context, made, {"restored": False}, lines)
        return 0
    target = Target(
        data_dir=settings.data_dir,
        url=settings.database,
        key_file=settings.key_file,
        blob_dir=settings.blob_dir,
        heads_file=settings.audit_heads_file,
    )
    try:
        made = restore(
            given.dir,
            target,
            key_file,
            settings.key_seal,
            replace=given.replace,
            stamp=utc_now().strftime("%Y%m%dT%H%M%S%f"),
            progress=_steps(context),
        )
    except OSError as error:
        raise CommandError(f"{target.data_dir} cannot be used: {error.strerror}.") from None
    with context.services() as (services, operator):
        services.keeping.restored(operator)
    lines = [
        f"Restored {_size(made)} of {made.made_at} to {target.data_dir}.",
        *_troubles(made),
        "Accounts and API tokens are as they were then: disable again what you disabled since.",
    ]
    _shown(context, made, {"restored": True}, lines)
    return 0


@contextmanager
def _somewhere(data_dir: Path) -> Iterator[Path]:
    """Give the data folder to work in; one that is not there yet is gone again afterwards.

    Never the system's temporary folder: the database is decrypted to be looked at.
    """
    there = data_dir.exists()
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        yield data_dir
    finally:
        if not there:
            shutil.rmtree(data_dir, ignore_errors=True)


def _key_file(context: Context) -> Path:
    """Return the first of: the one that was named, the one in the backup, the installation's."""
    given: Path | None = context.arguments.keys
    if given is not None:
        return given
    for path in (context.arguments.dir / KEY_FILE, context.settings.key_file):
        if path.is_file():
            return path
    raise CommandError(
        "There are no keys in this backup. Name your copy of keys.json with --keys FILE."
    )


def _with_keys(context: Context) -> str:
    if seal_of(context.settings.key_file) == UNSEALED:
        return "The keys are in it: whoever has this folder can read everything."
    return (
        "The keys are in it, sealed: to be read it also needs OVERREAD_KEY or the key service "
        "of now. Keep that elsewhere."
    )


def _size(made: Manifest) -> str:
    return f"{counted(len(made.objects), 'object')}, {counted(made.events, 'audit event')}"


def _troubles(made: Manifest) -> list[str]:
    lines = []
    if made.missing:
        lines.append(f"Missing when it was made: {counted(len(made.missing), 'object')}.")
    if made.damaged:
        lines.append(f"Damaged when it was made: {counted(len(made.damaged), 'object')}.")
    if made.broken_at is not None:
        lines.append(f"The audit trail was broken at event {made.broken_at:,} when it was made.")
    return lines


def _shown(context: Context, made: Manifest, more: dict[str, object], lines: list[str]) -> None:
    facts = made.fields() | {"objects": len(made.objects)}
    context.output.result(facts | more, "\n".join(lines))


def _progress(context: Context, doing: str) -> Callable[[int, int], None]:
    return lambda done, of: context.output.note(f"{done:,} of {counted(of, 'object')} {doing}")


def _steps(context: Context) -> Callable[[str, int, int], None]:
    return lambda doing, done, of: context.output.note(
        f"{done:,} of {counted(of, 'object')} {doing}"
    )
