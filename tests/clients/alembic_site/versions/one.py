"""The table, in clear: its columns are sealed later."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "one"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "member",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("name", sa.String(80), nullable=False),
        sa.Column("email", sa.String(120), unique=True),
        sa.Column("ssn", sa.Text),
        sa.Column("born", sa.Date),
    )


def downgrade() -> None:
    op.drop_table("member")
