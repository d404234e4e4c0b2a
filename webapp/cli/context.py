"""What every command works on: the settings, the data folder, and who acts."""

from argparse import Namespace
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from webapp.cli.installation import require_database
from webapp.cli.output import CommandError, Output
from webapp.services.actor import Actor
from webapp.services.bundle import Services, build_services
from webapp.services.errors import NotSignedInError
from webapp.settings import WebSettings

OPERATOR: Final = "admin"  # the first account's name unless another one is given


@dataclass(frozen=True, slots=True)
class Context:
    """One invocation of the command line."""

    settings: WebSettings
    arguments: Namespace
    output: Output

    @contextmanager
    def services(self) -> Iterator[tuple[Services, Actor]]:
        """Yield the use cases of this installation and its operator, the first administrator.

        Raises:
            CommandError: `overread init` was never run here, or was stopped.
            DatabaseMissingError: the database is gone.
        """
        self.require_installation()
        services = build_services(self.settings)
        try:
            yield services, _operator(services)
        finally:
            services.close()

    def require_installation(self) -> None:
        """Refuse to work in a folder that was never set up, or without its database.

        Raises:
            CommandError: there are no keys in the data folder.
            DatabaseMissingError: the database is gone.
        """
        if not self.settings.key_file.is_file():
            raise CommandError(
                f"There is no installation in {self.settings.data_dir}. Run `overread init` "
                "first, or set OVERREAD_DATA_DIR to where it is."
            )
        require_database(self.settings)


def _operator(services: Services) -> Actor:
    try:
        return services.accounts.operator()
    except NotSignedInError:
        raise CommandError(
            "This installation has no account yet. Run `overread init`, which makes the first."
        ) from None
