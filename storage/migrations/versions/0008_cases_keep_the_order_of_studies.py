"""Cases keep the order of a patient's studies, as a day number that tells no date."""

import sqlalchemy as sa
from alembic import op


revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column("case", sa.Column("study_day", sa.Integer(), nullable=True))
