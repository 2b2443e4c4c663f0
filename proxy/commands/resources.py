"""What several commands open: the keyset and the control connection. [io]"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from keystore import Keyset, load, load_root_key
from proxy.commands.errors import CommandRefused, server_text
from proxy.config import Configuration, Control

CONNECT_SECONDS = 10


def open_keyset(configuration: Configuration) -> Keyset:
    """The keys of the configured keystore. Raises KeystoreError."""
    place = configuration.keystore
    return load(place.path, load_root_key(place.root_key), configuration.search_groups)


async def connect(control: Control, dsn: str | None = None) -> asyncpg.Connection:
    """A connection as the control login, or to `dsn`. Raises CommandRefused, which names the server."""
    target = control if dsn is None else Control(dsn=dsn)
    try:
        return await asyncpg.connect(
            target.dsn,
            timeout=CONNECT_SECONDS,
            server_settings={"application_name": "sealgate"},
        )
    except asyncpg.PostgresError as error:
        reason = server_text(error)
    except (OSError, TimeoutError) as error:
        reason = str(error) or "no answer in time"
    except (asyncpg.InterfaceError, ValueError):
        reason = "the dsn is not one that asyncpg reads"
    key = "control.dsn" if dsn is None else "--dsn"
    raise CommandRefused(
        f"cannot connect to {target.shown} ({key}): {reason}. "
        "Check host, port and password (PGPASSWORD or ~/.pgpass), and that the server runs."
    )


@asynccontextmanager
async def connected(control: Control, dsn: str | None = None) -> AsyncIterator[asyncpg.Connection]:
    connection = await connect(control, dsn)
    try:
        yield connection
    finally:
        await connection.close(timeout=CONNECT_SECONDS)
