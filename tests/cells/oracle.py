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

    def through(self, type_oid: int, sql_type: str, value: bytes, format_in: int, format_out: int) -> Outcome:
        """The value read as a parameter of a type, cast to `sql_type`, and sent back."""
        result = self._connection.exec_params(
            f"SELECT $1::{sql_type}".encode(), [value], [type_oid], [format_in], format_out
        )
        return _outcome(result)

    def row(self, sql: str, parameters: Sequence[bytes | None] = ()) -> list[bytes | None]:
        result = self._connection.exec_params(sql.encode(), list(parameters), result_format=1)
        assert result.status == pq.ExecStatus.TUPLES_OK, result.error_message
        return [result.get_value(0, column) for column in range(result.nfields)]

    def many(
        self, type_oid: int, sql_type: str, values: Sequence[bytes], format_in: int, format_out: int
    ) -> list[Outcome]:
        """`through` for each value, pipelined."""
        connection = self._connection
        connection.enter_pipeline_mode()
        outcomes: list[Outcome] = []
        sql = f"SELECT $1::{sql_type}".encode()
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


def agree(
    oracle: Oracle,
    logical: LogicalType,
    values: Sequence[bytes],
    settings: Settings,
    sql_type: str,
    formats: tuple[int, int],
) -> list[tuple[bytes, Outcome, Outcome]]:
    """The values that we and the server convert differently: (value, server's outcome, ours).

    formats: (text, binary) tests our decoder, (binary, text) our encoder, (binary, binary) the binary decoder.
    """
    oracle.use(settings)
    convert = logical.encoder(0, settings) if formats[1] == 0 else logical.decoder(formats[0], settings)
    theirs = oracle.many(logical.oid, sql_type, values, *formats)
    return [
        (value, expected, got)
        for value, expected in zip(values, theirs, strict=True)
        if (got := ours(convert, value)) != expected
    ]
