"""What a sealed column takes in the database, and that a look-up uses its index. [io]"""

from __future__ import annotations

from collections.abc import Mapping

import psycopg

from bench.observed import Observed, Value
from bench.stage import Stage

COLUMNS = ("email", "phone", "born")
INDEXES = {"plain": "plain.people_email", "sealed": "sealed.sealed_people_email"}


def plans(stage: Stage) -> Observed:
    """How the server finds one e-mail: EXPLAIN through each side."""
    observed = Observed("plans", "look-up by e-mail: the server's plan")
    email = f"user{stage.scale.people // 2}@example.com"
    for name in ("direct", "sealed"):
        side = stage.side(name)
        sql = f"EXPLAIN SELECT city FROM {side.schema}.people WHERE email = '{email}'"
        with psycopg.connect(stage.dsn(name), autocommit=True) as connection:
            lines = [str(row[0]).strip() for row in connection.execute(sql.encode()).fetchall()]
        index = any("Index Scan" in line or "Index Only Scan" in line for line in lines)
        observed.cases[name] = {"index_scan": index, "plan": " / ".join(lines)}
    return observed


def storage(stage: Stage) -> Observed:
    """Bytes per value, per row and per index entry, plain beside sealed."""
    observed = Observed("storage", "bytes stored")
    with psycopg.connect(stage.dsn("direct")) as connection:
        for schema in ("plain", "sealed"):
            observed.cases[schema] = _bytes(connection, schema, stage.scale.people)
    return observed


def _bytes(
    connection: psycopg.Connection[tuple[object, ...]], schema: str, rows: int
) -> Mapping[str, Value]:
    averages = ", ".join(f"avg(pg_column_size({column}))::float8" for column in COLUMNS)
    sizes = f"pg_relation_size('{schema}.people')::float8, pg_relation_size('{INDEXES[schema]}')::float8"
    (row,) = connection.execute(
        f"SELECT {averages}, {sizes} FROM {schema}.people".encode()
    ).fetchall()
    values = [float(str(value)) for value in row]
    names = [f"{column}_bytes" for column in COLUMNS]
    return {
        **dict(zip(names, values, strict=False)),
        "row_bytes": values[3] / rows,
        "index_entry_bytes": values[4] / rows,
    }
