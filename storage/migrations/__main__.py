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
            command.revision(config(connection), message=sys.argv[1], autogenerate=True)
        store.close()


if __name__ == "__main__":
    main()
