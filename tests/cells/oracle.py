"""PostgreSQL itself as the truth: one value through the server's own input and output functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from psycopg import pq

from proxy.cells import CellError, LogicalType, Settings

_QUIET = (
    b"SET log_statement = none; SET log_min_messages = panic; SET log_min_error_statement = panic;"
    b"SET log_parameter_max_length = 0; SET log_parameter_max_length_on_error = 0"
)
_GUCS = {
    "encoding": "client_encoding",
    "date_style": "datestyle",
    "time_zone": "timezone",
    "extra_float_digits": "extra_float_digits",
    "bytea_output": "bytea_output",
}

Outcome = bytes | str
"""What became of a value: its other form, or a SQLSTATE."""


class Oracle:
    """One connection. Values go in as parameters and come out as `$1::type` gives them."""

    def __init__(self, dsn: str) -> None:
        self._connection = pq.PGconn.connect(dsn.encode())
        assert self._connection.status == pq.ConnStatus.OK, self._connection.error_message
        self._run(_QUIET)

    def close(self) -> None:
        self._connection.finish()

    def _run(self, sql: bytes) -> None:
        result = self._connection.exec_(sql)
        assert result.status != pq.ExecStatus.FATAL_ERROR, result.error_message

    def use(self, settings: Settings) -> None:
        for name, guc in _GUCS.items():
            self._run(f"SET {guc} = '{getattr(settings, name)}'".encode())

    def row(self, sql: str, parameters: Sequence[bytes | None] = ()) -> list[bytes | None]:
        result = self._connection.exec_params(sql.encode(), list(parameters), result_format=1)
        assert result.status == pq.ExecStatus.TUPLES_OK, result.error_message
        return [result.get_value(0, column) for column in range(result.nfields)]

    def create_column(self, sql_type: str) -> None:
        """A fresh table `cells_column` with one column of a type."""
        self._run(
            f"DROP TABLE IF EXISTS cells_column; CREATE TEMP TABLE cells_column (value {sql_type})".encode()
        )

    def insert(self, type_oid: int, values: Sequence[bytes]) -> list[Outcome]:
        """What the column stores when assigned each value."""
        sql = b"INSERT INTO cells_column VALUES ($1) RETURNING value"
        return [
            _outcome(self._connection.exec_params(sql, [value], [type_oid], [1], 1))
            for value in values
        ]

    def equal(self, type_oid: int, one: bytes, others: Sequence[bytes]) -> list[bool]:
        """What the server's `=` says of one value and each of the others."""
        connection = self._connection
        return [
            connection.exec_params(
                b"SELECT $1 = $2", [one, other], [type_oid] * 2, [1, 1], 1
            ).get_value(0, 0)
            == b"\x01"
            for other in others
        ]

    def elements(
        self, element: LogicalType, value: bytes, format_in: int
    ) -> list[bytes | None] | str:
        """The elements of an array parameter in binary form, or a SQLSTATE."""
        result = self._connection.exec_params(
            b"SELECT unnest($1)", [value], [element.array_oid], [format_in], 1
        )
        if result.status == pq.ExecStatus.FATAL_ERROR:
            state = result.error_field(pq.DiagnosticField.SQLSTATE)
            return state.decode() if state else "lost"
        return [result.get_value(row, 0) for row in range(result.ntuples)]

    def binary_array(self, element: LogicalType, literal: bytes) -> bytes | None:
        """The binary form of an array literal, None if it is not one."""
        result = self._connection.exec_params(b"SELECT $1", [literal], [element.array_oid], [0], 1)
        return result.get_value(0, 0) if result.status == pq.ExecStatus.TUPLES_OK else None

    def many(
        self,
        expression: str,
        type_oid: int,
        values: Sequence[bytes],
        format_in: int,
        format_out: int,
    ) -> list[Outcome]:
        """What `SELECT expression` gives for each value as its $1, pipelined."""
        connection = self._connection
        connection.enter_pipeline_mode()
        outcomes: list[Outcome] = []
        sql = f"SELECT {expression}".encode()
        for start in range(0, len(values), 200):
            batch = values[start : start + 200]
            for value in batch:
                connection.send_query_params(sql, [value], [type_oid], [format_in], format_out)
                connection.pipeline_sync()
            for _ in batch:
                result = connection.get_result()
                assert result is not None
                outcomes.append(_outcome(result))
                assert connection.get_result() is None
                synced = connection.get_result()
                assert synced is not None
                assert synced.status == pq.ExecStatus.PIPELINE_SYNC
        connection.exit_pipeline_mode()
        return outcomes


def _outcome(result: pq.abc.PGresult) -> Outcome:
    if result.status == pq.ExecStatus.FATAL_ERROR:
        state = result.error_field(pq.DiagnosticField.SQLSTATE)
        return state.decode() if state else "lost"
    value = result.get_value(0, 0)
    assert value is not None
    return value


def ours(convert: Callable[[bytes], bytes], value: bytes) -> Outcome:
    """What our conversion makes of a value; anything but a CellError is a crash and stays one."""
    try:
        return convert(value)
    except CellError as error:
        return error.sqlstate


Difference = tuple[bytes, Outcome, Outcome]
"""A value, what the server makes of it, what we make of it."""


def differences(
    values: Sequence[bytes], theirs: Sequence[Outcome], convert: Callable[[bytes], bytes]
) -> list[Difference]:
    return [
        (value, expected, got)
        for value, expected in zip(values, theirs, strict=True)
        if (got := ours(convert, value)) != expected
    ]


def decoding(
    oracle: Oracle,
    logical: LogicalType,
    values: Sequence[bytes],
    settings: Settings,
    format_in: int = 0,
) -> list[Difference]:
    """Client forms that we and the server read differently, error codes included."""
    oracle.use(settings)
    if settings.encoding == "UTF8":
        theirs = oracle.many("$1", logical.oid, values, format_in, 1)
    else:  # the binary form of text is in client_encoding too
        theirs = oracle.many("convert_to($1::text, 'UTF8')", logical.oid, values, format_in, 1)
    return differences(values, theirs, logical.decoder(format_in, settings))


def encoding(
    oracle: Oracle, logical: LogicalType, canonical: Sequence[bytes], settings: Settings
) -> list[Difference]:
    """Canonical values that we and the server write differently as text."""
    oracle.use(settings)
    if settings.encoding == "UTF8":
        theirs = oracle.many("$1", logical.oid, canonical, 1, 0)
    else:
        theirs = oracle.many("convert_from($1, 'UTF8')", 17, canonical, 1, 0)
    return differences(canonical, theirs, logical.encoder(0, settings))
