"""Cells: a value between the client's form (text or binary, by session settings) and the canonical plaintext.

The canonical plaintext is PostgreSQL's binary send format of the logical type, text in UTF-8. What comes out equals
byte for byte what the server itself would send for the same value; what it would refuse raises a `CellError` with
its SQLSTATE and without the value. Nothing here does I/O or asks for the time; time zones come from the tzdata package.
"""

from __future__ import annotations

from proxy.cells.arrays import array_items
from proxy.cells.casts import can_convert, convert, is_implicit
from proxy.cells.errors import CellError, TypeSpecError
from proxy.cells.logical import LogicalType, by_oid
from proxy.cells.settings import Settings
from proxy.cells.spec import logical_type, sql_name

__all__ = [
    "CellError",
    "LogicalType",
    "Settings",
    "TypeSpecError",
    "array_items",
    "by_oid",
    "can_convert",
    "convert",
    "is_implicit",
    "logical_type",
    "sql_name",
]
