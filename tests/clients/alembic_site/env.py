"""Alembic's env.py: online, one connection, one transaction per migration."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import context

from tests.clients.alembic_site.hooks import compare_type, include_object
from tests.clients.alembic_site.models import Base

engine = sa.create_engine(context.config.get_main_option("sqlalchemy.url") or "")
try:
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=Base.metadata,
            compare_type=compare_type,
            include_object=include_object,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()
finally:
    engine.dispose()
