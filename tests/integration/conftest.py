"""The shop: one per module, its proxy a real process."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator

import pytest

from tests.conftest import Database
from tests.integration import schemas as two
from tests.integration.schemas import Schemas
from tests.integration.shop import SCHEMA, Shop
from tests.integration.types.twins import Client


@pytest.fixture(scope="module")
def shop(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    database = make_database()
    database.psql(SCHEMA)
    shop = Shop(database, tmp_path_factory.mktemp("shop"))
    shop.prepare()
    shop.serve()
    yield shop
    shop.stop()
    database.postgres.drop_database(database.name)


@pytest.fixture(scope="module")
def schemas_shop(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """A database with the shop in two schemas, plain and sealed, behind a proxy of its own."""
    database = make_database()
    database.psql(two.SCHEMA)
    shop = Shop(database, tmp_path_factory.mktemp("schemas"), columns=two.COLUMNS)
    shop.prepare()
    database.psql(two.VIEWS)
    shop.serve()
    yield shop
    shop.stop()
    database.postgres.drop_database(database.name)


@pytest.fixture(scope="module")
def schemas(schemas_shop: Shop) -> Iterator[Schemas]:
    found = Schemas(
        Client(schemas_shop.database.dsn("shop_app")), Client(schemas_shop.dsn("shop_app"))
    )
    found.plain.use("SET search_path = plain")
    found.sealed.use("SET search_path = sealed")
    yield found
    found.close()


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    """Randomness whose seed a failure shows: TYPES_SEED=... repeats it."""
    seed = int(os.environ.get("TYPES_SEED", random.SystemRandom().getrandbits(32)))
    print(f"TYPES_SEED={seed} for {request.node.nodeid}")
    return random.Random(seed)
