"""Drafts keep what the negated question brought."""

import sqlalchemy as sa
from alembic import op


revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column('draft', sa.Column('consistency', sa.JSON(), nullable=True))
