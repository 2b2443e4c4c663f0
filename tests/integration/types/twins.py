"""Twin tables, one plain and one sealed: what a client gets from the one, it gets from the other.

PostgreSQL is the truth: the plain twin, reached around the proxy or through it, says what every statement on the
sealed twin has to answer. Values are compared as the bytes on the wire.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from psycopg import pq

from proxy.cells import LogicalType, logical_type

COLUMNS: Final[dict[str, str]] = {
    "c_text": "text",
    "c_varchar": "varchar(20)",
    "c_bpchar": "char(10)",
    "c_int2": "smallint",
    "c_int4": "integer",
    "c_int8": "bigint",
    "c_numeric": "numeric",
    "c_money": "numeric(10,2)",
    "c_round": "numeric(5,-2)",
    "c_float4": "real",
    "c_float8": "double precision",
    "c_bool": "boolean",
    "c_date": "date",
    "c_timestamp": "timestamp",
    "c_precise": "timestamp(3)",
    "c_timestamptz": "timestamptz",
    "c_uuid": "uuid",
    "c_json": "json",
    "c_jsonb": "jsonb",
    "c_bytea": "bytea",
}
"""Column -> its type as declared."""
TYPES: Final[dict[str, LogicalType]] = {name: logical_type(spec) for name, spec in COLUMNS.items()}
SEARCHABLE: Final = tuple(name for name, logical in TYPES.items() if logical.has_equality)

_COLUMN_LIST: Final = ", ".join(f"{name} {spec}" for name, spec in COLUMNS.items())
SCHEMA: Final = f"""
CREATE TABLE plain (id int PRIMARY KEY, {_COLUMN_LIST});
CREATE TABLE twin (id int PRIMARY KEY, {_COLUMN_LIST});
GRANT ALL ON ALL TABLES IN SCHEMA public TO PUBLIC;
"""


def configuration() -> str:
    """The sealed twin's columns, searchable where the type has equality; one role that may do everything."""
    sections = [
        f'[columns."public.twin.{name}"]\ntype = "{spec}"\n'
        + ('search = ["equality"]\n' if name in SEARCHABLE else "")
        for name, spec in COLUMNS.items()
    ]
    sections.append(
        '[roles.shop_app]\nclear = ["public.twin.*"]\nwrite = ["public.twin.*"]\n'
        '[roles.support]\nclear = ["public.twin.c_text"]\n'
    )
    return "\n".join(sections)


@dataclass(frozen=True, slots=True)
class Column:
    """One field of a RowDescription, without its table: that is each twin's own."""

    name: bytes | None
    type: int
    length: int
    modifier: int
    format: int


@dataclass(frozen=True, slots=True)
class Answer:
    """What became of a statement."""

    sqlstate: str | None = None
    rows: tuple[tuple[bytes | None, ...], ...] = ()
    columns: tuple[Column, ...] = ()
    tag: bytes | None = None

    def __str__(self) -> str:
        return self.sqlstate or f"{self.tag!r} {self.rows}"


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement on `{t}`, the twin; with parameters by the extended protocol, without (None) by the simple one."""

    sql: str
    values: tuple[bytes | None, ...] | None = None
    types: tuple[int, ...] = ()
    formats: tuple[int, ...] = ()
    result: int = 0
    """Format of the result columns, in the extended protocol."""


class Client:
    """One libpq connection. `messages` collects the texts of the errors it got."""

    def __init__(self, dsn: str, encoding: str = "UTF8") -> None:
        self._dsn, self._encoding = dsn, encoding
        self.messages: list[bytes] = []
        self._settings: list[str] = []
        self.losses = 0
        self._connect()

    def _connect(self) -> None:
        self.connection = pq.PGconn.connect(self._dsn.encode())
        assert self.connection.status == pq.ConnStatus.OK, self.connection.error_message
        self.must(f"SET client_encoding = '{self._encoding}'")
        for setting in self._settings:
            self.must(setting)

    def close(self) -> None:
        self.connection.finish()

    def use(self, *settings: str) -> None:
        """SET commands; issued again on a new connection when the session is lost."""
        self._settings.extend(settings)
        for setting in settings:
            self.must(setting)

    def forget(self) -> None:
        self._settings.clear()
        self.must("DISCARD ALL")

    def must(self, sql: str) -> pq.abc.PGresult:
        result = self.connection.exec_(sql.encode())
        assert result.status in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK), (
            result.error_message
        )
        return result

    def run(self, statement: Statement, twin: str) -> Answer:
        sql = statement.sql.replace("{t}", twin).encode()
        if statement.values is None:
            return self.answer(self.connection.exec_(sql))
        formats = statement.formats or (0,) * len(statement.values)
        types = statement.types or (0,) * len(statement.values)
        return self.answer(
            self.connection.exec_params(
                sql, list(statement.values), types, formats, statement.result
            )
        )

    def described(self, sql: str, types: Sequence[int] = ()) -> tuple[tuple[int, ...], Answer]:
        """Parameter type OIDs and result columns, before any value is known."""
        connection = self.connection
        prepared = self.answer(connection.prepare(b"", sql.encode(), types))
        if prepared.sqlstate:
            return (), prepared
        result = connection.describe_prepared(b"")
        parameters = tuple(result.param_type(i) for i in range(result.nparams))
        return parameters, self.answer(result)

    def answer(self, result: pq.abc.PGresult) -> Answer:
        if result.status == pq.ExecStatus.FATAL_ERROR:
            state = result.error_field(pq.DiagnosticField.SQLSTATE) or b"lost"
            self.messages.append(result.error_message)
            if self.connection.status != pq.ConnStatus.OK:
                self.losses += 1
                self.connection.finish()
                self._connect()
            return Answer(state.decode())
        return Answer(
            None,
            tuple(
                tuple(result.get_value(row, field) for field in range(result.nfields))
                for row in range(result.ntuples)
            ),
            tuple(
                Column(
                    result.fname(i),
                    result.ftype(i),
                    result.fsize(i),
                    result.fmod(i),
                    result.fformat(i),
                )
                for i in range(result.nfields)
            ),
            result.command_status,
        )


@dataclass(slots=True)
class Twins:
    """The plain twin, around the proxy; the sealed one, through it."""

    server: Client
    proxy: Client

    def use(self, *settings: str) -> None:
        self.server.use(*settings)
        self.proxy.use(*settings)

    def close(self) -> None:
        self.server.close()
        self.proxy.close()

    def run(self, statement: Statement) -> tuple[Answer, Answer]:
        """(what the plain twin answers, what the sealed one does)"""
        return self.server.run(statement, "plain"), self.proxy.run(statement, "twin")

    def reset(self) -> None:
        """As if both had just connected, to empty tables."""
        for client in (self.server, self.proxy):
            client.messages.clear()
            client.forget()
        self.clear()

    def clear(self) -> None:
        self.server.must("DELETE FROM plain")
        self.proxy.must("DELETE FROM twin")


@dataclass(frozen=True, slots=True)
class Difference:
    statement: Statement
    expected: Answer
    got: Answer

    def __str__(self) -> str:
        s = self.statement
        given = "" if s.values is None else f" <- {s.values} {s.types} {s.formats}"
        return (
            f"{s.sql}{given}\n    plain:  {_short(self.expected)}\n    sealed: {_short(self.got)}"
        )


def _short(answer: Answer) -> str:
    return str(answer)[:300]


@dataclass(slots=True)
class Comparison:
    """Statements tried on both twins: equal answers, refusals that are documented, and differences."""

    twins: Twins
    tried: int = 0
    equal: int = 0
    refused: list[Statement] | None = None
    differences: list[Difference] | None = None

    def __post_init__(self) -> None:
        self.refused, self.differences = [], []

    def try_all(self, statements: Iterable[Statement]) -> None:
        for statement in statements:
            self.try_one(statement)

    def try_one(self, statement: Statement) -> Answer:
        """`0A000` from the sealed twin where the plain one answers otherwise counts as refused."""
        assert self.refused is not None
        assert self.differences is not None
        expected, got = self.twins.run(statement)
        self.tried += 1
        if expected == got:
            self.equal += 1
        elif got.sqlstate == "0A000":
            self.refused.append(statement)
        else:
            self.differences.append(Difference(statement, expected, got))
        return expected

    def check(self, least: int = 1) -> None:
        """No difference; and enough of what was tried got an answer, not a refusal."""
        assert self.refused is not None
        shown = "\n".join(map(str, (self.differences or [])[:40]))
        assert not self.differences, f"{len(self.differences)} of {self.tried}:\n{shown}"
        assert self.equal >= least, f"{self.equal} of {self.tried}; refused: {self.refused[:20]}"
        print(f"{self.tried} tried, {self.equal} equal, {len(self.refused)} refused")


def quoted(value: str) -> str:
    """The value as a string constant."""
    return "'" + value.replace("'", "''") + "'"


def escaped(value: str) -> str:
    """The value as an E'' constant, every character that may be written as an escape written so."""
    body = "".join(
        {"'": "\\'", "\\": "\\\\", "\n": "\\n", "\t": "\\t"}.get(c)
        or (c if c.isascii() and c.isprintable() else f"\\U{ord(c):08X}")
        for c in value
    )
    return f"E'{body}'"


def dollars(value: str) -> str:
    """The value between dollar signs."""
    tag = "$v$"
    while tag[:-1] in value:
        tag = f"${'v' * len(tag)}$"
    return tag + value + tag
