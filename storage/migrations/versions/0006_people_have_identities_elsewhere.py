"""People are known by an identity provider's issuer and subject; sessions say who vouched."""

import sqlalchemy as sa
from alembic import op


revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Apply."""
    op.create_table(
        "identity",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("person_id", sa.Uuid(), nullable=False),
        sa.Column("issuer", sa.String(length=512), nullable=False),
        sa.Column("subject", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.ForeignKeyConstraint(
            ["person_id"], ["person.id"], name=op.f("fk_identity_person_id_person")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_identity")),
        sa.UniqueConstraint("issuer", "subject", name=op.f("uq_identity_issuer_subject")),
    )
    op.create_index(op.f("ix_identity_person_id"), "identity", ["person_id"])
    op.add_column(
        "session", sa.Column("provider", sa.String(length=32), server_default="", nullable=False)
    )
    op.add_column("session", sa.Column("state_sha256", sa.String(length=64), nullable=True))
    op.add_column("session", sa.Column("logout_hint", sa.LargeBinary(), nullable=True))
    op.create_index(op.f("ix_session_state_sha256"), "session", ["state_sha256"], unique=True)
