"""SQL forms, one by one: the same as on a plain column, or refused with a hint and nothing changed."""

from __future__ import annotations

from typing import Any, Final

import psycopg
import pytest

from tests.clients.dbapi import INSERT
from tests.clients.forms import FORMS, Form
from tests.clients.test_psycopg3 import row
from tests.clients.twins import Twins, typed

CURSORS: Final = {"parameters": psycopg.Cursor, "literals": psycopg.ClientCursor}


def answer(dsn: str, form: Form, factory: type[psycopg.Cursor[Any]]) -> Any:
    """What the statement gives, and what the table holds afterwards."""
    with psycopg.connect(dsn, autocommit=True, cursor_factory=factory) as connection:
        cursor = connection.execute(form.sql, form.parameters or None)
        rows = cursor.fetchall() if cursor.description else cursor.rowcount
        return typed([rows, contents(connection)])


def contents(connection: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    return connection.execute(
        "SELECT id, name, email, ssn, born, visits FROM account ORDER BY id"
    ).fetchall()


@pytest.mark.parametrize("how", CURSORS)
@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.sql[:60])
def test_form(twins: Twins, form: Form, how: str) -> None:
    """As docs/clients.md says of it, with parameters and with literals in the text."""
    twins.reset()
    for dsn in (twins.shop.dsn(), twins.plain.dsn("shop_app")):
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.cursor().executemany(INSERT, [row(n) for n in (1, 2, 3, 4)])
    expected = answer(twins.plain.dsn("shop_app"), form, CURSORS[how])
    if not form.refused:
        assert answer(twins.shop.dsn(), form, CURSORS[how]) == expected
        return
    with pytest.raises(psycopg.errors.FeatureNotSupported) as caught:
        answer(twins.shop.dsn(), form, CURSORS[how])
    assert caught.value.diag.message_hint
    with psycopg.connect(twins.shop.dsn()) as connection:
        assert contents(connection) == [(n, *row(n)[:5]) for n in (1, 2, 3, 4)]
