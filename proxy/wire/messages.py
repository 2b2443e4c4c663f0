"""The messages a proxy has to read or write, one function each, bounds checked before slicing.

Readers take a message body (without type byte and length) and raise `BadMessage` if it is not exactly
one well-formed message; writers return the whole message. Names and layouts: PostgreSQL manual,
"Message Formats". Messages that are only relayed have no function here.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final, NamedTuple, final

from librt.strings import BytesWriter, write_i16_be, write_i32_be

from proxy.wire.framing import (
    HEADER,
    INT32,
    LENGTH,
    LONG,
    UINT16,
    BadMessage,
    int16_at,
    int32_at,
)
from proxy.wire.long import LONG_COPY, cut

# Client to server.
BIND: Final = ord("B")
CLOSE: Final = ord("C")
COPY_DATA: Final = ord("d")
COPY_DONE: Final = ord("c")
COPY_FAIL: Final = ord("f")
DESCRIBE: Final = ord("D")
EXECUTE: Final = ord("E")
FLUSH: Final = ord("H")
FUNCTION_CALL: Final = ord("F")
PARSE: Final = ord("P")
PASSWORD: Final = ord("p")
"""PasswordMessage, SASLInitialResponse, SASLResponse, GSSResponse."""
QUERY: Final = ord("Q")
SYNC: Final = ord("S")
TERMINATE: Final = ord("X")

# Server to client.
AUTHENTICATION: Final = ord("R")
BACKEND_KEY_DATA: Final = ord("K")
BIND_COMPLETE: Final = ord("2")
CLOSE_COMPLETE: Final = ord("3")
COMMAND_COMPLETE: Final = ord("C")
COPY_IN_RESPONSE: Final = ord("G")
COPY_OUT_RESPONSE: Final = ord("H")
COPY_BOTH_RESPONSE: Final = ord("W")
DATA_ROW: Final = ord("D")
EMPTY_QUERY_RESPONSE: Final = ord("I")
ERROR_RESPONSE: Final = ord("E")
FUNCTION_CALL_RESPONSE: Final = ord("V")
NO_DATA: Final = ord("n")
NOTICE_RESPONSE: Final = ord("N")
NOTIFICATION_RESPONSE: Final = ord("A")
PARAMETER_DESCRIPTION: Final = ord("t")
PARAMETER_STATUS: Final = ord("S")
PARSE_COMPLETE: Final = ord("1")
PORTAL_SUSPENDED: Final = ord("s")
READY_FOR_QUERY: Final = ord("Z")
ROW_DESCRIPTION: Final = ord("T")

# Codes in the place of a protocol version (manual, "Message Formats").
CANCEL_REQUEST: Final = 80877102
SSL_REQUEST: Final = 80877103
GSSENC_REQUEST: Final = 80877104

SYNC_MESSAGE: Final = b"S\x00\x00\x00\x04"


def message(kind: int, body: bytes) -> bytes:
    """A whole message: type byte, length, body."""
    if len(body) > LONG_COPY:
        return b"".join((HEADER.pack(kind, len(body) + 4), body))  # Other threads may run.
    whole = BytesWriter()
    whole.append(kind)
    write_i32_be(whole, len(body) + 4)
    whole.write(body)
    return whole.getvalue()


_NEAR: Final = 32
"""Most names end within so many bytes: compiled, looking at each costs less than one call of `find`."""


def cstring(data: bytes, position: int) -> tuple[bytes, int]:
    """A NUL-terminated string at `position`, and the position behind its NUL."""
    end = position
    near = min(position + _NEAR, len(data))
    while end < near:
        if data[end] == 0:
            return data[position:end], end + 1
        end += 1
    end = data.find(b"\x00", end)
    if end < 0:
        raise BadMessage("unterminated string in message")
    return data[position:end], end + 1


def one_cstring(body: bytes) -> bytes:
    """A body that is one NUL-terminated string: Query, CommandComplete."""
    end = len(body) - 1
    if end >= 0 and body[end] == 0:
        text = body[:end] if end <= LONG_COPY else cut(body, 0, end)
        if 0 not in text:
            return text
    cstring(body, 0)
    raise BadMessage("data behind the string of a message")


class Startup(NamedTuple):
    """StartupMessage: protocol version and parameters in their order."""

    version: int
    parameters: dict[str, str]


def startup_code(packet: bytes) -> int:
    """The protocol version or request code of a start-up packet."""
    code: int = LENGTH.unpack_from(packet, 4)[0]
    return code


def read_startup(packet: bytes) -> Startup:
    """A StartupMessage packet. Names and values are decoded leniently: they are shown and compared, not stored."""
    parameters: dict[str, str] = {}
    position = 8
    while position < len(packet) and packet[position]:
        name, position = cstring(packet, position)
        value, position = cstring(packet, position)
        parameters[name.decode("utf-8", "backslashreplace")] = value.decode(
            "utf-8", "backslashreplace"
        )
    if position != len(packet) - 1:
        raise BadMessage("invalid startup packet layout: expected terminator as last byte")
    return Startup(startup_code(packet), parameters)


class Parse(NamedTuple):
    """Parse: destination statement, query text, parameter type OIDs (0 leaves one unspecified)."""

    name: bytes
    query: bytes
    types: tuple[int, ...]


def read_parse(body: bytes) -> Parse:
    name, position = cstring(body, 0)
    query, position = cstring(body, position)
    count, position = _count(body, position)
    if len(body) != position + 4 * count:
        raise BadMessage("invalid Parse message")
    types = tuple(LENGTH.unpack_from(body, position + 4 * i)[0] for i in range(count))
    return Parse(name, query, types)


def write_parse(parse: Parse) -> bytes:
    head = parse.name + b"\x00" + parse.query + b"\x00" + UINT16.pack(len(parse.types))
    return message(PARSE, head + b"".join(map(LENGTH.pack, parse.types)))


@final
class Bind:
    """Bind: portal, statement, parameter format codes, values (None is NULL), result format codes."""

    __slots__ = ("formats", "portal", "result_formats", "statement", "values")

    def __init__(
        self,
        portal: bytes,
        statement: bytes,
        formats: tuple[int, ...],
        values: tuple[bytes | None, ...],
        result_formats: tuple[int, ...],
    ) -> None:
        self.portal = portal
        self.statement = statement
        self.formats = formats
        self.values = values
        self.result_formats = result_formats

    def format_of(self, index: int) -> int:
        """The format code that holds for parameter `index` (manual, Bind)."""
        return format_of(self.formats, index)


def format_of(formats: tuple[int, ...], index: int) -> int:
    """The format code for field `index`: none given means text, one given holds for all."""
    if not formats:
        return 0
    if len(formats) == 1:
        return formats[0]
    if index >= len(formats):
        raise BadMessage(f"format code of field {index + 1} is missing")
    return formats[index]


def read_bind(body: bytes) -> Bind:
    portal, position = cstring(body, 0)
    statement, position = cstring(body, position)
    formats, position = _formats(body, position)
    count, position = _count(body, position)
    if len(formats) > 1 and len(formats) != count:
        raise _contradiction(len(formats), count)
    values: list[bytes | None] = []
    for _ in range(count):
        if position + 4 > len(body):
            raise BadMessage("invalid Bind message")
        length: int = int32_at(body, position)
        position += 4
        if length == -1:
            values.append(None)
            continue
        if length < 0 or position + length > len(body):
            raise BadMessage("insufficient data left in Bind message")
        end = position + length
        values.append(cut(body, position, end) if length > LONG_COPY else body[position:end])
        position += length
    result_formats, position = _formats(body, position)
    if position != len(body):
        raise BadMessage("invalid Bind message")
    return Bind(portal, statement, formats, tuple(values), result_formats)


def _contradiction(formats: int, parameters: int) -> BadMessage:
    return BadMessage(f"bind message has {formats} parameter formats but {parameters} parameters")


def bind_names(body: bytes) -> tuple[bytes, bytes, int]:
    """Portal and statement of a Bind, and the position behind them."""
    portal, position = cstring(body, 0)
    statement, position = cstring(body, position)
    return portal, statement, position


def bind_result_formats(body: bytes, position: int, *, strict: bool) -> tuple[int, ...]:
    """The result format codes of a Bind whose names end at `position`; values are walked, not copied. `strict`: what
    `read_bind` does not take is not taken. Else what is wrong with the values may be left to the server, to say it.
    """
    formats, position = _formats(body, position)
    count, position = _count(body, position)
    if strict and len(formats) > 1 and len(formats) != count:
        raise _contradiction(len(formats), count)
    size = len(body)
    for _ in range(count):
        if position + 4 > size:
            raise BadMessage("invalid Bind message")
        length: int = int32_at(body, position)
        if strict and (length < -1 or position + 4 + length > size):
            raise BadMessage("insufficient data left in Bind message")
        position += 4 + length if length > 0 else 4
    formats, position = _formats(body, position)
    if position != size:
        raise BadMessage("invalid Bind message")
    return formats


def write_bind(bind: Bind) -> bytes:
    return write_bind_with(bind, bind.formats, bind.values)


def write_bind_with(bind: Bind, formats: Sequence[int], values: Sequence[bytes | None]) -> bytes:
    """The Bind with these parameters in place of its own."""
    parts: list[bytes] = []
    """Long values, and what stands before each of them."""
    body = BytesWriter()
    body.write(bind.portal)
    body.append(0)
    body.write(bind.statement)
    body.append(0)
    _write_formats(body, formats)
    _write_count(body, len(values))
    for value in values:
        if value is None:
            write_i32_be(body, -1)
            continue
        write_i32_be(body, len(value))
        if len(value) <= LONG and len(body) <= LONG_COPY:
            body.write(value)
            continue
        parts.append(body.getvalue())
        parts.append(value)
        body = BytesWriter()
    _write_formats(body, bind.result_formats)
    if not parts:
        return message(BIND, body.getvalue())
    parts.append(body.getvalue())
    return message(BIND, b"".join(parts))


def read_target(body: bytes) -> tuple[int, bytes]:
    """Describe and Close: `S` or `P`, and the name."""
    if not body:
        raise BadMessage("invalid Describe or Close message")
    name, position = cstring(body, 1)
    if position != len(body):
        raise BadMessage("data behind the string of a message")
    return body[0], name


def write_target(kind: int, target: str, name: bytes) -> bytes:
    """Describe or Close of a statement (`S`) or portal (`P`)."""
    return message(kind, target.encode() + name + b"\x00")


def read_execute(body: bytes) -> tuple[bytes, int]:
    """Execute: portal and the maximum number of rows (0: no limit)."""
    portal, position = cstring(body, 0)
    if len(body) != position + 4:
        raise BadMessage("invalid Execute message")
    return portal, int32_at(body, position)


def write_execute(portal: bytes, rows: int = 0) -> bytes:
    return message(EXECUTE, portal + b"\x00" + INT32.pack(rows))


def read_parameter_description(body: bytes) -> tuple[int, ...]:
    count, position = _count(body, 0)
    if len(body) != position + 4 * count:
        raise BadMessage("invalid ParameterDescription message")
    return tuple(LENGTH.unpack_from(body, position + 4 * i)[0] for i in range(count))


def write_parameter_description(types: tuple[int, ...]) -> bytes:
    return message(
        PARAMETER_DESCRIPTION, UINT16.pack(len(types)) + b"".join(map(LENGTH.pack, types))
    )


class Field(NamedTuple):
    """One field of a RowDescription."""

    name: bytes
    table: int
    """OID of the table, 0 if the field is not a table's column."""
    number: int
    """Attribute number of the column, 0 likewise."""
    type: int
    length: int
    modifier: int
    format: int


_FIELD_TAIL: Final = struct.Struct("!IhIhih")


def read_row_description(body: bytes) -> tuple[Field, ...]:
    count, position = _count(body, 0)
    fields = []
    for _ in range(count):
        name, position = cstring(body, position)
        if position + _FIELD_TAIL.size > len(body):
            raise BadMessage("invalid RowDescription message")
        fields.append(Field(name, *_FIELD_TAIL.unpack_from(body, position)))
        position += _FIELD_TAIL.size
    if position != len(body):
        raise BadMessage("invalid RowDescription message")
    return tuple(fields)


def write_row_description(fields: tuple[Field, ...]) -> bytes:
    parts = [UINT16.pack(len(fields))]
    parts.extend(field.name + b"\x00" + _FIELD_TAIL.pack(*field[1:]) for field in fields)
    return message(ROW_DESCRIPTION, b"".join(parts))


def read_parameter_status(body: bytes) -> tuple[str, str]:
    name, position = cstring(body, 0)
    value, position = cstring(body, position)
    if position != len(body):
        raise BadMessage("invalid ParameterStatus message")
    return name.decode("utf-8", "replace"), value.decode("utf-8", "replace")


def read_fields(body: bytes) -> dict[str, bytes]:
    """The fields of an ErrorResponse or NoticeResponse by their one-letter codes."""
    fields: dict[str, bytes] = {}
    position = 0
    while position < len(body) and body[position]:
        code = chr(body[position])
        fields[code], position = cstring(body, position + 1)
    if position != len(body) - 1:
        raise BadMessage("invalid ErrorResponse or NoticeResponse message")
    return fields


def write_fields(kind: int, fields: dict[str, bytes]) -> bytes:
    """An ErrorResponse or NoticeResponse, fields in the order of the mapping."""
    body = b"".join(code.encode() + value + b"\x00" for code, value in fields.items())
    return message(kind, body + b"\x00")


def error_response(severity: str, sqlstate: str, text: str, hint: str = "") -> bytes:
    """An ErrorResponse made here: only for what the server cannot say itself (it is not there, or the session ends)."""
    fields = {"S": severity, "V": severity, "C": sqlstate, "M": text}
    if hint:
        fields["H"] = hint
    return write_fields(ERROR_RESPONSE, {code: value.encode() for code, value in fields.items()})


_NO_CODES: Final[tuple[int, ...]] = ()
_TEXT: Final[tuple[int, ...]] = (0,)
_BINARY: Final[tuple[int, ...]] = (1,)
"""Nearly all format codes that are ever sent."""


def _write_formats(body: BytesWriter, codes: Sequence[int]) -> None:
    _write_count(body, len(codes))
    for code in codes:
        write_i16_be(body, code)


def _write_count(body: BytesWriter, count: int) -> None:
    """An unsigned int16."""
    body.append(count >> 8)
    body.append(count & 0xFF)


def _count(body: bytes, position: int) -> tuple[int, int]:
    if position + 2 > len(body):
        raise BadMessage("insufficient data left in message")
    return int16_at(body, position) & 0xFFFF, position + 2


def _formats(body: bytes, position: int) -> tuple[tuple[int, ...], int]:
    count, position = _count(body, position)
    if count == 0:
        return _NO_CODES, position
    end = position + 2 * count
    if end > len(body):
        raise BadMessage("insufficient data left in message")
    # A code that is neither 0 nor 1 is the server's to refuse: it does so when, and only if, it comes to use it.
    if count == 1:
        code = int16_at(body, position)
        if code == 0:
            return _TEXT, end
        return _BINARY if code == 1 else (code,), end
    return tuple([int16_at(body, at) for at in range(position, end, 2)]), end
