"""Audit events tell how the actor came in, from which network, and how many they stand for."""

import sqlalchemy as sa
from alembic import op


revision = '0004'
down_revision = '0003'
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.add_column('audit_event', sa.Column('via', sa.String(length=16), server_default='', nullable=False))
    op.add_column('audit_event', sa.Column('came_from', sa.String(length=64), server_default='', nullable=False))
    op.add_column('audit_event', sa.Column('count', sa.Integer(), server_default='1', nullable=False))
