"""Drivers that encode by what they are told: psycopg 3 in text and binary, asyncpg. Both twins through one proxy."""

from __future__ import annotations

import datetime
import decimal
import json
import uuid
from typing import Any

import asyncpg
import psycopg
import pytest

from tests.integration.shop import Shop
from tests.integration.types.twins import COLUMNS, SEARCHABLE, Twins

UTC = datetime.UTC
VALUES: dict[str, list[Any]] = {
    "c_text": ["", "ünïcödé 🐘", "a ", "O'Hara \\"],
    "c_varchar": ["", "é" * 20, "b "],
    "c_bpchar": ["", "abc", "üüüüüüüüüü"],
    "c_int2": [0, -32768, 32767],
    "c_int4": [0, -(2**31), 2**31 - 1],
    "c_int8": [0, -(2**63), 2**63 - 1],
    "c_numeric": [
        decimal.Decimal(v) for v in ("0", "1.50", "-0.0000001", "NaN", "Infinity", "1e100")
    ],
    "c_money": [decimal.Decimal("1.5"), decimal.Decimal("-99999999.99")],
    "c_round": [decimal.Decimal("12300"), decimal.Decimal("-100")],
    "c_float4": [0.0, -0.0, 0.5, float("inf"), float("nan")],
    "c_float8": [0.0, -0.0, 0.1, 5e-324, float("-inf"), float("nan")],
    "c_bool": [True, False],
    "c_date": [datetime.date(2020, 2, 29), datetime.date.min, datetime.date.max],
    "c_timestamp": [datetime.datetime(2020, 2, 29, 23, 59, 59, 999999), datetime.datetime.min],
    "c_precise": [datetime.datetime(2020, 2, 29, 23, 59, 59, 123000)],
    "c_timestamptz": [
        datetime.datetime(2020, 2, 29, tzinfo=UTC),
        datetime.datetime(
            2024, 3, 31, 2, 30, tzinfo=datetime.timezone(datetime.timedelta(hours=-5))
        ),
    ],
    "c_uuid": [uuid.UUID(int=0), uuid.UUID(int=2**128 - 1)],
    "c_json": [{"b": [1, 2.5, None], "a": "é"}, [], "x"],
    "c_jsonb": [{"b": [1, 2.5, None], "a": "é"}, [], "x"],
    "c_bytea": [b"", b"\x00\xff", b"\x5e\xa1\x01"],
}


def the_same(one: Any, other: Any) -> bool:
    """Equal and of one type; NaN is itself."""
    return repr(one) == repr(other)


@pytest.mark.parametrize("binary", [False, True], ids=["text", "binary"])
@pytest.mark.parametrize("prepare", [False, True], ids=["once", "prepared"])
def test_psycopg(twin_shop: Shop, twins: Twins, binary: bool, prepare: bool) -> None:
    """Python values written, read and searched: the same objects from both twins."""
    with psycopg.connect(twin_shop.dsn(), autocommit=True) as connection:
        number = 0
        for column, values in VALUES.items():
            for value in values:
                number += 1
                given = psycopg.types.json.Jsonb(value) if column == "c_jsonb" else value
                given = psycopg.types.json.Json(value) if column == "c_json" else given
                answers = []
                for table in ("plain", "twin"):
                    cursor = connection.cursor(binary=binary)
                    slot = "%b" if binary else "%s"
                    sql = (
                        f"INSERT INTO {table} (id, {column}) VALUES (%s, {slot}) RETURNING {column}"
                    )
                    (stored,) = (
                        cursor.execute(sql, (number, given), prepare=prepare).fetchone() or ()
                    )
                    answers.append([stored, cursor.description])
                    if column in SEARCHABLE and not isinstance(value, float):
                        sql = f"SELECT id FROM {table} WHERE {column} = {slot} ORDER BY id"
                        answers[-1].append(
                            cursor.execute(sql, (given,), prepare=prepare).fetchall()
                        )
                assert the_same(*answers), (column, value)


@pytest.mark.parametrize("column", COLUMNS)
async def test_asyncpg(twin_shop: Shop, twins: Twins, column: str) -> None:
    """A driver that prepares everything and speaks binary alone; `= ANY($1)` with its arrays."""
    connection = await asyncpg.connect(twin_shop.dsn())
    try:
        for name in ("json", "jsonb"):
            await connection.set_type_codec(
                name, encoder=json.dumps, decoder=json.loads, schema="pg_catalog"
            )
        for number, value in enumerate([*VALUES[column], None]):
            answers = []
            for table in ("plain", "twin"):
                sql = f"INSERT INTO {table} (id, {column}) VALUES ($1, $2) RETURNING {column}"
                answer = [await connection.fetchval(sql, number, value)]
                statement = await connection.prepare(f"SELECT {column} FROM {table}")
                answer.append([(a.name, a.type) for a in statement.get_attributes()])
                if column in SEARCHABLE:
                    sql = f"SELECT id FROM {table} WHERE {column} = $1 ORDER BY id"
                    answer.append([r[0] for r in await connection.fetch(sql, value)])
                if column in SEARCHABLE and not isinstance(value, list):  # a list is an array to it
                    sql = f"SELECT id FROM {table} WHERE {column} = ANY($1) ORDER BY id"
                    answer.append([r[0] for r in await connection.fetch(sql, [value, None])])
                answers.append(answer)
            assert the_same(*answers), (column, value)
    finally:
        await connection.close()


def test_errors_reach_drivers_as_their_own(twin_shop: Shop, twins: Twins) -> None:
    """A wrong value raises the driver's class for the server's SQLSTATE, and the session goes on."""
    with psycopg.connect(twin_shop.dsn(), autocommit=True) as connection:
        for column, value, error in (
            ("c_int4", "fourty-two", psycopg.errors.InvalidTextRepresentation),
            ("c_int2", "40000", psycopg.errors.NumericValueOutOfRange),
            ("c_varchar", "x" * 21, psycopg.errors.StringDataRightTruncation),
            ("c_date", "2020-13-01", psycopg.errors.DatetimeFieldOverflow),
            ("c_date", "soon", psycopg.errors.InvalidDatetimeFormat),
            ("c_jsonb", '"\\u0000"', psycopg.errors.UntranslatableCharacter),
        ):
            for table in ("plain", "twin"):
                with pytest.raises(error) as caught:
                    connection.execute(
                        f"INSERT INTO {table} (id, {column}) VALUES (1, %s)", (value,)
                    )
                assert table == "plain" or value not in str(caught.value)
        assert connection.execute("SELECT 1").fetchone() == (1,)
