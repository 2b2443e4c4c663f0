"""Client values sealed: literals and parameters of one statement.

A value is read as the type the client gave it (a cast in the text, else the type declared in Parse, else the
column's own), converted to the column's type as PostgreSQL's assignment would, and sealed under the column's
newest key. What is not a value of the type is refused with PostgreSQL's own SQLSTATE, and the message never
quotes it.
"""

from __future__ import annotations

import struct
from collections import Counter
from dataclasses import replace
from typing import Final

from keystore import KeystoreError
from policy import Access
from proxy.cells import (
    CellError,
    LogicalType,
    TypeSpecError,
    array_items,
    by_oid,
    can_convert,
    convert,
    is_implicit,
    logical_type,
)
from proxy.cells.logical import TYPES
from proxy.shape import BYTEA_OID
from proxy.snapshot import Snapshot
from proxy.sql.plan import Form, Refusal, Seal, StatementPlan
from proxy.state import State
from proxy.wire.framing import INT32

_UNKNOWN_OID: Final = 705
_NULL: Final = INT32.pack(-1)
_INTEGERS: Final = {"int2", "int4", "int8"}
_ARRAY_HEADER: Final = struct.Struct("!iiIii")


class ValueRefused(Exception):
    """The statement is not sent, because of a value or of what it is for. Holds no value."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Sealer:
    """Seals the values of one statement, counting cells by column into `sealed`."""

    __slots__ = ("_sealed", "_settings", "_snapshot", "_written")

    def __init__(self, state: State, plan: StatementPlan, sealed: Counter[str]) -> None:
        self._snapshot = state.current_authority().snapshot
        self._settings = state.settings
        self._written = {touch.column for touch in plan.touches if touch.access is Access.WRITE}
        self._sealed = sealed

    def literal(self, seal: Seal, text: str) -> bytes:
        """A literal's decoded text -> a sealed value, or a bytea[] of terms in binary form."""
        # Literals are in UTF-8 by now, whatever the client's encoding is.
        return self._sealed_value(seal, 0, 0, text.encode(), literal=True)

    def parameter(self, seal: Seal, declared: int, format_code: int, value: bytes) -> bytes:
        """A parameter's wire form -> the same in binary, for a parameter of type bytea or bytea[]."""
        return self._sealed_value(seal, declared, format_code, value, literal=False)

    def _sealed_value(
        self, seal: Seal, declared: int, format_code: int, value: bytes, *, literal: bool
    ) -> bytes:
        try:
            return self._seal(seal, declared, format_code, value, literal=literal)
        except CellError as error:
            message = f"{error.message} (sealed column {seal.column})"
            raise ValueRefused(Refusal(error.sqlstate, message, "")) from None
        except KeystoreError:
            message = f"there is no key for sealed column {seal.column}"
            raise ValueRefused(Refusal("0A000", message, "Run sealgate apply.")) from None

    def _seal(
        self, seal: Seal, declared: int, format_code: int, value: bytes, *, literal: bool
    ) -> bytes:
        settings = replace(self._settings, encoding="UTF8") if literal else self._settings
        target = column_type(self._snapshot, seal.column)
        source = value_type(self._snapshot, seal, declared)
        written = seal.column in self._written
        if source.oid != target.oid and not written and not _comparable(source, target):
            raise _unfit(seal.column, target.name, source.name)
        keys = self._snapshot.keyset.column(seal.column)
        if seal.form is Form.TERMS:
            items = array_items(format_code, value, source, settings)
            return bytea_array(
                [
                    None
                    if item is None
                    else keys.equality_term(
                        target.equality_form(convert(source, target, item, settings))
                    )
                    for item in items
                ]
            )
        plaintext = convert(source, target, source.decoder(format_code, settings)(value), settings)
        if written:
            plaintext = target.assign(plaintext)
            self._sealed[seal.column] += 1
        searchable = "equality" in self._snapshot.catalog.sealed[seal.column].search
        return keys.seal(plaintext, target.equality_form(plaintext) if searchable else None)


def column_type(snapshot: Snapshot, column: str) -> LogicalType:
    logical = snapshot.type_of(column)
    if logical is None:
        raise ValueRefused(
            Refusal(
                "0A000", f"column {column} is not declared any more", "Prepare the statement again."
            )
        )
    return logical


def value_type(snapshot: Snapshot, seal: Seal, declared: int) -> LogicalType:
    """The type in which the client gives the value: of an array's elements for `Form.TERMS`."""
    target = column_type(snapshot, seal.column)
    source = target
    if seal.cast is not None:
        source = _cast_type(seal.cast, seal)
    elif declared not in (0, _UNKNOWN_OID):
        found = _element_type(declared) if seal.form is Form.TERMS else by_oid(declared)
        if found is None:
            raise _unfit(seal.column, target.name, f"the type with OID {declared}")
        source = found
    if source.oid != target.oid and not can_convert(source, target):
        raise _unfit(seal.column, target.name, source.name)
    return source


def parameter_type(snapshot: Snapshot, seal: Seal, declared: int) -> int:
    """The type OID that ParameterDescription gives the client for a sealed parameter."""
    source = value_type(snapshot, seal, declared)
    return source.array_oid if seal.form is Form.TERMS else source.oid


def bytea_array(items: list[bytes | None]) -> bytes:
    """A one-dimensional bytea[] in binary form (array_send, src/backend/utils/adt/arrayfuncs.c)."""
    if not items:
        return struct.pack("!iiI", 0, 0, BYTEA_OID)
    parts = [_ARRAY_HEADER.pack(1, int(None in items), BYTEA_OID, len(items), 1)]
    parts.extend(_NULL if item is None else INT32.pack(len(item)) + item for item in items)
    return b"".join(parts)


def _cast_type(cast: str, seal: Seal) -> LogicalType:
    try:
        return logical_type(cast.removesuffix("[]").strip())
    except TypeSpecError:
        raise _unfit(seal.column, "its type", "the type of the cast") from None


def _element_type(array_oid: int) -> LogicalType | None:
    return next((t for t in TYPES.values() if t.array_oid == array_oid), None)


def _comparable(source: LogicalType, target: LogicalType) -> bool:
    """A comparison may convert the value only where that cannot make unequal values equal (1.5 into an int4)."""
    return is_implicit(source, target) or {source.name, target.name} <= _INTEGERS


def _unfit(column: str, target: str, source: str) -> ValueRefused:
    message = f"sealed column {column} is of type {target} but expression is of type {source}"
    return ValueRefused(
        Refusal("42804", message, "You will need to rewrite or cast the expression.")
    )
