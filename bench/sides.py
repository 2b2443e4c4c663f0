"""Who is compared: a name, where it listens, which schema its statements read."""

from __future__ import annotations

from dataclasses import dataclass

from bench.servers import Server
from proxy.embedded import EmbeddedPostgres


@dataclass(frozen=True, slots=True)
class Side:
    """One way to the data.

    server: whose CPU counts; None: there is none in between.
    postgres: where the data is; None: the run's embedded server.
    """

    name: str
    port: int
    schema: str
    server: Server | None = None
    postgres: EmbeddedPostgres | None = None

    @property
    def proxy_pids(self) -> list[int]:
        """Of what is in between; [] where there is none."""
        return self.server.pids if self.server is not None else []

    def dsn(self, login: str, database: str) -> str:
        return f"postgresql://{login}@127.0.0.1:{self.port}/{database}"


TITLES = {
    "direct": "direct",
    "pgbouncer": "pgbouncer",
    "pgbouncer_sealed": "pgbouncer, sealed bytes",
    "sealgate": "Sealgate, unprotected table",
    "sealed": "Sealgate, sealed columns",
    "sealgate_2": "Sealgate, unprotected, 2 workers",
    "sealed_2": "Sealgate, sealed, 2 workers",
    "pgcrypto": "pgcrypto (pgp_sym_encrypt)",
    "pgcrypto_pgbouncer": "pgcrypto (pgp_sym_encrypt) through pgbouncer",
    "pgcrypto_raw": "pgcrypto (raw AES-CBC)",
    "sealed_pgcrypto": "Sealgate, same server as pgcrypto",
    "application": "application-side encryption",
    "application_pgbouncer": "application-side encryption through pgbouncer",
    "sealed_application": "Sealgate, same driver",
}
