"""DataRow messages unsealed: compiled once per result, then one flat loop per received buffer.

Authority follows the ciphertext. For every field that can carry a sealed value, the value itself names its data
key, the key its column, and the column's grants decide: clear, masked or withheld. Neither the statement nor the
plan has a say. A value that does not authenticate, or that stands in a declared column under another column's
key, ends the session (`BadCell`): never a wrong value, never ciphertext in place of plaintext.

A `bytea` value that is not sealed at all, or under a key that is not ours, is ordinary data and is relayed as it
is, where the client was told `bytea`. Where it was told the type of a sealed column (in a view of it too), it is not.

What a data key means in a field is worked out at its first value (`Field`), and kept under the bytes that values of
that key begin with: magic, version, flags and key id, 8 bytes, or their hexadecimal text. The loop looks those up.
What they do not find, or what is too short for a sealed value, takes the long way (`Field.show`).
"""

from __future__ import annotations

import re
from binascii import hexlify, unhexlify
from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar, Final, final

from librt.strings import read_i32_be

from keystore import DataKey, TamperedValue, cell_id, key_id, looks_sealed
from keystore.sealed import (
    CELL_ID_SIZE,
    EQUALITY,
    HEADER_SIZE,
    OVERHEAD,
    OVERHEAD_WITH_TERM,
    TERM_SIZE,
)
from policy import Access, Outcome
from proxy.audit.values import Outcome as Use
from proxy.cells import CellError, LogicalType, Settings, by_oid, can_convert, convert
from proxy.cells.settings import Convert, identity
from proxy.detection.restraint import KILL_RULE, QUARANTINE_RULE
from proxy.shape import BYTEA_OID, Column, Shape
from proxy.snapshot import Authority, Mask
from proxy.tally import Tally
from proxy.wire.framing import BadMessage
from proxy.wire.long import LONG_COPY, cut, unhexed
from proxy.wire.messages import DATA_ROW, format_of

HEX_MAGIC: Final = b"\\x5ea1"
_HEX: Final = b"\\x"
_ESCAPE_MAGIC: Final = b"^\\241"
_ESCAPED: Final = re.compile(rb"\\(\\|[0-3][0-7][0-7])")
_NULL: Final = b"\xff\xff\xff\xff"
_LONGEST: Final = 0x3FFFFFFF
_UNHEXLIFY: Final = unhexlify
"""Compiled, a name that was imported is looked up at each call; this is not."""
_SMALL: Final = 1024
_LENGTHS: Final = tuple([number.to_bytes(4, "big") for number in range(_SMALL)])
"""Those that most values and rows have, as they are written."""


def _int32(length: int) -> bytes:
    return _LENGTHS[length] if length < _SMALL else length.to_bytes(4, "big")


class BadCell(Exception):
    """A stored value that must not be shown. The text names the column and never the value."""

    sqlstate: ClassVar[str] = "XX001"

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

    sqlstate: ClassVar[str] = "42501"

    def __init__(self, column: str) -> None:
        super().__init__(f"permission denied to read sealed column {column}")
        self.column = column


class RowProgram:
    """Unseals the rows of one result, for one principal, in the formats the client asked for."""

    __slots__ = ("_count", "_fields", "_sealed")

    def __init__(
        self, shape: Shape, formats: tuple[int, ...], authority: Authority, settings: Settings
    ) -> None:
        self._count = len(shape.fields).to_bytes(2, "big")
        last = max((i for i, column in enumerate(shape.columns) if column is not None), default=-1)
        self._fields: tuple[Field | None, ...] = tuple(
            Field(column, format_of(formats, i), authority, settings) if column else None
            for i, column in enumerate(shape.columns[: last + 1])
        )
        """Up to the last one that has to be looked at."""
        self._sealed = [field for field in self._fields if field is not None]

    def unseal_rows(
        self,
        data: bytes,
        position: int,
        limit: int,
        tally: Tally,
        out: list[bytes],
        room: int,
        longest: int = _LONGEST,
    ) -> tuple[int, int, int]:
        """The run of DataRow messages at `position`, as the client is to see it, appended to `out` in one piece.

        It ends before the first message that is not a DataRow or not whole in data[:limit], or once `room` bytes
        were appended. Returns (position behind the last row taken, bytes appended, rows). Raises BadCell, Withheld
        or UnshowableCell for a value that must not be shown, BadMessage for a row that is none or has a length
        under 4 or over `longest`: then nothing was appended, and `tally` has what was unsealed until then.
        """
        parts: list[bytes] = []
        mark = position
        appended = rows = 0
        count, fields = self._count, self._fields
        try:
            while appended < room and position + 5 <= limit and data[position] == DATA_ROW:
                length: int = read_i32_be(data, position + 1)
                if length < 4:
                    raise BadMessage(f"invalid message length {length & 0xFFFFFFFF}")
                if length > longest:
                    raise BadMessage(
                        f"message of {length} bytes exceeds the limit of {longest} bytes"
                    )
                end = position + 1 + length
                if end > limit:
                    break
                at = position + 7
                if end < at or data[position + 5 : at] != count:
                    raise BadMessage("DataRow does not fit its RowDescription")
                slot = -1
                for field in fields:
                    if at + 4 > end:
                        raise BadMessage("DataRow is cut off")
                    size: int = read_i32_be(data, at)
                    at += 4
                    if size < 0:
                        continue
                    stop = at + size
                    if stop > end:
                        raise BadMessage("DataRow is cut off")
                    if field is not None:
                        wire = data[at:stop] if size <= LONG_COPY else cut(data, at, stop)
                        shown = field.show(wire)
                        if shown is not wire:
                            if slot < 0:
                                parts.append(data[mark : position + 1])
                                slot = len(parts)
                                parts.append(b"")
                                mark = position + 5
                            parts.append(data[mark : at - 4])
                            if shown is None:
                                parts.append(_NULL)
                                length -= size
                            else:
                                new = len(shown)
                                parts.append(_int32(new))
                                parts.append(shown)
                                length += new - size
                            mark = stop
                    at = stop
                if slot >= 0:
                    parts[slot] = _int32(length)
                appended += 1 + length
                rows += 1
                position = end
        finally:
            for field in self._sealed:
                field.count(tally)
        if rows:
            long = position - mark > LONG_COPY
            parts.append(cut(data, mark, position) if long else data[mark:position])
            out.append(b"".join(parts))
        return position, appended, rows


@final
class Field:
    """One field's values, for one principal. What it has shown is to be counted (`count`) before it is released."""

    __slots__ = (
        "_authority",
        "_binary",
        "_column",
        "_counted",
        "_escaped",
        "_format",
        "_known",
        "_last",
        "_last_prefix",
        "_settings",
        "_width",
    )

    def __init__(
        self, column: Column, format_code: int, authority: Authority, settings: Settings
    ) -> None:
        if format_code not in (0, 1):
            # The server refuses it; if not, nobody can read the rows.
            raise BadMessage("unsupported format code")
        self._column = column
        self._format = format_code
        self._binary = format_code == 1
        self._authority = authority
        self._settings = settings
        self._width = HEADER_SIZE if self._binary else 2 + 2 * HEADER_SIZE
        self._known: dict[bytes, Values] = {}
        """By the first `_width` bytes of the wire form: in binary, or in hexadecimal as the server writes it."""
        self._escaped: dict[bytes, Values] = {}
        """By the header, where bytea_output is `escape`."""
        self._counted: list[Values] = []
        """All of both."""
        self._last_prefix = b""
        self._last: Values | None = None
        """What was found in `_known` last, and by which bytes: nearly always, all of a column's values begin with them."""

    def show(self, wire: bytes) -> bytes | None:
        """Wire form of one cell, not NULL -> its wire form for the client; the very same object: nothing was sealed."""
        prefix = wire[: self._width]
        if prefix == self._last_prefix:
            values = self._last
        else:
            values = self._known.get(prefix)
            if values is not None:
                self._last_prefix, self._last = prefix, values
        if values is None or len(wire) < values.shortest:
            return self._show(wire)
        if self._binary:
            return values.show(wire)
        try:
            value = _UNHEXLIFY(wire[2:]) if len(wire) <= LONG_COPY else unhexed(wire, 2)
        except ValueError:
            return self._show(wire)
        return values.show(value)

    def many(self, wires: list[bytes]) -> list[bytes | None]:
        """`show` for each of one column's cells. If it raises, what it has shown before is counted as if one by one."""
        shown = self._alike(wires) if wires else None
        if shown is None:
            shown = []
            for wire in wires:
                shown.append(self.show(wire))
        return shown

    def _alike(self, wires: list[bytes]) -> list[bytes | None] | None:
        """The same where all are sealed under one key that is known; None, and nothing is done, where something is amiss."""
        prefix = wires[0][: self._width]
        known = self._known.get(prefix)
        if known is None:
            return None
        shortest = known.shortest
        for wire in wires:
            size = len(wire)
            if size < shortest or size > LONG_COPY or not wire.startswith(prefix):
                return None
        if self._binary:
            return known.many(wires)
        try:
            values = [_UNHEXLIFY(wire[2:]) for wire in wires]
        except ValueError:
            return None
        return known.many(values)

    def count(self, tally: Tally) -> None:
        """Put on record what was shown since the last time."""
        for values in self._counted:
            values.count(tally)

    def _show(self, wire: bytes) -> bytes | None:
        """The first value under a key, one in escape form, and what may be no sealed value at all."""
        column = self._column
        typed = column.logical is not None
        value = wire if self._binary else bytea_from_text(wire)
        if value is None or not looks_sealed(value):
            if typed:
                raise BadCell(column, value or b"", None, "the stored value is not a sealed value")
            return wire
        # In text form the value itself shows what bytea_output is at this moment: it is not reported by the server, and
        # changed by more than SET: functions, rollbacks, ALTER ROLE.
        escaped = not self._binary and wire[:2] != _HEX
        header = value[:HEADER_SIZE]
        prefix = header if self._binary or escaped else _HEX + hexlify(header)
        known = self._escaped if escaped else self._known
        values = known.get(prefix)
        if values is None:
            key = self._authority.snapshot.keyset.data_keys.get(key_id(value))
            if key is None:
                if typed:
                    raise BadCell(column, value, None, "the stored value names an unknown data key")
                return wire
            if column.label is not None and key.column != column.label:
                raise BadCell(column, value, key, "the stored value belongs to another column")
            settings = self._settings
            if not self._binary:
                settings = replace(settings, bytea_output="escape" if escaped else "hex")
            values = _values(key, header, column, self._format, self._authority, settings)
            known[prefix] = values
            self._counted.append(values)
        return values.show(value)


class Values:
    """The sealed values that begin with one header, in one field, for one principal."""

    __slots__ = ("_ids", "_ids_at", "_ids_end", "_key", "_outcome", "shortest")

    def __init__(self, key: DataKey, header: bytes, format_code: int, outcome: Use) -> None:
        self._key = key
        self._outcome: Use = outcome
        termed = header[3] & EQUALITY
        shortest = OVERHEAD_WITH_TERM if termed else OVERHEAD
        self.shortest = shortest if format_code else 2 + 2 * shortest
        """Length of the shortest one on the wire, in hexadecimal where it is text."""
        self._ids_at = HEADER_SIZE + TERM_SIZE if termed else HEADER_SIZE
        """Where the cell id is; 0: behind terms of their own length."""
        if header[3] & ~EQUALITY:
            self._ids_at = 0
        self._ids_end = self._ids_at + CELL_ID_SIZE
        self._ids: list[bytes] = []
        """Of what was shown since it was last put on record."""

    def show(self, value: bytes) -> bytes | None:
        """A sealed value -> the wire form for the client."""
        raise NotImplementedError

    def many(self, values: list[bytes]) -> list[bytes | None] | None:
        """`show` for each; None, and nothing is done, where one would raise."""
        raise NotImplementedError

    def count(self, tally: Tally) -> None:
        """Put on record what was shown since the last time."""
        if self._ids:
            self._count(tally)
            self._ids = []

    def _seen(self, values: list[bytes]) -> None:
        at, end = self._ids_at, self._ids_end
        if at:
            self._ids += [value[at:end] for value in values]
        else:
            self._ids += [cell_id(value) for value in values]

    def _id(self, value: bytes) -> bytes:
        return value[self._ids_at : self._ids_end] if self._ids_at else cell_id(value)

    def _count(self, tally: Tally) -> None:
        tally.use(self._key.column, self._outcome).add(self._ids, None)


@final
class Released(Values):
    """They are opened, masked perhaps, and shown as the type that the client was told."""

    __slots__ = ("_column", "_encode", "_mask")

    def __init__(
        self,
        key: DataKey,
        header: bytes,
        format_code: int,
        column: Column,
        mask: Mask | None,
        encode: Convert,
    ) -> None:
        super().__init__(key, header, format_code, "clear" if mask is None else "masked")
        self._column = column
        self._mask = mask
        self._encode: Convert | None = None if encode is identity else encode

    def show(self, value: bytes) -> bytes | None:
        plaintext: bytes | None
        try:
            plaintext = self._key.open(value)
        except TamperedValue:
            plaintext = None  # It is raised below, where no cause is chained to it.
        if plaintext is None:
            reason = "the stored value failed authentication"
            raise BadCell(self._column, value, self._key, reason)
        self._ids.append(self._id(value))
        mask = self._mask
        if mask is not None:
            plaintext = mask(plaintext)
        encode = self._encode
        if encode is None or plaintext is None:
            return plaintext
        try:
            return encode(plaintext)
        except CellError as error:
            unshowable = UnshowableCell(self._key.column, error.sqlstate, error.message)
        raise unshowable

    def many(self, values: list[bytes]) -> list[bytes | None] | None:
        shown: list[bytes | None] = []
        mask, encode = self._mask, self._encode
        try:
            plaintexts = self._key.open_many(values)
            if mask is None and encode is None:
                shown.extend(plaintexts)
            else:
                for plaintext in plaintexts:
                    masked = mask(plaintext) if mask is not None else plaintext
                    if encode is not None and masked is not None:
                        masked = encode(masked)
                    shown.append(masked)
        except (TamperedValue, CellError):
            return None
        self._seen(values)
        return shown

    def _count(self, tally: Tally) -> None:
        use = tally.use(self._key.column, self._outcome)
        use.add(self._ids, self._key.version)
        if self._column.logical is None:
            use.untyped = True


@final
class Kept(Values):
    """They are withheld: NULL, or the end of the session where the policy says so."""

    __slots__ = ("_refuse",)

    def __init__(self, key: DataKey, header: bytes, format_code: int, *, refuse: bool) -> None:
        super().__init__(key, header, format_code, "withheld")
        self._refuse = refuse

    def show(self, value: bytes) -> bytes | None:
        if self._refuse:
            raise Withheld(self._key.column)
        self._ids.append(self._id(value))
        return None

    def many(self, values: list[bytes]) -> list[bytes | None] | None:
        if self._refuse:
            return None
        self._seen(values)
        return [None] * len(values)


def _values(
    key: DataKey,
    header: bytes,
    column: Column,
    format_code: int,
    authority: Authority,
    settings: Settings,
) -> Values:
    """What happens to values under one data key, in one field, for one principal."""
    snapshot = authority.snapshot
    decision = authority.decide(key.column, Access.READ)
    outcome = decision.outcome
    logical = snapshot.type_of(key.column)
    mask = snapshot.masks.get(key.column) if outcome is Outcome.MASKED else None
    if (
        logical is None
        or outcome is Outcome.WITHHELD
        or (outcome is Outcome.MASKED and mask is None)
    ):
        # NULL in place of a value that the login was to see would be taken for one.
        contained = decision.rule in (QUARANTINE_RULE, KILL_RULE)
        refuse = contained or snapshot.policy.denied_value == "error"
        return Kept(key, header, format_code, refuse=refuse)
    try:
        encode = _encoder(logical, column, format_code, settings)
        return Released(key, header, format_code, column, mask, encode)
    except CellError as error:
        unshowable = UnshowableCell(key.column, error.sqlstate, error.message)
    raise unshowable


class UnshowableCell(Exception):
    """A value that exists and may be read, but not in the client's encoding or type."""

    def __init__(self, column: str, sqlstate: str, text: str) -> None:
        super().__init__(f"{text} (sealed column {column})")
        self.column = column
        self.sqlstate = sqlstate


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
            return unhexed(wire, 2)
        except ValueError:
            return None
    if wire.startswith(_ESCAPE_MAGIC):
        return _ESCAPED.sub(lambda m: b"\\" if m[1] == b"\\" else bytes([int(m[1], 8)]), wire)
    return None


class Programs:
    """Row programs of one session; a statement executed again does not compile again.

    They go with the authority they were compiled for: a session must not keep old snapshots alive.
    """

    __slots__ = ("_authority", "_formats", "_known", "_last", "_settings", "_shape")
    _LIMIT: Final = 256

    def __init__(self) -> None:
        self._authority: Authority | None = None
        self._known: dict[tuple[int, tuple[int, ...], int], tuple[RowProgram, object]] = {}
        self._last: RowProgram | None = None
        """What was asked for last, under `_authority`, and what for."""
        self._shape: Shape | None = None
        self._formats: tuple[int, ...] = ()
        self._settings: Settings | None = None

    def get(
        self, shape: Shape, formats: tuple[int, ...], authority: Authority, settings: Settings
    ) -> RowProgram:
        if (
            self._last is not None
            and shape is self._shape
            and formats is self._formats
            and settings is self._settings
            and authority is self._authority
        ):
            return self._last
        if authority is not self._authority or len(self._known) >= self._LIMIT:
            self._known.clear()
            self._authority = authority
        key = (id(shape), formats, id(settings))
        known = self._known.get(key)
        if known is None:
            # The keys are identities: what they identify has to stay alive with them.
            known = (RowProgram(shape, formats, authority, settings), (shape, settings))
            self._known[key] = known
        self._last, self._shape, self._formats, self._settings = known[0], shape, formats, settings
        return known[0]
