"""The tables behind a proxy, and randomness that can be repeated."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.conftest import Database
from tests.integration.order.tables import (
    COLUMNS,
    SCHEMA,
)
from tests.integration.shop import Shop
from tests.integration.types.twins import Client, Twins


@pytest.fixture(scope="module")
def order_shop(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    database = make_database()
    database.psql(SCHEMA)
    shop = Shop(database, tmp_path_factory.mktemp("order"), columns=COLUMNS)
    shop.prepare()
    shop.serve()
    yield shop
    shop.stop()
    database.postgres.drop_database(database.name)


@pytest.fixture(scope="module")
def _twins(order_shop: Shop) -> Iterator[Twins]:
    found = Twins(Client(order_shop.database.dsn("shop_app")), Client(order_shop.dsn()))
    yield found
    found.close()


@pytest.fixture
def twins(_twins: Twins) -> Twins:
    _twins.reset()
    return _twins


@pytest.fixture(params=[1, pytest.param(20, marks=pytest.mark.long)], ids=["some", "many"])
def scale(request: pytest.FixtureRequest) -> int:
    """How many times the usual number of random statements."""
    found: int = request.param
    return found
