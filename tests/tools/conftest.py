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


KINDS = r"""
CREATE SCHEMA "Odd Place";
CREATE TABLE "Odd Place"."Kinds" (
    id int PRIMARY KEY, "The Text" text, v varchar(10), c char(6), i2 int2, i4 int4, i8 int8, n numeric, f4 float4,
    f8 float8, b bool, d date, ts timestamp, tz timestamptz, u uuid, j json, jb jsonb, y bytea,
    plain text DEFAULT 'p', twice int GENERATED ALWAYS AS (id * 2) STORED
);
INSERT INTO "Odd Place"."Kinds" VALUES
    (1, E'tab\t newline\n return\r backslash\\ quote'' "', 'väl,ue', 'ab', -32768, -2147483648, -9223372036854775808,
     '-123456789012345678901234567890.1200', '-1.5e-38', '1.7976931348623157e308', true, '4713-01-01 BC',
     '0044-03-15 12:34:56.123456 BC', '2024-02-29 23:59:60+05:45', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11',
     '{"b" : 1,  "a": [null, "\u00e9", "x\ny"]}', '{"b": 1.50, "a": {"é": null}}', '\x00ff5ea1015c0a'),
    (2, '', '', '', 0, 0, 0, 'NaN', 'NaN', '-1e-300', false, 'infinity', '-infinity', 'infinity',
     '00000000-0000-0000-0000-000000000000', 'null', '[]', ''),
    (3, '\N', 'NULL', '\.', 1, 1, 1, 'Infinity', 'Infinity', '5e-324', NULL, '9999-12-31', '294276-12-31 23:59:59.999999',
     '1900-01-01 00:00:00+00', NULL, '"\\N"', '"\\."', '\x5c4e'),
    (4, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
    (5, '\.', 'Ω😀é', E'\x7f', 7, 7, 7, '0.000', '0.1', '0.1', true, '2000-01-01', '2000-01-01', '2000-01-01 00:00:00Z',
     NULL, '{}', '{}', '\x5c2e');
INSERT INTO "Odd Place"."Kinds" (id, "The Text", y) VALUES (6, repeat('\é' || chr(9), 20000), decode(repeat('5c0a', 20000), 'hex'));
CREATE TABLE visits (id int, ip text, at date) PARTITION BY RANGE (id);
CREATE TABLE visits_low PARTITION OF visits FOR VALUES FROM (0) TO (100);
CREATE TABLE visits_high PARTITION OF visits FOR VALUES FROM (100) TO (200);
INSERT INTO visits SELECT i, '10.0.0.' || i, date '2020-01-01' + i FROM generate_series(0, 199, 7) i;
GRANT USAGE ON SCHEMA "Odd Place" TO PUBLIC;
GRANT ALL ON ALL TABLES IN SCHEMA public, "Odd Place" TO PUBLIC;
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
        make_database, tmp_path_factory.mktemp("tools"), SCHEMA + KINDS + OWNED, AFTER
    )
    postgres.psql("REVOKE pg_read_all_data FROM backup")  # sealgate check of other tests would tell
