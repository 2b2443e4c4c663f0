"""A server in a bottle: PostgreSQL's message flow over canned results, without I/O, thousands of sessions a second.

It answers as `src/backend/tcop/postgres.c` does: replies in order, an error in the extended protocol skips to Sync, a
simple query ends with ReadyForQuery whatever happens, a failed transaction refuses everything but its end, copy-in mode
reads over Flush and Sync, an unknown message type ends the connection. What statements mean is made up: a `SELECT` of
sealed columns gives sealed values, everything else what its first word suggests. So whatever a client sends, this side
keeps to the protocol, and a proxy that calls it a liar has lost count itself.
"""

from __future__ import annotations

import json
import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache

from proxy.wire.framing import HEADER_SIZE, BadMessage, MessageBuffer
from proxy.wire.messages import (
    format_of,
    message,
    one_cstring,
    read_bind,
    read_execute,
    read_parse,
    read_startup,
    read_target,
    write_parameter_description,
)
from tests.session.transcript import (
    AUTHENTICATION_OK,
    CATALOG,
    CUSTOMERS,
    EMAIL,
    INT4,
    KEY_DATA,
    PLAIN,
    SSN,
    TEXT,
    done,
    error,
    fields,
    ready,
    reply,
    row,
    seal,
    setting,
)

CANARY = "canary-7d1f0c"
"""Stands in every sealed value, literal and parameter of the corpus."""
PEOPLE = 3
_TABLES = {"customers": (CUSTOMERS, ("id", "email", "ssn")), "plain": (PLAIN, ("id", "n"))}


class Failed(Exception):
    """A statement's or message's ErrorResponse."""

    def __init__(self, sqlstate: str) -> None:
        super().__init__(sqlstate)
        self.sqlstate = sqlstate


class ConnectionOver(Exception):
    """After a FATAL."""


@dataclass(slots=True)
class Statement:
    """What one statement does: rows of `names`, or a tag, or a copy."""

    sql: str
    kind: str
    tag: str
    names: tuple[str, ...] = ()
    table: int = CUSTOMERS
    types: tuple[int, ...] = ()

    def described(self, formats: tuple[int, ...] = ()) -> bytes:
        if self.kind != "rows":
            return reply("n")
        plain = fields(*self.names, table=self.table)
        if not any(formats):
            return plain
        body = bytearray(plain)
        for i in range(len(self.names)):
            at = _format_at(plain, i)
            body[at : at + 2] = struct.pack("!h", format_of(formats, i))
        return bytes(body)


def _format_at(description: bytes, index: int) -> int:
    position = HEADER_SIZE + 2
    for _ in range(index + 1):
        position = description.index(b"\0", position) + 1 + 18
    return position - 2


@dataclass(slots=True)
class Cursor:
    """A portal or SQL cursor and how many rows it has still to give."""

    statement: Statement
    formats: tuple[int, ...] = ()
    left: int = PEOPLE
    started: bool = False


@dataclass(slots=True)
class ToyServer:
    """`feed` takes what the proxy sends and returns what the server says."""

    statements: dict[bytes, Statement] = field(default_factory=dict)
    portals: dict[bytes, Cursor] = field(default_factory=dict)
    status: str = "I"
    over: bool = False
    received: bytearray = field(default_factory=bytearray)
    _buffer: MessageBuffer = field(default_factory=lambda: MessageBuffer(1 << 24))
    _started: bool = False
    _skipping: bool = False
    _copying: Iterator[bytes] | None = None
    _copy_failed: bool = False

    def feed(self, data: bytes) -> bytes:
        if self.over:
            return b""
        self.received += data
        out: list[bytes] = []
        try:
            if not self._started:
                data = self._start(data, out)
            data = self._buffer.feed(data)
            position = 0
            while len(data) - position >= HEADER_SIZE:
                end = position + 1 + self._buffer.length(data, position)
                if end > len(data):
                    break
                self._message(chr(data[position]), data[position + HEADER_SIZE : end], out)
                position = end
            self._buffer.keep(data[position:])
        except (BadMessage, ConnectionOver):
            out.append(error("08P01", S="FATAL", V="FATAL"))
            self.over = True
        return b"".join(out)

    def _start(self, data: bytes, out: list[bytes]) -> bytes:
        (length,) = struct.unpack_from("!I", data)
        read_startup(data[:length])
        self._started = True
        out += [AUTHENTICATION_OK, setting("search_path", '"$user", public')]
        out += [setting("client_encoding", "UTF8"), setting("standard_conforming_strings", "on")]
        out += [KEY_DATA, ready()]
        return data[length:]

    # Messages.

    def _message(self, kind: str, body: bytes, out: list[bytes]) -> None:
        if kind not in "QPBDECSHFXdcf":
            raise ConnectionOver
        if self._copying is not None:
            self._in_copy(kind, out)
            return
        if self._skipping and kind != "S":
            return
        if kind == "X":
            self.over = True
        elif kind == "Q":
            self._answer(self._simple(body), out)
        elif kind == "F":
            out += [error("42883") if len(body) % 2 else message(ord("V"), b"\0\0\0\0")]
            self._ready(out)
        elif kind == "S":
            self._skipping = False
            self._ready(out)
        elif kind in "PBDEC":
            self._answer(self._extended(kind, body), out)

    def _answer(self, answers: Iterator[bytes], out: list[bytes]) -> None:
        """Until they end, or a copy wants data."""
        for answer in answers:
            out.append(answer)
            if answer[:1] == b"G":
                self._copying = answers
                self._copy_failed = False
                return

    def _in_copy(self, kind: str, out: list[bytes]) -> None:
        if kind in "dHS":
            return
        if kind not in "cf":
            raise ConnectionOver
        answers, self._copying = self._copying, None
        self._copy_failed = kind == "f"
        assert answers is not None
        self._answer(answers, out)

    def _ready(self, out: list[bytes]) -> None:
        if self.status == "I":
            self.portals.clear()
        out.append(ready(self.status))

    def _simple(self, body: bytes) -> Iterator[bytes]:
        self.statements.pop(b"", None)
        self.portals.pop(b"", None)
        try:
            texts = split(one_cstring(body).decode("utf-8", "replace"))
            if not texts:
                yield reply("I")
            for text in texts:
                statement = self._analysed(text, ())
                if statement.kind == "rows":
                    yield statement.described()
                yield from self._run(Cursor(statement, left=rows_of(statement)), 0, simple=True)
        except (Failed, BadMessage) as failed:
            yield self._failed(failed)
        out: list[bytes] = []
        self._ready(out)
        yield from out

    def _extended(self, kind: str, body: bytes) -> Iterator[bytes]:
        try:
            yield from getattr(self, f"_{kind}")(body)
        except (Failed, BadMessage) as failed:
            self._skipping = True
            yield self._failed(failed)

    def _failed(self, failed: Failed | BadMessage) -> bytes:
        if self.status == "T":
            self.status = "E"
        return error(failed.sqlstate)

    def _P(self, body: bytes) -> Iterator[bytes]:  # noqa: N802 - the message's letter
        parse = read_parse(body)
        texts = split(parse.query.decode("utf-8", "replace"))
        if len(texts) > 1:
            raise Failed("42601")
        if parse.name and parse.name in self.statements:
            raise Failed("42P05")
        self.statements[parse.name] = self._analysed(texts[0] if texts else "", parse.types)
        yield reply("1")

    def _B(self, body: bytes) -> Iterator[bytes]:  # noqa: N802
        bind = read_bind(body)
        statement = self.statements.get(bind.statement)
        if statement is None:
            raise Failed("26000")
        if len(bind.values) != len(statement.types):
            raise Failed("08P01")
        if self.status == "E" and statement.kind != "end":
            raise Failed("25P02")
        if bind.portal and bind.portal in self.portals:
            raise Failed("42P03")
        if len(bind.result_formats) > 1 and len(bind.result_formats) != len(statement.names):
            raise Failed("08P01")
        self.portals[bind.portal] = Cursor(statement, bind.result_formats, rows_of(statement))
        yield reply("2")

    def _D(self, body: bytes) -> Iterator[bytes]:  # noqa: N802
        target, name = read_target(body)
        if chr(target) == "S":
            statement = self.statements.get(name)
            if statement is None:
                raise Failed("26000")
            yield write_parameter_description(statement.types)
            yield statement.described()
            return
        portal = self.portals.get(name)
        if portal is None:
            raise Failed("34000")
        yield portal.statement.described(portal.formats)

    def _E(self, body: bytes) -> Iterator[bytes]:  # noqa: N802
        name, most = read_execute(body)
        portal = self.portals.get(name)
        if portal is None:
            raise Failed("34000")
        if portal.started and portal.statement.kind != "rows":
            raise Failed("55000")
        yield from self._run(portal, most, simple=False)

    def _C(self, body: bytes) -> Iterator[bytes]:  # noqa: N802
        target, name = read_target(body)
        if chr(target) == "S":
            self.statements.pop(name, None)
        else:
            self.portals.pop(name, None)
        yield reply("3")

    # Statements.

    def _analysed(self, sql: str, declared: tuple[int, ...]) -> Statement:
        statement = analyse(sql, declared)
        if self.status == "E" and statement.kind != "end":
            raise Failed("25P02")
        if statement.kind == "error":
            raise Failed(statement.tag)
        executed = re.match(r"EXECUTE (\w+)", statement.sql)
        if executed is not None:
            found = self.statements.get(executed[1].encode())
            if found is None:
                raise Failed("26000")
            return found
        fetched = re.match(r"FETCH .*?(\w+)\Z", statement.sql)
        if fetched is not None and fetched[1].encode() not in self.portals:
            raise Failed("34000")
        return statement

    def _run(self, cursor: Cursor, most: int, *, simple: bool) -> Iterator[bytes]:
        statement = cursor.statement
        cursor.started = True
        if self.status == "E" and statement.kind != "end":
            raise Failed("25P02")
        if statement.kind == "refuse":
            raise Failed(statement.tag)
        if statement.kind == "late":
            raise Failed("22012")
        if statement.kind == "empty":
            yield reply("I")
            return
        if statement.kind == "begin":
            self.status = "T"
        elif statement.kind == "end":
            self.status = "I"
        elif statement.kind == "copy in":
            yield copy_response("G", statement)
            if self._copy_failed:
                raise Failed("57014")
        elif statement.kind == "copy out":
            yield copy_response("H", statement)
            yield from (message(ord("d"), line) for line in copied(statement))
            yield message(ord("c"), b"")
        elif statement.kind == "set":
            yield setting("TimeZone", "UTC")
        elif statement.kind == "notice":
            yield message(ord("N"), b"SNOTICE\0VNOTICE\0C00000\0Mhello\0\0")
        elif statement.kind == "declare":
            self.portals[statement.names[0].encode()] = Cursor(analyse(_SELECTED, ()))
        elif statement.kind == "prepare":
            name, _, text = statement.sql.partition(" AS ")
            words = name.split()
            if len(words) < 2:
                raise Failed("42601")
            self.statements[words[1].encode()] = analyse(text, ())
        elif statement.kind == "deallocate":
            words = statement.sql.split()
            if len(words) < 2:
                raise Failed("42601")
            self.statements.pop(words[1].encode(), None)
        elif statement.kind == "inquiry":
            asked = re.findall(
                r"convert_to\((?:pg_catalog\.)?(?:current_setting\('(\w+)'\)|(\w+))", statement.sql
            )
            values = [SETTINGS[setting or name] for setting, name in asked]
            yield _cells(values + [DOCUMENT] * ("catalog()" in statement.sql))
        elif statement.kind == "rows":
            if any(form not in (0, 1) for form in cursor.formats):
                raise Failed("22023")
            count = min(cursor.left, most) if most > 0 else cursor.left
            for i in range(cursor.left, cursor.left - count, -1):
                yield _row(statement, i, cursor.formats)
            cursor.left -= count
            if most > 0 and not cursor.left and count == most:
                yield reply("s")
                return
            if cursor.left:
                yield reply("s")
                return
            yield done(f"{statement.tag} {count}")
            return
        yield done(statement.tag)


_SELECTED = "SELECT id, email, ssn FROM customers"


def rows_of(statement: Statement) -> int:
    return 1 if statement.tag.startswith("INSERT") else PEOPLE


def split(sql: str) -> list[str]:
    """Statements between semicolons, as far as the corpus needs it."""
    pieces = re.findall(r"(?:E?'(?:[^'\\]|''|\\.)*'|\"[^\"]*\"|[^;'\"])+", sql)
    return [piece.strip() for piece in pieces if piece.strip()]


_INTO = re.compile(r"insert\s+into\s+(?:public\.)?(\w+)", re.IGNORECASE)
_FROM = re.compile(r"\bfrom\s+(?:public\.)?(\w+)", re.IGNORECASE)
_LIST = re.compile(r"\b(?:select|returning)\s+(.*?)(?:\s+from\b|\Z)", re.IGNORECASE | re.DOTALL)


def analyse(sql: str, declared: tuple[int, ...]) -> Statement:
    """What a statement is to do; `error` carries its SQLSTATE as the tag."""
    lower = sql.lower()
    first = re.match(r"[a-z]*", lower)
    word = first[0] if first is not None else ""
    types = _parameters(sql, declared)
    refused = re.search(r"sealgate\.refuse\(E'(\w{5})'", sql)
    if refused is not None:
        return Statement(sql, "refuse", refused[1], types=types)
    if not sql:
        return Statement(sql, "empty", "")
    if "sealgate.catalog()" in sql or "current_setting('search_path')" in sql:
        return Statement(sql, "inquiry", "SELECT 1", types=types)
    if "1/0" in lower:
        return Statement(sql, "late", "", types=types)
    if "nowhere" in lower:
        return Statement(sql, "error", "42P01")
    simple = {
        "begin": ("begin", "BEGIN"),
        "commit": ("end", "COMMIT"),
        "rollback": ("end", "ROLLBACK"),
        "set": ("set", "SET"),
        "do": ("notice", "DO"),
        "update": ("tag", "UPDATE 2"),
        "delete": ("tag", "DELETE 1"),
        "prepare": ("prepare", "PREPARE"),
        "deallocate": ("deallocate", "DEALLOCATE"),
        "execute": ("tag", "EXECUTE"),
        "close": ("tag", "CLOSE CURSOR"),
        "listen": ("tag", "LISTEN"),
        "savepoint": ("tag", "SAVEPOINT"),
    }
    if word in simple:
        kind, tag = simple[word]
        return Statement(sql, kind, tag, types=types)
    if word == "copy":
        kind = "copy in" if "stdin" in lower else "copy out"
        table = re.match(r"copy\s+(?:public\.)?(\w+)\s*(?:\(([^)]*)\))?", lower)
        inner = re.match(r"copy\s*\(\s*select\s+(.*?)\s+from\s+(?:public\.)?(\w+)", lower)
        found = inner[2] if inner is not None else table[1] if table is not None else ""
        listed = inner[1] if inner is not None else table[2] if table is not None else ""
        oid, columns = _TABLES.get(found, (PLAIN, ("id", "n")))
        wanted = re.findall(r"\w+", listed or "") or columns
        return Statement(sql, kind, "COPY 3", tuple(wanted), oid, types)
    if word == "declare":
        return Statement(sql, "declare", "DECLARE CURSOR", (lower.split()[1],), types=types)
    if word == "fetch":
        return Statement(sql, "rows", "FETCH", ("id", "email", "ssn"), types=types)
    if word == "insert" and "returning" not in lower:
        return Statement(sql, "tag", "INSERT 0 1", types=types)
    if word in ("select", "insert"):
        return _selecting(sql, word, types)
    return Statement(sql, "error", "42601")


def _selecting(sql: str, word: str, types: tuple[int, ...]) -> Statement:
    table = _INTO.search(sql) if word == "insert" else _FROM.search(sql)
    oid, columns = _TABLES.get(table[1].lower() if table else "", (0, ()))
    listed = _LIST.findall(sql)
    wanted = re.findall(r"\w+|\*", listed[-1]) if listed and oid else []
    names = columns if "*" in wanted else tuple(name for name in wanted if name in columns)
    tag = "INSERT 0" if word == "insert" else "SELECT"
    return Statement(sql, "rows", tag, names or ("?",), oid or CUSTOMERS, types)


def _parameters(sql: str, declared: tuple[int, ...]) -> tuple[int, ...]:
    most = max((int(n) for n in re.findall(r"\$(\d{1,4})", sql)), default=0)
    given = declared[:most] + (0,) * (most - len(declared))
    return tuple(oid or TEXT for oid in given)


def _row(statement: Statement, number: int, formats: tuple[int, ...]) -> bytes:
    values: list[bytes | str | None] = []
    forms = []
    for i, name in enumerate(statement.names):
        forms.append(format_of(formats, i))
        if name in ("email", "ssn"):
            values.append(_stored(name, number) if number > 1 else None)
        elif forms[-1]:
            values.append(struct.pack("!i", number))
        else:
            values.append(str(number))
    return _mixed(values, forms)


@cache
def _stored(name: str, number: int) -> bytes:
    """Always the same sealed value: two plays of a session can be compared."""
    return seal(f"{CANARY}-{name}-{number}@x", EMAIL if name == "email" else SSN)


def copy_response(kind: str, statement: Statement) -> bytes:
    form = int("binary" in statement.sql.lower())
    count = len(statement.names)
    return message(ord(kind), struct.pack(f"!bH{count}H", form, count, *([form] * count)))


def copied(statement: Statement) -> list[bytes]:
    """The rows of a COPY TO, a CopyData each, in text, csv or binary form."""
    rows = []
    if "header" in statement.sql.lower():
        rows.append(",".join(statement.names).encode() + b"\n")
    binary = "binary" in statement.sql.lower()
    for number in range(PEOPLE, 0, -1):
        sealed = [
            (_stored(name, number) if number > 1 else None)
            if name in ("email", "ssn")
            else (struct.pack("!i", number) if binary else str(number).encode())
            for name in statement.names
        ]
        rows.append(_binary_line(sealed) if binary else _text_line(sealed, statement))
    if binary:
        rows[:0] = [b"PGCOPY\n\xff\r\n\0" + bytes(8)]
        rows.append(b"\xff\xff")
    return rows


def _binary_line(values: list[bytes | None]) -> bytes:
    cells = (b"\xff" * 4 if v is None else struct.pack("!I", len(v)) + v for v in values)
    return struct.pack("!H", len(values)) + b"".join(cells)


def _text_line(values: list[bytes | None], statement: Statement) -> bytes:
    csv = "csv" in statement.sql.lower()
    cells = []
    for value, name in zip(values, statement.names, strict=True):
        if value is None:
            cells.append(b"" if csv else b"\\N")
        elif name in ("email", "ssn"):
            cells.append((b"\\x" if csv else b"\\\\x") + value.hex().encode())
        else:
            cells.append(value)
    return (b"," if csv else b"\t").join(cells) + b"\n"


def _mixed(values: list[bytes | str | None], forms: list[int]) -> bytes:
    parts = [struct.pack("!H", len(values))]
    for value, form in zip(values, forms, strict=True):
        parts.append(row(value, form=form)[HEADER_SIZE + 2 :])
    return message(ord("D"), b"".join(parts))


def _cells(values: list[bytes]) -> bytes:
    cells = b"".join(struct.pack("!I", len(value)) + value for value in values)
    return message(ord("D"), struct.pack("!H", len(values)) + cells)


SETTINGS = {
    "client_encoding": b"UTF8",
    "DateStyle": b"ISO, MDY",
    "TimeZone": b"UTC",
    "search_path": b'"$user", public',
    "standard_conforming_strings": b"on",
    "current_user": b"shop_app",
}
"""The answers to the proxy's own question (`proxy.inquiry`), as far as it asks; the catalog's document comes last."""
DOCUMENT = json.dumps(
    {
        "header": {"name": CATALOG.database, "version": CATALOG.server_version},
        "relations": [
            {
                "oid": relation.oid,
                "nspname": relation.schema,
                "relname": relation.name,
                "relkind": relation.kind,
                "attnum": attribute.number,
                "attname": attribute.name,
                "atttypid": attribute.type_oid,
                "atttypmod": attribute.type_modifier,
                "sealed": attribute.sealed,
                "carries": attribute.carries_sealed,
                "generated": False,
            }
            for relation in CATALOG.relations
            for attribute in relation.attributes
        ],
        "dependencies": [],
        "functions": [],
    }
).encode()

__all__ = ["CANARY", "CATALOG", "INT4", "ToyServer"]
