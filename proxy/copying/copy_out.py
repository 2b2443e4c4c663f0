"""COPY TO STDOUT: rows in, the same rows out with sealed values unsealed.

CopyOutResponse says how many fields a row has, and nothing of what they are. Where the plan knows which fields are
sealed, every row is read. Any other COPY TO is relayed as it comes, but for rows in which the beginning of a sealed
value is seen: those are read, and whatever is sealed in them is unsealed, for authority follows the value. What only
looks like a sealed value there is somebody's data and stays.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from proxy.cells import Settings
from proxy.copying import binary
from proxy.copying.armour import Armour, take_off
from proxy.copying.csv import CsvRows
from proxy.copying.dialect import Dialect
from proxy.copying.errors import CopyError
from proxy.copying.lines import Lines
from proxy.copying.showing import ShownCsv, ShownField, ShownText, Values
from proxy.copying.text import TextRows, split
from proxy.rows import BadCell, UnshowableCell, Withheld
from proxy.snapshot import Authority
from proxy.sql.copy_plan import CopyColumn, CopyFormat, CopyOptions, CopyPlan, Header
from proxy.tally import Tally

_HEX: Final = b"5ea1"
_ESCAPED: Final = b"^\\"
_BINARY: Final = b"\x5e\xa1\x01"
_AMBIGUOUS: Final = frozenset("0123456789abcdefx^")
"""A delimiter, quote or escape among these may stand inside of what a sealed value begins with."""

Shown = tuple[list[bytes], int]
"""Bodies of CopyData messages, one for each row and for a header line, and how many rows of the table are in them."""


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
            (i, column, Values(column, int(self._binary), authority, form))
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

    def convert(self, data: bytes, tally: Tally) -> Shown:
        """What was in one CopyData, or in several, as the client is to see it."""
        if not self.strict:
            return self._by_itself(data, tally)
        return self._format.feed(data, tally)

    def _by_itself(self, data: bytes, tally: Tally) -> Shown:
        """One message of whole rows, as PostgreSQL sends them; anything else is relayed."""
        part = _BinaryOut(self) if self._binary else _LinesOut(self)
        try:
            shown, rows = part.feed(data, tally)
            rest, more = part.finish(tally)
        except CopyError:
            return [data], 0
        return shown + rest, rows + more

    def finish(self, tally: Tally) -> Shown:
        """CopyDone."""
        return self._format.finish(tally) if self.strict else ([], 0)


class _LinesOut:
    """Text and CSV."""

    def __init__(self, copy: CopyOut) -> None:
        options, dialect = copy.options, copy.dialect
        self._dialect = dialect
        self._csv = options.format is CopyFormat.CSV
        self._count = copy.fields
        self._header = copy.header and copy.strict
        self._armour = Armour(dialect.encoding) if dialect.armoured else None
        self._source: Lines
        if self._csv:
            self._source = CsvRows(copy.limit, dialect.quote, dialect.escape, b"\n")
        else:
            self._source = TextRows(copy.limit, b"\n", marker=False)
        self._fields: list[tuple[int, ShownField]] = [
            (i, self._field(column, values, alone=copy.fields == 1))
            for i, column, values in copy.cells
        ]

    def _field(self, column: CopyColumn, values: Values, *, alone: bool) -> ShownField:
        if self._csv:
            return ShownCsv(values, self._dialect, column, alone=alone)
        return ShownText(values, self._dialect)

    def feed(self, data: bytes, tally: Tally) -> Shown:
        if self._armour is not None:
            data = self._armour.put_on(data)
        return self._converted(self._source.feed(data), tally)

    def finish(self, tally: Tally) -> Shown:
        return self._converted(self._source.finish(), tally)

    def _converted(self, rows: list[bytes], tally: Tally) -> Shown:
        lines: list[bytes] = []
        if rows and self._header:
            self._header = False
            lines.append(rows.pop(0))
        if rows:
            lines += self._rows(rows, tally)
        if self._source.error is not None:
            raise self._source.error
        last = len(lines) - 1 if self._source.unterminated else len(lines)
        bodies = [line + b"\n" if i != last else line for i, line in enumerate(lines)]
        if self._armour is not None:
            bodies = [take_off(body) for body in bodies]
        return bodies, len(rows)

    def _rows(self, rows: list[bytes], tally: Tally) -> list[bytes]:
        delimiter, count = self._dialect.delimiter, self._count
        if self._csv:
            table = [self._dialect.csv.split(row) for row in rows]
        else:
            table = [split(row, delimiter) for row in rows]
        whole = next((i for i, fields in enumerate(table) if len(fields) != count), len(table))
        del table[whole:]
        try:
            if len(table) == 1 or not self._show_at_once(table):
                for fields in table:
                    for place, field in self._fields:
                        fields[place] = field.one(fields[place])
        finally:
            for _, field in self._fields:
                field.count(tally)
        if whole < len(rows):
            raise CopyError("a row has not as many fields as CopyOutResponse said")
        return [delimiter.join(fields) for fields in table]

    def _show_at_once(self, table: list[list[bytes]]) -> bool:
        """By columns. False: nothing was done; by rows, the first value that must not be shown is the first that is met."""
        columns = []
        try:
            for place, field in self._fields:
                columns.append((place, field.many([fields[place] for fields in table])))
        except (BadCell, Withheld, UnshowableCell):
            pass
        if len(columns) < len(self._fields):
            for _, field in self._fields:
                field.count(Tally())  # It is met again.
            return False
        for place, values in columns:
            for fields, value in zip(table, values, strict=True):
                fields[place] = value
        return True


class _BinaryOut:
    def __init__(self, copy: CopyOut) -> None:
        self._source = binary.BinaryRows(copy.limit, copy.fields, [i for i, _, _ in copy.cells])
        self._values = [(2 * n + 1, values) for n, (_, _, values) in enumerate(copy.cells)]
        """Where a field is in a tuple that was taken apart."""
        self._whole = copy.strict
        self._before = b""
        """The header, until there is something to send it with."""
        self._started = False
        self._trailer_sent = False

    def feed(self, data: bytes, tally: Tally) -> Shown:
        source = self._source
        if not self._whole and not data.startswith(binary.SIGNATURE):
            source.header = b""  # A message by itself: the header came with the first one.
        return self._converted(source.feed(data), tally)

    def finish(self, tally: Tally) -> Shown:
        if not self._started:
            return [], 0
        shown, count = self._converted(self._source.finish(), tally)
        if self._before:
            shown.append(self._before)
        return shown, count

    def _converted(self, rows: list[binary.Tuple], tally: Tally) -> Shown:
        source = self._source
        if not self._started and source.header is not None:
            self._started = True
            self._before = source.header
        try:
            if rows and (len(rows) == 1 or not self._show_at_once(rows)):
                for row in rows:
                    for place, values in self._values:
                        value = row[place]
                        if value is not None:
                            row[place] = values.show(value)
        finally:
            for _, values in self._values:
                values.count(tally)
        if source.error is not None:
            raise source.error
        shown = [b"".join(binary.written(row)) for row in rows]
        if source.ended and not self._trailer_sent:
            self._trailer_sent = True
            shown.append(binary.TRAILER)
        if shown and self._before:
            shown[0] = self._before + shown[0]
            self._before = b""
        return shown, len(rows)

    def _show_at_once(self, rows: list[binary.Tuple]) -> bool:
        """By columns. False: nothing was done."""
        columns = []
        try:
            for place, values in self._values:
                wires = [value for row in rows if (value := row[place]) is not None]
                columns.append((place, values.many(wires)))
        except (BadCell, Withheld, UnshowableCell):
            pass
        if len(columns) < len(self._values):
            for _, values in self._values:
                values.count(Tally())
            return False
        for place, shown in columns:
            following = iter(shown)
            for row in rows:
                if row[place] is not None:
                    row[place] = next(following)
        return True
