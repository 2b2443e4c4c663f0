"""One pair of twins for all clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.clients.migrating import NOTHING_SEALED
from tests.clients.twins import CONFIGURATION, SCHEMA, Twins
from tests.conftest import Database
from tests.integration.shop import Shop

OWNER = (
    "DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'shop_app') "
    "THEN CREATE ROLE shop_app LOGIN; END IF; END $$; "
    "GRANT CREATE ON SCHEMA public TO shop_app; SET ROLE shop_app;"
)
"""The application owns its tables, as one that runs its own migrations does."""


@pytest.fixture(scope="package")
def twins(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Twins]:
    sealed, plain = make_database(), make_database()
    for database in (sealed, plain):
        database.psql(OWNER + SCHEMA)
    shop = Shop(sealed, tmp_path_factory.mktemp("clients"), columns=CONFIGURATION)
    shop.prepare()
    try:
        shop.serve()
        with (
            psycopg.connect(sealed.dsn(), autocommit=True) as one,
            psycopg.connect(plain.dsn(), autocommit=True) as other,
        ):
            yield Twins(shop, plain, (one, other))
    finally:
        shop.stop()
    for database in (sealed, plain):
        database.postgres.drop_database(database.name)


@pytest.fixture
def site(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """An empty database behind a proxy that protects nothing yet."""
    database = make_database()
    database.psql(OWNER)
    shop = Shop(database, tmp_path_factory.mktemp("migrations"), columns=NOTHING_SEALED)
    shop.prepare()
    try:
        shop.serve()
        yield shop
    finally:
        shop.stop()
    database.postgres.drop_database(database.name)
