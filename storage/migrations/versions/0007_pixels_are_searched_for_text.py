"""The search for text in pixels: how far it is, and the boxes it found."""

import sqlalchemy as sa
from alembic import op


revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "pixel_check",
        sa.Column("case_id", sa.Uuid(), nullable=False),
        sa.Column("frames", sa.Integer(), nullable=False),
        sa.Column("frames_done", sa.Integer(), nullable=False),
        sa.Column("only", sa.JSON(), nullable=True),
        sa.Column("claimed_by", sa.String(length=64), nullable=False),
        sa.Column("claimed_until", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint(
            "frames_done BETWEEN 0 AND frames", name=op.f("ck_pixel_check_no_frame_twice")
        ),
        sa.ForeignKeyConstraint(["case_id"], ["case.id"], name=op.f("fk_pixel_check_case_id_case")),
        sa.PrimaryKeyConstraint("case_id", name=op.f("pk_pixel_check")),
    )
    op.create_table(
        "pixel_text",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("image_id", sa.Uuid(), nullable=False),
        sa.Column("frame", sa.Integer(), nullable=False),
        sa.Column("column0", sa.Integer(), nullable=False),
        sa.Column("row0", sa.Integer(), nullable=False),
        sa.Column("column1", sa.Integer(), nullable=False),
        sa.Column("row1", sa.Integer(), nullable=False),
        sa.Column("marker", sa.String(length=64), nullable=False),
        sa.ForeignKeyConstraint(
            ["image_id"], ["image.id"], name=op.f("fk_pixel_text_image_id_image")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_pixel_text")),
    )
    op.create_index(op.f("ix_pixel_text_image_id"), "pixel_text", ["image_id"])
