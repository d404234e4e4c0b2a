"""Write the next revision: what the tables say and the newest revision does not."""

import sys
import tempfile
from pathlib import Path

from alembic import command

from storage.engine import Store
from storage.migrations import config


def main() -> None:
    """Compare the tables with a database at the newest revision and write the difference."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(f"sqlite:///{Path(folder) / 'head.db'}")
        with store.engine.begin() as connection:
            command.revision(
                config(connection), message=sys.argv[1], autogenerate=True, rev_id=_next_number()
            )
        store.close()


def _next_number() -> str:
    versions = Path(__file__).parent / "versions"
    return f"{len(list(versions.glob('[0-9]*.py'))) + 1:04d}"


if __name__ == "__main__":
    main()
