"""Oracle B: no column that PostgreSQL sees in a statement is missing from its plan."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence

import pytest

from proxy.embedded import EmbeddedPostgres
from tests.conftest import Database
from tests.oracle.attacks import PATHS, SCHEMA, Attack
from tests.oracle.census import Census, Judge, run
from tests.oracle.corpora import Sample
from tests.oracle.missed import Verdict
from tests.oracle.seen import Server


def check(census: Census, seed: int) -> None:
    assert not census.missed, (seed, len(census.missed), census.missed[0])


_COPIES = """
CREATE SCHEMA sample;
DO $$ DECLARE command text; BEGIN
  FOR command IN
    SELECT format('CREATE TABLE IF NOT EXISTS sample.%I AS SELECT %s FROM %s LIMIT 0', relname,
      string_agg(CASE atttypid WHEN 'anyarray'::regtype THEN format('NULL::text[] AS %I', attname)
        ELSE quote_ident(attname) END, ', ' ORDER BY attnum), c.oid::regclass)
    FROM pg_class c JOIN pg_attribute ON attrelid = c.oid AND attnum > 0
    WHERE relkind IN ('r', 'v')
      AND relnamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
    GROUP BY relname, c.oid
  LOOP
    BEGIN EXECUTE command; EXCEPTION WHEN OTHERS THEN NULL; END;
  END LOOP;
END $$;
"""


@pytest.fixture(scope="module")
def copied(make_database: Callable[[], Database]) -> Iterator[Database]:
    """A database in which every system relation is an empty table of a user's: `sample.pg_class`."""
    database = make_database()
    database.psql(_COPIES)
    yield database
    database.postgres.drop_database(database.name)


_QUERY = re.compile(r"\s*(?:select|with|values|\()", re.IGNORECASE)


def test_system_views_and_clients(installed: Sequence[Sample], copied: Database) -> None:
    """The queries of the system views, of psql and of pg_dump, over tables of the same names."""
    seed = random.randrange(1 << 32)
    samples = [
        Sample("installed", sql)
        for sample in installed
        if _QUERY.match(sql := re.sub(r"\bpg_catalog\.(?=pg_)", "sample.", sample.sql))
    ]
    path = Sample("installed", "SET search_path = sample, pg_catalog, public")
    census = run(copied.dsn(), [path, *samples], random.Random(seed))
    check(census, seed)
    assert census.statements >= 150


def attacked(database: Database, count: int) -> None:
    """Random statements that hide a column, under search paths that change."""
    seed = random.randrange(1 << 32)
    generator = random.Random(seed)
    database.psql(SCHEMA)
    server = Server(database.dsn())
    census = Census()
    judge, attack = Judge(server, generator, census), Attack(generator)
    for number in range(count):
        if number % 20 == 0:
            server.execute(f"SET search_path = {generator.choice(PATHS)}")
        server.execute("BEGIN")
        judge.judge(attack.statement())
        server.execute("ROLLBACK")
    server.close()
    check(census, seed)
    assert census.statements > count // 3, seed
    assert min(census.verdicts[Verdict.PLANNED], census.verdicts[Verdict.REFUSED]) > count // 20, (
        seed
    )


def test_attacks(database: Database) -> None:
    """Every spelling of a name, in every clause, behind aliases, CTEs and wrappers."""
    attacked(database, 300)


@pytest.mark.long
def test_many_attacks(database: Database) -> None:
    """Ten thousand of them."""
    attacked(database, 10_000)


@pytest.mark.long
def test_regression_statements(regression: Sequence[Sample]) -> None:
    """PostgreSQL's regression tests, executed in order; 12,000 statements name a user's relation."""
    seed = random.randrange(1 << 32)
    with EmbeddedPostgres(settings={"log_min_messages": "panic"}) as postgres:
        census = run(postgres.dsn("postgres"), scripts(regression), random.Random(seed))
    check(census, seed)
    assert census.statements >= 12_000


def scripts(regression: Sequence[Sample]) -> list[Sample]:
    """Without libpg_query's own; what the other scripts need first."""
    found = [s for s in regression if s.source.startswith("postgres_regress/")]
    return sorted(found, key=lambda sample: "test_setup" not in sample.source)
