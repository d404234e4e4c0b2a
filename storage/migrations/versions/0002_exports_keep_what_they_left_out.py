"""Exports keep how many reviews gave no row, by reason."""

import sqlalchemy as sa
from alembic import op


revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    with op.batch_alter_table('export', schema=None) as batch_op:
        batch_op.add_column(sa.Column('skipped', sa.JSON(), server_default='{}', nullable=False))
