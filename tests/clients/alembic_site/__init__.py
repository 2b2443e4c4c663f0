"""An Alembic environment whose migrations run through the proxy."""
