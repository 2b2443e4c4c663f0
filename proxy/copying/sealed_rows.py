"""Rows on their way into sealed columns: taken apart, sealed, put together again in the same format.

Whatever is wrong with a row is found here, with the server's SQLSTATE and words; rows in front of it go on. Fields of
other columns keep their bytes. With ON_ERROR ignore a value that is not of the type becomes one that bytea does not
take, so that the server skips and counts the row; the value itself does not get there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from proxy.cells import CellError, Settings
from proxy.cells.encoding import is_ascii, is_utf8
from proxy.copying import binary
from proxy.copying.armour import Armour, take_off
from proxy.copying.csv import CsvRows
from proxy.copying.dialect import Dialect
from proxy.copying.errors import CopyError
from proxy.copying.lines import Lines
from proxy.copying.sealing import (
    INVALID_ENCODING,
    CsvField,
    SealedField,
    Sealing,
    TextField,
    sealings,
)
from proxy.copying.text import TextRows, cut_escape, split, unescape
from proxy.snapshot import Snapshot
from proxy.sql.copy_plan import CopyColumn, CopyFormat, CopyPlan, Header
from proxy.tally import Sealed

MARKER_IN_CSV_UNTIL: Final = 180000
"""Before PostgreSQL 18 a line `\\.` ends CSV data too."""
_UNREAD: Final = "COPY with these options cannot be read for certain on sealed columns"


@dataclass(frozen=True, slots=True)
class Failure:
    """Why the copy was ended, for the client."""

    sqlstate: str
    message: str
    hint: str
    line: int
    column: str

    @property
    def told(self) -> bytes:
        """What CopyFail says: in ASCII, the server may be of any encoding."""
        return self.message.encode("ascii", "backslashreplace")


class SealedRows(ABC):
    """One format's rows, sealed. `convert` and `finish` return what to send, `failure` says why no more will be."""

    def __init__(self) -> None:
        self.failure: Failure | None = None
        self.line = 0

    @abstractmethod
    def convert(self, data: bytes) -> bytes:
        """What to send for the whole rows that `data` completes."""

    @abstractmethod
    def finish(self) -> bytes:
        """What to send at the end of the client's data."""

    def _failed(self, error: CopyError | CellError, column: CopyColumn | None = None) -> None:
        text = error.message
        hint = error.hint if isinstance(error, CopyError) else ""
        name = error.column if isinstance(error, CopyError) else ""
        if column is not None and column.label is not None:
            text = f"{text.replace(' in bind parameter', '')} (sealed column {column.label})"
            name = "" if error.sqlstate == INVALID_ENCODING else column.name or ""
        self.failure = Failure(error.sqlstate, text, hint, self.line, name)


def sealed_rows(
    plan: CopyPlan,
    snapshot: Snapshot,
    settings: Settings,
    server_encoding: str,
    limit: int,
    sealed: Sealed,
) -> SealedRows:
    if plan.options is None or plan.columns is None:
        raise CellError("0A000", _UNREAD)
    dialect = Dialect(plan.options, settings.encoding, server_encoding)
    if plan.options.format is CopyFormat.BINARY:
        return _BinaryIn(plan, snapshot, settings, limit, sealed)
    if dialect.to_utf8 is None and server_encoding != "UTF8":
        raise CellError("0A000", _UNREAD)
    return _LinesIn(plan, dialect, snapshot, settings, limit, sealed)


class _LinesIn(SealedRows):
    """Text and CSV."""

    def __init__(
        self,
        plan: CopyPlan,
        dialect: Dialect,
        snapshot: Snapshot,
        settings: Settings,
        limit: int,
        sealed: Sealed,
    ) -> None:
        super().__init__()
        assert plan.columns is not None and plan.options is not None  # noqa: S101, PT018 - asked for
        self._columns = plan.columns
        self._options = plan.options
        self._dialect = dialect
        self._sealed = sealed
        self._armour = Armour(dialect.encoding) if dialect.armoured else None
        self._csv = plan.options.format is CopyFormat.CSV
        self._source: Lines = TextRows(limit)
        self._split: Callable[[bytes], list[bytes]] = lambda row: split(row, dialect.delimiter)
        if self._csv:
            marker = plan.server_version < MARKER_IN_CSV_UNTIL
            self._source = CsvRows(limit, dialect.quote, dialect.escape, marker=marker)
            self._split = dialect.csv.split
        self._special = dialect.quote if self._csv else b"\\"
        self._embedded = b""
        """The character that counts as a line inside CSV's quotes; empty until the first line has ended."""
        self._header = plan.options.header
        utf8 = replace(settings, encoding="UTF8")
        self._fields = tuple(
            (place, self._field(plan.columns[place], sealing))
            for place, sealing in sealings(plan.columns, snapshot, 0, utf8)
        )

    def _field(self, column: CopyColumn, sealing: Sealing) -> SealedField:
        soft = self._options.skips_errors
        if not self._csv:
            return TextField(sealing, self._dialect, soft=soft)
        return CsvField(sealing, self._dialect, self._options, column.name or "", soft=soft)

    # Rows.

    def convert(self, data: bytes) -> bytes:
        try:
            if self._armour is not None:
                data = self._armour.put_on(data)
        except CopyError as error:
            self.line += 1
            self._failed(error)
            return b""
        source = self._source
        if source.ended:
            return b""
        return self._converted(source.feed(data))

    def finish(self) -> bytes:
        try:
            if self._armour is not None:
                self._armour.finish()
        except CopyError as error:
            self.line += 1
            self._failed(error)
            return b""
        rows = self._source.finish()
        if self._source.unterminated and not self._csv:
            rows[-1] = cut_escape(rows[-1])
        return self._converted(rows)

    def _converted(self, rows: list[bytes]) -> bytes:
        sent: list[bytes] = []
        if rows and self._header is not Header.ABSENT:
            self._read_header(rows, sent)
        if self.failure is None and rows:
            self._seal_rows(rows, sent)
        source = self._source
        if self.failure is None and source.error is not None:
            self.line += 1
            self._failed(source.error)
        data = source.end.join(sent)
        if sent and not (source.unterminated and self.failure is None):
            data += source.end
        return take_off(data) if self._armour is not None else data

    def _seal_rows(self, rows: list[bytes], sent: list[bytes]) -> None:
        if len(rows) > 1 and self._seal_at_once(rows, sent):
            return
        delimiter, fields_of = self._dialect.delimiter, self._fields
        count = len(self._columns)
        escaped = self._special if self._csv else self._special + delimiter
        place = -1
        skips = self._options.skips_errors
        try:
            for row in rows:
                self.line += 1
                place = -1
                if escaped in row:
                    self._count_embedded(row)
                    fields = self._split(row)
                else:
                    fields = row.split(delimiter)
                if len(fields) != count:
                    raise self._wrong_count(len(fields))
                for place, field in fields_of:
                    field.skipped = False
                    fields[place] = field.one(fields[place])
                sent.append(delimiter.join(fields))
                self._first_line_ended()
                skipped = skips and any(field.skipped for _, field in fields_of)
                self._note(stored=not skipped)
        except (CopyError, CellError) as error:
            self._note(stored=False)
            self._failed(error, self._columns[place] if place >= 0 else None)

    def _note(self, *, stored: bool) -> None:
        """What was sealed since the last time is sent, or is not stored."""
        for _, field in self._fields:
            ids = field.taken()
            if ids and stored:
                self._sealed.setdefault(field.label, []).extend(ids)

    def _seal_at_once(self, rows: list[bytes], sent: list[bytes]) -> bool:
        """The same by columns, where all is as usual. False: nothing was done."""
        delimiter, count = self._dialect.delimiter, len(self._columns)
        block = b"\n".join(rows)
        special = self._special in block
        try:
            if special and (self._csv or b"\\" + delimiter in block):
                table = [self._split(row) for row in rows]
            else:
                table = [row.split(delimiter) for row in rows]
            for fields in table:
                if len(fields) != count:
                    return False
            verified = is_utf8(block) if self._dialect.to_utf8 is None else is_ascii(block)
            for place, field in self._fields:
                values = [fields[place] for fields in table]
                if not field.many(values, special=special, verified=verified):
                    self._note(stored=False)
                    return False
                for fields, value in zip(table, values, strict=True):
                    fields[place] = value
        except (CopyError, CellError):
            self._note(stored=False)
            return False
        self._note(stored=True)
        self._count_lines(rows, special=special)
        sent += [delimiter.join(fields) for fields in table]
        return True

    def _count_lines(self, rows: list[bytes], *, special: bool) -> None:
        self.line += len(rows)
        for row in rows if special else rows[:1]:
            self._count_embedded(row)
            self._first_line_ended()

    def _count_embedded(self, row: bytes) -> None:
        if self._csv and self._special in row:
            self.line += row.count(self._embedded or b"\r")

    def _first_line_ended(self) -> None:
        if self._csv and not self._embedded:
            self._embedded = b"\n" if self._source.end == b"\n" else b"\r"
            for _, field in self._fields:
                field.line_end = self._embedded

    def _wrong_count(self, found: int) -> CopyError:
        if found > len(self._columns):
            return CopyError("extra data after last expected column")
        return CopyError(f'missing data for column "{self._columns[found].name}"')

    # The header.

    def _read_header(self, rows: list[bytes], sent: list[bytes]) -> None:
        row = rows.pop(0)
        self.line += 1
        self._count_embedded(row)
        self._first_line_ended()
        matched, self._header = self._header is Header.MATCHED, Header.ABSENT
        try:
            if matched:
                self._match(self._split(row))
        except (CopyError, CellError) as error:
            self._failed(error)
            return
        sent.append(row)

    def _match(self, fields: list[bytes]) -> None:
        if len(fields) != len(self._columns):
            raise CopyError(
                f"wrong number of fields in header line: got {len(fields)}, expected {len(self._columns)}"
            )
        for number, (field, column) in enumerate(zip(fields, self._columns, strict=True), 1):
            if (
                field == self._dialect.null_marker
                or self._value(field) != (column.name or "").encode()
            ):
                # What stands there instead may be a value.
                raise CopyError(
                    f'column name mismatch in header line field {number}: expected "{column.name}"'
                )

    def _value(self, field: bytes) -> bytes:
        convert = self._dialect.from_stream
        if self._csv and self._special in field:
            field = self._dialect.csv.read(field)
        if convert is not None:
            field = convert(field)
        return unescape(field) if not self._csv else field


class _BinaryIn(SealedRows):
    def __init__(
        self,
        plan: CopyPlan,
        snapshot: Snapshot,
        settings: Settings,
        limit: int,
        sealed: Sealed,
    ) -> None:
        super().__init__()
        assert plan.columns is not None  # noqa: S101 - asked for
        self._columns = plan.columns
        self._header_sent = False
        self._trailer_sent = False
        # The types' receive functions read text in client_encoding, whatever ENCODING says.
        found = sealings(plan.columns, snapshot, 1, settings)
        self._source = binary.BinaryRows(limit, len(plan.columns), (place for place, _ in found))
        self._fields = [
            (2 * number + 1, plan.columns[place], sealing)
            for number, (place, sealing) in enumerate(found)
        ]
        """Where a sealed field is in a tuple that was taken apart."""
        self._sealed = sealed

    def convert(self, data: bytes) -> bytes:
        return self._converted(self._source.feed(data))

    def finish(self) -> bytes:
        return self._converted(self._source.finish())

    def _converted(self, rows: list[binary.Tuple]) -> bytes:
        sent: list[bytes] = []
        source = self._source
        if not self._header_sent and source.header is not None:
            self._header_sent = True
            sent.append(source.header)
        if rows and not self._seal_at_once(rows, sent):
            self._seal_rows(rows, sent)
        if self.failure is None and source.error is not None:
            self.line += 1
            self._failed(source.error)
        if self.failure is None and source.ended and not self._trailer_sent:
            self._trailer_sent = True
            sent.append(binary.TRAILER)
        return b"".join(sent)

    def _seal_rows(self, rows: list[binary.Tuple], sent: list[bytes]) -> None:
        column: CopyColumn | None = None
        try:
            for row in rows:
                self.line += 1
                for place, one, sealing in self._fields:
                    column = one
                    value = row[place]
                    if value is not None:
                        row[place] = sealing.one(value)
                sent += binary.written(row)
                self._note(stored=True)
        except CellError as error:
            self._note(stored=False)
            self._failed(error, column)

    def _note(self, *, stored: bool) -> None:
        """What was sealed since the last time is sent, or is not stored."""
        for _, _, sealing in self._fields:
            ids, sealing.ids = sealing.ids, []
            if ids and stored:
                self._sealed.setdefault(sealing.label, []).extend(ids)

    def _seal_at_once(self, rows: list[binary.Tuple], sent: list[bytes]) -> bool:
        """The same by columns. False: nothing was done, for one of the values is wrong."""
        columns = []
        try:
            for place, _, sealing in self._fields:
                values = [value for row in rows if (value := row[place]) is not None]
                columns.append((place, sealing.many(values, verified=False)))
        except CellError:
            self._note(stored=False)
            return False
        self._note(stored=True)
        for place, values in columns:
            if not values:
                continue
            following = iter(values)
            for row in rows:
                if row[place] is not None:
                    row[place] = next(following)
        self.line += len(rows)
        for row in rows:
            sent += binary.written(row)
        return True
