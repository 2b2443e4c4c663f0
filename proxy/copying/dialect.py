"""How one COPY's data is written: the plan's options in the bytes of the data's own encoding."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from proxy.cells import CellError
from proxy.cells.encoding import from_utf8, to_utf8
from proxy.cells.settings import Convert
from proxy.copying.armour import Armour, needs_armour, take_off
from proxy.copying.csv import CsvFields
from proxy.copying.text import TextWriter
from proxy.sql.copy_plan import CopyFormat, CopyOptions

_NEVER = b"\n"
"""No field is written like this: what a marker becomes that the encoding cannot write."""


@dataclass(frozen=True)
class Dialect:
    """`encoding`: of the data, by PostgreSQL's name, where ENCODING does not say."""

    options: CopyOptions
    session_encoding: str
    server_encoding: str = "UTF8"

    @cached_property
    def encoding(self) -> str:
        """Of the data; letters and digits of PostgreSQL's name."""
        name = self.options.encoding or self.session_encoding
        letters = "".join(c for c in name.upper() if c.isalnum())
        return self.server_encoding if letters == "SQLASCII" else letters

    @cached_property
    def armoured(self) -> bool:
        return self.options.format is not CopyFormat.BINARY and needs_armour(self.encoding)

    @cached_property
    def to_utf8(self) -> Convert | None:
        """From the data's bytes; None: they are UTF-8. Raises CellError for an encoding that is not supported."""
        return to_utf8(self.encoding) if from_utf8(self.encoding) is not None else None

    @cached_property
    def from_stream(self) -> Convert | None:
        """The same from the bytes of a stream that is taken apart."""
        convert = self.to_utf8
        if convert is None or not self.armoured:
            return convert
        return lambda field: convert(take_off(field))

    @cached_property
    def from_utf8(self) -> Convert | None:
        return from_utf8(self.encoding)

    @cached_property
    def delimiter(self) -> bytes:
        return self.options.delimiter.encode()

    @cached_property
    def null_marker(self) -> bytes:
        return self._marker(self.options.null)

    @cached_property
    def default(self) -> bytes:
        return _NEVER if self.options.default is None else self._marker(self.options.default)

    def _marker(self, text: str) -> bytes:
        convert = self.from_utf8
        try:
            marker = text.encode() if convert is None else convert(text.encode())
        except CellError:
            return _NEVER
        if self.armoured and not marker.isascii():
            return Armour(self.encoding).put_on(marker)
        return marker

    @cached_property
    def quote(self) -> bytes:
        return self.options.quote.encode()

    @cached_property
    def escape(self) -> bytes:
        return self.options.escape.encode()

    @cached_property
    def csv(self) -> CsvFields:
        """Over the data's own bytes."""
        return CsvFields(self.delimiter, self.quote, self.escape, self.null_marker)

    @cached_property
    def csv_out(self) -> CsvFields:
        """Over UTF-8: the server decides on quotes before it converts."""
        return CsvFields(self.delimiter, self.quote, self.escape, self.options.null.encode())

    @cached_property
    def text_out(self) -> TextWriter:
        return TextWriter(self.delimiter)
