"""Plays every shape through the proxy, on sealed tables and on their plain twins, and says what became of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg

from tests.integration.shop import Shop
from tests.statements.shapes import Shape, shapes


def twins(tables: Sequence[str]) -> str:
    """The same tables in schema twin; the first has an identity column, id."""
    made = "".join(
        f"CREATE TABLE twin.{table} (LIKE public.{table} INCLUDING ALL);"
        f"INSERT INTO twin.{table} SELECT * FROM public.{table};"
        for table in tables
    )
    numbers = "".join(
        f"ALTER TABLE {schema}.{tables[0]} ALTER id RESTART 1000;" for schema in ("public", "twin")
    )
    return f"CREATE SCHEMA twin; GRANT ALL ON SCHEMA twin TO PUBLIC; {made} {numbers}"


def owned(tables: Sequence[str]) -> str:
    return "".join(
        f"ALTER TABLE {schema}.{table} OWNER TO shop_app;"
        for schema in ("public", "twin")
        for table in tables
    )


@dataclass(frozen=True)
class Outcome:
    family: str
    sql: str
    kind: str
    """protected, passed or refused"""
    sqlstate: str = ""
    message: str = ""
    hint: str = ""
    difference: str = ""
    """How it differed from the plain twin, if it did."""


def outcomes(shop: Shop, families: Mapping[str, list[str | Shape]]) -> list[Outcome]:
    with shop.connect(prepare_threshold=None) as app:
        return [_outcome(shop, app, family, shape) for family, shape in shapes(families)]


def _outcome(shop: Shop, app: psycopg.Connection[Any], family: str, shape: Shape) -> Outcome:
    before = shop.clear_events()
    sealed = _played(app, "public", shape)
    events = shop.events()[before:]
    shown = "; ".join((*shape.given, shape.sql))
    if isinstance(sealed, psycopg.Error):
        diag = sealed.diag
        return Outcome(
            family,
            shown,
            "refused",
            diag.sqlstate or "",
            diag.message_primary or "",
            diag.message_hint or "",
        )
    kind = "protected" if events else "passed"
    difference = ""
    if shape.compared:
        plain = _played(app, "twin", shape)
        if repr(plain) != repr(sealed):
            difference = f"plain: {plain!r}, sealed: {sealed!r}"
    return Outcome(family, shown, kind, difference=difference)


def _played(app: psycopg.Connection[Any], schema: str, shape: Shape) -> Any:
    """Command tag, columns with their types, rows without order; or the error."""
    app.execute(f"SET search_path = {schema}".encode())
    app.execute("BEGIN")
    try:
        for statement in shape.given:
            app.execute(statement.encode())
        cursor = app.execute(shape.sql.replace("public.", f"{schema}.").encode())
        columns = [(c.name, c.type_code, c.precision) for c in cursor.description or ()]
        rows = list(map(repr, cursor.fetchall())) if cursor.description else []
        return cursor.statusmessage, columns, rows if shape.ordered else sorted(rows)
    except psycopg.Error as error:
        return error
    finally:
        app.execute("ROLLBACK")
        app.execute("DEALLOCATE ALL")
