"""Who asks and why, as a client claims it, reaches the events of its statements: through the real proxy and drivers.

What would be silently wrong: a claim that outlives its transaction, its session's next user, or its connection's return to
the pool, so that one person's reading is told of as another's.
"""

from __future__ import annotations

from typing import Any

import asyncpg
import psycopg
import pytest

from proxy.wire.messages import (
    SYNC_MESSAGE,
    Bind,
    Parse,
    write_bind,
    write_execute,
    write_parse,
)
from tests.integration.shop import Shop
from tests.integration.wire_client import WireClient

READ = "SELECT email FROM customers WHERE id = 1"


def claims(shop: Shop, before: int, marker: str = "statement.") -> list[dict[str, str] | None]:
    """What each statement's event says is claimed."""
    return [
        event["unmapped"]["sealgate"].get("claimed")
        for event in shop.events()[before:]
        if event["metadata"]["event_code"].startswith(marker)
    ]


def test_comments(shop: Shop) -> None:
    """A comment speaks for its own statement, in both protocols; the server is sent it too."""
    before = shop.clear_events()
    with shop.connect() as app:
        app.execute(READ + " /*actor='u42',traceparent='00-a-b-01',secret='x'*/")
        app.execute(READ + " /*actor='u43'*/", prepare=True)
        app.execute(READ + " /*purpose='support'*/;", prepare=False)
        app.execute(READ)
        app.execute("INSERT INTO customers (name, email) VALUES ('x', 'q') /*ticket='7'*/")
        app.execute("DELETE FROM customers WHERE email = %s /*ticket='8'*/", ("q",))
        shown = app.execute("SELECT current_query(), email FROM customers /*actor='me'*/")
        assert str((shown.fetchone() or [""])[0]).endswith("/*actor='me'*/")
    assert claims(shop, before) == [
        {"actor": "u42", "traceparent": "00-a-b-01"},
        {"actor": "u43"},
        {"purpose": "support"},
        None,
        {"ticket": "7"},
        {"ticket": "8"},
        {"actor": "me"},
    ]


def test_a_refusal_says_who_asked(shop: Shop) -> None:
    """Refused statements carry their claims as well."""
    before = shop.clear_events()
    with shop.connect("support_login") as app:
        app.execute("SET sealgate.actor = 'ann'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            app.execute("UPDATE customers SET ssn = 'x' /*ticket='9'*/")
    assert claims(shop, before) == [{"actor": "ann", "ticket": "9"}]


def test_settings_of_the_session(shop: Shop) -> None:
    """SET, RESET, set_config with constants; a comment goes before them."""
    before = shop.clear_events()
    with shop.connect() as app:
        app.execute("SET sealgate.actor = 'ann'")
        app.execute(READ)
        app.execute("SET sealgate.purpose TO 'ticket 12'")
        app.execute(READ)
        app.execute(READ + " /*actor='bob'*/")
        app.execute("RESET sealgate.actor")
        app.execute(READ)
        app.execute("SELECT set_config('sealgate.actor', 'cyd', false)")
        app.execute(READ)
        app.execute("DISCARD ALL")
        app.execute(READ)
    assert claims(shop, before) == [
        {"actor": "ann"},
        {"actor": "ann", "purpose": "ticket 12"},
        {"actor": "bob", "purpose": "ticket 12"},
        {"purpose": "ticket 12"},
        {"actor": "cyd", "purpose": "ticket 12"},
        None,
    ]


def test_transactions(shop: Shop) -> None:
    """SET LOCAL ends with its transaction, SET is undone by ROLLBACK and by ROLLBACK TO."""
    before = shop.clear_events()
    with shop.connect() as app:
        app.execute("SET sealgate.actor = 'ann'")
        app.execute("BEGIN")
        app.execute("SET LOCAL sealgate.actor = 'bob'")
        app.execute(READ)
        app.execute("COMMIT")
        app.execute(READ)
        app.execute("BEGIN")
        app.execute("SET sealgate.actor = 'cyd'")
        app.execute("SAVEPOINT s")
        app.execute("SET sealgate.actor = 'dan'")
        app.execute(READ)
        app.execute("ROLLBACK TO s")
        app.execute(READ)
        app.execute("ROLLBACK")
        app.execute(READ)
    told = claims(shop, before)
    assert told == [{"actor": name} for name in ("bob", "ann", "dan", "cyd", "ann")]


def test_a_failed_transaction(shop: Shop) -> None:
    """An error undoes what the transaction has set."""
    before = shop.clear_events()
    with shop.connect() as app:
        app.execute("BEGIN")
        app.execute("SET sealgate.actor = 'bob'")
        with pytest.raises(psycopg.errors.DivisionByZero):
            app.execute("SELECT 1 / 0")
        app.execute("ROLLBACK")
        app.execute(READ)
    assert claims(shop, before) == [None]


def test_startup_options(shop: Shop) -> None:
    """What the connection string says holds from the first statement on."""
    before = shop.clear_events()
    with shop.connect(options="-c sealgate.actor=batch -c sealgate.purpose=report") as app:
        app.execute(READ)
        app.execute("RESET ALL")
        app.execute(READ)
    both = {"actor": "batch", "purpose": "report"}
    assert claims(shop, before) == [both, both]


async def test_asyncpg(shop: Shop) -> None:
    """Settings given at connect; a pool's connection comes back without what its user has set."""
    before = shop.clear_events()
    async with asyncpg.create_pool(
        shop.dsn(), min_size=1, max_size=1, server_settings={"sealgate.purpose": "web"}
    ) as pool:
        async with pool.acquire() as connection, connection.transaction():
            await connection.execute("SELECT set_config('sealgate.actor', 'ann', true)")
            await connection.fetch(READ)
        async with pool.acquire() as connection:
            await connection.fetch(READ)
            await connection.execute("SET sealgate.actor = 'bob'")
            await connection.fetch(READ)
        async with pool.acquire() as connection:
            await connection.fetch(READ)
    assert claims(shop, before) == [
        {"actor": "ann", "purpose": "web"},
        {"purpose": "web"},
        {"actor": "bob", "purpose": "web"},
        {"purpose": "web"},
    ]


def test_in_a_pipeline(shop: Shop) -> None:
    """A statement behind SET in the same pipeline waits until it is known what that has set."""
    before = shop.clear_events()
    with WireClient(shop.port) as wire:
        wire.start("shop_app", shop.database.name)
        for sql in ("SET sealgate.actor = 'ann'", READ, "SET sealgate.actor = 'bob'", READ):
            wire.send(
                write_parse(Parse(b"", sql.encode(), ())),
                write_bind(Bind(b"", b"", (), (), ())),
                write_execute(b""),
            )
        wire.send(SYNC_MESSAGE)
        kinds = "".join(kind for kind, _ in wire.until("Z"))
        assert kinds == "12C12DC12C12DCZ"
    assert claims(shop, before) == [{"actor": "ann"}, {"actor": "bob"}]


def test_several_statements_in_one_message(shop: Shop) -> None:
    """What is set in the same simple message is not known in time: then nothing is claimed, rather than what was before."""
    before = shop.clear_events()
    with WireClient(shop.port) as wire:
        wire.start("shop_app", shop.database.name)
        wire.query("SET sealgate.actor = 'ann'")
        wire.query(READ)
        wire.query(f"SET sealgate.actor = 'bob'; {READ}")
        wire.query(READ)
    assert claims(shop, before) == [{"actor": "ann"}, None, {"actor": "bob"}]


HOSTILE: list[Any] = ['a"b', "x'}\n{", "\x1b[2J", "\u202egpj", "é" * 500, "\\", "%0a%0d", "*/--"]


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_claims(shop: Shop, value: str) -> None:
    """Whatever is set stands on one line, in one field, visible, capped."""
    before = shop.clear_events()
    with shop.connect() as app:
        app.execute("SELECT set_config('sealgate.actor', %s, false)", (value,), prepare=False)
        with psycopg.ClientCursor(app) as cursor:
            cursor.execute("SELECT set_config('sealgate.purpose', %s, false)", (value,))
            cursor.execute(READ)
    (told,) = claims(shop, before)
    assert told is not None
    assert all(text.isprintable() and len(text) < 700 for text in told.values())
    assert told["purpose"][:1] in (value[:1], "\\")


def test_a_login_of_its_own_default(shop: Shop) -> None:
    """ALTER ROLE ... SET is not seen until something else is set: then it is asked for."""
    with shop.direct() as owner:
        owner.execute("ALTER ROLE shop_app SET sealgate.purpose = 'nightly'")
    try:
        before = shop.clear_events()
        with shop.connect() as app:
            app.execute("SET sealgate.actor = 'ann'")
            app.execute(READ)
        assert claims(shop, before) == [{"actor": "ann", "purpose": "nightly"}]
    finally:
        with shop.direct() as owner:
            owner.execute("ALTER ROLE shop_app RESET sealgate.purpose")
