"""`overread init`: data folder, keys, database, first account; whatever is there stays."""

import argparse
import stat
from typing import Final

from storage.accounts import people
from storage.engine import Store
from storage.errors import DatabaseMissingError, StorageError
from storage.keys import Keys
from webapp.cli.context import OPERATOR, Context
from webapp.cli.installation import has_objects, require_database
from webapp.cli.output import CommandError, as_json
from webapp.cli.parsing import Parsers, password_from_stdin
from webapp.cli.samples import bring_samples
from webapp.cli.sentences import for_operator, of_the_system
from webapp.services.bundle import build_services
from webapp.services.errors import ServiceError
from webapp.services.views import AddedPerson
from webapp.settings import WebSettings

SAMPLES: Final = (
    "{admitted} of the files admitted, {checking} to be searched for text as soon as Overread "
    "serves, {held} held, {refused} refused."
)


def add_parser(commands: Parsers, common: argparse.ArgumentParser) -> None:
    """Describe the command."""
    command = commands.add_parser(
        "init", parents=[common], help="data folder, keys, database, first account; safe to repeat"
    )
    command.add_argument(
        "--admin", metavar="NAME", help=f"the first account's name; {OPERATOR} without it"
    )
    command.add_argument(
        "--password-stdin",
        action="store_true",
        help="read its password from standard input, also in place of a one-time one that was "
        "not replaced yet; without it a one-time one is printed",
    )
    command.add_argument("--samples", action="store_true", help="bring sample studies in")
    command.set_defaults(run=_run)


def _run(context: Context) -> int:
    given = context.arguments
    password = password_from_stdin() if given.password_stdin else None
    asked = None if given.admin is None else given.admin.strip().lower()
    account = set_up(context.settings, asked or OPERATOR, password)
    if asked is not None and asked != account.person.name:
        raise CommandError(
            f"This installation has its first account, {account.person.name}; {asked} was not "
            f"made. To add it: overread users add {asked} --role admin"
        )
    shown: dict[str, object] = {
        "id": account.person.id,
        "admin": account.person.name,
        "one_time_password": account.one_time_password,
        "data_dir": context.settings.data_dir,
    }
    if not given.samples:
        context.output.result(shown, described(context.settings, account))
        return 0
    if not context.output.json:  # before the samples: nothing of theirs may lose the password
        context.output.line(described(context.settings, account))
    samples, code = _samples(context)
    if context.output.json:
        context.output.line(as_json(shown | samples))
    return code


def _samples(context: Context) -> tuple[dict[str, object], int]:
    """Bring the samples in; what stands in their way leaves the account as it is."""
    try:
        with context.services() as (services, operator):
            outcomes = bring_samples(services, operator, context.output.note)
    except (StorageError, ServiceError) as refusal:
        code, said = refusal.code, for_operator(refusal)
    except OSError as error:
        code, said = of_the_system(error)
    else:
        if any(outcomes.values()):
            context.output.note(SAMPLES.format(**outcomes))
        return {"samples": outcomes}, 1 if outcomes["refused"] else 0
    context.output.note(
        f"overread: {said}\nThe account stands; only the samples did not come in. Run "
        "`overread init --samples` again for them."
    )
    return {"samples": None, "error": {"code": code, "message": said}}, 1


def set_up(settings: WebSettings, admin: str, password: str | None) -> AddedPerson:
    """Make what is missing of an installation and return its first account.

    Raises:
        CommandError: the folder cannot be used, or its keys are gone while its data are not.
        DatabaseMissingError: its database is gone while the rest is not.
    """
    require_database(settings)
    _private_folder(settings)
    store = Store.open(settings.database)
    try:
        with store.read() as session:
            has_people = bool(people(session))
        if has_objects(settings) and not has_people:
            raise DatabaseMissingError
        if not settings.key_file.exists():
            if has_people:
                raise CommandError(
                    f"The keys of this installation are missing. Restore {settings.key_file} "
                    "from your backup; without it nothing stored here can be read."
                )
            Keys.create(settings.key_file, settings.key_seal)
    finally:
        store.close()
    services = build_services(settings)
    try:
        return services.accounts.first_account(admin, password)
    finally:
        services.close()


def described(settings: WebSettings, account: AddedPerson) -> str:
    """Return what a person needs to know now."""
    lines = [
        f"Data folder:    {settings.data_dir}",
        "                Back up keys.json in it: without it nothing stored here can be read.",
        f"First account:  {account.person.name}",
    ]
    if account.one_time_password is not None:
        lines += [
            f"One-time password, to be replaced at the first sign-in:  {account.one_time_password}"
        ]
    elif account.person.must_change_password:
        lines += [
            "                Its one-time password was printed when it was made. If it is lost:",
            f"                overread init --admin {account.person.name} --password-stdin",
        ]
    return "\n".join([*lines, "Start it:       overread serve"])


def _private_folder(settings: WebSettings) -> None:
    folder = settings.data_dir
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        inside = any(folder.iterdir())
        if inside and not (settings.key_file.exists() or (folder / "overread.db").exists()):
            raise CommandError(f"{folder} holds other things. Choose an empty folder or a new one.")
        if stat.S_IMODE(folder.stat().st_mode) & 0o077:
            folder.chmod(0o700)
        settings.blob_dir.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise CommandError(f"{folder} cannot be used: {error.strerror}.") from None
