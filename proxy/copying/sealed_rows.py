"""Rows on their way into sealed columns: taken apart, sealed, put together again in the same format.

Whatever is wrong with a row is found here, with the server's SQLSTATE and words; rows in front of it go on. Fields of
other columns keep their bytes. With ON_ERROR ignore a value that is not of the type becomes one that bytea does not
take, so that the server skips and counts the row; the value itself does not get there.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from binascii import hexlify
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from proxy.cells import CellError, LogicalType, Settings
from proxy.copying import binary
from proxy.copying.armour import Armour, take_off
from proxy.copying.csv import CsvRows
from proxy.copying.dialect import Dialect
from proxy.copying.errors import CopyError
from proxy.copying.lines import Lines
from proxy.copying.text import TextRows, cut_escape, split, unescape
from proxy.snapshot import Snapshot
from proxy.sql.copy_plan import CopyColumn, CopyFormat, CopyPlan, Header

MARKER_IN_CSV_UNTIL: Final = 180000
"""Before PostgreSQL 18 a line `\\.` ends CSV data too."""
_INVALID_ENCODING: Final = "22021"
_WRITTEN: Final = b"\\x0123456789abcdefno"
"""What sealed values, and those in place of bad ones, are written with."""
_UNREAD: Final = "COPY with these options cannot be read for certain on sealed columns"

Program = Callable[[bytes], bytes]
"""A field as it is written -> the same with a sealed value."""


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
            name = "" if error.sqlstate == _INVALID_ENCODING else column.name or ""
        self.failure = Failure(error.sqlstate, text, hint, self.line, name)


def sealed_rows(
    plan: CopyPlan,
    snapshot: Snapshot,
    settings: Settings,
    server_encoding: str,
    limit: int,
    sealed: Counter[str],
) -> SealedRows:
    if plan.options is None or plan.columns is None:
        raise CellError("0A000", _UNREAD)
    dialect = Dialect(plan.options, settings.encoding, server_encoding)
    if plan.options.format is CopyFormat.BINARY:
        return _BinaryIn(plan, snapshot, settings, limit, sealed)
    if dialect.to_utf8 is None and server_encoding != "UTF8":
        raise CellError("0A000", _UNREAD)
    return _LinesIn(plan, dialect, snapshot, settings, limit, sealed)


def _sealing_all(
    columns: tuple[CopyColumn, ...],
    snapshot: Snapshot,
    format_code: int,
    settings: Settings,
    sealed: Counter[str],
) -> tuple[tuple[int, Program], ...]:
    """The sealed fields by their places. Raises CellError where one of them is none any more: never a plaintext."""
    found = []
    for place, column in enumerate(columns):
        if column.label is None and column.logical is None:
            continue
        logical = snapshot.type_of(column.label) if column.label is not None else None
        if logical is None:
            raise CellError(
                "0A000", f"column {column.label or column.name} is not declared any more"
            )
        found.append((place, _sealing(column, logical, snapshot, format_code, settings, sealed)))
    return tuple(found)


def _sealing(
    column: CopyColumn,
    logical: LogicalType,
    snapshot: Snapshot,
    format_code: int,
    settings: Settings,
    sealed: Counter[str],
) -> Program:
    """A value, text in UTF-8 or in binary form -> a sealed one."""
    label = column.label or ""
    seal = snapshot.keyset.column(label).seal
    decode = logical.decoder(format_code, settings)
    assign = logical.assign
    form = logical.equality_form
    if "equality" in snapshot.catalog.sealed[label].search:

        def searchable(value: bytes) -> bytes:
            plaintext = assign(decode(value))
            sealed[label] += 1
            return seal(plaintext, form(plaintext))

        return searchable

    def sealing(value: bytes) -> bytes:
        plaintext = assign(decode(value))
        sealed[label] += 1
        return seal(plaintext)

    return sealing


class _LinesIn(SealedRows):
    """Text and CSV."""

    def __init__(
        self,
        plan: CopyPlan,
        dialect: Dialect,
        snapshot: Snapshot,
        settings: Settings,
        limit: int,
        sealed: Counter[str],
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
        self._quote = dialect.quote if self._csv else b"\n"
        self._embedded = b"\r"
        """The character that counts as a line inside quotes: CR until the first line has ended."""
        self._header = plan.options.header
        utf8 = replace(settings, encoding="UTF8")
        self._programs = tuple(
            (i, self._program(plan.columns[i], seal))
            for i, seal in _sealing_all(plan.columns, snapshot, 0, utf8, sealed)
        )

    # Fields.

    def _program(self, column: CopyColumn, seal: Program) -> Program:
        read = self._softly(seal) if self._options.skips_errors else seal
        return self._csv_program(column, read) if self._csv else self._text_program(read)

    def _text_program(self, seal: Program) -> Program:
        null, default = self._dialect.null, self._dialect.default
        convert = self._dialect.from_stream

        def program(field: bytes) -> bytes:
            if field in (null, default):
                return field
            if convert is not None:
                field = convert(field)
            if b"\\" in field:
                field = unescape(field)
            value = seal(field)
            return b"\\\\x" + hexlify(value) if value else self._bad

        return program

    def _csv_program(self, column: CopyColumn, seal: Program) -> Program:
        dialect, name = self._dialect, column.name or ""
        null, default, quote = dialect.null, dialect.default, dialect.quote
        forces_null = self._options.forces_null(name)
        forces_not_null = self._options.forces_not_null(name)
        convert = dialect.from_stream
        read, write = dialect.csv.read, dialect.csv.write
        plain = not any(c in _WRITTEN for c in (dialect.delimiter, quote))

        def program(field: bytes) -> bytes:
            value, lines = field, 0
            if quote in field:
                value = read(field)
                if forces_null and value == null:
                    return field
                lines = field.count(self._embedded)
            elif (field == null and not forces_not_null) or field == default:
                return field
            if convert is not None:
                value = convert(value)
            stored = seal(value)
            written = b"\\x" + hexlify(stored) if stored else self._bad
            if plain and not lines:
                return written
            written = write(written, quoted=lines > 0)
            # Blanks in a bytea's hexadecimal form mean nothing; so the server counts the same lines.
            return written[:-1] + self._embedded * lines + written[-1:] if lines else written

        return program

    @property
    def _bad(self) -> bytes:
        """What bytea does not take, whatever the delimiter is."""
        return b"\\xno" if self._csv else b"\\\\xno"

    def _softly(self, seal: Program) -> Program:
        """ON_ERROR ignore: b"" for a value that is not of the type. Bytes that are no characters are an error still."""

        def softly(value: bytes) -> bytes:
            try:
                return seal(value)
            except CellError as error:
                if error.sqlstate == _INVALID_ENCODING:
                    raise
            self._skipped = True
            return b""

        return softly

    _skipped = False

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
        delimiter, programs, count = self._dialect.delimiter, self._programs, len(self._columns)
        quote = self._quote
        escaped = b"\\" + delimiter if not self._csv else quote
        general = self._split
        soft = self._options.skips_errors
        place = -1
        try:
            for row in rows:
                self.line += 1
                place = -1
                if escaped in row:
                    if quote in row:
                        self.line += row.count(self._embedded)
                    fields = general(row)
                else:
                    fields = row.split(delimiter)
                if len(fields) != count:
                    raise self._wrong_count(len(fields))
                before = self._before_row() if soft else None
                for place, program in programs:
                    fields[place] = program(fields[place])
                sent.append(delimiter.join(fields))
                if self._csv:
                    self._embedded = b"\n" if self._source.end == b"\n" else b"\r"
                if before is not None and self._skipped:
                    self._sealed.clear()
                    self._sealed.update(before)
        except (CopyError, CellError) as error:
            self._failed(error, self._columns[place] if place >= 0 else None)

    def _before_row(self) -> dict[str, int]:
        self._skipped = False
        return dict(self._sealed)

    def _wrong_count(self, found: int) -> CopyError:
        if found > len(self._columns):
            return CopyError("extra data after last expected column")
        return CopyError(f'missing data for column "{self._columns[found].name}"')

    # The header.

    def _read_header(self, rows: list[bytes], sent: list[bytes]) -> None:
        row = rows.pop(0)
        self.line += 1
        if self._csv:
            if self._quote in row:
                self.line += row.count(self._embedded)
            self._embedded = b"\n" if self._source.end == b"\n" else b"\r"
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
            if field == self._dialect.null or self._value(field) != (column.name or "").encode():
                # What stands there instead may be a value.
                raise CopyError(
                    f'column name mismatch in header line field {number}: expected "{column.name}"'
                )

    def _value(self, field: bytes) -> bytes:
        convert = self._dialect.from_stream
        if self._csv and self._quote in field:
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
        sealed: Counter[str],
    ) -> None:
        super().__init__()
        assert plan.columns is not None  # noqa: S101 - asked for
        self._columns = plan.columns
        self._source = binary.BinaryRows(limit, len(plan.columns))
        self._header_sent = False
        self._trailer_sent = False
        # The types' receive functions read text in client_encoding, whatever ENCODING says.
        self._programs = _sealing_all(plan.columns, snapshot, 1, settings, sealed)

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
        place = -1
        try:
            for fields in rows:
                self.line += 1
                for place, program in self._programs:
                    value = fields[place]
                    if value is not None:
                        fields[place] = program(value)
                sent.append(binary.join(fields))
        except CellError as error:
            self._failed(error, self._columns[place])
        if self.failure is None and source.error is not None:
            self.line += 1
            self._failed(source.error)
        if self.failure is None and source.ended and not self._trailer_sent:
            self._trailer_sent = True
            sent.append(binary.TRAILER)
        return b"".join(sent)
