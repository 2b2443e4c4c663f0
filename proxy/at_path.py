"""Values that are compared with what a path leads to in a sealed jsonb, as terms: those of a document for which it is true."""

from __future__ import annotations

from typing import Final, final

from keystore import ColumnKeys
from proxy import coercion
from proxy.catalog import SealedColumn
from proxy.cells import LogicalType, Settings
from proxy.cells.logical import TYPES
from proxy.cells.paths import Operand, Reading, operand_forms

_TERM_SIZE: Final = 16


def compared_type(at: Operand | None, column: LogicalType) -> LogicalType:
    """Of what a value is compared with: the column, or the text at a path in it."""
    return TYPES["text"] if at is not None and at.reading is Reading.TEXT else column


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
        self._target = compared_type(at, column.type)

    def terms(self, canonical: bytes) -> list[bytes | None]:
        """16 bytes each: a document for which the comparison is true has all of them. Of `->` and `->>` it is one."""
        form = coercion.compared(self._source, self._target, canonical, self._settings)
        terms = self._keys.path_terms(operand_forms(self._at, form, self._paths))
        return [terms[at : at + _TERM_SIZE] for at in range(0, len(terms), _TERM_SIZE)]
