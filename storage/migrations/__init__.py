"""The schema's history: one Alembic history for SQLite and Postgres.

`python -m storage.migrations "what changes"` writes the next revision from the tables.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import Connection, Engine

from storage.errors import StoreVersionError


def upgrade(engine: Engine) -> None:
    """Bring the schema to the newest revision, in one transaction that holds the writers' lock.

    Raises:
        StoreVersionError: the schema is at a revision this release does not know.
    """
    script = ScriptDirectory.from_config(config())
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    _refuse_unknown(script, current)
    if current == script.get_current_head():
        return
    with engine.begin() as connection:  # a process that waited here finds nothing left to do
        command.upgrade(config(connection), "head")


def is_current(engine: Engine) -> bool:
    """Tell whether the schema is at the newest revision of this release."""
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
    return current == ScriptDirectory.from_config(config()).get_current_head()


def has_begun(connection: Connection) -> bool:
    """Tell whether there is a schema of any revision."""
    return MigrationContext.configure(connection).get_current_revision() is not None


def config(connection: Connection | None = None) -> Config:
    """Return Alembic's configuration, bound to an open transaction where one is given."""
    result = Config()
    result.set_main_option("script_location", str(Path(__file__).parent))
    result.attributes["connection"] = connection
    return result


def _refuse_unknown(script: ScriptDirectory, revision: str | None) -> None:
    try:
        script.get_revision(revision) if revision else None
    except CommandError as error:
        raise StoreVersionError from error
