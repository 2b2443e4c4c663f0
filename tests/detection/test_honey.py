"""Honey: whatever shows a cell of it, or uses a column of it, is found; and a client is not told what it was."""

from __future__ import annotations

import json
from typing import Any

import pytest

from keystore import cell_id
from proxy.detection.honey import Honey, HoneyDamaged, HoneyRow, read_honey
from proxy.effects import Close
from tests.detection.guarded import Clock, Guarded, detection, guards
from tests.detection.test_guard import findings, shown
from tests.session.transcript import EMAIL, SSN, done, fields, query, ready, reply, row, seal

DECOY = seal("decoy@example.com")
HONEY = Honey(
    (HoneyRow("honey-1", "public.customers", {"id": "7"}, {EMAIL: (cell_id(DECOY).hex(),)}),)
)


def talk(honey: Honey = HONEY, mode: Any = "alert", login: str = "shop_app") -> Guarded:
    shared = guards(detection("observe", honey=mode), Clock())
    shared.watch_for(honey)
    return Guarded(guards=shared, login=login)


@pytest.mark.parametrize("login", ["shop_app", "support", "stranger"])
def test_a_honey_row_is_found_whatever_it_is_shown_as(login: str) -> None:
    """Clear, masked and withheld; among other rows; once per session; and nothing is kept from the client."""
    session = talk(login=login)
    for expected in (1, 0):
        session.client(query("SELECT email FROM customers"))
        told = session.server(
            fields("email"), row(seal("ada")), row(DECOY), row(None), done("SELECT 3"), ready()
        )
        found = findings(session)
        assert len(found) == expected
        assert len(shown(session)) == 3
        if expected:
            assert told[0] == "record detection.honey"
            assert found[0]["table"] == "public.customers"
            assert found[0]["action"] == "alerted"


def test_every_piece_is_found_once() -> None:
    """Two rows and a column in one part are three findings; what comes later is found although something else was before."""
    other, third = seal("other@example.com"), seal("third@example.com")
    rows = tuple(
        HoneyRow(f"honey-{n}", "public.customers", {"id": str(n)}, {EMAIL: (cell_id(c).hex(),)})
        for n, c in enumerate((DECOY, other, third))
    )
    session = talk(Honey(rows, frozenset([EMAIL])))
    counts = []
    for cells in ((DECOY,), (DECOY, other), (DECOY, other, third), (DECOY, other, third)):
        session.client(query("SELECT email FROM customers"))
        found = [row(cell) for cell in cells]
        session.server(fields("email"), *found, done(f"SELECT {len(cells)}"), ready())
        counts.append(len(findings(session)))
    assert counts == [2, 1, 1, 0]
    session = talk(Honey(rows))
    session.client(query("SELECT email FROM customers"))
    session.server(fields("email"), *map(row, (DECOY, other, third)), done("SELECT 3"), ready())
    assert len(findings(session)) == 3


def test_other_rows_are_no_honey() -> None:
    """Also the same value, sealed for another row."""
    session = talk()
    session.client(query("SELECT email FROM customers"))
    assert session.server(
        fields("email"), row(seal("decoy@example.com")), done("SELECT 1"), ready()
    ) == ["record statement.read", "<- TDCZ"]


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("SELECT id FROM customers WHERE email = 'x'", True),
        (
            "SELECT count(email) FROM customers",
            False,
        ),  # a test for NULL has no event, so nobody is asked
        ("UPDATE customers SET email = 'x'", True),
        ("SELECT id FROM customers", False),
        ("SELECT id FROM plain", False),
        ("UPDATE customers SET ssn = 'x'", False),
    ],
)
def test_a_honey_column_is_found_in_any_use_that_has_an_event(sql: str, found: bool) -> None:
    """Compared and written without a cell in the result."""
    session = talk(Honey(columns=frozenset([EMAIL])))
    session.client(query(sql))
    session.server(
        done("UPDATE 1") if sql.startswith("UPDATE") else reply("I")[:0] + done("SELECT 0"), ready()
    )
    assert bool(findings(session)) is found


def test_a_honey_column_that_only_a_function_shows() -> None:
    """The plan knows nothing of it; the value does."""
    session = talk(Honey(columns=frozenset([SSN])))
    session.client(query("SELECT f()"))
    session.server(fields("email", "x"), row(seal("ada"), "1"), done("SELECT 1"), ready())
    assert not findings(session)
    session = talk(Honey(columns=frozenset([EMAIL])))
    session.client(query("SELECT f()"))
    session.server(fields("email", "x"), row(seal("ada"), "1"), done("SELECT 1"), ready())
    assert findings(session)


@pytest.mark.parametrize("mode", ["mask", "quarantine", "kill"])
def test_a_client_is_not_told_that_it_was_honey(mode: Any) -> None:
    """Nothing of the part is released; the message is that of any containment."""
    session = talk(mode=mode)
    session.client(query("SELECT email FROM customers"))
    session.server(fields("email"), row(seal("ada")), row(DECOY), done("SELECT 2"), ready())
    assert not shown(session)
    assert isinstance(session.effects[-1], Close)
    told = b"".join(body for _, body in session.to_client).lower()
    for word in (b"honey", b"decoy", b"trap", b"public.customers"):
        assert word not in told
    assert session.guards.contained.restraint("shop_app", "s") == mode


def test_honey_is_found_under_a_mask_too() -> None:
    """A login that is contained already, and goes on looking."""
    session = talk(mode="mask")
    session.client(query("SELECT email FROM customers"))
    session.server(fields("email"), row(DECOY), done("SELECT 1"), ready())
    again = Guarded(guards=session.guards, number="t")
    again.client(query("SELECT email FROM customers"))
    again.server(fields("email"), row(DECOY), done("SELECT 1"), ready())
    assert len(findings(again)) == 1
    assert len(shown(again)) == 1
    assert b"decoy@" not in shown(again)[0]


def test_what_is_written_is_read() -> None:
    """All of it."""
    honey = Honey(HONEY.rows, frozenset([SSN]))
    assert read_honey(honey.text()) == honey
    assert read_honey(honey.text()).ids == honey.ids
    assert "decoy" not in honey.text()


@pytest.mark.parametrize(
    "change",
    [
        {"version": 2},
        {"rows": None},
        {"columns": [1]},
        {"rows": [{}]},
        {"rows": [{"name": "a", "table": "t", "key": {}, "cells": {EMAIL: ["abc"]}}]},
        {"rows": [{"name": "a", "table": "t", "key": {}, "cells": {EMAIL: ["00"]}}]},
        {"rows": [{"name": "a", "table": "t", "key": {"id": 1}, "cells": {}}]},
    ],
)
def test_a_damaged_file_is_said(change: dict[str, Any]) -> None:
    """Honey that is not watched, and nobody knows, would be the worst of it."""
    document = json.loads(HONEY.text()) | change
    with pytest.raises(HoneyDamaged):
        read_honey(json.dumps(document))
    for text in ("", "[", "null", "7", "[" * 100_000):
        with pytest.raises(HoneyDamaged):
            read_honey(text)
