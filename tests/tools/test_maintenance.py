"""The other programs of a PostgreSQL installation, on sealed tables: upkeep, pgbench, pg_isready."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tools.programs import Stage

UPKEEP = (
    "vacuumdb --analyze",
    "vacuumdb --full --table=customers",
    "vacuumdb --analyze-only --table=customers(email,name)",
    "vacuumdb --analyze-in-stages",
    "vacuumdb --jobs=2 --freeze",
    "reindexdb --table=customers",
    "reindexdb --jobs=2 --table=customers --table=orders",
    "reindexdb --concurrently --index=customers_pkey",
    "clusterdb",
    "clusterdb --table=customers",
)


@pytest.mark.parametrize("command", UPKEEP)
def test_upkeep_through_the_proxy_is_upkeep(stage: Stage, command: str) -> None:
    """VACUUM, ANALYZE, REINDEX and CLUSTER carry no value: they pass, and say what they say on the server."""
    name = re.compile(rb"test_\d+")
    proxied, plain = (
        t.run(*command.split()) for t in (stage.proxied("postgres"), stage.unsealed("postgres"))
    )
    assert name.sub(b"", proxied.stderr) == name.sub(b"", plain.stderr)
    assert name.sub(b"", proxied.stdout) == name.sub(b"", plain.stdout)
    assert proxied.returncode == plain.returncode


@pytest.mark.parametrize("mode", ["simple", "extended", "prepared"])
def test_pgbench_runs_a_script_on_sealed_columns(stage: Stage, tmp_path: Path, mode: str) -> None:
    """Two clients, each protocol mode, every transaction processed."""
    (tmp_path / "script.sql").write_text(
        r"""\set id random(1, 2)
SELECT email, ssn FROM customers WHERE id = :id \gset
SELECT id FROM customers WHERE email = 'ada@example.com';
BEGIN;
UPDATE customers SET note = 'none' WHERE email = 'bob@example.com';
SAVEPOINT s;
SELECT count(*) FROM customers WHERE birth_date = '1990-01-02';
ROLLBACK;
"""
    )
    run = ("pgbench", "-n", "-M", mode, "-t", "10", "-c", "2", "-f", "script.sql")
    said = stage.proxied().done(*run, cwd=tmp_path)
    assert "number of transactions actually processed: 20/20" in said
    assert "number of failed transactions: 0" in said


def test_the_proxy_accepts_connections(stage: Stage) -> None:
    """pg_isready asks without logging in."""
    assert stage.proxied().done("pg_isready").endswith("accepting connections\n")
