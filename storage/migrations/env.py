"""Alembic runs this file; the transaction is always the caller's."""

from typing import Literal

from alembic import context
from alembic.autogenerate.api import AutogenContext
from sqlalchemy import String
from sqlmodel import SQLModel
from sqlmodel.sql.sqltypes import AutoString

import storage.tables  # noqa: F401 - registers the tables with SQLModel's metadata
from storage.columns import UtcDateTime


def render_plain(_kind: str, item: object, _context: AutogenContext) -> str | Literal[False]:
    """Write our column types as SQLAlchemy's own: a revision must outlive our classes."""
    if isinstance(item, AutoString) and isinstance(item.impl_instance, String):
        return f"sa.{String(item.impl_instance.length)!r}"
    if isinstance(item, UtcDateTime):
        return "sa.DateTime(timezone=True)"
    return False


connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=SQLModel.metadata,
    compare_type=True,
    render_as_batch=connection.dialect.name == "sqlite",
    render_item=render_plain,
)
context.run_migrations()
