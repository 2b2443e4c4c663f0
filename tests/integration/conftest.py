"""The shop: one per module, its proxy a real process."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.conftest import Database
from tests.integration.shop import SCHEMA, Shop


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
