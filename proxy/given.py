"""The type in which a client gives a value that is to be sealed, and whether the server would take it there.

A value is read as the type the client gave it (declared in Parse, or a constant's own, else that of a cast in
the text, else the column's). All of it is known before the value is: what is refused here is refused whatever the value.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from proxy import coercion
from proxy.at_path import check_key, compared_type
from proxy.cells import (
    CellError,
    LogicalType,
    TypeSpecError,
    by_oid,
    can_convert,
    logical_type,
    sql_name,
)
from proxy.cells.logical import TYPES
from proxy.cut import check_ordered
from proxy.snapshot import Snapshot
from proxy.sql.plan import ARRAYS, COMPARISONS, Argument, Form, Refusal, Seal, Use

UNKNOWN_OID: Final = 705


class ValueRefused(Exception):
    """The statement is not sent, because of a value or of what it is for. Holds no value."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


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
    check_key(seal, given)
    _check_types(seal, given, compared_type(seal, column_type(snapshot, seal.column)))
    return given


def given_by_literal(snapshot: Snapshot, seal: Seal, natural: LogicalType | None) -> LogicalType:
    """The type of a literal; `natural`: that of a constant that is not quoted."""
    if natural is None:
        return untyped(snapshot, seal)  # It is read before its type is looked at.
    return given_type(snapshot, seal, natural.oid)


def _sent_type(snapshot: Snapshot, seal: Seal, declared: int) -> LogicalType:
    if declared in (0, UNKNOWN_OID):
        return untyped(snapshot, seal)
    found = _element_type(declared) if seal.form in ARRAYS else by_oid(declared)
    if found is None and seal.form in ARRAYS and by_oid(declared) is not None:
        if seal.form is Form.VALUES:
            raise CellError("42883", "function unnest of what is no array does not exist")
        raise CellError("42809", "op ANY/ALL (array) requires array on right side")
    if found is None:
        raise _unknown_type(seal.column, f"the type with OID {declared}")
    return found


def untyped(snapshot: Snapshot, seal: Seal) -> LogicalType:
    """The type that a value without one of its own has in this place."""
    cast = cast_type(seal.column, seal.cast)
    if cast is not None:
        return replace(cast, modifier=-1)
    if seal.default is not None:
        return TYPES[seal.default]
    column = compared_type(seal, column_type(snapshot, seal.column))
    if not seal.use & ~COMPARISONS and column.name == "varchar":
        return TYPES["text"]  # The server has no operator of varchar's own: it compares as text.
    return replace(column, modifier=-1)


def cast_type(column: str, cast: str | None) -> LogicalType | None:
    """The type that the text casts to, of the elements for an array; None: it does not."""
    if cast is None:
        return None
    logical: LogicalType | None
    try:
        logical = logical_type(cast.removesuffix("[]").strip())
    except TypeSpecError:
        logical = None
    if logical is None:
        raise _unknown_type(column, "the type of the cast")
    return logical


def _check_types(seal: Seal, given: LogicalType, target: LogicalType) -> None:
    """What is wrong whatever the value is; the server finds it before it looks at the value."""
    cast = cast_type(seal.column, seal.cast)
    if cast is not None:
        coercion.check_cast(given, cast)
    source = cast or given
    if seal.use & COMPARISONS:
        coercion.check_compared(source, target)
    if Use.ORDERED in seal.use:
        check_ordered(source, target)
    if Use.STORED in seal.use and not can_convert(source, target):
        raise _unfit(seal.column, target, source)


def check_argument(
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


def _element_type(array_oid: int) -> LogicalType | None:
    for logical in TYPES.values():
        if logical.array_oid == array_oid:
            return logical
    return None


def _unfit(column: str, target: LogicalType, source: LogicalType) -> ValueRefused:
    message = (
        f"sealed column {column} is of type {sql_name(replace(target, modifier=-1))} "
        f"but expression is of type {sql_name(source)}"
    )
    return ValueRefused(
        Refusal("42804", message, "You will need to rewrite or cast the expression.")
    )


def _unknown_type(column: str, source: str) -> ValueRefused:
    message = f"a value for sealed column {column} has {source}, which Sealgate does not read"
    return ValueRefused(Refusal("0A000", message, "Give it as the column's own type."))
