"""A table with a column of every type, and values from one end of each type to the other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Kind:
    """One column: its type as declared, SQL over `i` that makes ordinary values, and literals that are not ordinary."""

    column: str
    spec: str
    ordinary: str
    extremes: tuple[str, ...]
    equality: bool = True


def _quoted(*values: str) -> tuple[str, ...]:
    return tuple("'" + value.replace("'", "''") + "'" for value in values)


EVERY_TYPE = (
    Kind(
        "c_text",
        "text",
        "md5(i::text)",
        (
            *_quoted(
                "", " ", "ünïcödé 🐘", "line\nbreak", "O'Hara \\", "e" + chr(0x301), "\x01\x7f"
            ),
            "repeat('x', 1000000)",
        ),
    ),
    Kind("c_varchar", "varchar(40)", "'name ' || i", (*_quoted("", "a "), "repeat('ü', 40)")),
    Kind("c_bpchar", "char(10)", "i::text", _quoted("", "ab ", "abcdefghij", "üüüüüüüüüü")),
    Kind("c_int2", "smallint", "(i - 5000)::int2", _quoted("-32768", "32767", "0")),
    Kind("c_int4", "integer", "i * 7919", _quoted("-2147483648", "2147483647", "0")),
    Kind(
        "c_int8",
        "bigint",
        "i::int8 * 7919000000",
        _quoted("-9223372036854775808", "9223372036854775807", "0"),
    ),
    Kind(
        "c_numeric",
        "numeric",
        "i / 7.0",
        (
            *_quoted("NaN", "Infinity", "-Infinity", "0", "0.000", "-0.0000001", "1.50", "10000"),
            *("repeat('9', 2000)::numeric", "('0.' || repeat('0', 1000) || '1')::numeric"),
        ),
    ),
    Kind("c_money", "numeric(10,2)", "i / 100.0", _quoted("99999999.99", "-99999999.99", "0.00")),
    Kind(
        "c_float4",
        "real",
        "i / 3.0",
        _quoted("NaN", "Infinity", "-Infinity", "-0", "1e-45", "3.4028235e38"),
    ),
    Kind(
        "c_float8",
        "double precision",
        "i / 3.0",
        _quoted("NaN", "Infinity", "-Infinity", "-0", "5e-324", "1.7976931348623157e308"),
    ),
    Kind("c_bool", "boolean", "i % 2 = 0", _quoted("t", "f")),
    Kind(
        "c_date",
        "date",
        "date '1950-01-01' + i",
        _quoted("infinity", "-infinity", "4713-01-01 BC", "5874897-12-31", "0001-01-01"),
    ),
    Kind(
        "c_timestamp",
        "timestamp",
        "timestamp '2000-01-01' + i * interval '1 hour 1 microsecond'",
        _quoted(
            *("infinity", "-infinity", "4713-01-01 00:00:00 BC"),
            *("294276-12-31 23:59:59.999999", "1999-12-31 23:59:59.999999"),
        ),
    ),
    Kind(
        "c_timestamptz",
        "timestamptz",
        "timestamptz '2000-01-01 00:00+05' + i * interval '1 day'",
        _quoted("infinity", "-infinity", "4713-01-01 00:00:00+00 BC", "2024-03-31 02:30:00+02"),
    ),
    Kind("c_precise", "timestamp(3) with time zone", "now() + i * interval '1 ms'", ()),
    Kind(
        "c_uuid",
        "uuid",
        "md5(i::text)::uuid",
        _quoted("00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
    ),
    Kind(
        "c_json",
        "json",
        "json_build_object('i', i)",
        _quoted('{"b": [1,  2],   "a": {}, "a": 1}', "null", '"\\u00e9 \\ud83d\\udc18"', " 1e400 "),
        equality=False,
    ),
    Kind(
        "c_jsonb",
        "jsonb",
        "jsonb_build_object('i', i, 'list', jsonb_build_array(i, null, true))",
        _quoted("null", "{}", "[]", '"ü"', '{"b": 1.50, "a": [[[]]]}', "1e400"),
    ),
    Kind(
        "c_bytea",
        "bytea",
        "decode(md5(i::text), 'hex')",
        (*_quoted("\\x", "\\x00ff", "\\x5ea10100"), "decode(repeat('00ff', 250000), 'hex')"),
    ),
)


def create(table: str = "every_type") -> str:
    columns = ", ".join(f"{kind.column} {kind.spec}" for kind in EVERY_TYPE)
    return f"CREATE TABLE {table} (id int PRIMARY KEY, {columns}, tail text DEFAULT 'tail')"


def fill(table: str = "every_type", rows: int = 10_000) -> str:
    """SQL: `rows` ordinary rows in which every column is NULL now and then, then the extremes, NULL elsewhere."""
    ordinary = ", ".join(
        f"CASE WHEN i % {n + 11} = 0 THEN NULL ELSE {kind.ordinary} END"
        for n, kind in enumerate(EVERY_TYPE)
    )
    statements = [f"INSERT INTO {table} SELECT i, {ordinary} FROM generate_series(1, {rows}) AS i"]
    number = rows
    for kind in EVERY_TYPE:
        for literal in kind.extremes:
            number += 1
            statements.append(
                f"INSERT INTO {table} (id, {kind.column}) VALUES ({number}, {literal})"
            )
    return ";\n".join(statements)
