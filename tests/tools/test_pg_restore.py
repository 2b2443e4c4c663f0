"""pg_restore and psql fill sealed tables through the proxy: a clear dump comes back sealed, under the target's own keys."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Database
from tests.integration.shop import COLUMNS, Shop
from tests.tools.programs import ALL, DBA, Stage, Tools

SEALED = ("email", "ssn", "birth_date", "balance")
ROWS = f"SELECT id, {', '.join(SEALED)} FROM customers ORDER BY id"


@pytest.fixture(scope="module")
def target(
    stage: Stage,
    make_database: Callable[[], Database],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    """An empty copy of the stage's tables, restored from its definitions, behind a proxy with keys of its own."""
    database = make_database()
    definitions = stage.direct("postgres").done("pg_dump", "--schema-only")
    done = stage.direct("postgres", database.name).psql(definitions, "-q", "-vON_ERROR_STOP=1")
    assert (done.code, done.err) == (0, "")
    shop = Shop(database, tmp_path_factory.mktemp("target"), COLUMNS + DBA)
    shop.write_config()
    shop.sealgate("init")
    shop.sealgate("check")
    shop.serve()
    yield Stage(shop, stage.twin)
    shop.stop()
    database.postgres.drop_database(database.name)


@pytest.fixture
def empty(target: Stage) -> Stage:
    target.shop.database.psql(
        'TRUNCATE customers, orders, plain, visits, "Odd Place"."Kinds" RESTART IDENTITY'
    )
    return target


NO_HISTORY = "--exclude-table-data=sealgate.cell_history"
"""Which a login of its own tables may not write; under other keys its cell ids would be of values that are nowhere."""

WAYS: dict[str, tuple[str, str]] = {
    "copy, psql": ("pg_dump -a", "psql -qX -v ON_ERROR_STOP=1"),
    "copy, one transaction": ("pg_dump -a", "psql -qX1 -v ON_ERROR_STOP=1"),
    "custom": ("pg_dump -a -Fc", "pg_restore -a -d $PGDATABASE"),
    "custom, by insert": ("pg_dump -a -Fc --column-inserts", "pg_restore -a -e -d $PGDATABASE"),
    "tar, one table": ("pg_dump -a -Ft", "pg_restore -a -1 -t customers -d $PGDATABASE"),
    "inserts": ("pg_dump -a --inserts", "psql -qX -v ON_ERROR_STOP=1"),
    "rows per insert": (
        "pg_dump -a --rows-per-insert=2 --on-conflict-do-nothing",
        "psql -qX1 -v ON_ERROR_STOP=1",
    ),
    "data section": ("pg_dump --section=data -Fc", "pg_restore --section=data -d $PGDATABASE"),
}


@pytest.mark.parametrize("way", WAYS)
def test_a_clear_dump_is_sealed_on_its_way_in(stage: Stage, empty: Stage, way: str) -> None:
    """The target reads what the source reads, and stores nothing that the source stores: other keys, other nonces."""
    dump, restore = WAYS[way]
    dumped = stage.proxied("backup").run("bash", "-c", f"{dump} {NO_HISTORY}").stdout
    assert b"ada@example.com" in dumped or b"PGDMP" in dumped
    done = empty.proxied("shop_owner").run("bash", "-c", restore, stdin=dumped)
    assert (done.returncode, done.stderr) == (0, b"")
    arrived(stage, empty, everything=way != "tar, one table")


def test_a_directory_is_dumped_and_restored_in_parallel(
    stage: Stage, empty: Stage, tmp_path: Path
) -> None:
    """-Fd -j 2: two sessions read one snapshot, two sessions write."""
    archive = str(tmp_path / "archive")
    stage.proxied("backup").done(
        "pg_dump", "--section=data", "-Fd", "-j2", NO_HISTORY, "-f", archive
    )
    owner = empty.proxied("shop_owner")
    owner.done("pg_restore", "--section=data", "-j2", "-d", owner.database, archive)
    arrived(stage, empty)


def arrived(stage: Stage, target: Stage, *, everything: bool = True) -> None:
    """The rows are the source's, for whoever may read them; sealed anew for everybody else."""
    wanted = stage.proxied().done("psql", "-XAtc", ROWS)
    assert target.proxied().done("psql", "-XAtc", ROWS) == wanted
    if everything:
        data = ("pg_dump", "-a", "--restrict-key=dump", NO_HISTORY)
        assert target.proxied("backup").done(*data) == stage.proxied("backup").done(*data)
    assert wanted.startswith("1|ada@example.com|123-45-6789|1985-12-10|100.50\n2|bob@")
    found = "SELECT id FROM customers WHERE email = 'bob@example.com' AND birth_date = '1990-01-02'"
    assert target.proxied().done("psql", "-XAtc", found) == "2\n"
    stored = [set(values(s)) for s in (stage, target)]
    assert len(stored[0]) == len(stored[1]) == 8
    assert not stored[0] & stored[1]
    key_ids = [{v[4:8] for v in s} for s in stored]
    assert len(key_ids[0]) == len(key_ids[1]) == 4
    assert not key_ids[0] & key_ids[1]


def test_what_is_restored_stays_out_of_the_servers_log(stage: Stage, empty: Stage) -> None:
    """Rows by COPY and by INSERT, a partition's and a large value's too: the server logs every statement and error."""
    log = stage.shop.database.postgres.log_path
    before = log.stat().st_size
    for options in ("", "--inserts"):
        empty.shop.database.psql('TRUNCATE customers, orders, plain, visits, "Odd Place"."Kinds"')
        dumped = (
            stage.proxied("backup").run("bash", "-c", f"pg_dump -a {NO_HISTORY} {options}").stdout
        )
        empty.proxied("shop_owner").done(
            "psql", "-qX", "-vON_ERROR_STOP=1", "-o/dev/null", stdin=dumped
        )
    logged = log.read_bytes()[before:]
    assert b"COPY public.visits_low" in logged
    assert b"INSERT INTO public.visits_low" in logged
    for plaintext in (b"ada@example.com", b"10.0.0.7", b"123-45-6789", b"backslash", b"1985-12-10"):
        assert plaintext not in logged


def values(stage: Stage) -> list[bytes]:
    with stage.shop.direct() as direct:
        rows = direct.execute(f"SELECT {', '.join(SEALED)} FROM customers").fetchall()
    return [bytes(value) for row in rows for value in row if value is not None]


def test_the_servers_dump_restores_byte_for_byte(stage: Stage, empty: Stage) -> None:
    """Around both proxies: the values are the source's, and only the source's keys open them."""
    dumped = stage.direct("postgres").done("pg_dump", "-a")
    empty.direct("postgres").done("psql", "-qX", "-vON_ERROR_STOP=1", stdin=dumped)
    assert sorted(values(stage)) == sorted(values(empty))
    said = empty.proxied().psql("SELECT email FROM customers WHERE id = 1;\n")
    assert "the stored value names an unknown data key" in said.err


def test_a_clear_dump_is_refused_where_nobody_seals_it(stage: Stage, empty: Stage) -> None:
    """Restored around the proxy, the domain's CHECK stops the first row: sealed tables never hold plaintext."""
    dumped = stage.proxied("backup").done("pg_dump", "-a", "-t", "customers")
    said = empty.direct("postgres").psql(dumped, "-q")
    assert 'value for domain sealgate.sealed_text violates check constraint "sealed"' in said.err
    assert empty.direct("postgres").done("psql", "-XAtc", "SELECT count(*) FROM customers") == "0\n"


def test_who_may_not_write_restores_nothing(stage: Stage, empty: Stage) -> None:
    """The grants are the target's: a login that may only read is refused before a row is sent."""
    dumped = stage.proxied("backup").done("pg_dump", "-a", "-t", "customers")
    said = empty.proxied("support_login").psql(dumped, "-q", "-vON_ERROR_STOP=1")
    assert said.code == 3
    assert "permission denied" in said.err
    assert empty.direct("postgres").done("psql", "-XAtc", "SELECT count(*) FROM customers") == "0\n"


def test_a_column_that_nobody_declared_is_dumped_and_not_restored(
    stage: Stage, empty: Stage
) -> None:
    """A trigger's copies are read under the key of the column that they come from; a restore would have none."""
    history = (
        "CREATE TABLE history (id int, email sealgate.sealed_text); GRANT ALL ON history TO PUBLIC;"
    )
    for each in (stage, empty):
        each.proxied("postgres").done("psql", "-qX", "-vON_ERROR_STOP=1", stdin=history)
    stage.shop.database.psql("INSERT INTO history SELECT id, email FROM customers")
    dumped = stage.proxied("backup").done("pg_dump", "-a", "-t", "history")
    said = empty.proxied("shop_owner").psql(dumped, "-q", "-vON_ERROR_STOP=1")
    for each in (stage, empty):
        each.shop.database.psql("DROP TABLE history")
    assert "1\tada@example.com\n" in dumped
    assert said.code == 3
    assert (
        "column public.history.email carries sealed values and is not declared itself" in said.err
    )


def test_a_masked_dump_fills_plain_tables(
    stage: Stage, make_database: Callable[[], Database]
) -> None:
    """What support sees, in a database for developers: values of the right types, none of them secret."""
    plain = make_database()
    tools: Tools = stage.direct("postgres", plain.name)
    definitions = stage.unsealed("postgres").done("pg_dump", "-s", "-t", "customers")
    tools.done("psql", "-qX", "-vON_ERROR_STOP=1", stdin=definitions)
    dumped = stage.proxied("support_login").done("pg_dump", "-a", "-t", "customers")
    tools.done("psql", "-qX", "-vON_ERROR_STOP=1", stdin=dumped)
    assert tools.done("psql", "-XAtc", ROWS).splitlines()[:2] == [
        "1|ada@example.com|*******6789|1985-01-01|",
        "2|bob@example.com|*******4321|1990-01-01|",
    ]
    plain.postgres.drop_database(plain.name)


@pytest.mark.parametrize("way", ["archive", pytest.param("stream", marks=pytest.mark.long)])
def test_a_whole_dump_goes_from_proxy_to_proxy(
    stage: Stage, make_database: Callable[[], Database], tmp_path: Path, way: str
) -> None:
    """Definitions and data through both proxies, into an empty database: DDL takes effect on the next statement."""
    database = make_database()
    shop = Shop(database, tmp_path, COLUMNS + DBA + f"[roles.postgres]\nwrite = {ALL}\n")
    shop.write_config()
    shop.sealgate("init")
    shop.serve()
    whole = Stage(shop, stage.twin)
    tools = whole.proxied("postgres")
    if way == "archive":
        file = str(tmp_path / "whole.dump")
        stage.proxied("backup").done("pg_dump", "-Fc", "-f", file)
        tools.done("pg_restore", "-e", "-d", tools.database, file)
    else:
        tools.done(
            "psql", "-qX", "-vON_ERROR_STOP=1", stdin=stage.proxied("backup").done("pg_dump")
        )
    arrived(stage, whole)
    assert " error: " not in shop.sealgate("check", ok=False).stdout
    shop.stop()
    database.postgres.drop_database(database.name)
