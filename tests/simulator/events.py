"""Events of the simulated shop: one of each kind is made by the proxy's own builders, and copies of it get their numbers."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import cache
from typing import Any

import orjson

from proxy.audit.event import Attempt, Event, Origin, Outcome, Refused, authentication, refused
from tests.audit.examples import READ, executed
from tests.audit.plain import ColumnUse

TABLE = "public.customers"
COLUMNS: tuple[tuple[str, Outcome], ...] = (
    (f"{TABLE}.email", "clear"),
    (f"{TABLE}.ssn", "masked"),
)
CELLS_INLINE = 256


class Customers:
    """The stored values of the customers: a cell id of each column's, random as the proxy's nonces are."""

    def __init__(self, ids: list[tuple[str, str]]) -> None:
        self.ids = ids

    def __len__(self) -> int:
        return len(self.ids)


class Made(dict[str, Any]):
    """An event, and beside it the ids of the cells that were shown, by column: large events do not hold them."""

    ids: tuple[list[str], ...] = ()


def shown(
    origin: Origin,
    statement: str,
    customers: Customers,
    who: list[int],
    *,
    command: str = "SELECT",
    execution: str = "x",
    part: int = 1,
    final: bool = True,
) -> Made:
    """These customers' email was shown, and their ssn masked."""
    event = copied(_shown(origin, statement, command))
    fields = event["unmapped"]["sealgate"]
    fields |= {
        "rows": len(who),
        "cells": 2 * len(who),
        "execution": execution,
        "part": part,
        "final": final,
    }
    columns = []
    for place, entry in enumerate(fields["columns"]):
        column = entry | {"cells": len(who)}
        ids = [customers.ids[n][place] for n in who]
        event.ids = (*event.ids, ids)
        if 2 * len(who) <= CELLS_INLINE:
            column["cell_ids"] = ids
        else:
            del column["cell_ids"]
            column["cell_id_count"] = len(ids)
        columns.append(column)
    fields["columns"] = columns
    if 2 * len(who) > CELLS_INLINE:
        beside = bytes.fromhex("".join("".join(ids) for ids in event.ids))
        digest = hashlib.sha256(beside).hexdigest()
        fields["cell_ids_file"] = {"count": len(beside) // 8, "sha256": digest}
    return event


def found_nothing(origin: Origin, statement: str) -> Made:
    """A search for a value that is not there."""
    event = copied(_compared(origin, statement))
    event["unmapped"]["sealgate"] |= {"rows": 0, "cells": 0}
    return event


def denied(origin: Origin, column: str, statement: str) -> Made:
    """A statement that was refused for a column."""
    return copied(_refused(origin, column, statement))


def logged_in(origin: Origin, *, ok: bool = True) -> Made:
    """The server's word on a login."""
    return copied(_login(origin, ok))


def copied(event: Event) -> Made:
    """With a `metadata` and fields of its own."""
    made = Made(event)
    made["metadata"] = dict(event["metadata"])
    made["unmapped"] = {"sealgate": dict(event["unmapped"]["sealgate"])}
    return made


def _plain(event: Event) -> Event:
    read: Event = orjson.loads(orjson.dumps(event))
    return read


@cache
def _shown(origin: Origin, statement: str, command: str) -> Event:
    columns = tuple(ColumnUse(name, outcome, 1, "roles.staff", (1,)) for name, outcome in COLUMNS)
    return _plain(
        executed(
            origin,
            replace(
                READ,
                table=TABLE,
                columns=columns,
                statement=statement,
                command=command,
                rows=1,
            ),
        )
    )


@cache
def _compared(origin: Origin, statement: str) -> Event:
    columns = (ColumnUse(COLUMNS[0][0], "compared", 0, "roles.staff"),)
    done = replace(READ, table=TABLE, columns=columns, statement=statement, rows=0)
    return _plain(executed(origin, done))


@cache
def _refused(origin: Origin, column: str, statement: str) -> Event:
    attempts = (Attempt(column, "compare", "default.deny", denied=True),)
    what = Refused(
        TABLE, attempts, statement, "SELECT", "x", "simple", "42501", "permission denied", "1"
    )
    return _plain(refused(origin, what))


@cache
def _login(origin: Origin, ok: bool) -> Event:
    return _plain(authentication(origin, ok, None if ok else "28P01", "scram-sha-256"))
