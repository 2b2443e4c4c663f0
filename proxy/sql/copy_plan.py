"""What a COPY statement says about its data, as data."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from proxy.cells import LogicalType


class CopyFormat(Enum):
    TEXT = "text"
    CSV = "csv"
    BINARY = "binary"


class Header(Enum):
    ABSENT = auto()
    PRESENT = auto()
    """COPY TO writes it, COPY FROM reads over it."""
    MATCHED = auto()
    """COPY FROM compares it with the columns' names."""


EVERY: Final = None
"""FORCE_NULL * and the like: every column."""


@dataclass(frozen=True, slots=True)
class CopyOptions:
    """Options of a COPY as ProcessCopyOptions (src/backend/commands/copy.c) leaves them."""

    format: CopyFormat = CopyFormat.TEXT
    delimiter: str = "\t"
    null: str = "\\N"
    default: str | None = None
    header: Header = Header.ABSENT
    quote: str = '"'
    escape: str = '"'
    force_not_null: frozenset[str] | None = frozenset()
    """Names of columns; EVERY for all."""
    force_null: frozenset[str] | None = frozenset()
    force_quote: frozenset[str] | None = frozenset()
    encoding: str | None = None
    """ENCODING as it is written; None: the session's client_encoding."""
    skips_errors: bool = False
    """ON_ERROR ignore"""

    def forces_not_null(self, name: str) -> bool:
        return self.force_not_null is EVERY or name in self.force_not_null

    def forces_quote(self, name: str | None) -> bool | None:
        """None: for a column without a known name that cannot be said."""
        if name is None and self.force_quote:
            return None
        return self.force_quote is EVERY or name in self.force_quote

    def forces_null(self, name: str) -> bool:
        return self.force_null is EVERY or name in self.force_null


@dataclass(frozen=True, slots=True)
class CopyColumn:
    """One field of the data."""

    name: str | None
    label: str | None = None
    """The sealed column that it is, or whose values a query puts there."""
    declared: bool = False
    """It is that very column: values under other keys do not belong there."""
    logical: LogicalType | None = None
    """The type of the sealed values in it; None: not known to hold any."""
    plain: bool = False
    """Of a type that holds no sealed value."""
    table: int = 0
    """OID of the relation it is a column of, 0 if it is none's."""


@dataclass(frozen=True, slots=True)
class CopyPlan:
    """COPY FROM STDIN or COPY TO STDOUT."""

    incoming: bool
    relation: str
    """The bare name, as CONTEXT of an error has it; "" for COPY (query)."""
    columns: tuple[CopyColumn, ...] | None
    """In the order of the data's fields; None: not known."""
    options: CopyOptions | None
    """None: the server should not have accepted them."""
    server_version: int

    @property
    def sealed(self) -> bool:
        """Fields are known to hold sealed values."""
        return any(c.logical is not None for c in self.columns or ())
