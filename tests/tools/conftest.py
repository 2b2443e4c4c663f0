"""One stage for psql, shared by the modules that use it: its scripts clean up after themselves."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from proxy.embedded import EmbeddedPostgres
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


OWNED = "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO PUBLIC;"

ROLES = """
DO $$ BEGIN IF to_regrole('backup') IS NULL THEN CREATE ROLE backup LOGIN; END IF; END $$;
DO $$ BEGIN IF to_regrole('shop_owner') IS NULL THEN CREATE ROLE shop_owner LOGIN; END IF; END $$;
GRANT pg_read_all_data TO backup;
"""
"""Roles belong to the server: another module's stage may have made them."""


@pytest.fixture(scope="package")
def stage(
    make_database: Callable[[], Database],
    postgres: EmbeddedPostgres,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stage]:
    postgres.psql(ROLES)
    yield from programs.stage(
        make_database, tmp_path_factory.mktemp("tools"), SCHEMA + OWNED, AFTER
    )
