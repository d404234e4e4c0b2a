"""The whole database at one instant, as one file, while others write.

SQLite copies itself; Postgres is written by its own pg_dump, which joins the snapshot of a
session of ours, so that what is checked is what was written.
"""

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from sqlalchemy import inspect, text
from sqlalchemy.engine import URL, make_url
from sqlmodel import Session, col, select

from storage.engine import Store
from storage.errors import BackupError
from storage.tables import Case, Draft, Export, Image, Instance
from storage.vocabulary import CaseState

SQLITE: Final = "sqlite"
POSTGRES: Final = "postgresql"
ROWS_AT_ONCE: Final = 500
PROGRAM_FOLDERS: Final = "/usr/lib/postgresql"  # Debian keeps each release's programs there


def kind_of(url: str) -> str:
    """Return `sqlite` or `postgresql`."""
    return make_url(url).get_backend_name()


@contextmanager
def snapshot(store: Store, url: str, out: Path) -> Iterator[Session]:
    """Write the database to the new file `out`; yield a session that sees just that.

    Raises:
        BackupError: pg_dump is missing or failed.
    """
    os.close(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    if kind_of(url) == SQLITE:
        _copy_sqlite(Path(make_url(url).database or ""), out)
        with opened(out) as session:
            yield session
        return
    with store.read() as session:
        name = session.connection().execute(text("SELECT pg_export_snapshot()")).scalar_one()
        _run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", url=url,
             more=[f"--snapshot={name}", f"--file={out}"])  # fmt: skip
        yield session


@contextmanager
def opened(file: Path) -> Iterator[Session]:
    """Yield a session on a SQLite file, whole by its own account.

    Raises:
        BackupError: SQLite finds it damaged.
    """
    store = Store.open(f"sqlite:///{file}", migrate=False)
    try:
        with store.read() as session:
            found = session.connection().exec_driver_sql("PRAGMA integrity_check").scalar_one()
            if found != "ok":
                raise BackupError("The database is damaged: SQLite's own check fails.")
            yield session
    finally:
        store.close()


def load_postgres(url: str, dump: Path) -> None:
    """Fill an empty database, all of it or nothing.

    Raises:
        BackupError: it is not empty, or pg_restore is missing or failed.
    """
    store = Store.open(url, migrate=False)
    try:
        filled = bool(inspect(store.engine).get_table_names())
    finally:
        store.close()
    if filled:
        raise BackupError(
            "The database of OVERREAD_DATABASE_URL is not empty. Make a new one and name that."
        )
    _run("pg_restore", "--no-owner", "--exit-on-error", "--single-transaction", url=url,
         more=[str(dump)])  # fmt: skip


def named_objects(session: Session) -> set[str]:
    """Return the address of every object that a row needs; a refused case needs none."""
    named: set[str] = set()
    instances = (
        select(Instance.dicom_blob, Instance.pixel_blob)
        .join(Image, col(Image.id) == col(Instance.image_id))
        .join(Case, col(Case.id) == col(Image.case_id))
        .where(col(Case.state) != CaseState.REFUSED)
    )
    options = {"yield_per": ROWS_AT_ONCE}
    for pair in session.exec(instances.execution_options(**options)):
        named.update(pair)
    for images in session.exec(select(Draft.images).execution_options(**options)):
        named.update(image["png_blob"] for image in images)
    for files in session.exec(select(Export.files)):
        named.update(file["blob"] for file in files.values())
    return named


def is_in_use(file: Path) -> bool:
    """Tell whether another process has a SQLite file open: then it cannot leave WAL mode."""
    if not file.exists():
        return False
    try:
        with closing(sqlite3.connect(file, timeout=0, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError:
        return True
    except sqlite3.DatabaseError:  # it is none any more, so nobody works with it
        return False
    return False


def _copy_sqlite(file: Path, out: Path) -> None:
    with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(out)) as target:
        source.backup(target)  # in one step, so writers cannot make it begin again


def _run(program: str, *arguments: str, url: str, more: list[str]) -> None:
    """Run a program of Postgres; the password travels in its environment, not its arguments."""
    found = _program(program)
    if found is None:
        raise BackupError(f"{program} is not installed here; install PostgreSQL's client programs.")
    parsed = make_url(url)
    environment = dict(os.environ)
    if parsed.password is not None:
        environment["PGPASSWORD"] = str(parsed.password)
    done = subprocess.run(  # noqa: S603 - our own arguments
        [str(found), *arguments, f"--dbname={_without_password(parsed)}", *more],
        check=False,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,  # it repeats rows
    )
    if done.returncode:
        raise BackupError(
            f"{program} failed with exit code {done.returncode}. Is its version at least the "
            "server's?"
        )


def _without_password(url: URL) -> str:
    plain = url.set(drivername=POSTGRES, password=None)
    return plain.render_as_string(hide_password=False)


def _program(name: str) -> Path | None:
    newest = sorted(
        Path(PROGRAM_FOLDERS).glob(f"*/bin/{name}"), key=lambda path: _release(path), reverse=True
    )
    found = shutil.which(name)
    return newest[0] if newest else None if found is None else Path(found)


def _release(path: Path) -> int:
    release = path.parents[1].name
    return int(release) if release.isdecimal() else 0
