"""DataRow messages unsealed: compiled once per result, then one flat loop.

Authority follows the ciphertext. For every field that can carry a sealed value, the value itself names its data
key, the key its column, and the column's grants decide: clear, masked or withheld. Neither the statement nor the
plan has a say. A value that does not authenticate, or that stands in a declared column under another column's
key, ends the session (`BadCell`): never a wrong value, never ciphertext in place of plaintext.

A `bytea` value that is not sealed at all, or under a key that is not ours, is ordinary data and is relayed as it
is, where the client was told `bytea`. Where it was told the type of a sealed column (in a view of it too), it is not.
"""

from __future__ import annotations

import re
from binascii import unhexlify
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from keystore import DataKey, TamperedValue, cell_id, key_id, looks_sealed
from policy import Access, Outcome
from proxy.audit.event import Outcome as UseName
from proxy.cells import CellError, LogicalType, Settings, by_oid, can_convert, convert
from proxy.execution import Tally
from proxy.shape import BYTEA_OID, Column, Shape
from proxy.snapshot import Authority
from proxy.wire.framing import HEADER_SIZE, INT32, LENGTH, UINT16, BadMessage
from proxy.wire.messages import DATA_ROW, format_of, message

HEX_MAGIC: Final = b"\\x5ea1"
_HEX: Final = b"\\x"
_ESCAPE_MAGIC: Final = b"^\\241"
_ESCAPED: Final = re.compile(rb"\\(\\|[0-3][0-7][0-7])")

CellProgram = Callable[[bytes, Tally], "bytes | None"]
"""Wire form of one cell -> its wire form for the client; the very same object: nothing was sealed."""


class BadCell(Exception):
    """A stored value that must not be shown. The text names the column and never the value."""

    sqlstate = "XX001"

    def __init__(self, column: Column, value: bytes, key: DataKey | None, reason: str) -> None:
        super().__init__(reason)
        self.column = column
        self.reason = reason
        self.key_column = key.column if key is not None else None
        readable = looks_sealed(value)
        self.key_id = key_id(value) if readable else None
        self.cell_id = cell_id(value) if readable else None


class Withheld(Exception):
    """`denied_value = "error"`, and the statement did not show beforehand that it would read this column."""

    sqlstate = "42501"

    def __init__(self, column: str) -> None:
        super().__init__(f"permission denied to read sealed column {column}")
        self.column = column


class RowProgram:
    """Unseals the rows of one result, for one principal, in the formats the client asked for."""

    __slots__ = ("_cells", "_fields")

    def __init__(
        self, shape: Shape, formats: tuple[int, ...], authority: Authority, settings: Settings
    ) -> None:
        self._fields = len(shape.fields)
        last = max((i for i, column in enumerate(shape.columns) if column is not None), default=-1)
        self._cells: tuple[CellProgram | None, ...] = tuple(
            compile_cell(column, format_of(formats, i), authority, settings) if column else None
            for i, column in enumerate(shape.columns[: last + 1])
        )

    def unseal_rows(
        self,
        data: bytes,
        position: int,
        limit: int,
        tally: Tally,
        out: list[bytes],
        room: int,
        longest: int = 0x3FFFFFFF,
    ) -> tuple[int, int, int]:
        """The run of DataRow messages at `position`, as the client is to see it, appended to `out`.

        It ends before the first message that is not a DataRow or not whole in data[:limit], or once `room` bytes
        were appended. Returns (position behind the last row taken, bytes appended, rows). Raises what `unseal`
        raises, and BadMessage for a DataRow whose length field is under 4 or over `longest`; what `out` was given
        until then is not to be released.
        """
        appended = rows = 0
        while appended < room and limit - position >= HEADER_SIZE and data[position] == DATA_ROW:
            length: int = LENGTH.unpack_from(data, position + 1)[0]
            if length < 4:
                raise BadMessage(f"invalid message length {length}")
            if length > longest:
                raise BadMessage(f"message of {length} bytes exceeds the limit of {longest} bytes")
            end = position + 1 + length
            if end > limit:
                break
            row = self.unseal(data, position, end, tally)
            out.append(row)
            appended += len(row)
            rows += 1
            position = end
        return position, appended, rows

    def unseal(self, data: bytes, start: int, end: int, tally: Tally) -> bytes:
        """The whole DataRow message at [start, end) as the client is to see it."""
        position = start + 7
        if end < position or UINT16.unpack_from(data, start + 5)[0] != self._fields:
            raise BadMessage("DataRow does not fit its RowDescription")
        parts: list[bytes] = []
        mark = start + 5
        for program in self._cells:
            if position + 4 > end:
                raise BadMessage("DataRow is cut off")
            (length,) = INT32.unpack_from(data, position)
            value_at = position + 4
            position = value_at + length if length > 0 else value_at
            if position > end:
                raise BadMessage("DataRow is cut off")
            if program is None or length < 0:
                continue
            value = data[value_at:position]
            shown = program(value, tally)
            if shown is value:
                continue
            parts.append(data[mark : value_at - 4])
            if shown is None:
                parts.append(b"\xff\xff\xff\xff")
            else:
                parts.append(LENGTH.pack(len(shown)))
                parts.append(shown)
            mark = position
        if not parts:
            return data[start:end]
        parts.append(data[mark:end])
        return message(DATA_ROW, b"".join(parts))


def compile_cell(
    column: Column, format_code: int, authority: Authority, settings: Settings
) -> CellProgram:
    """The program of one field. In text form the value itself shows what bytea_output is at this moment."""
    if format_code not in (0, 1):
        raise BadMessage(
            "unsupported format code"
        )  # The server refuses it; if not, nobody can read the rows.
    if format_code:
        return _unsealing(column, format_code, authority, settings)
    as_hex, as_escape = (
        _unsealing(column, format_code, authority, replace(settings, bytea_output=output))
        for output in ("hex", "escape")
    )
    # Not reported by the server, and changed by more than SET: functions, rollbacks, ALTER ROLE.
    return lambda wire, tally: (as_hex if wire[:2] == _HEX else as_escape)(wire, tally)


def _unsealing(
    column: Column, format_code: int, authority: Authority, settings: Settings
) -> CellProgram:
    """What a key means for this principal is worked out at its first value."""
    keys = authority.snapshot.keyset.data_keys
    declared = column.label
    typed = column.logical is not None
    by_key: dict[int, CellProgram] = {}

    def unseal(wire: bytes, tally: Tally) -> bytes | None:
        value = wire if format_code else bytea_from_text(wire)
        if value is None or not looks_sealed(value):
            if typed:
                raise BadCell(column, value or b"", None, "the stored value is not a sealed value")
            return wire
        number = key_id(value)
        program = by_key.get(number)
        if program is None:
            key = keys.get(number)
            if key is None:
                if typed:
                    raise BadCell(column, value, None, "the stored value names an unknown data key")
                return wire
            if declared is not None and key.column != declared:
                raise BadCell(column, value, key, "the stored value belongs to another column")
            program = by_key[number] = _compile_key(key, column, format_code, authority, settings)
        return program(value, tally)

    return unseal


def _compile_key(
    key: DataKey, column: Column, format_code: int, authority: Authority, settings: Settings
) -> CellProgram:
    """What happens to values under one data key, in one field, for one principal."""
    snapshot = authority.snapshot
    outcome = authority.decide(key.column, Access.READ).outcome
    logical = snapshot.type_of(key.column)
    mask = snapshot.masks.get(key.column) if outcome is Outcome.MASKED else None
    if (
        logical is None
        or outcome is Outcome.WITHHELD
        or (outcome is Outcome.MASKED and mask is None)
    ):
        return _withhold(key, refuse=snapshot.policy.denied_value == "error")
    encode = _encoder(logical, column, format_code, settings)
    counted: tuple[str, UseName] = (key.column, "clear" if mask is None else "masked")
    column_label = key.column
    version = (key.column, key.version)
    untyped = column.logical is None

    def release(value: bytes, tally: Tally) -> bytes | None:
        try:
            plaintext: bytes | None = key.open(value)
        except TamperedValue:
            raise BadCell(column, value, key, "the stored value failed authentication") from None
        tally.cells[counted] += 1
        tally.versions.add(version)
        if untyped:
            tally.untyped.add(counted)
        tally.cell_ids[column_label].append(cell_id(value))
        if mask is not None and plaintext is not None:
            plaintext = mask(plaintext)
        if plaintext is None:
            return None
        try:
            return encode(plaintext)
        except CellError as error:
            raise UnshowableCell(key.column, error.sqlstate, error.message) from None

    return release


class UnshowableCell(Exception):
    """A value that exists and may be read, but not in the client's encoding or type."""

    def __init__(self, column: str, sqlstate: str, text: str) -> None:
        super().__init__(f"{text} (sealed column {column})")
        self.column = column
        self.sqlstate = sqlstate


def _withhold(key: DataKey, *, refuse: bool) -> CellProgram:
    column_label = key.column
    counted: tuple[str, UseName] = (key.column, "withheld")

    def withhold(value: bytes, tally: Tally) -> bytes | None:
        if refuse:
            raise Withheld(key.column)
        tally.cells[counted] += 1
        tally.cell_ids[column_label].append(cell_id(value))
        return None

    return withhold


def _encoder(
    logical: LogicalType, column: Column, format_code: int, settings: Settings
) -> Callable[[bytes], bytes]:
    """Canonical plaintext -> the wire form of the type the client was told."""
    shown = column.logical
    if shown is None:
        # Described as bytea: the text form, as bytea. Documented; the event names the column all the same.
        to_text = logical.encoder(0, settings)
        as_bytea = _bytea().encoder(format_code, settings)
        return lambda plaintext: as_bytea(to_text(plaintext))
    encode = shown.encoder(format_code, settings)
    if shown.oid == logical.oid:
        return encode
    if not can_convert(logical, shown):
        raise UnshowableCell(
            "", "42804", f"a value of type {logical.name} stands where {shown.name} was described"
        )
    return lambda plaintext: encode(convert(logical, shown, plaintext, settings))


def _bytea() -> LogicalType:
    found = by_oid(BYTEA_OID)
    assert found is not None  # noqa: S101 - one of the seventeen types
    return found


def bytea_from_text(wire: bytes) -> bytes | None:
    """A bytea's text form that may be sealed -> its bytes; None for one that certainly is not."""
    if wire.startswith(HEX_MAGIC):
        try:
            return unhexlify(wire[2:])
        except ValueError:
            return None
    if wire.startswith(_ESCAPE_MAGIC):
        return _ESCAPED.sub(lambda m: b"\\" if m[1] == b"\\" else bytes([int(m[1], 8)]), wire)
    return None


class Programs:
    """Row programs of one session; a statement executed again does not compile again.

    They go with the authority they were compiled for: a session must not keep old snapshots alive.
    """

    __slots__ = ("_authority", "_known")
    _LIMIT: Final = 256

    def __init__(self) -> None:
        self._authority: Authority | None = None
        self._known: dict[tuple[int, tuple[int, ...], int], tuple[RowProgram, object]] = {}

    def get(
        self, shape: Shape, formats: tuple[int, ...], authority: Authority, settings: Settings
    ) -> RowProgram:
        if authority is not self._authority or len(self._known) >= self._LIMIT:
            self._known.clear()
            self._authority = authority
        key = (id(shape), formats, id(settings))
        known = self._known.get(key)
        if known is not None:
            return known[0]
        program = RowProgram(shape, formats, authority, settings)
        # The keys are identities: what they identify has to stay alive with them.
        self._known[key] = (program, (shape, settings))
        return program
