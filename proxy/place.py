"""Where the values of one literal or parameter go, and by way of which types: made before any value is seen.

A value is read (`array_items`, or the given type's decoder), cast as the text says, converted to the column's type
as PostgreSQL's assignment or comparison would (`proxy.coercion`), and sealed under the column's newest key. The usual,
a value of the column's own type, goes there by one function and its equality form by another. Which terms it has is for
`proxy.terms` to say.
"""

from __future__ import annotations

import struct
from dataclasses import replace
from typing import Final, final

from keystore import ColumnKeys, cell_id
from keystore.terms import NO_TERMS
from proxy import coercion
from proxy.at_path import PathTerms
from proxy.cells import CellError, LogicalType, Settings, array_items, convert
from proxy.cells.settings import Convert, identity
from proxy.given import cast_type, column_type
from proxy.pattern import Matcher, PatternTerms
from proxy.shape import BYTEA_OID
from proxy.snapshot import Snapshot
from proxy.sql.plan import COMPARISONS, Form, Seal, Use
from proxy.tally import Sealed
from proxy.terms import ComparedTerms, StoredTerms

_NULL: Final = b"\xff\xff\xff\xff"
_ARRAY_HEADER: Final = struct.Struct("!iiIii")
_EMPTY_ARRAY: Final = struct.pack("!iiI", 0, 0, BYTEA_OID)
_CHARACTERS: Final = ("text", "varchar")
"""Two types whose values are the same bytes, and compare alike."""


@final
class Place:
    """Seals values given as one type, in one format, under one session's settings.

    `written`: the statement writes the column, so that a stored value is assigned to it, and counted. Raises KeystoreError
    where the column has no key, CellError where no value can be read under these settings.
    """

    __slots__ = (
        "_at",
        "_cast",
        "_column",
        "_compared",
        "_decode",
        "_form",
        "_format",
        "_given",
        "_itself",
        "_keys",
        "_pattern",
        "_settings",
        "_shape",
        "_shown",
        "_simple",
        "_store",
        "_stored",
        "_target",
        "_terms",
        "_utf8",
        "_written",
    )

    def __init__(
        self,
        snapshot: Snapshot,
        seal: Seal,
        given: LogicalType,
        format_code: int,
        settings: Settings,
        *,
        written: bool,
    ) -> None:
        column = self._column = seal.column
        target = self._target = column_type(snapshot, column)
        self._keys: ColumnKeys = snapshot.keyset.column(column)
        self._given = given
        cast = self._cast = cast_type(column, seal.cast)
        self._shape = seal.form
        self._format = format_code
        self._settings = settings
        self._utf8 = replace(settings, encoding="UTF8")
        """Between two types, text is not in client_encoding."""
        self._stored = Use.STORED in seal.use
        declared = snapshot.catalog.sealed[column]
        self._terms = StoredTerms(declared, self._keys)
        compares = bool(seal.use & COMPARISONS)
        self._compared = (
            ComparedTerms(declared, self._keys, seal.use, cast or given, self._utf8)
            if compares and seal.at is None
            else None
        )
        self._at = (
            PathTerms(declared, self._keys, seal.at, cast or given, self._utf8)
            if seal.at is not None
            else None
        )
        self._pattern = (
            PatternTerms(declared, self._keys, seal.pattern, cast or given)
            if seal.pattern is not None
            else None
        )
        self._shown = Use.SHOWN in seal.use
        self._written = written
        self._form: Convert | None = self._terms.equality
        by_equality = declared.search.equality
        self._itself = self._form is identity and self._terms.plain
        """Its equality form is the value itself, and there is no other term."""
        same = given.name == target.name
        same = same or (given.name in _CHARACTERS and target.name in _CHARACTERS)
        self._simple = (
            same
            and cast is None
            and seal.form is Form.VALUE
            and not self._shown
            and (written if self._stored else by_equality and seal.use is Use.COMPARED)
            and not (self._stored and compares)
        )
        """It is only stored, or only compared by equality, and of the column's own type."""
        self._decode: Convert | None = None
        self._store: Convert | None = None
        if self._simple and self._stored:
            self._store = target.storing(format_code, settings)
        elif seal.form is Form.VALUE:
            self._decode = given.decoder(format_code, settings)

    def seal(self, wire: bytes, sealed: Sealed) -> bytes:
        """A wire form, not NULL -> the sealed value, or the bytea[] of such, in binary form. `sealed` gets the ids of what is to be stored.

        Raises CellError for what is not a value of the type, or cannot be one of the column.
        """
        store, decode = self._store, self._decode
        if store is not None:
            plaintext = store(wire)
            form = self._form
            if self._itself:
                value = self._keys.seal(plaintext, plaintext)
            else:
                terms = self._terms
                value = self._keys.seal(
                    plaintext,
                    form(plaintext) if form is not None else None,
                    NO_TERMS if terms.plain else terms.further(plaintext),
                )
            self._note(value, sealed)
            return value
        if decode is None:
            return self._array(wire, sealed)
        canonical = decode(wire)
        if self._simple and self._form is not None:
            return self._keys.seal(b"", self._form(canonical))
        return self._value(canonical, sealed)

    def matcher(self, wire: bytes) -> Matcher | None:
        """What the pattern in a wire form, not NULL, tests; None: it is no pattern. Raises CellError."""
        pattern = self._pattern
        return pattern.matcher(self._read(wire)) if pattern is not None else None

    def _read(self, wire: bytes) -> bytes:
        """Of a form whose values are not sealed themselves: the canonical form, behind the cast."""
        return self._taken(self._given.decoder(self._format, self._settings)(wire))

    def _array(self, wire: bytes, sealed: Sealed) -> bytes:
        pattern = self._pattern
        if pattern is not None:
            return pattern.array(self._read(wire))
        at = self._at
        if at is not None and self._shape is Form.PATHS:
            return bytea_array(at.terms(self._read(wire)))
        items = array_items(self._format, wire, self._given, self._settings)
        compared = self._compared if self._shape is Form.TERMS else None
        found: list[bytes | None] = []
        for item in items:
            if item is None:
                found.append(None)
            elif at is not None:
                found += at.terms(self._taken(item))
            elif compared is not None:
                found.append(compared.term(self._taken(item)))
            else:
                found.append(self._value(item, sealed))
        return bytea_array(found)

    def _value(self, canonical: bytes, sealed: Sealed) -> bytes:
        compared = self._compared
        if not self._stored and compared is not None:
            return compared.seal(self._taken(canonical))
        written = self._written
        plaintext = self._as_stored(canonical) if written else self._as_carried(canonical)
        if compared is not None and not compared.same(
            self._taken(canonical), self._terms, plaintext
        ):
            raise CellError(
                "0A000", "one parameter is stored and compared, and the column would change it"
            )
        value = self._terms.seal(plaintext)
        if written:
            self._note(value, sealed)
        return value

    def _note(self, value: bytes, sealed: Sealed) -> None:
        ids = sealed.get(self._column)
        if ids is None:
            ids = sealed[self._column] = []
        ids.append(cell_id(value))

    def _as_stored(self, canonical: bytes) -> bytes:
        if not self._shown:
            return self._as_assigned(canonical)
        plaintext: bytes | None
        try:
            plaintext = self._as_assigned(canonical)
        except CellError:
            plaintext = None
        if plaintext is None or plaintext != self._as_carried(canonical):
            raise CellError(
                "0A000", "a value beside the column's own is one that the column would change"
            )
        return plaintext

    def _as_assigned(self, canonical: bytes) -> bytes:
        target = self._target
        return target.assign(convert(self._source, target, self._taken(canonical), self._utf8))

    def _as_carried(self, canonical: bytes) -> bytes:
        return coercion.carried(self._source, self._target, self._taken(canonical), self._utf8)

    @property
    def _source(self) -> LogicalType:
        return self._cast or self._given

    def _taken(self, canonical: bytes) -> bytes:
        """Behind the cast."""
        if self._cast is None:
            return canonical
        return coercion.cast(self._given, self._cast, canonical, self._utf8)


def bytea_array(items: list[bytes | None]) -> bytes:
    """A one-dimensional bytea[] in binary form (array_send, src/backend/utils/adt/arrayfuncs.c)."""
    if not items:
        return _EMPTY_ARRAY
    parts = [_ARRAY_HEADER.pack(1, int(None in items), BYTEA_OID, len(items), 1)]
    for item in items:
        if item is None:
            parts.append(_NULL)
        else:
            parts.append(len(item).to_bytes(4, "big"))
            parts.append(item)
    return b"".join(parts)
