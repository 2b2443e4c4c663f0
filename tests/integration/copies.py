"""COPY by libpq, data in chunks as a test cuts them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from psycopg import pq

Connection = pq.abc.PGconn


@dataclass(frozen=True, slots=True)
class Copied:
    """What became of a COPY; `data` is what came out, one message each."""

    sqlstate: str | None = None
    tag: bytes | None = None
    data: tuple[bytes, ...] = ()
    context: bytes = b""
    message: bytes = b""

    @property
    def outcome(self) -> tuple[str | None, bytes | None]:
        return self.sqlstate, self.tag


def connect(dsn: str, encoding: str = "UTF8") -> Connection:
    connection = pq.PGconn.connect(dsn.encode())
    assert connection.status == pq.ConnStatus.OK, connection.error_message
    run(connection, f"SET client_encoding = '{encoding}'")
    return connection


def run(connection: Connection, sql: str) -> list[tuple[bytes | None, ...]]:
    result = connection.exec_(sql.encode())
    assert result.status in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK), (
        sql,
        result.error_message,
    )
    return [
        tuple(result.get_value(row, field) for field in range(result.nfields))
        for row in range(result.ntuples)
    ]


def copy_in(
    connection: Connection, sql: str, chunks: Iterable[bytes], *, fail: bytes | None = None
) -> Copied:
    result = connection.exec_(sql.encode())
    if result.status != pq.ExecStatus.COPY_IN:
        return _end(connection, result)
    for chunk in chunks:
        connection.put_copy_data(chunk)
    connection.put_copy_end(fail)
    return _end(connection, connection.get_result())


def copy_out(connection: Connection, sql: str) -> Copied:
    result = connection.exec_(sql.encode())
    if result.status != pq.ExecStatus.COPY_OUT:
        return _end(connection, result)
    data: list[bytes] = []
    while True:
        size, row = connection.get_copy_data(0)
        if size < 0:
            break
        data.append(bytes(row))
    return _end(connection, connection.get_result(), data)


def _end(
    connection: Connection, result: pq.abc.PGresult | None, data: Sequence[bytes] = ()
) -> Copied:
    last = result
    while result is not None:
        last, result = result, connection.get_result()
    assert last is not None
    field = pq.DiagnosticField
    if last.status == pq.ExecStatus.FATAL_ERROR:
        return Copied(
            (last.error_field(field.SQLSTATE) or b"lost").decode(),
            None,
            tuple(data),
            last.error_field(field.CONTEXT) or b"",
            last.error_field(field.MESSAGE_PRIMARY) or last.error_message,
        )
    return Copied(None, last.command_status, tuple(data))


def cut(rng: random.Random, data: bytes, most: int) -> list[bytes]:
    """Chunks of at most `most` bytes, anywhere."""
    chunks = []
    at = 0
    while at < len(data):
        size = rng.randint(1, most)
        chunks.append(data[at : at + size])
        at += size
    return chunks
