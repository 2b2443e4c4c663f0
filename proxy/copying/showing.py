"""One field of a COPY TO that may hold sealed values: as the server wrote it -> as the client is to see it.

`one` takes a field by itself, `many` those of a block of rows at once: the same for each of them. What was shown is to be
counted before it is released.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Final

from keystore import key_id, looks_sealed
from proxy.cells import CellError, Settings
from proxy.cells.errors import alone as uncaused
from proxy.copying.dialect import Dialect
from proxy.copying.text import unescape
from proxy.rows import BadCell, Field, UnshowableCell, bytea_from_text
from proxy.shape import Column
from proxy.snapshot import Authority
from proxy.sql.copy_plan import CopyColumn
from proxy.tally import Tally

_HEX: Final = b"\\\\x"
"""How a bytea in hexadecimal form begins in text."""


class Values:
    """A field's values, of a column that is known to be sealed or by what they are themselves."""

    __slots__ = ("_authority", "_binary", "_by_key", "_declared", "_settings")

    def __init__(
        self, column: CopyColumn, format_code: int, authority: Authority, settings: Settings
    ) -> None:
        self._authority = authority
        self._settings = settings
        self._binary = format_code
        self._by_key: dict[int, Field] = {}
        self._declared: Field | None = None
        if column.logical is not None:
            label = column.label if column.declared else None
            shape = Column(column.table, label, column.logical)
            self._declared = Field(shape, format_code, authority, settings)

    def show(self, wire: bytes) -> bytes | None:
        """The very same object: nothing was sealed."""
        if self._declared is not None:
            return self._declared.show(wire)
        value = wire if self._binary else bytea_from_text(wire)
        if value is None or not looks_sealed(value):
            return wire
        number = key_id(value)
        field = self._by_key.get(number)
        if field is None:
            key = self._authority.snapshot.keyset.data_keys.get(number)
            if key is None:
                return wire
            # A sealed value in a field that is not known to be sealed is shown as its column's own type.
            logical = self._authority.snapshot.type_of(key.column)
            shape = Column(0, None, logical)
            field = Field(shape, self._binary, self._authority, self._settings)
            self._by_key[number] = field
        try:
            return field.show(wire)
        except BadCell:
            return wire  # Of what type the field is, nobody said: it may be text that was cut.

    def many(self, wires: list[bytes]) -> list[bytes | None]:
        if self._declared is not None:
            return self._declared.many(wires)
        show = self.show
        return [show(wire) for wire in wires]

    def count(self, tally: Tally) -> None:
        """Put on record what was shown since the last time."""
        if self._declared is not None:
            self._declared.count(tally)
        for field in self._by_key.values():
            field.count(tally)


class ShownField(ABC):
    """A field in text or CSV."""

    def __init__(self, values: Values, dialect: Dialect, special: bytes) -> None:
        self._values = values
        self._null_marker = dialect.null_marker
        self._convert = dialect.from_utf8
        self._special = special
        """Characters that are not written as they are."""
        self._usual = True
        """Values without them are."""
        self._null_out = b"\n"
        """But for this one."""

    def one(self, field: bytes) -> bytes:
        if self._is_null(field):
            return field
        value = self._read(field)
        shown = self._values.show(value)
        return field if shown is value else self._field(field, shown)

    def many(self, fields: list[bytes]) -> list[bytes]:
        """`one` for each of them."""
        if self._null_marker in fields:
            one = self.one
            return [one(field) for field in fields]
        values = self._read_all(fields)
        shown = self._values.many(values)
        if self._as_they_are(fields, shown):
            return [
                field if after is before or after is None else after
                for field, before, after in zip(fields, values, shown, strict=True)
            ]
        return [
            field if after is before else self._field(field, after)
            for field, before, after in zip(fields, values, shown, strict=True)
        ]

    def _as_they_are(self, fields: list[bytes], shown: list[bytes | None]) -> bool:
        """All the values are written as they are."""
        if not self._usual or None in shown or self._null_out in shown:
            return False
        whole = b"".join([value for value in shown if value is not None])
        if self._convert is not None and not whole.isascii():
            return False
        return len(whole) == len(whole.translate(None, self._special))

    def count(self, tally: Tally) -> None:
        """Put on record what was shown since the last time."""
        self._values.count(tally)

    def _field(self, field: bytes, shown: bytes | None) -> bytes:
        if shown is None:
            return self._null_marker
        written = self._write(field, shown)
        return written if self._convert is None else _encoded(self._convert, written)

    @abstractmethod
    def _is_null(self, field: bytes) -> bool: ...

    @abstractmethod
    def _read(self, field: bytes) -> bytes:
        """The value that it stands for."""

    @abstractmethod
    def _read_all(self, fields: list[bytes]) -> list[bytes]: ...

    @abstractmethod
    def _write(self, field: bytes, value: bytes) -> bytes:
        """A value in place of what the field was."""


class ShownText(ShownField):
    def __init__(self, values: Values, dialect: Dialect) -> None:
        super().__init__(values, dialect, b"\b\f\n\r\t\v\\" + dialect.delimiter)
        self._write_text: Callable[[bytes], bytes] = dialect.text_out.write

    def _is_null(self, field: bytes) -> bool:
        return field == self._null_marker

    def _read(self, field: bytes) -> bytes:
        return unescape(field) if b"\\" in field else field

    def _read_all(self, fields: list[bytes]) -> list[bytes]:
        # Behind \\x there are digits only, or it is no sealed value, read one way or the other.
        return [
            field[1:] if field[:3] == _HEX else unescape(field) if b"\\" in field else field
            for field in fields
        ]

    def _write(self, field: bytes, value: bytes) -> bytes:
        return self._write_text(value)


class ShownCsv(ShownField):
    def __init__(
        self, values: Values, dialect: Dialect, column: CopyColumn, *, alone: bool
    ) -> None:
        super().__init__(values, dialect, dialect.delimiter + dialect.quote + b"\r\n")
        self._alone = alone
        """There is no other field in the row."""
        self._quote = dialect.quote
        self._csv = dialect.csv
        self._csv_out = dialect.csv_out
        self._null_out = dialect.options.null.encode()
        self._forced = dialect.options.forces_quote(column.name)
        self._usual = self._forced is False and not alone

    def _is_null(self, field: bytes) -> bool:
        return field == self._null_marker and field[:1] != self._quote

    def _read(self, field: bytes) -> bytes:
        return self._csv.read(field) if self._quote in field else field

    def _read_all(self, fields: list[bytes]) -> list[bytes]:
        quote, read = self._quote, self._csv.read
        return [read(field) if quote in field else field for field in fields]

    def _write(self, field: bytes, value: bytes) -> bytes:
        quoted = field[:1] == self._quote if self._forced is None else self._forced
        return self._csv_out.write(value, quoted=quoted, alone=self._alone)


def _encoded(convert: Callable[[bytes], bytes], written: bytes) -> bytes:
    try:
        return convert(written)
    except CellError as error:
        raise uncaused(UnshowableCell("of this table", error.sqlstate, error.message)) from None
