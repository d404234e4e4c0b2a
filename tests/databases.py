"""Throw-away databases for tests: a PostgreSQL server of our own, on a Unix socket, unprivileged.

Nothing here can reach a database that a person uses: the server is made for the session in a
folder of its own, and every test gets a fresh database copied from a migrated template.
"""

import itertools
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import psycopg

from storage.engine import Store

START_SECONDS: Final = 30
USER: Final = "overread"
TEMPLATE: Final = "migrated"
# A test's database need not survive a power cut.
FAST: Final = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server; `folder` holds its socket."""

    folder: Path
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def url(self, database: str) -> str:
        """Return the SQLAlchemy URL of a database of this server."""
        return f"postgresql://{USER}@/{database}?host={self.folder}"

    @contextmanager
    def database(self, template: str = TEMPLATE) -> Iterator[str]:
        """Yield the URL of a fresh database, dropped at exit."""
        name = f"test_{next(self.numbers)}"
        self.run(f"CREATE DATABASE {name} TEMPLATE {template}")
        try:
            yield self.url(name)
        finally:
            self.run(f"DROP DATABASE {name} WITH (FORCE)")

    def run(self, statement: str) -> None:
        """Run one statement outside any transaction."""
        with psycopg.connect(
            host=str(self.folder), user=USER, dbname="postgres", autocommit=True
        ) as connection:
            connection.execute(statement.encode())


def postgres_programs() -> Path | None:
    """Return the folder of initdb and postgres, the newest release first, or none."""
    places = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)
    found = shutil.which("initdb")
    if found is not None:
        places.append(Path(found))
    return places[0].parent if places else None


@contextmanager
def postgres_server(programs: Path) -> Iterator[PostgresServer]:
    """Make and start a server in a temporary folder; stop and remove it at exit.

    Raises:
        RuntimeError: it does not answer within 30 seconds.
    """
    with tempfile.TemporaryDirectory(prefix="overread-pg-") as name:
        folder = Path(name)
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(folder, "nobody", "nogroup")
        _run_unprivileged(
            programs / "initdb", "-D", folder / "data", "-U", USER, "--auth=trust",
            "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions",
        )  # fmt: skip
        settings = [part for setting in FAST for part in ("-c", setting)]
        server = subprocess.Popen(  # noqa: S603 - our own arguments
            _unprivileged(
                programs / "postgres", "-D", folder / "data", "-k", folder,
                "-c", "listen_addresses=", *settings,
            ),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            cwd=folder,
        )  # fmt: skip
        try:
            yield _ready(PostgresServer(folder), server)
        finally:
            server.terminate()
            server.wait(timeout=START_SECONDS)


def _ready(server: PostgresServer, process: "subprocess.Popen[bytes]") -> PostgresServer:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            server.run(f"CREATE DATABASE {TEMPLATE}")
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError("the test server of PostgreSQL did not start") from None
            time.sleep(0.05)
        else:
            break
    Store.open(server.url(TEMPLATE)).close()
    return server


def _run_unprivileged(*command: str | Path) -> None:
    subprocess.run(  # noqa: S603 - our own arguments
        _unprivileged(*command), check=True, capture_output=True, cwd="/", timeout=START_SECONDS
    )


def _unprivileged(*command: str | Path) -> list[str]:
    plain = [str(part) for part in command]
    if os.geteuid() != 0:
        return plain
    return ["setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups", *plain]
