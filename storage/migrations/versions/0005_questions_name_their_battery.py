"""Questions name the list they came from."""

import sqlalchemy as sa
from alembic import op


revision = '0005'
down_revision = '0004'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column('message', sa.Column('battery', sa.JSON(), nullable=True))
