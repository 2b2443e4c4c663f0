"""Client values sealed: literals and parameters of one statement.

A value is read as the type the client gave it (declared in Parse, or a constant's own, else that of a cast in
the text, else the column's), cast as the text says, converted to the column's type as PostgreSQL's assignment or
comparison would, and sealed under the column's newest key. What is not a value of the type is refused with PostgreSQL's own SQLSTATE, and the message never
quotes it.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final

from keystore import ColumnKeys, KeystoreError
from policy import Access
from proxy import coercion
from proxy.cells import (
    CellError,
    LogicalType,
    Settings,
    TypeSpecError,
    array_items,
    by_oid,
    can_convert,
    convert,
    logical_type,
    sql_name,
)
from proxy.cells.logical import TYPES
from proxy.shape import BYTEA_OID
from proxy.snapshot import Snapshot
from proxy.sql.plan import Argument, Form, Refusal, Seal, StatementPlan, Use
from proxy.state import State
from proxy.wire.framing import INT32

_UNKNOWN_OID: Final = 705
_NULL: Final = INT32.pack(-1)
_ARRAY_HEADER: Final = struct.Struct("!iiIii")


class ValueRefused(Exception):
    """The statement is not sent, because of a value or of what it is for. Holds no value."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Sealer:
    """Seals the values of one statement, counting cells by column into `sealed`."""

    __slots__ = ("_compared", "_sealed", "_settings", "_snapshot", "_written")

    def __init__(self, state: State, plan: StatementPlan, sealed: Counter[str]) -> None:
        self._snapshot = state.current_authority().snapshot
        self._settings = state.settings
        self._written = {touch.column for touch in plan.touches if touch.access is Access.WRITE}
        self._sealed = sealed
        self._compared: dict[tuple[Seal, str], bytes] = {}
        """`GROUP BY email = 'x'` is the expression of the select list only if both are the same in the text."""

    def literal(self, seal: Seal, text: str) -> bytes:
        """A literal's decoded text -> a sealed value, or a bytea[] in binary form."""
        if Use.COMPARED not in seal.use or seal.column in self._written:
            return self._literal(seal, text)
        found = self._compared.get((seal, text))
        if found is None:
            found = self._compared[seal, text] = self._literal(seal, text)
        return found

    def _literal(self, seal: Seal, text: str) -> bytes:
        # Literals are in UTF-8 by now, whatever the client's encoding is.
        settings = replace(self._settings, encoding="UTF8")
        with _refusing(seal.column):
            if seal.argument is not None:
                return self._argument(seal, seal.argument, text, settings)
            given = _given_by_literal(self._snapshot, seal, text)
            return self._seal(seal, given, 0, text.encode(), settings)

    def _argument(self, seal: Seal, argument: Argument, text: str, settings: Settings) -> bytes:
        """EXECUTE's argument becomes what Bind's value would be: EvaluateParams in src/backend/commands/prepare.c."""
        parameter = replace(seal, constant=None, argument=None)
        expected = given_type(self._snapshot, parameter, argument.declared)
        given = coercion.natural(seal.constant, text) if seal.constant else None
        cast = _cast_of(replace(seal, cast=argument.cast))
        if (cast is None and given is None) or seal.form is not Form.VALUE:
            _check_argument(seal, argument, cast or given, expected)
            return self._seal(parameter, expected, 0, text.encode(), settings)
        # A quoted literal is read before its type is looked at; a cast is evaluated after that.
        source = replace(given or cast or expected, modifier=-1)
        canonical = source.from_text(text.encode(), settings)
        if cast is not None:
            coercion.check_cast(source, cast)
        _check_argument(seal, argument, cast or given, expected)
        if cast is not None:
            canonical, source = coercion.cast(source, cast, canonical, settings), cast
        canonical = convert(source, expected, canonical, settings)
        return self._seal(parameter, expected, 1, canonical, settings)

    def parameter(self, seal: Seal, declared: int, format_code: int, value: bytes) -> bytes:
        """A parameter's wire form -> the same in binary, for a parameter of type bytea or bytea[]."""
        with _refusing(seal.column):
            given = given_type(self._snapshot, seal, declared)
            return self._seal(seal, given, format_code, value, self._settings)

    def _seal(
        self, seal: Seal, given: LogicalType, format_code: int, value: bytes, settings: Settings
    ) -> bytes:
        target = column_type(self._snapshot, seal.column)
        keys = self._snapshot.keyset.column(seal.column)
        place = _Place(given, _cast_of(seal), target, replace(settings, encoding="UTF8"))
        if seal.form is Form.VALUE:
            canonical = given.decoder(format_code, settings)(value)
            return self._value(seal, canonical, place, keys)
        items = array_items(format_code, value, given, settings)
        terms = seal.form is Form.TERMS
        return bytea_array(
            [
                None
                if item is None
                else keys.equality_term(place.compared(item))
                if terms
                else self._value(seal, item, place, keys)
                for item in items
            ]
        )

    def _value(self, seal: Seal, canonical: bytes, place: _Place, keys: ColumnKeys) -> bytes:
        target = place.target
        if Use.STORED not in seal.use:
            return keys.seal(b"", place.compared(canonical))
        searchable = "equality" in self._snapshot.catalog.sealed[seal.column].search
        if seal.column in self._written:
            plaintext = _stored(seal, place, canonical)
            self._sealed[seal.column] += 1
        else:
            plaintext = place.carried(canonical)
        form = target.equality_form(plaintext) if searchable else None
        if Use.COMPARED in seal.use and place.compared(canonical) != form:
            raise CellError(
                "0A000", "one parameter is stored and compared, and the column would change it"
            )
        return keys.seal(plaintext, form)


def _stored(seal: Seal, place: _Place, canonical: bytes) -> bytes:
    if Use.SHOWN not in seal.use:
        return place.assigned(canonical)
    try:
        plaintext = place.assigned(canonical)
    except CellError:
        plaintext = None
    if plaintext is None or plaintext != place.carried(canonical):
        raise CellError(
            "0A000", "a value beside the column's own is one that the column would change"
        )
    return plaintext


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a value goes, and by way of which types."""

    given: LogicalType
    cast: LogicalType | None
    target: LogicalType
    settings: Settings
    """In UTF8: between two types, text is not in client_encoding."""

    def assigned(self, canonical: bytes) -> bytes:
        source, canonical = self._cast(canonical)
        return self.target.assign(convert(source, self.target, canonical, self.settings))

    def carried(self, canonical: bytes) -> bytes:
        source, canonical = self._cast(canonical)
        return coercion.carried(source, self.target, canonical, self.settings)

    def compared(self, canonical: bytes) -> bytes:
        source, canonical = self._cast(canonical)
        return coercion.compared(source, self.target, canonical, self.settings)

    def _cast(self, canonical: bytes) -> tuple[LogicalType, bytes]:
        if self.cast is None:
            return self.given, canonical
        return self.cast, coercion.cast(self.given, self.cast, canonical, self.settings)


@contextmanager
def _refusing(column: str) -> Iterator[None]:
    """What is wrong with a value refuses the statement, with the column named."""
    try:
        yield
    except CellError as error:
        refusal = Refusal(error.sqlstate, f"{error.message} (sealed column {column})", "")
    except KeystoreError:
        refusal = Refusal(
            "0A000", f"there is no key for sealed column {column}", "Run sealgate apply."
        )
    else:
        return
    # Outside the handlers: an exception that holds a value must not become this one's context.
    raise ValueRefused(refusal)


def column_type(snapshot: Snapshot, column: str) -> LogicalType:
    logical = snapshot.type_of(column)
    if logical is None:
        raise ValueRefused(
            Refusal(
                "0A000", f"column {column} is not declared any more", "Prepare the statement again."
            )
        )
    return logical


def given_type(snapshot: Snapshot, seal: Seal, declared: int) -> LogicalType:
    """The type in which the client sends a parameter: of its elements for an array.

    Raises CellError or ValueRefused where the server, or Sealgate, takes no parameter of the declared type.
    """
    given = _sent_type(snapshot, seal, declared)
    _check_types(seal, given, column_type(snapshot, seal.column))
    return given


def _sent_type(snapshot: Snapshot, seal: Seal, declared: int) -> LogicalType:
    if declared in (0, _UNKNOWN_OID):
        return _untyped(snapshot, seal)
    found = by_oid(declared) if seal.form is Form.VALUE else _element_type(declared)
    if found is None and seal.form is not Form.VALUE and by_oid(declared) is not None:
        if seal.form is Form.VALUES:
            raise CellError("42883", "function unnest of what is no array does not exist")
        raise CellError("42809", "op ANY/ALL (array) requires array on right side")
    if found is None:
        raise _unknown_type(seal.column, f"the type with OID {declared}")
    return found


def _untyped(snapshot: Snapshot, seal: Seal) -> LogicalType:
    """The type that a value without one of its own has in this place."""
    cast = _cast_of(seal)
    if cast is not None:
        return replace(cast, modifier=-1)
    if seal.default is not None:
        return TYPES[seal.default]
    column = column_type(snapshot, seal.column)
    if seal.use is Use.COMPARED and column.name == "varchar":
        return TYPES["text"]  # The server has no operator of varchar's own: it compares as text.
    return replace(column, modifier=-1)


def _check_types(seal: Seal, given: LogicalType, target: LogicalType) -> None:
    """What is wrong whatever the value is; the server finds it before it looks at the value."""
    cast = _cast_of(seal)
    if cast is not None:
        coercion.check_cast(given, cast)
    source = cast or given
    if Use.COMPARED in seal.use:
        coercion.check_compared(source, target)
    if Use.STORED in seal.use and not can_convert(source, target):
        raise _unfit(seal.column, target, source)


def parameter_type(snapshot: Snapshot, seal: Seal, declared: int) -> int:
    """The type OID that ParameterDescription gives the client for a sealed parameter."""
    if declared not in (0, _UNKNOWN_OID):
        return declared
    try:
        given = _untyped(snapshot, seal)
    except ValueRefused:
        return BYTEA_OID  # A column that a reload has taken away; Bind says so.
    return given.oid if seal.form is Form.VALUE else given.array_oid


def check_parameters(snapshot: Snapshot, plan: StatementPlan, types: Sequence[int]) -> None:
    """Raises ValueRefused for declared parameter types that cannot be, at Parse as the server does."""
    for number, seal in plan.parameters.items():
        with _refusing(seal.column):
            given_type(snapshot, seal, types[number - 1] if number <= len(types) else 0)


def _given_by_literal(snapshot: Snapshot, seal: Seal, text: str) -> LogicalType:
    if seal.constant is None:
        return _untyped(snapshot, seal)  # It is read before its type is looked at.
    return given_type(snapshot, seal, coercion.natural(seal.constant, text).oid)


def bytea_array(items: list[bytes | None]) -> bytes:
    """A one-dimensional bytea[] in binary form (array_send, src/backend/utils/adt/arrayfuncs.c)."""
    if not items:
        return struct.pack("!iiI", 0, 0, BYTEA_OID)
    parts = [_ARRAY_HEADER.pack(1, int(None in items), BYTEA_OID, len(items), 1)]
    parts.extend(_NULL if item is None else INT32.pack(len(item)) + item for item in items)
    return b"".join(parts)


def _cast_of(seal: Seal) -> LogicalType | None:
    if seal.cast is None:
        return None
    try:
        return logical_type(seal.cast.removesuffix("[]").strip())
    except TypeSpecError:
        raise _unknown_type(seal.column, "the type of the cast") from None


def _element_type(array_oid: int) -> LogicalType | None:
    return next((t for t in TYPES.values() if t.array_oid == array_oid), None)


def _unfit(column: str, target: LogicalType, source: LogicalType) -> ValueRefused:
    message = (
        f"sealed column {column} is of type {sql_name(replace(target, modifier=-1))} "
        f"but expression is of type {sql_name(source)}"
    )
    return ValueRefused(
        Refusal("42804", message, "You will need to rewrite or cast the expression.")
    )


def check_null_argument(snapshot: Snapshot, seal: Seal) -> None:
    """Raises ValueRefused for a NULL, an argument of EXECUTE, under a cast to what its parameter cannot be."""
    argument = seal.argument
    if argument is None or argument.cast is None:
        return
    with _refusing(seal.column):
        parameter = replace(seal, constant=None, argument=None)
        expected = given_type(snapshot, parameter, argument.declared)
        _check_argument(parameter, argument, _cast_of(replace(seal, cast=argument.cast)), expected)


def _check_argument(
    seal: Seal, argument: Argument, given: LogicalType | None, expected: LogicalType
) -> None:
    """EvaluateParams: coerced as by an assignment. `given`: None for a quoted literal, which has no type."""
    array = argument.cast is not None and argument.cast.endswith("[]")
    if seal.form is Form.VALUE:
        fits = given is None or (not array and can_convert(given, expected))
    else:
        fits = given is None or (array and coercion.alike(given, expected))
        if array and not fits and given is not None and can_convert(given, expected):
            names = (
                f"{sql_name(given)}[] for one of type {sql_name(replace(expected, modifier=-1))}[]"
            )
            raise CellError("0A000", f"an argument of type {names} is not supported")
    if not fits:
        raise _not_expected(given, expected, array=seal.form is not Form.VALUE)


def _not_expected(given: LogicalType | None, expected: LogicalType, *, array: bool) -> CellError:
    of = f"of type {sql_name(given)} " if given is not None else ""
    to = sql_name(replace(expected, modifier=-1)) + ("[]" if array else "")
    return CellError("42804", f"an argument {of}cannot be coerced to the expected type {to}")


def _unknown_type(column: str, source: str) -> ValueRefused:
    message = f"a value for sealed column {column} has {source}, which Sealgate does not read"
    return ValueRefused(Refusal("0A000", message, "Give it as the column's own type."))
