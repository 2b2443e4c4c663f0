"""Two PostgreSQL servers that are equal to the byte, one of them behind a real `sealgate serve`.

One cluster is created, the shop is built and sealed in it, it is shut down and its data directory copied. From then on
both assign the same OIDs, transaction ids and system identifier, so what they say can be compared as it is. A client
reaches either through a `RecordingRelay`:

    client ── relay ── server                  (direct)
    client ── sealgate serve ── relay ── twin  (through)

The sessions of a module run on both in the same order; nothing else writes.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from proxy.embedded import EmbeddedPostgres
from tests.conftest import Database
from tests.integration.shop import SCHEMA, Shop
from tests.proof.relay import RecordingRelay, Tape
from tests.proof.streams import Session
from tests.proof.talk import Heard, Script, play

SETTINGS = {
    "autovacuum": "off",  # it takes transaction ids when it likes
    "max_prepared_transactions": "10",
    "max_connections": "60",
    "track_activities": "on",
    "checkpoint_timeout": "1d",
}
NAME = "proof"

TABLES = """
CREATE TABLE typed (
    id int PRIMARY KEY, b bool, i2 int2, i8 int8, f4 float4, f8 float8, n numeric, t text, v varchar(20),
    c char(6), by bytea, d date, ti time, ts timestamp, tz timestamptz, iv interval, u uuid, j json, jb jsonb,
    ia int[], ta text[], pt point, ip inet, bt bit(4), ra int4range, x xml, e money
);
INSERT INTO typed (id, b, i2, i8, f4, f8, n, t, v, c, by, d, ti, ts, tz, iv, u, j, jb, ia, ta, pt, ip, bt, ra, e)
SELECT g, g % 2 = 0, g, g * 1000000007::int8, g / 3.0, g / 7.0, g / 11.0, 'text ' || g || ' é€', 'v' || g, 'c' || g,
    decode(lpad(to_hex(g), 8, '5ea1'), 'hex'), date '2024-01-01' + g, time '01:02:03' + g * interval '1 minute',
    timestamp '2024-02-29 12:00' + g * interval '1 hour', timestamptz '2024-02-29 12:00+02' + g * interval '1 day',
    g * interval '1 mon 2 days', ('00000000-0000-4000-8000-' || lpad(g::text, 12, '0'))::uuid,
    ('{"k": ' || g || '}')::json, ('{"k": [' || g || ', null]}')::jsonb, array[g, null, g + 1],
    array['a' || g, 'b,"c"', null], point(g, -g), ('10.0.0.' || g)::inet, (g % 16)::bit(4), int4range(g, g + 5),
    (g || '.50')::money
FROM generate_series(1, 20) g;
INSERT INTO typed (id) VALUES (21);
CREATE SCHEMA other;
CREATE TABLE other.customers (id int PRIMARY KEY, email text, ssn text);
INSERT INTO other.customers VALUES (1, 'plain@example.com', 'none'), (2, NULL, '');
CREATE TABLE customers_archive (id int, email text, ssn text, customers text);
INSERT INTO customers_archive VALUES (1, 'old@example.com', '000', 'customers');
CREATE TABLE "Customers" (id int, "Email" text);
INSERT INTO "Customers" VALUES (1, 'CASE@example.com');
CREATE TYPE pair AS (a int, b text);
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE TYPE mood AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE composite (id int PRIMARY KEY, p pair, ps pair[], d positive, m mood);
INSERT INTO composite VALUES (1, ROW(1, 'x'), ARRAY[ROW(2, 'y,"z"')::pair, NULL], 5, 'ok');
CREATE TABLE parted (k int, v text) PARTITION BY RANGE (k);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (100);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (100) TO (200);
CREATE VIEW plain_view AS SELECT id, t, n FROM typed WHERE id < 10;
CREATE FUNCTION add_one(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1';
CREATE FUNCTION say(text) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN RAISE NOTICE 'said %', $1 USING HINT = 'listen', DETAIL = 'detail'; RETURN $1; END $$;
CREATE FUNCTION fail(text) RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION 'failed %', $1 USING ERRCODE = 'P0042', TABLE = 'typed', COLUMN = 't'; END $$;
ALTER TABLE customers ALTER name SET DEFAULT 'none';
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
"""


@dataclass
class Twins:
    """Both servers and what stands before them."""

    shop: Shop
    direct: RecordingRelay
    through: RecordingRelay

    @property
    def database(self) -> str:
        return self.shop.database.name

    def play(self, script: Script) -> tuple[Session, Session]:
        """The script to the server itself, then to its twin through the proxy."""
        return (
            self._one(script, self.direct, self.direct.port),
            self._one(script, self.through, self.shop.port),
        )

    def _one(self, script: Script, relay: RecordingRelay, port: int) -> Session:
        before = len(relay.tapes)
        heard = play(script, port, self.database)
        tape = self._tape(relay, before)
        return Session(bytes(heard.data), bytes(tape.client), bytes(tape.server), _ending(heard))

    def _tape(self, relay: RecordingRelay, before: int) -> Tape:
        deadline = time.monotonic() + 10
        while len(relay.tapes) == before and time.monotonic() < deadline:
            time.sleep(0.001)
        assert len(relay.tapes) == before + 1, "one connection to the server per session"
        assert relay.tapes[before].ended.wait(10), "the server's connection ends with the client's"
        return relay.tapes[before]


def _ending(heard: Heard) -> str:
    return "timeout" if heard.timed_out else "end"


@contextmanager
def twins(directory: Path) -> Iterator[Twins]:
    with ExitStack() as stack:
        first = EmbeddedPostgres(settings=SETTINGS, log_everything=True)
        stack.callback(first.close)
        first.start()
        first.create_database(NAME)
        first.psql(SCHEMA + TABLES, NAME)
        shop = Shop(Database(NAME, first), directory)
        shop.prepare()
        first.stop()
        second = EmbeddedPostgres(settings=SETTINGS, log_everything=True)
        stack.callback(second.close)
        shutil.copytree(first.data, second.data, copy_function=shutil.copy2)
        _own_as(first.data, second.data)
        first.start()
        second.start()
        direct = stack.enter_context(RecordingRelay(first.port))
        through = stack.enter_context(RecordingRelay(second.port))
        shop.database = Database(NAME, second)
        shop.upstream_port = through.port
        shop.write_config()
        stack.callback(shop.stop)
        shop.serve()
        yield Twins(shop, direct, through)


def _own_as(first: Path, second: Path) -> None:
    """The server may run as another user than the tests; a copy belongs to who made it."""
    owner = first.stat()
    for path in (second, *second.rglob("*")):
        shutil.chown(path, owner.st_uid, owner.st_gid)
