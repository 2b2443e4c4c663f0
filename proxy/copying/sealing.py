"""One sealed column of a COPY FROM: its fields as they are written -> the same with sealed values.

`one` takes a field by itself; `many` takes the fields of a block of rows at once, and knows what is usual: it gives
what `one` would give for each of them, or raises, or says None. Then the rows are gone through one by one, which finds the first
thing that is wrong in the order in which the server would.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from binascii import hexlify
from collections.abc import Callable
from typing import Final

from keystore import ColumnKeys, cell_id
from keystore.sealed import CELL_ID_SIZE, HEADER_SIZE, TERM_SIZE
from proxy.cells import CellError, LogicalType, Settings
from proxy.cells.encoding import from_utf8, is_utf8, utf8
from proxy.copying.dialect import Dialect
from proxy.copying.text import unescape
from proxy.snapshot import Snapshot
from proxy.sql.copy_plan import CopyColumn, CopyOptions
from proxy.terms import StoredTerms

INVALID_ENCODING: Final = "22021"
_CHARACTERS: Final = ("text", "varchar", "bpchar")
_WRITTEN: Final = b"\\x0123456789abcdefno"
"""What sealed values, and those in place of bad ones, are written with."""


class Sealing:
    """What a column does to values, text in UTF-8 or in binary form: reads, stores and seals them."""

    __slots__ = (
        "_assign",
        "_characters",
        "_form",
        "_ids_at",
        "_keys",
        "_store",
        "_terms",
        "_utf8",
        "ids",
        "label",
    )

    def __init__(
        self,
        label: str,
        logical: LogicalType,
        snapshot: Snapshot,
        format_code: int,
        settings: Settings,
    ) -> None:
        self.label = label
        keys: ColumnKeys = snapshot.keyset.column(label)
        self._keys = keys
        self._store = logical.storing(format_code, settings)
        self._characters = logical.name in _CHARACTERS
        self._utf8 = from_utf8(settings.encoding) is None
        self._assign = logical.assign if logical.modifier >= 0 else None
        self._terms = StoredTerms(snapshot.catalog.sealed[label], keys)
        self._form = self._terms.equality
        self._ids_at = HEADER_SIZE if self._form is None else HEADER_SIZE + TERM_SIZE
        """Where the cell id is if there are no further terms."""
        self.ids: list[bytes] = []
        """Of what was sealed: for whoever knows whether it is sent."""

    def one(self, value: bytes) -> bytes:
        plaintext = self._store(value)
        sealed = self._terms.seal(plaintext)
        self.ids.append(cell_id(sealed))
        return sealed

    def many(self, values: list[bytes], *, verified: bool) -> list[bytes]:
        """`verified`: they are known to be UTF-8 without NUL."""
        if self._characters and self._utf8 and not verified:
            verified = is_utf8(b"\n".join(values))
        if not (verified and self._characters):
            store = self._store
            values = [store(value) for value in values]
        elif self._assign is not None:
            assign = self._assign
            values = [assign(value) for value in values]
        if not self._terms.plain:
            sealed = [self._terms.seal(value) for value in values]
            self.ids += [cell_id(value) for value in sealed]
            return sealed
        form = self._form
        forms = None if form is None else [form(value) for value in values]
        sealed = self._keys.seal_many(values, forms)
        at = self._ids_at
        end = at + CELL_ID_SIZE
        self.ids += [value[at:end] for value in sealed]
        return sealed


def sealings(
    columns: tuple[CopyColumn, ...], snapshot: Snapshot, format_code: int, settings: Settings
) -> list[tuple[int, Sealing]]:
    """The sealed fields by their places. Raises CellError where one of them is none any more: never a plaintext."""
    found = []
    for place, column in enumerate(columns):
        if column.label is None and column.logical is None:
            continue
        logical = snapshot.type_of(column.label) if column.label is not None else None
        if logical is None or column.label is None:
            raise CellError(
                "0A000", f"column {column.label or column.name} is not declared any more"
            )
        found.append((place, Sealing(column.label, logical, snapshot, format_code, settings)))
    return found


class SealedField(ABC):
    """A sealed column's fields in text or CSV."""

    def __init__(self, sealing: Sealing, *, soft: bool) -> None:
        self.label = sealing.label
        self.line_end = b"\r"
        """The character that counts as a line inside CSV's quotes: CR until the first line has ended."""
        self._sealing = sealing
        self._soft = soft
        """ON_ERROR ignore: a value that is not of the type becomes one that bytea does not take."""
        self.skipped = False
        """There was one."""

    def taken(self) -> list[bytes]:
        """The ids of what was sealed since the last time."""
        ids, self._sealing.ids = self._sealing.ids, []
        return ids

    @abstractmethod
    def one(self, field: bytes) -> bytes:
        """The very same object: it holds no value. Raises CellError."""

    @abstractmethod
    def many(self, fields: list[bytes], *, special: bool, verified: bool) -> bool:
        """Replace the fields of several rows. False: they have to be taken one by one.

        `special`: some may have a backslash (text) or a quote (CSV). `verified`: their bytes are UTF-8 without NUL.
        """

    def _stored(self, value: bytes) -> bytes:
        """b"": it is not of the type, and its row is to be skipped. Bytes that are no characters are an error still."""
        if not self._soft:
            return self._sealing.one(value)
        try:
            return self._sealing.one(value)
        except CellError as error:
            if error.sqlstate == INVALID_ENCODING:
                raise
        self.skipped = True
        return b""


def _put_back(fields: list[bytes], places: list[int] | None, written: list[bytes]) -> bool:
    """Sealed fields where the values stood; None: all of them were values."""
    if places is None:
        fields[:] = written
    else:
        for i, field in zip(places, written, strict=True):
            fields[i] = field
    return True


class TextField(SealedField):
    _bad: Final = b"\\\\xno"

    def __init__(self, sealing: Sealing, dialect: Dialect, *, soft: bool) -> None:
        super().__init__(sealing, soft=soft)
        self._null_marker = dialect.null_marker
        self._default = dialect.default
        self._convert = dialect.from_stream

    def one(self, field: bytes) -> bytes:
        if field == self._null_marker or field == self._default:
            return field
        if self._convert is not None:
            field = self._convert(field)
        if b"\\" in field:
            field = unescape(field)
        value = self._stored(field)
        return b"\\\\x" + hexlify(value) if value else self._bad

    def many(self, fields: list[bytes], *, special: bool, verified: bool) -> bool:
        null, default = self._null_marker, self._default
        places: list[int] | None = None
        values = fields
        if null in fields or default in fields:
            places = [i for i, field in enumerate(fields) if field not in (null, default)]
            values = [fields[i] for i in places]
        if self._convert is not None and not verified:
            convert = self._convert
            values = [convert(value) for value in values]
        if special:
            values = [utf8(unescape(value)) if b"\\" in value else value for value in values]
        sealed = self._sealing.many(values, verified=verified)
        written = [b"\\\\x" + hexlify(value) for value in sealed]
        return _put_back(fields, places, written)


class CsvField(SealedField):
    _bad: Final = b"\\xno"

    def __init__(
        self, sealing: Sealing, dialect: Dialect, options: CopyOptions, name: str, *, soft: bool
    ) -> None:
        super().__init__(sealing, soft=soft)
        self._null_marker = dialect.null_marker
        self._default = dialect.default
        self._quote = dialect.quote
        self._forces_null = options.forces_null(name)
        self._forces_not_null = options.forces_not_null(name)
        self._convert = dialect.from_stream
        self._read: Callable[[bytes], bytes] = dialect.csv.read
        self._fields = dialect.csv
        self._plain = not any(c in _WRITTEN for c in (dialect.delimiter, dialect.quote))
        """What is written needs no quotes."""

    def one(self, field: bytes) -> bytes:
        value, lines = field, 0
        if self._quote in field:
            value = self._read(field)
            if self._forces_null and value == self._null_marker:
                return field
            lines = field.count(self.line_end)
        elif (field == self._null_marker and not self._forces_not_null) or field == self._default:
            return field
        if self._convert is not None:
            value = self._convert(value)
        stored = self._stored(value)
        written = b"\\x" + hexlify(stored) if stored else self._bad
        if self._plain and not lines:
            return written
        written = self._fields.write(written, quoted=lines > 0)
        # Blanks in a bytea's hexadecimal form mean nothing; so the server counts the same lines.
        return written[:-1] + self.line_end * lines + written[-1:] if lines else written

    def many(self, fields: list[bytes], *, special: bool, verified: bool) -> bool:
        if not self._plain:
            return False
        null, default = self._null_marker, self._default
        places: list[int] | None = None
        values = fields
        if special or null in fields or default in fields:
            places, values = [], []
            quote, line_end, read = self._quote, self.line_end, self._read
            for i, field in enumerate(fields):
                value = field
                if special and quote in field:
                    if line_end in field:
                        return False
                    value = read(field)
                    if self._forces_null and value == null:
                        continue
                elif (field == null and not self._forces_not_null) or field == default:
                    continue
                places.append(i)
                values.append(value)
        if self._convert is not None and not verified:
            convert = self._convert
            values = [convert(value) for value in values]
        sealed = self._sealing.many(values, verified=verified)
        written = [b"\\x" + hexlify(value) for value in sealed]
        return _put_back(fields, places, written)
