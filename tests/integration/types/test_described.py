"""What clients are told before and with the values: parameter types, column types, lengths, modifiers, names."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import pytest

from tests.integration.shop import Shop
from tests.integration.types.test_written import BY_NAME
from tests.integration.types.twins import COLUMNS, SEARCHABLE, Client, Comparison, Statement, Twins
from tests.integration.wire_client import WireClient

ALL = ", ".join(COLUMNS)


def on_every_column() -> Iterator[str]:
    yield "SELECT * FROM {t}"
    yield f"SELECT {ALL} FROM {{t}}"
    for column in COLUMNS:
        yield f"SELECT {column} FROM {{t}}"
        yield f'SELECT {column} AS "An Alias" FROM {{t}} AS x'
        yield f"INSERT INTO {{t}} (id, {column}) VALUES ($1, $2) RETURNING {column}, id"
        yield f"INSERT INTO {{t}} (id, {column}) VALUES ($1, $2), ($3, $4)"
        yield f"UPDATE {{t}} SET {column} = $1 WHERE id = $2 RETURNING *"
        yield f"SELECT x.{column} FROM (SELECT * FROM {{t}}) AS x"
        yield f"WITH x AS (SELECT {column} AS y FROM {{t}}) SELECT y FROM x"
        yield f"SELECT COALESCE({column}, $1) FROM {{t}}"
        yield f"SELECT CASE WHEN id = 1 THEN {column} ELSE NULL END FROM {{t}}"
        yield f"SELECT CASE WHEN id = 1 THEN {column} END AS c FROM {{t}}"
        yield f"SELECT count({column}) FROM {{t}}"
    for column in SEARCHABLE:
        yield f"SELECT id FROM {{t}} WHERE {column} = $1"
        yield f"SELECT id FROM {{t}} WHERE $1 <> {column}"
        yield f"SELECT id FROM {{t}} WHERE {column} = ANY($1)"
        yield f"SELECT id FROM {{t}} WHERE {column} IN ($1)"
        if column != "c_varchar":  # text here, varchar there: the same on the wire
            yield f"SELECT id FROM {{t}} WHERE {column} IN ($1, $2)"
        yield f"SELECT id FROM {{t}} WHERE {column} = $1::text"
        if column != "c_round":  # a cast with a negative scale is not read
            yield f"SELECT id FROM {{t}} WHERE {column} = CAST($1 AS {COLUMNS[column]})"
        yield f"UPDATE {{t}} SET {column} = $1 WHERE {column} = $2"
        yield f"DELETE FROM {{t}} WHERE {column} IS NOT DISTINCT FROM $1"


def test_statements_are_described_alike(twins: Twins) -> None:
    """Parse with no types, Describe: ParameterDescription and RowDescription as for the plain twin."""
    different = []
    refused = []
    for sql in on_every_column():
        expected = twins.server.described(sql.replace("{t}", "plain"))
        got = twins.proxy.described(sql.replace("{t}", "twin"))
        if got[1].sqlstate == "0A000":
            refused.append(sql)
        elif expected != got:
            different.append(f"{sql}\n    plain:  {expected}\n    sealed: {got}")
    assert not different, "\n".join(different)
    assert refused == []


@pytest.mark.parametrize("column", COLUMNS)
def test_declared_types_are_described_or_refused_alike(twins: Twins, column: str) -> None:
    """A type declared in Parse comes back in ParameterDescription, or Parse itself fails as the server's does."""
    templates = [f"INSERT INTO {{t}} (id, {column}) VALUES (1, $1)"]
    if column in SEARCHABLE:
        templates.append(f"SELECT id FROM {{t}} WHERE {column} = $1")
        templates.append(f"SELECT {column} FROM {{t}} WHERE {column} = ANY($1)")
    for sql, logical in product(templates, BY_NAME.values()):
        for oid in (705, logical.oid, logical.array_oid):
            expected = twins.server.described(sql.replace("{t}", "plain"), [oid])
            got = twins.proxy.described(sql.replace("{t}", "twin"), [oid])
            assert got == expected or got[1].sqlstate == "0A000", (sql, logical.name, expected, got)


def descriptions(client: WireClient, sql: str) -> list[tuple[str, bytes]]:
    return [(kind, body) for kind, body in client.query(sql) if kind in "TDE"]


def test_row_descriptions_byte_for_byte(twin_shop: Shop) -> None:
    """All of RowDescription but the table's OID: names, numbers, types, lengths, modifiers, formats; and the rows."""
    with (
        WireClient(twin_shop.database.postgres.port) as server,
        WireClient(twin_shop.port) as proxy,
    ):
        server.start("shop_app", twin_shop.database.name)
        proxy.start("shop_app", twin_shop.database.name)
        insert = "INSERT INTO {t} (id, c_text, c_varchar, c_money) VALUES (1, 'a', 'b ', 1.5)"
        server.query(insert.replace("{t}", "plain"))
        proxy.query(insert.replace("{t}", "twin"))
        oids = {}
        for table in ("plain", "twin"):
            ((_, row),) = (
                m for m in server.query(f"SELECT '{table}'::regclass::oid::int") if m[0] == "D"
            )
            oids[table] = int(row[6:]).to_bytes(4)
        for sql in ("SELECT * FROM {t}", f"SELECT {ALL} FROM {{t}}"):
            expected = descriptions(server, sql.replace("{t}", "plain"))
            got = descriptions(proxy, sql.replace("{t}", "twin"))
            assert [(k, b.replace(oids["twin"], oids["plain"])) for k, b in got] == expected


def test_the_plain_twin_is_untouched_by_the_proxy(twin_shop: Shop, twins: Twins) -> None:
    """A table without sealed columns answers the same through the proxy as around it."""
    through = Client(twin_shop.dsn())
    for sql in on_every_column():
        plain = sql.replace("{t}", "plain")
        assert through.described(plain) == twins.server.described(plain)
    through.close()


def test_results_of_expressions(twins: Twins) -> None:
    """COALESCE, CASE and set operations show values of the type that RowDescription says."""
    for table in ("server", "proxy"):
        client = getattr(twins, table)
        client.must(
            f"INSERT INTO {'plain' if table == 'server' else 'twin'} "
            "(id, c_text, c_varchar, c_bpchar, c_int2, c_int8, c_money, c_float4, c_timestamptz) "
            "VALUES (1, 'a', 'b', 'c', 1, 2, 3.5, 0.1, '2020-01-01'), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)"
        )
    comparison = Comparison(twins)
    for column, others in {
        "c_text": ("'x'", "'x '::text"),
        "c_varchar": ("'x'", "'longer than twenty characters'"),
        "c_bpchar": ("'x'", "'x  '", "'longer than ten'"),
        "c_int2": ("'7'", "7", "7::int2", "7.5"),
        "c_int8": ("'7'", "7", "7.5", "9223372036854775808"),
        "c_money": ("'7'", "7", "7.123", "'7.123'"),
        "c_float4": ("'7'", "7", "0.1", "0.1::float8"),
        "c_timestamptz": ("'2021-01-01'", "'2021-01-01'::date", "'infinity'"),
    }.items():
        for other in others:
            for expression in (
                f"COALESCE({column}, {other})",
                f"CASE WHEN id = 1 THEN {column} ELSE {other} END",
                f"CASE WHEN id = 2 THEN {column} ELSE {other} END",
            ):
                comparison.try_one(Statement(f"SELECT {expression} FROM {{t}} ORDER BY id"))
                statement = Statement(
                    f"SELECT {expression} AS x FROM {{t}} ORDER BY id", (), result=1
                )
                comparison.try_one(statement)
    comparison.check(comparison.tried // 2)


@pytest.mark.parametrize("column", COLUMNS)
def test_results_that_the_server_traces_to_no_table(twins: Twins, column: str) -> None:
    """UNION ALL and scalar subqueries: type, length and modifier are the column's."""
    for sql in (
        f"SELECT {column} FROM {{t}} UNION ALL SELECT {column} FROM {{t}}",
        f"SELECT (SELECT {column} FROM {{t}} LIMIT 1)",
    ):
        (expected,), (got,) = (a.columns for a in twins.run(Statement(sql)))
        assert got == expected
