"""What `overread check` looks for in the database; nothing is written, and none is made."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from sqlalchemy.engine import make_url

from storage.accounts import first_admin
from storage.audit_heads import Heads
from storage.audit_query import count_events
from storage.engine import PRAGMAS, Store, is_there
from storage.errors import DatabaseDamagedError, StorageError
from storage.keys import Keys
from storage.migrations import is_current
from webapp.cli.audit import said
from webapp.cli.finding import Finding, is_public
from webapp.cli.installation import require_database
from webapp.cli.sentences import for_operator
from webapp.services.auditing import verified
from webapp.settings import WebSettings

MOST_BYTES: Final = 1 << 30  # of a SQLite file that is read as a whole
MOST_EVENTS: Final = 100_000  # of the trail, that are verified here: a second or two


def database(settings: WebSettings) -> Iterator[Finding]:
    """Look whether it is there, whole, of this release and set as it must be."""
    if settings.database_url is None and not settings.data_dir.is_dir():
        return
    try:
        require_database(settings)
        if not is_there(settings.database):
            yield Finding("database", "problem", "there is none; run `overread init`")
            return
        store = Store.open(settings.database, migrate=False)
        with store.read() as session:  # SQLite's settings are asserted on every connection
            connection = session.connection()
            current = is_current(store.engine)
            if store.engine.dialect.name == "sqlite" and _is_small(settings):
                found = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
                if found != "ok":
                    raise DatabaseDamagedError
        kind = store.engine.dialect.name
        store.close()
    except StorageError as refusal:
        yield Finding("database", "problem", for_operator(refusal))
        return
    if not current:
        yield Finding("database", "problem", "the schema is not the newest; run `overread init`")
        return
    settings_read = ", ".join(f"{name}={value}" for name, value in PRAGMAS.items())
    detail = f"sqlite, newest schema, {settings_read}" if kind == "sqlite" else f"{kind}, newest"
    yield Finding("database", "ok", detail)


def _is_small(settings: WebSettings) -> bool:
    """Tell whether reading the whole file takes seconds; a backup looks at any."""
    file = Path(make_url(settings.database).database or "")
    return file.stat().st_size <= MOST_BYTES


def first_account(settings: WebSettings) -> Iterator[Finding]:
    """Look whether the password that was printed at the start would let anybody in from afar."""
    if settings.database_url is None and not settings.data_dir.is_dir():
        return
    try:
        if not is_there(settings.database):
            return  # `database` says so
        store = Store.open(settings.database, migrate=False)
        with store.read() as session:
            if not is_current(store.engine):
                return
            admin = first_admin(session)
        store.close()
    except StorageError:
        return  # `database` says so
    if admin is None:
        yield Finding("first account", "problem", "there is none; run `overread init`")
    elif admin.must_change_password and settings.local_accounts == "on":
        yield Finding(
            "first account",
            "problem" if is_public(settings) else "note",
            f"{admin.name} still has its one-time password; choose one: "
            f"overread init --admin {admin.name} --password-stdin",
        )
    else:
        yield Finding("first account", "ok", admin.name)


def audit_trail(settings: WebSettings) -> Iterator[Finding]:
    """Verify the whole trail where that takes seconds; a longer one has its own command."""
    try:
        if not is_there(settings.database):
            return  # `database` says so
        keys = Keys.load(settings.key_file, settings.key_seal)
        store = Store.open(settings.database, migrate=False)
        with store.read() as session:
            if not is_current(store.engine):
                return
            events = count_events(session)
        if events > MOST_EVENTS:
            told = f"{events:,} events, not looked at here: run `overread audit verify`"
            yield Finding("audit trail", "note", told)
            return
        found = verified(store, Heads(settings.audit_heads_file, keys.audit_heads))
        store.close()
    except StorageError:
        return  # `_keys` or `database` says so
    told = " ".join(said(found))
    yield Finding("audit trail", "ok" if found.whole else "problem", told)
