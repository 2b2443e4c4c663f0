"""Values that are compared with what a path leads to in a sealed jsonb, as terms: those of a document for which it is true."""

from __future__ import annotations

import struct
from typing import Final, final

from keystore import ColumnKeys
from proxy import coercion
from proxy.catalog import SealedColumn
from proxy.cells import CellError, LogicalType, Settings, array_items
from proxy.cells.logical import TYPES
from proxy.cells.paths import Keys, Operand, Reading, operand_forms, undeclared_path
from proxy.sql.plan import Form, Seal

_TERM_SIZE: Final = 16


_NO_KEYS: Final = struct.pack("!iiI", 0, 0, TYPES["text"].oid)
"""An empty text[]."""
_KEYS: Final = frozenset({Form.KEY, Form.KEYS})


def compared_type(seal: Seal, column: LogicalType) -> LogicalType:
    """Of what a value is compared with: the column, or the text at a path in it."""
    text = seal.form in _KEYS or (seal.at is not None and seal.at.reading is Reading.TEXT)
    return TYPES["text"] if text else column


def check_key(seal: Seal, given: LogicalType) -> None:
    """Raises CellError for a key that is no text: the place of an array's element."""
    if seal.form in _KEYS and given.name not in ("text", "varchar"):
        raise CellError("0A000", "an element of an array in a sealed column cannot be compared")


def read_keys(
    seal: Seal, given: LogicalType, format_code: int, wire: bytes, settings: Settings
) -> Keys:
    """The key, or the keys, that a parameter gives. Raises CellError for what are none."""
    if seal.form is Form.KEY:
        return (given.decoder(format_code, settings)(wire).decode(),)
    items = array_items(format_code, wire, given, settings)
    keys = [item.decode() for item in items if item is not None]
    if len(keys) != len(items):
        raise undeclared_path()
    return tuple(keys)


def without_keys(seal: Seal) -> bytes:
    """What is sent in place of them: nothing, and not NULL."""
    return b"" if seal.form is Form.KEY else _NO_KEYS


@final
class PathTerms:
    """The terms of values of type `source`. Raises CellError, 0A000 for a value whose comparison no terms tell."""

    __slots__ = ("_at", "_keys", "_paths", "_settings", "_source", "_target")

    def __init__(
        self,
        column: SealedColumn,
        keys: ColumnKeys,
        at: Operand,
        source: LogicalType,
        settings: Settings,
    ) -> None:
        self._at = at
        self._keys = keys
        self._paths = column.path_keys
        self._settings = settings
        """In UTF-8."""
        self._source = source
        self._target = TYPES["text"] if at.reading is Reading.TEXT else column.type

    def terms(self, canonical: bytes) -> list[bytes | None]:
        """16 bytes each: a document for which the comparison is true has all of them. Of `->` and `->>` it is one."""
        form = coercion.compared(self._source, self._target, canonical, self._settings)
        terms = self._keys.path_terms(operand_forms(self._at, form, self._paths))
        return [terms[at : at + _TERM_SIZE] for at in range(0, len(terms), _TERM_SIZE)]
