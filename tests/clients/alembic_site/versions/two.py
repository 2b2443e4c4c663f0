"""DDL, a data migration over sealed columns and DDL again, in one transaction."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "two"
down_revision = "one"

member = sa.table(
    "member",
    sa.column("id", sa.Integer),
    sa.column("name", sa.Text),
    sa.column("email", sa.String),
    sa.column("ssn", sa.Text),
    sa.column("level", sa.Integer),
)


def upgrade() -> None:
    op.add_column("member", sa.Column("level", sa.Integer))
    connection = op.get_bind()
    for number, ssn in connection.execute(sa.select(member.c.id, member.c.ssn)).all():
        connection.execute(
            sa.update(member)
            .where(member.c.id == number)
            .values(ssn=ssn.replace("-", ""), level=number)
        )
    op.execute(member.update().where(member.c.email == "person2@quux.example").values(level=20))
    op.bulk_insert(member, [{"id": 100, "name": "b", "email": "b@quux.example", "level": 1}])
    op.alter_column("member", "level", nullable=False, server_default="0")
    op.alter_column("member", "name", type_=sa.String(100))
    op.alter_column("member", "level", new_column_name="rank")
    op.alter_column("member", "rank", new_column_name="level")


def downgrade() -> None:
    connection = op.get_bind()
    connection.execute(sa.delete(member).where(member.c.email == "b@quux.example"))
    connection.execute(sa.update(member).values(ssn="555-QX-back"))
    op.alter_column("member", "name", type_=sa.String(80))
    op.drop_column("member", "level")
