"""The twin tables behind a proxy, and randomness that can be repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.conftest import Database
from tests.integration.shop import Shop
from tests.integration.types.twins import SCHEMA, Client, Twins, configuration


@pytest.fixture(scope="module")
def twin_shop(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    """A database with the twin tables, behind a proxy of its own."""
    database = make_database()
    database.psql(SCHEMA)
    shop = Shop(database, tmp_path_factory.mktemp("twins"), columns=configuration())
    shop.prepare()
    shop.serve()
    yield shop
    shop.stop()
    database.postgres.drop_database(database.name)


@pytest.fixture(scope="module")
def _twins(twin_shop: Shop) -> Iterator[Twins]:
    found = Twins(Client(twin_shop.database.dsn("shop_app")), Client(twin_shop.dsn()))
    yield found
    found.close()


@pytest.fixture
def twins(_twins: Twins) -> Twins:
    """Both twins, empty, under the server's default settings."""
    _twins.reset()
    return _twins


@pytest.fixture(params=[1, pytest.param(10, marks=pytest.mark.long)], ids=["some", "many"])
def scale(request: pytest.FixtureRequest) -> int:
    """How many times the usual number of random values: `make test-long` takes more."""
    found: int = request.param
    return found
