"""Alembic: upgrade, downgrade and autogenerate through the proxy, over a table whose columns get sealed on the way."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any, Final

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from tests.clients.alembic_site import reflection
from tests.clients.matrix import Client
from tests.clients.migrating import protect
from tests.clients.people import person
from tests.clients.test_sqlalchemy import url
from tests.clients.twins import Twins, sqlstate
from tests.integration.shop import Shop

CLIENT: Final = Client(
    "Alembic",
    "alembic",
    "upgrade, downgrade, autogenerate and check over psycopg",
    "two hooks in `env.py`, below",
)
MEMBER_SEALED: Final = """
[columns."public.member.email"]
type = "varchar(120)"
search = ["equality"]
[columns."public.member.ssn"]
type = "text"
[columns."public.member.born"]
type = "date"
"""


def configuration(shop: Shop) -> Config:
    config = Config(stdout=io.StringIO())
    config.set_main_option("script_location", str(Path(__file__).parent / "alembic_site"))
    config.set_main_option("sqlalchemy.url", url(shop.dsn(), "psycopg"))
    return config


@CLIENT.shows("migrations: DDL")
@CLIENT.shows("migrations: data")
@CLIENT.shows("catalog queries of its own")
def test_up_check_and_down(site: Shop) -> None:
    """Create, seal, DDL and data in one transaction; autogenerate finds nothing to do; all the way back."""
    config = configuration(site)
    command.upgrade(config, "one")
    with site.connect() as app:
        for n in (1, 2):
            app.execute(
                "INSERT INTO member (id, name, email, ssn, born) VALUES (%s, %s, %s, %s, %s)",
                (n, *(person(n)[k] for k in ("name", "email", "ssn", "born"))),
            )
    protect(site, MEMBER_SEALED)
    command.upgrade(config, "head")
    with site.connect() as app:
        found = app.execute("SELECT id, email, ssn, born, level FROM member ORDER BY id").fetchall()
    assert found == [
        (1, "person1@quux.example", "555QX0001", person(1)["born"], 1),
        (2, "person2@quux.example", "555QX0002", person(2)["born"], 20),
        (100, "b@quux.example", None, None, 1),
    ]
    with site.direct() as direct:
        stored = direct.execute("SELECT email FROM member").fetchall()
    assert all(value.startswith(b"\x5e\xa1\x01") for (value,) in stored)
    command.check(config)
    command.downgrade(config, "one")
    with site.connect() as app:
        assert app.execute("SELECT * FROM member ORDER BY id").fetchall() == [
            (n, f"Person {n}", f"person{n}@quux.example", "555-QX-back", person(n)["born"])
            for n in (1, 2)
        ]
    command.downgrade(config, "base")
    with site.connect() as app:
        assert app.execute("SELECT to_regclass('member')").fetchone() == (None,)


REFUSED: Final = (
    "ALTER TABLE member ALTER COLUMN email TYPE VARCHAR(200)",
    "ALTER TABLE member ALTER COLUMN ssn TYPE text",
    "ALTER TABLE member ALTER COLUMN ssn TYPE text USING ssn::text",
    "ALTER TABLE member ALTER COLUMN email SET DEFAULT 'retyped@quux.example'",
    "ALTER TABLE member ADD CHECK (email <> 'retyped@quux.example')",
)


@CLIENT.shows("transactions")
@CLIENT.shows("errors inside transactions")
def test_a_migration_that_fails_leaves_nothing(site: Shop) -> None:
    """Retyping a sealed column, a plaintext DEFAULT or CHECK are refused; the DDL before them is taken back."""
    command.upgrade(configuration(site), "one")
    protect(site, MEMBER_SEALED)
    engine = sa.create_engine(url(site.dsn(), "psycopg"))
    with engine.connect() as connection:
        connection.execute(sa.text("INSERT INTO member VALUES (1, 'n', 'e@quux.example', 's')"))
        connection.commit()
        for statement in REFUSED:
            connection.execute(sa.text("ALTER TABLE member ADD COLUMN extra int"))
            connection.execute(
                sa.text("UPDATE member SET extra = 1 WHERE email = 'retyped@quux.example'")
            )
            with pytest.raises(sa.exc.DBAPIError) as caught:
                connection.execute(sa.text(statement))
            assert sqlstate(caught.value) in ("0A000", "42804", "23514"), statement
            connection.rollback()
            found = connection.execute(sa.text("SELECT * FROM member"))
            assert list(found.keys()) == ["id", "name", "email", "ssn", "born"]
            assert found.all() == [(1, "n", "e@quux.example", "s", None)]
            connection.rollback()
    engine.dispose()
    assert "retyped@quux.example" not in site.database.postgres.log_text()


def test_reflected_tables(twins: Twins) -> None:
    """With the hook of docs/clients.md, a reflected table has logical types, and values go in and out by them."""
    twins.reset()
    assert reflection.LOGICAL
    seen: list[Any] = []
    for dsn in (twins.plain.dsn("shop_app"), twins.shop.dsn()):
        engine = sa.create_engine(url(dsn, "psycopg"))
        with engine.begin() as connection:
            account = sa.Table("account", sa.MetaData(), autoload_with=connection)
            written = sa.insert(account).returning(account)
            seen.append([type(column.type)._type_affinity for column in account.columns])
            seen.append(connection.execute(written, person(1)).all())
            found = sa.select(account).where(account.c.email == "person1@quux.example")
            seen.append(connection.execute(found).all())
        engine.dispose()
    assert seen[:3] == seen[3:]
