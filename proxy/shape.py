"""What a RowDescription means: which fields can carry sealed values, and as what the client sees them.

The server describes a sealed column as `bytea` (a domain is described by its base type), with the column's
table and number where the field is a plain column. A `bytea` field is therefore one of

- a declared sealed column: only values under that column's keys belong there;
- a column of another relation whose type is a sealgate domain (view, history table): logical type known;
- an output that the plan traced to a sealed column (set operations, for instance);
- anything else: relayed as `bytea`, yet looked at, because a function may return sealed values.

Every other field is relayed unread. A result without `bytea` is relayed without being split into rows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final

from proxy.catalog import Catalog
from proxy.cells import LogicalType, logical_type
from proxy.wire.messages import Field, read_row_description, write_row_description

BYTEA_OID: Final = 17
BYTEA_ARRAY_OID: Final = 1001
INT4_OID: Final = 23
INT4_ARRAY_OID: Final = 1007
TEXT_OID: Final = 25
TEXT_ARRAY_OID: Final = 1009


@dataclass(frozen=True, slots=True)
class Column:
    """One result field that can carry sealed values."""

    table: int
    """OID of the relation it is described from, 0 if none."""
    label: str | None
    """The declared column it is; values under other keys do not belong here. None: not known."""
    logical: LogicalType | None
    """The type the client sees; None: `bytea`, as the server says."""


@dataclass(frozen=True, slots=True)
class Shape:
    """A described result. `columns` is parallel to `fields`, None for a field that is relayed unread."""

    fields: tuple[Field, ...]
    columns: tuple[Column | None, ...]
    sealed: bool = field(init=False)
    """Rows have to be looked at."""
    formats: tuple[int, ...] = field(init=False)
    """The format codes of the RowDescription itself."""
    described: bytes = field(init=False, repr=False)
    """The RowDescription message for the client: logical type, length and modifier, all else the server's."""

    def __post_init__(self) -> None:
        shown = tuple(map(_presented, self.fields, self.columns))
        object.__setattr__(self, "sealed", any(column is not None for column in self.columns))
        object.__setattr__(self, "formats", tuple(field.format for field in self.fields))
        object.__setattr__(self, "described", write_row_description(shown))

    def told_as(self, other: Shape) -> Shape:
        """This result for a client that was told `other`: its types hold."""
        if len(other.columns) != len(self.columns):
            return self
        columns = tuple(
            column if column is None or told is None else replace(column, logical=told.logical)
            for column, told in zip(self.columns, other.columns, strict=True)
        )
        return self if columns == self.columns else Shape(self.fields, columns)


def _presented(described: Field, column: Column | None) -> Field:
    if column is None or column.logical is None:
        return described
    logical = column.logical
    return described._replace(type=logical.oid, length=logical.length, modifier=logical.modifier)


NO_ROWS: Final = Shape((), ())


def read_shape(
    body: bytes,
    catalog: Catalog,
    outputs: tuple[str | None, ...] | None,
    type_of: Callable[[str], LogicalType | None],
    shown: tuple[tuple[int, str], ...] = (),
) -> Shape:
    """A RowDescription body, with the plan's word on outputs whose origin the server does not tell.

    `shown`: fields that the client's text casts, and to which type; the server was sent no cast.
    """
    fields = read_row_description(body)
    known = (
        outputs if outputs is not None and len(outputs) == len(fields) else (None,) * len(fields)
    )
    columns = [
        _column(field, output, catalog, type_of) if field.type == BYTEA_OID else None
        for field, output in zip(fields, known, strict=True)
    ]
    for place, name in shown:
        column = columns[place] if place < len(columns) else None
        if column is not None and column.logical is not None:
            columns[place] = replace(column, logical=logical_type(name))
    return Shape(fields, tuple(columns))


def _column(
    field: Field,
    output: str | None,
    catalog: Catalog,
    type_of: Callable[[str], LogicalType | None],
) -> Column:
    sealed_type = catalog.attribute_type(field.table, field.number) if field.table else None
    if sealed_type is not None:
        declared = catalog.column(field.table, field.number)
        return Column(field.table, declared.label if declared else None, sealed_type)
    logical = type_of(output) if output is not None else None
    if logical is not None:
        # A value beside the column's own, in COALESCE for instance, has not gone through its modifier.
        logical = replace(logical, modifier=-1)
    return Column(field.table, None, logical)
