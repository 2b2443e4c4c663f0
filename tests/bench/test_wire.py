"""The client that throws answers away still sees how they end."""

from __future__ import annotations

import pytest

from bench import wire
from tests.conftest import Database


def test_tags_and_sizes(database: Database) -> None:
    """The tag of a big answer, read at its end; an error is told and leaves the connection usable."""
    with wire.Connection(database.postgres.port, "postgres", database.name) as connection:
        tag, size = connection.query("SELECT n, repeat('x', 100) FROM generate_series(1, 20000) n")
        assert tag == "SELECT 20000"
        assert size > 20_000 * 100
        with pytest.raises(wire.Refused, match="division by zero"):
            connection.query("SELECT 1 / 0")
        with pytest.raises(wire.Refused, match="boom"):
            connection.query(
                "SELECT 1; DO $$ BEGIN RAISE EXCEPTION 'boom' USING HINT = repeat('h', 500); END $$"
            )
        assert connection.query("CREATE TABLE t (n int)")[0] == "CREATE TABLE"
        assert connection.copy_in("COPY t FROM STDIN", [b"1\n2\n", b"3\n"]) == "COPY 3"
        with pytest.raises(wire.Refused):
            connection.copy_in("COPY nowhere FROM STDIN", [])


def test_a_login_that_is_refused(database: Database) -> None:
    with pytest.raises(wire.Refused, match="nobody_at_all"):
        wire.Connection(database.postgres.port, "nobody_at_all", database.name)
