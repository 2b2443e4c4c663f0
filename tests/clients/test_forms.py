"""SQL forms, one by one: the same as on a plain column, or refused with a hint and nothing changed."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import psycopg
import pytest

from tests.clients.dbapi import INSERT
from tests.clients.forms import FORMS, Form
from tests.clients.test_psycopg3 import row
from tests.clients.twins import Twins, typed

Session = psycopg.Connection[Any]

CURSORS: Final = {"parameters": psycopg.Cursor, "literals": psycopg.ClientCursor}
FILLED: Final = (1, 2, 3, 4)


@dataclass(frozen=True, slots=True)
class Pair:
    """One session on each twin, both of them filled."""

    sealed: Session
    plain: Session


@pytest.fixture(scope="module", params=CURSORS)
def _sessions(twins: Twins, request: pytest.FixtureRequest) -> Iterator[Pair]:
    with contextlib.ExitStack() as stack:
        yield Pair(
            *(
                stack.enter_context(
                    psycopg.connect(dsn, autocommit=True, cursor_factory=CURSORS[request.param])
                )
                for dsn in (twins.shop.dsn(), twins.plain.dsn("shop_app"))
            )
        )


@pytest.fixture
def pair(twins: Twins, _sessions: Pair) -> Pair:
    twins.reset()
    for session in (_sessions.sealed, _sessions.plain):
        session.cursor().executemany(INSERT, [row(n) for n in FILLED])
    return _sessions


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.sql[:60])
def test_form(pair: Pair, form: Form) -> None:
    """As docs/clients.md says of it, with parameters and with literals in the text."""
    expected = answer(pair.plain, form)
    if not form.refused:
        assert answer(pair.sealed, form) == expected
        return
    with pytest.raises(psycopg.errors.FeatureNotSupported) as caught:
        answer(pair.sealed, form)
    assert caught.value.diag.message_hint
    assert contents(pair.sealed) == [(n, *row(n)[:5]) for n in FILLED]


def answer(session: Session, form: Form) -> Any:
    """What the statement gives, and what the table holds afterwards."""
    cursor = session.execute(form.sql, form.parameters or None)
    rows: Any = cursor.fetchall() if cursor.description else cursor.rowcount
    if cursor.description and "ORDER BY" not in form.sql:
        rows.sort(key=repr)  # How groups are found decides on their order.
    return typed([rows, contents(session)])


def contents(session: Session) -> list[tuple[Any, ...]]:
    return session.execute(
        "SELECT id, name, email, ssn, born, visits FROM account ORDER BY id"
    ).fetchall()
