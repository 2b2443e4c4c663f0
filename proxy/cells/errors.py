"""What can be wrong with a cell: the client's value is not of the type, or a type name is not one.

A `CellError` carries the SQLSTATE that PostgreSQL gives for the same value (src/backend/utils/errcodes.txt)
and PostgreSQL's message without the value itself: a message may reach a log, a value must not.
"""

from __future__ import annotations

from typing import TypeVar

E = TypeVar("E", bound=Exception)


def alone(error: E) -> E:
    """The error without what was being handled when it was made, which may quote a value.

    For `raise alone(...) from None`, in modules that are compiled: mypyc drops `from None`.
    """
    error.__cause__ = None
    return error


class CellError(Exception):
    """A value that PostgreSQL would refuse, with the SQLSTATE it would give. Never holds the value."""

    __slots__ = ("message", "sqlstate")

    def __init__(self, sqlstate: str, message: str) -> None:
        super().__init__(sqlstate, message)
        self.sqlstate = sqlstate
        self.message = message

    def __str__(self) -> str:
        return f"{self.message} (SQLSTATE {self.sqlstate})"


class TypeSpecError(ValueError):
    """A type name or type modifier in the configuration that Sealgate does not know."""


def invalid_syntax(type_name: str, sqlstate: str = "22P02") -> CellError:
    return CellError(sqlstate, f"invalid input syntax for type {type_name}")


def out_of_range(what: str) -> CellError:
    return CellError("22003", what)


def short_message() -> CellError:
    """A binary value that ends too early (libpq/pqformat.c)."""
    return CellError("08P01", "insufficient data left in message")


def long_message() -> CellError:
    """A binary value with bytes left over (tcop/postgres.c, exec_bind_message)."""
    return CellError("22P03", "incorrect binary data format in bind parameter")


def wrong_size(value: bytes, size: int) -> CellError:
    return short_message() if len(value) < size else long_message()


def corrupt(type_name: str) -> CellError:
    """A stored canonical value that no value of the type has: sealed under another type."""
    return CellError("XX001", f"stored value is not a valid value of type {type_name}")
