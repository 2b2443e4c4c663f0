"""COPY TO STDOUT: rows in, the same rows out with sealed values unsealed.

CopyOutResponse says how many fields a row has, and nothing of what they are. Where the plan knows which fields are
sealed, every row is read. Any other COPY TO is relayed as it comes, but for rows in which the beginning of a sealed
value is seen: those are read, and whatever is sealed in them is unsealed, for authority follows the value. What only
looks like a sealed value there is somebody's data and stays.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from keystore import key_id, looks_sealed
from proxy.cells import CellError, Settings
from proxy.cells.errors import alone
from proxy.copying import binary
from proxy.copying.armour import Armour, take_off
from proxy.copying.csv import CsvRows
from proxy.copying.dialect import Dialect
from proxy.copying.errors import CopyError
from proxy.copying.lines import Lines
from proxy.copying.text import TextRows, split, unescape
from proxy.execution import Tally
from proxy.rows import BadCell, CellProgram, UnshowableCell, bytea_from_text, compile_cell
from proxy.shape import Column
from proxy.snapshot import Authority
from proxy.sql.copy_plan import CopyColumn, CopyFormat, CopyOptions, CopyPlan, Header

_HEX: Final = b"5ea1"
_ESCAPED: Final = b"^\\"
_BINARY: Final = b"\x5e\xa1\x01"
_AMBIGUOUS: Final = frozenset("0123456789abcdefx^")
"""A delimiter, quote or escape among these may stand inside of what a sealed value begins with."""

FieldProgram = Callable[[bytes, Tally], bytes]


class CopyOut:
    """The copy whose rows are arriving. Raises CopyError for data that is not of its format, and what cells raise."""

    def __init__(
        self,
        plan: CopyPlan,
        options: CopyOptions,
        fields: int,
        authority: Authority,
        settings: Settings,
        server_encoding: str,
        limit: int,
    ) -> None:
        columns = plan.columns or (CopyColumn(None),) * fields
        if len(columns) != fields:
            raise CopyError("the columns of the copy are not those that were planned")
        self.strict = plan.sealed
        """Every row is read."""
        self.limit = limit
        self.options = options
        self.header = options.header is not Header.ABSENT
        self.dialect = Dialect(options, settings.encoding, server_encoding)
        self._binary = options.format is CopyFormat.BINARY
        single = options.delimiter + options.quote + options.escape
        self._ambiguous = not self._binary and not _AMBIGUOUS.isdisjoint(single)
        # The settings of the session shape binary text; text fields are converted when they are written.
        form = settings if self._binary else replace(settings, encoding="UTF8")
        self.cells = tuple(
            (i, column, _cell(column, int(self._binary), authority, form))
            for i, column in enumerate(columns)
            if not column.plain
        )
        self.fields = fields
        self._format = _BinaryOut(self) if self._binary else _LinesOut(self)

    def suspicious(self, data: bytes) -> bool:
        """Whether a sealed value may begin in it."""
        if self._binary:
            return _BINARY in data
        return self._ambiguous or _HEX in data or _ESCAPED in data

    def convert(self, data: bytes, tally: Tally) -> tuple[bytes, int]:
        """The body of a CopyData as the client is to see it, and how many rows of the table are in it."""
        if not self.strict:
            return self._by_itself(data, tally)
        return self._format.feed(data, tally)

    def _by_itself(self, data: bytes, tally: Tally) -> tuple[bytes, int]:
        """One message of whole rows, as PostgreSQL sends them; anything else is relayed."""
        part = _BinaryOut(self) if self._binary else _LinesOut(self)
        try:
            shown, rows = part.feed(data, tally)
            rest, more = part.finish(tally)
        except CopyError:
            return data, 0
        return shown + rest, rows + more

    def finish(self, tally: Tally) -> tuple[bytes, int]:
        """CopyDone."""
        return self._format.finish(tally) if self.strict else (b"", 0)


class _LinesOut:
    """Text and CSV."""

    def __init__(self, copy: CopyOut) -> None:
        options, dialect = copy.options, copy.dialect
        self._dialect = dialect
        self._csv = options.format is CopyFormat.CSV
        self._alone = copy.fields == 1
        self._count = copy.fields
        self._header = copy.header and copy.strict
        self._armour = Armour(dialect.encoding) if dialect.armoured else None
        self._source: Lines
        if self._csv:
            self._source = CsvRows(copy.limit, dialect.quote, dialect.escape, b"\n")
        else:
            self._source = TextRows(copy.limit, b"\n", marker=False)
        self._programs = tuple(
            (i, self._csv_program(cell, column) if self._csv else self._text_program(cell))
            for i, column, cell in copy.cells
        )

    def feed(self, data: bytes, tally: Tally) -> tuple[bytes, int]:
        if self._armour is not None:
            data = self._armour.put_on(data)
        return self._converted(self._source.feed(data), tally)

    def finish(self, tally: Tally) -> tuple[bytes, int]:
        return self._converted(self._source.finish(), tally)

    def _converted(self, rows: list[bytes], tally: Tally) -> tuple[bytes, int]:
        if self._source.error is not None:
            raise self._source.error
        shown: list[bytes] = []
        if rows and self._header:
            self._header = False
            shown.append(rows.pop(0))
        delimiter = self._dialect.delimiter
        for row in rows:
            fields = self._dialect.csv.split(row) if self._csv else split(row, delimiter)
            if len(fields) != self._count:
                raise CopyError("a row has not as many fields as CopyOutResponse said")
            for place, program in self._programs:
                fields[place] = program(fields[place], tally)
            shown.append(delimiter.join(fields))
        if not shown:
            return b"", 0
        data = b"\n".join(shown) + (b"" if self._source.unterminated else b"\n")
        return take_off(data) if self._armour is not None else data, len(rows)

    def _text_program(self, cell: CellProgram) -> FieldProgram:
        null, write = self._dialect.null, self._dialect.text_out.write
        convert = self._dialect.from_utf8

        def program(field: bytes, tally: Tally) -> bytes:
            if field == null:
                return field
            value = unescape(field) if b"\\" in field else field
            shown = cell(value, tally)
            if shown is value:
                return field
            if shown is None:
                return null
            written = write(shown)
            return written if convert is None else _encoded(convert, written)

        return program

    def _csv_program(self, cell: CellProgram, column: CopyColumn) -> FieldProgram:
        dialect, alone = self._dialect, self._alone
        null, quote = dialect.null, dialect.quote
        convert = dialect.from_utf8
        read, write = dialect.csv.read, dialect.csv_out.write
        forced = dialect.options.forces_quote(column.name)

        def program(field: bytes, tally: Tally) -> bytes:
            quoted = field[:1] == quote
            if field == null and not quoted:
                return field
            value = read(field) if quote in field else field
            shown = cell(value, tally)
            if shown is value:
                return field
            if shown is None:
                return null
            written = write(shown, quoted=quoted if forced is None else forced, alone=alone)
            return written if convert is None else _encoded(convert, written)

        return program


def _encoded(convert: Callable[[bytes], bytes], written: bytes) -> bytes:
    try:
        return convert(written)
    except CellError as error:
        raise alone(UnshowableCell("of this table", error.sqlstate, error.message)) from None


class _BinaryOut:
    def __init__(self, copy: CopyOut) -> None:
        self._source = binary.BinaryRows(copy.limit, copy.fields)
        self._programs = tuple((i, cell) for i, _, cell in copy.cells)
        self._whole = copy.strict
        self._started = False
        self._trailer_sent = False

    def feed(self, data: bytes, tally: Tally) -> tuple[bytes, int]:
        source = self._source
        if not self._whole and not data.startswith(binary.SIGNATURE):
            source.header = b""  # A message by itself: the header came with the first one.
        rows = source.feed(data)
        if source.error is not None:
            raise source.error
        return self._converted(rows, tally)

    def finish(self, tally: Tally) -> tuple[bytes, int]:
        if not self._started:
            return b"", 0
        rows = self._source.finish()
        if self._source.error is not None:
            raise self._source.error
        return self._converted(rows, tally)

    def _converted(self, rows: list[binary.Tuple], tally: Tally) -> tuple[bytes, int]:
        source = self._source
        shown: list[bytes] = []
        if not self._started and source.header is not None:
            self._started = True
            shown.append(source.header)
        for fields in rows:
            for place, program in self._programs:
                value = fields[place]
                if value is not None:
                    fields[place] = program(value, tally)
            shown.append(binary.join(fields))
        if source.ended and not self._trailer_sent:
            self._trailer_sent = True
            shown.append(binary.TRAILER)
        return b"".join(shown), len(rows)


# Cells.


def _cell(
    column: CopyColumn, format_code: int, authority: Authority, settings: Settings
) -> CellProgram:
    if column.logical is None:
        return _by_value(format_code, authority, settings)
    label = column.label if column.declared else None
    shape = Column(column.table, label, column.logical)
    return compile_cell(shape, format_code, authority, settings)


def _by_value(format_code: int, authority: Authority, settings: Settings) -> CellProgram:
    """A field that is not known to be sealed: a sealed value in it is shown as its column's own type."""
    keys = authority.snapshot.keyset.data_keys
    by_key: dict[int, CellProgram] = {}

    def program(wire: bytes, tally: Tally) -> bytes | None:
        value = wire if format_code else bytea_from_text(wire)
        if value is None or not looks_sealed(value):
            return wire
        number = key_id(value)
        known = by_key.get(number)
        if known is None:
            key = keys.get(number)
            if key is None:
                return wire
            logical = authority.snapshot.type_of(key.column)
            known = compile_cell(Column(0, None, logical), format_code, authority, settings)
            by_key[number] = known
        try:
            return known(wire, tally)
        except BadCell:
            return wire  # Of what type the field is, nobody said: it may be text that was cut.

    return program
