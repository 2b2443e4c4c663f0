"""Encryption in the server by pgcrypto: a PostgreSQL from the distribution, its tables, and Sealgate on the same. [io]

The embedded PostgreSQL has no pgcrypto. Where the distribution's PostgreSQL is installed (Debian and Ubuntu:
`apt install postgresql`), a cluster of its own runs beside the embedded one, and Sealgate's side of this comparison
is on that same server, with the same rows.

Two ways to use it. `pgcrypto` is what its manual recommends: pgp_sym_encrypt, which authenticates and derives a key per
value. `pgcrypto_raw` is the fastest it has, encrypt(..., 'aes'): no initialization vector, not authenticated, which the
manual advises against; it is here so that the comparison is not with the slow one only. Both find an e-mail by an
HMAC in a column of its own. In both the key travels in every statement, and the server sees key and plaintext.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cached_property
from pathlib import Path

from bench import data
from bench.servers import (
    APPLICATION,
    DATABASE,
    HOST,
    POSTGRES_SETTINGS,
    NotAvailable,
    Sealgate,
    ServerFailed,
    prepare,
    unprivileged_user,
)
from bench.settings import Scale
from bench.sides import Side
from proxy.embedded import SUPERUSER, EmbeddedPostgres
from proxy.programs import Programs

SIDES = ("pgcrypto", "pgcrypto_pgbouncer", "pgcrypto_raw", "sealed_pgcrypto")
KEY = "0123456789abcdef0123456789abcdef"

ENCRYPT = {
    "pgcrypto": "pgp_sym_encrypt({{}}::text, '{key}')",
    "pgcrypto_raw": "encrypt(convert_to({{}}::text, 'UTF8'), '{key}', 'aes')",
}
DECRYPT = {
    "pgcrypto": "pgp_sym_decrypt({{}}, '{key}')",
    "pgcrypto_raw": "convert_from(decrypt({{}}, '{key}', 'aes'), 'UTF8')",
}
HASH = "hmac({{}}::text, '{key}', 'sha256')"

TABLES = """
CREATE SCHEMA {schema};
CREATE TABLE {schema}.people (id int PRIMARY KEY, email bytea, phone bytea, born bytea, city text, visits int,
                              email_hash bytea);
CREATE TABLE {schema}.accounts (id int PRIMARY KEY, email bytea, balance int) WITH (fillfactor = 50);
CREATE TABLE {schema}.sink (id bigserial PRIMARY KEY, email bytea, note text);
CREATE TABLE {schema}.orders (id bigserial PRIMARY KEY, person int, email bytea, amount int);
CREATE TABLE {schema}.intake (LIKE {schema}.people);
INSERT INTO {schema}.people SELECT id, {email}, {phone}, {born}, city, visits, {hash} FROM plain.people;
INSERT INTO {schema}.accounts SELECT id, email, 1000 FROM {schema}.people;
CREATE INDEX ON {schema}.people (email_hash);
"""


def encrypted(schema: str, expression: str) -> str:
    return ENCRYPT[schema].format(key=KEY).format(expression)


def decrypted(schema: str, column: str) -> str:
    return DECRYPT[schema].format(key=KEY).format(column)


def hashed(expression: str) -> str:
    return HASH.format(key=KEY).format(expression)


def installed() -> Path:
    """The newest PostgreSQL of the distribution that has pgcrypto. Raises NotAvailable."""
    found = [
        directory
        for directory in Path("/usr/lib/postgresql").glob("*/bin")
        if (directory / "postgres").exists()
        and Path(
            f"/usr/share/postgresql/{directory.parent.name}/extension/pgcrypto.control"
        ).exists()
    ]
    if not found:
        raise NotAvailable(
            "no PostgreSQL with pgcrypto (Debian and Ubuntu: apt install postgresql)"
        )
    return max(found, key=lambda directory: int(directory.parent.name))


def start(
    scale: Scale, tree: Path, directory: Path, closing: Callable[[Callable[[], object]], None]
) -> list[Side]:
    """The sides without pgbouncer. Raises NotAvailable. closing: called with what ends a server."""
    server = PackagedPostgres(installed())
    closing(server.close)
    server.start()
    prepare(server)
    server.psql("CREATE EXTENSION pgcrypto", DATABASE)
    sealgate = Sealgate(tree, directory / "sealgate-pgcrypto", server.port)
    data.create(server, DATABASE, APPLICATION)
    sealgate.apply(data.SEALED)
    data.fill_plain(server, DATABASE, APPLICATION, scale.only(scale.encrypted))
    through = sealgate.serve()
    closing(through.stop)
    dsn = f"postgresql://{APPLICATION}@{HOST}:{{}}/{DATABASE}"
    data.fill_sealed(dsn.format(server.port), dsn.format(through.port))
    for name in ("pgcrypto", "pgcrypto_raw"):
        values = {column: encrypted(name, column) for column in ("email", "phone", "born")}
        sql = TABLES.format(schema=name, hash=hashed("email"), **values)
        server.psql(sql, DATABASE, APPLICATION)
    data.index_sealed(server, DATABASE, APPLICATION)
    return [
        Side("pgcrypto", server.port, "pgcrypto", None, server),
        Side("pgcrypto_raw", server.port, "pgcrypto_raw", None, server),
        Side("sealed_pgcrypto", through.port, "sealed", through, server),
    ]


class PackagedPostgres(EmbeddedPostgres):
    """The distribution's PostgreSQL, driven as the embedded one is, with the same settings."""

    def __init__(self, programs: Path) -> None:
        super().__init__(settings=POSTGRES_SETTINGS)
        self._directory = programs

    @cached_property
    def _programs(self) -> Programs:
        return Programs(self._directory, unprivileged_user())

    def _prepare(self) -> None:
        """As the embedded one, without the locale provider that PostgreSQL 17 brought."""
        programs = self._programs
        self.home.mkdir(parents=True, exist_ok=True)
        for directory in (self.home, self.socket_directory):
            if programs.user is not None:
                shutil.chown(directory, programs.user)
        said = programs.run(
            "initdb",
            f"--pgdata={self.data}",
            f"--username={SUPERUSER}",
            *("--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync", "--no-instructions"),
        )
        if said.returncode != 0:
            raise ServerFailed(f"initdb failed:\n{said.stderr[-1000:]}")
