"""pg_dump: what a role may read is what its dump holds, and the database's own dump holds sealed values."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.tools.programs import Stage, Tools

KEY = "--restrict-key=dump"
"""psql's \\restrict takes a random key unless told one."""

DATA: dict[str, tuple[str, ...]] = {
    "copy": (),
    "inserts": ("--inserts",),
    "column inserts": ("--column-inserts",),
    "rows per insert": ("--inserts", "--rows-per-insert=2", "--on-conflict-do-nothing"),
    "disable triggers": ("--disable-triggers", "--no-sync"),
    "load via root": ("--load-via-partition-root", "--encoding=UTF8"),
    "serializable": ("--serializable-deferrable", "--lock-wait-timeout=1000"),
    "one table": ("--table=customers",),
}
ARCHIVES = ("custom", "tar", "directory")


HISTORY = re.compile(
    r"--\n-- Data for Name: cell_history; Type: TABLE DATA; Schema: sealgate; .*\n--\n\n(?s:.*?)(?=^--\n-- )",
    re.MULTILINE,
)
"""What a dump of sealed tables has and one of plain tables has not: where values stood that are gone."""
NO_HISTORY = "--exclude-table-data=sealgate.cell_history"


def dump(tools: Tools, *options: str) -> str:
    return tools.done("pg_dump", KEY, *options)


def without_history(script: str) -> str:
    """The dump of a sealed database with its one part of history taken out."""
    rest, found = HISTORY.subn("", script)
    assert found == 1
    return rest


@pytest.mark.parametrize("name", DATA)
def test_a_role_that_may_read_dumps_what_plain_tables_would_give(stage: Stage, name: str) -> None:
    """Byte for byte the dump of the twin, by COPY as by INSERT: clear values in their own types; and the history of cell ids."""
    proxied, plain = (
        dump(tools, "--data-only", *DATA[name])
        for tools in (stage.proxied("backup"), stage.unsealed("backup"))
    )
    assert (proxied if name == "one table" else without_history(proxied)) == plain
    assert "ada@example.com" in proxied


@pytest.mark.parametrize("name", ["copy", "inserts"])
def test_the_history_can_be_left_out(stage: Stage, name: str) -> None:
    """With --exclude-table-data the dump is that of plain tables, to the byte."""
    proxied = dump(stage.proxied("backup"), "--data-only", NO_HISTORY, *DATA[name])
    assert proxied == dump(stage.unsealed("backup"), "--data-only", *DATA[name])


def test_the_history_has_ids_and_keys_and_no_value(stage: Stage) -> None:
    """A value that was replaced is in the dump by its cell id, with the row's key."""
    made = (
        "INSERT INTO customers (id, name, email) VALUES (77, 'Gus', 'gus@example.com');"
        "UPDATE customers SET email = NULL WHERE id = 77; DELETE FROM customers WHERE id = 77;"
    )
    stage.proxied("shop_owner").done("psql", "-qX", "-vON_ERROR_STOP=1", stdin=made)
    dumped = dump(stage.proxied("backup"), "--data-only")
    stage.shop.database.psql("DELETE FROM sealgate.cell_history")
    kept = HISTORY.search(dumped)
    assert kept is not None
    assert re.search(r"^\S+\tpublic\.customers\temail\t{\"id\": 77}\t", kept[0], re.MULTILINE)
    assert "gus@example.com" not in dumped


@pytest.mark.parametrize("archive", ARCHIVES)
def test_an_archive_holds_the_same(stage: Stage, tmp_path: Path, archive: str) -> None:
    """-Fc, -Ft and -Fd, the latter by two sessions that share a snapshot."""
    parallel = ("--jobs=2",) if archive == "directory" else ()
    written = []
    for name, tools in (("proxied", stage.proxied("backup")), ("plain", stage.unsealed("backup"))):
        file = str(tmp_path / name)
        tools.done("pg_dump", "--data-only", "-F", archive, *parallel, "-f", file)
        script = tools.done("pg_restore", KEY, "-f", "-", file)
        written.append(script)
    assert without_history(written[0]) == written[1]
    assert "ada@example.com" in written[0]


@pytest.mark.parametrize("option", ["--schema-only", "--statistics-only"])
def test_definitions_and_statistics_are_dumped_as_the_server_has_them(
    stage: Stage, option: str
) -> None:
    """The catalog is relayed: sealed types, schema sealgate, and samples of sealed values stay what they are."""
    stage.shop.database.psql("ANALYZE customers")
    proxied, direct = (dump(t, option) for t in (stage.proxied("backup"), stage.direct("backup")))
    assert proxied == direct
    assert "5ea1" in proxied
    if option == "--schema-only":
        assert re.search(r"email sealgate\.sealed_text", proxied)
        assert "CREATE SCHEMA sealgate" in proxied


def test_untouched_tables_are_dumped_as_the_server_has_them(stage: Stage) -> None:
    """Tables without a sealed column, large objects included."""
    options = ("--data-only", "--table=orders", "--table=plain", "--large-objects")
    proxied, direct = (dump(t, *options) for t in (stage.proxied("backup"), stage.direct("backup")))
    assert proxied == direct
    assert "COPY public.orders" in proxied


@pytest.mark.parametrize("options", [(), ("--inserts",)], ids=["copy", "inserts"])
def test_a_dump_holds_what_its_role_may_see(stage: Stage, options: tuple[str, ...]) -> None:
    """support: clear, masked and withheld; analyst: nothing but NULL. Neither is a backup, nor does pg_dump know."""
    only = ("--data-only", "--table=customers", *options)
    support, analyst = (rows(dump(stage.proxied(r), *only)) for r in ("support_login", "analyst"))
    assert support[0][2:6] == ["ada@example.com", "*******6789", "1985-01-01", None]
    assert [row[2:6] for row in analyst] == [[None] * 4] * 3
    assert [row[:2] for row in analyst] == [["1", "Ada"], ["2", "Bob"], ["3", "Cyd"]]


def rows(script: str) -> list[list[str | None]]:
    """The rows of a dumped table, NULL as None, whichever way they are written."""
    copied = re.search(r"^COPY .* FROM stdin;\n(.*?)^\\\.$", script, re.MULTILINE | re.DOTALL)
    if copied:
        lines = [line.split("\t") for line in copied[1].splitlines()]
    else:
        lines = [v.split(", ") for v in re.findall(r"VALUES \((.*)\);", script)]
    return [[None if v in ("\\N", "NULL") else v.strip("'") for v in line] for line in lines]


def test_the_servers_own_dump_holds_sealed_values(stage: Stage) -> None:
    """Around the proxy, whoever may read the table finds nothing to read."""
    dumped = dump(stage.direct("postgres"), "--data-only", "--table=customers")
    for row in rows(dumped)[:2]:
        for value in row[2:6]:
            assert value is not None
            assert value.startswith("\\\\x5ea101")
    assert "example.com" not in dumped


def test_a_dump_is_on_record(stage: Stage) -> None:
    """Who, which columns, how many cells: a dump is a read like any other."""
    before = stage.shop.clear_events()
    dump(stage.proxied("backup"), "--data-only", "--table=customers")
    reads = [e for e in stage.shop.events()[before:] if e["type_uid"] == 600510]
    assert reads, "the dump left an event"
    assert {e["actor"]["user"]["name"] for e in reads} == {"backup"}
    assert sum(e["unmapped"]["sealgate"]["rows"] for e in reads) == 3


def test_data_without_the_sealed_columns_privilege_is_postgresqls_refusal(stage: Stage) -> None:
    """A login that may not read the table at all gets the server's own error."""
    stage.shop.database.psql("CREATE TABLE secret (id int); REVOKE ALL ON secret FROM PUBLIC")
    said = [t.run("pg_dump", KEY, "-t", "secret") for t in (stage.proxied(), stage.direct())]
    stage.shop.database.psql("DROP TABLE secret")
    assert said[0].stderr == said[1].stderr
    assert b"permission denied for table secret" in said[0].stderr
    assert said[0].returncode == said[1].returncode == 1
