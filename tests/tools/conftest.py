"""One stage for psql, shared by the modules that use it: its scripts clean up after themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.conftest import Database
from tests.integration.shop import SCHEMA
from tests.tools import programs
from tests.tools.programs import Stage

AFTER = """
CREATE VIEW contacts AS SELECT id, name, email FROM customers;
CREATE FUNCTION mails(int) RETURNS SETOF customers LANGUAGE sql STABLE
    AS 'SELECT * FROM customers WHERE id = $1';
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE mood AS ENUM ('sad', 'glad');
CREATE INDEX ON orders (item);
CREATE STATISTICS ties ON customer, item FROM orders;
GRANT SELECT ON contacts TO PUBLIC;
COMMENT ON COLUMN customers.email IS 'where to write to';
"""


@pytest.fixture(scope="package")
def stage(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stage]:
    yield from programs.stage(make_database, tmp_path_factory.mktemp("tools"), SCHEMA, AFTER)
