"""Oracle B: no column that PostgreSQL sees in a statement is missing from its plan."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import pytest

from proxy.embedded import EmbeddedPostgres
from tests.conftest import Database
from tests.oracle.attacks import PATHS, SCHEMA, Attack
from tests.oracle.census import Census, Judge, run
from tests.oracle.corpora import Sample
from tests.oracle.missed import Verdict
from tests.oracle.readings import CONFIRMED, DIFFERENT, UNPARSED, readings
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
    """Six thousand of them."""
    attacked(database, 6_000)


@pytest.mark.long
def test_regression_statements(regression: Sequence[Sample]) -> None:
    """PostgreSQL's regression tests, executed in order, with every column that they use sealed in turn."""
    seed = random.randrange(1 << 32)
    with EmbeddedPostgres(settings={"log_min_messages": "panic"}) as postgres:
        dsn = postgres.dsn("postgres")
        census = run(dsn, scripts(regression), random.Random(seed), every=True)
    census.missed = [found for found in census.missed if not is_dead(found[2])]
    check(census, seed)
    assert census.statements >= 12_000
    assert sum(census.verdicts.values()) >= 27_000
    assert census.verdicts[Verdict.PLANNED] >= 17_000
    assert census.rewritten >= 7_000
    assert census.words["merge"] >= 200
    assert census.unused["forwarded"] >= 3_000


# Columns that stand in a subquery's list and nowhere else; PostgreSQL's plan carries them past a LIMIT
# or a join, so `Server.uses_value` cannot tell.
DEAD = (
    "LATERAL (SELECT int4_tbl.f1 FROM int8_tbl LIMIT 2) ss",
    "with A as ( select q2 as id, (select q1) as x from int8_tbl )",
    "SELECT t1.a, ss.t2a, ss.t2c FROM prt1 t1 LEFT JOIN LATERAL (SELECT t2.a AS t2a, t3.a AS t3a,",
)


def is_dead(sql: str) -> bool:
    return any(dead in " ".join(sql.split()) for dead in DEAD)


@pytest.mark.long
def test_readings(regression: Sequence[Sample]) -> None:
    """Nearly every query and write of the regression tests is parsed, and confirmed."""
    found = readings(regression)
    outcomes = Counter[str]()
    for (_, outcome), count in found.items():
        outcomes[outcome] += count
    assert outcomes[CONFIRMED] >= 25_100
    assert outcomes[UNPARSED] <= 400
    assert outcomes[DIFFERENT] <= 40
    assert {outcome for word, outcome in found if word in ("merge", "delete")} == {CONFIRMED}


def scripts(regression: Sequence[Sample]) -> list[Sample]:
    """Without libpg_query's own; what the other scripts need first."""
    found = [s for s in regression if s.source.startswith("postgres_regress/")]
    return sorted(found, key=lambda sample: "test_setup" not in sample.source)
