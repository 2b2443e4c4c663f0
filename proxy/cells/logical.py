"""The logical types: what applications see, by name, OID and modifier, and their conversions.

OIDs and lengths are pg_type's (src/include/catalog/pg_type.dat). Conversions are compiled per type and settings,
and kept: `decoder` and `encoder` are cheap to call again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache

from proxy.cells import (
    boolean,
    bytea,
    datetimes,
    encoding,
    floating,
    integer,
    json,
    jsonb,
    numeric,
    text,
    uuid,
)
from proxy.cells.errors import CellError
from proxy.cells.settings import Convert, Family, Settings, unmodified

_FAMILIES: Mapping[str, Family] = {
    "text": text.TEXT,
    "varchar": text.VARCHAR,
    "bpchar": text.BPCHAR,
    "int2": integer.INT2,
    "int4": integer.INT4,
    "int8": integer.INT8,
    "numeric": numeric.NUMERIC,
    "float4": floating.FLOAT4,
    "float8": floating.FLOAT8,
    "bool": boolean.BOOL,
    "date": datetimes.DATE,
    "timestamp": datetimes.TIMESTAMP,
    "timestamptz": datetimes.TIMESTAMPTZ,
    "uuid": uuid.UUID,
    "json": json.JSON,
    "jsonb": jsonb.JSONB,
    "bytea": bytea.BYTEA,
}


@dataclass(frozen=True, slots=True)
class LogicalType:
    """A type with its modifier. Values are `bytes`: canonical plaintext is the server's binary form.

    A format is PostgreSQL's format code, 0 text and 1 binary; text form is in client_encoding.
    """

    name: str
    oid: int
    array_oid: int
    length: int
    """pg_type.typlen: -1 for varying length."""
    modifier: int = -1
    """atttypmod: -1 for none."""

    def decoder(self, format: int, settings: Settings) -> Convert:  # noqa: A002 - the protocol's word
        """The function from a client's form to the canonical one; raises CellError when called.

        Raises CellError itself if no value can be read under these settings (an unknown encoding or zone).
        """
        return _decoder(self.name, format, settings)

    def encoder(self, format: int, settings: Settings) -> Convert:  # noqa: A002
        """The function from the canonical form to a client's; it may be `settings.identity`."""
        return _encoder(self.name, format, settings)

    def storing(self, format: int, settings: Settings) -> Convert:  # noqa: A002
        """`decoder`, then `assign`, in one function: a client's form to what a column of this type stores."""
        decode = _decoder(self.name, format, settings)
        if self.modifier < 0 or _FAMILIES[self.name].assign is unmodified:
            return decode
        if self.name == "numeric" and not _is_binary(format) and self.modifier >= 4:
            return encoding.ascii_form(numeric.Stored(self.modifier), settings.encoding)
        return lambda value: self.assign(decode(value))

    def from_text(self, value: bytes, settings: Settings) -> bytes:
        return _decoder(self.name, 0, settings)(value)

    def from_binary(self, value: bytes, settings: Settings) -> bytes:
        return _decoder(self.name, 1, settings)(value)

    def to_text(self, canonical: bytes, settings: Settings) -> bytes:
        return _encoder(self.name, 0, settings)(canonical)

    def to_binary(self, canonical: bytes, settings: Settings) -> bytes:
        return _encoder(self.name, 1, settings)(canonical)

    def assign(self, canonical: bytes) -> bytes:
        """What a column of this type stores when assigned the value: rounded, padded, or refused."""
        return _FAMILIES[self.name].assign(canonical, self.modifier)

    def cast(self, canonical: bytes) -> bytes:
        """What an explicit cast to this type yields: as `assign`, but text too long is cut silently."""
        return _FAMILIES[self.name].cast(canonical, self.modifier)

    @property
    def has_equality(self) -> bool:
        """Whether SQL can compare two values of this type: not json."""
        return _FAMILIES[self.name].equality_form is not None

    def equality_form(self, canonical: bytes) -> bytes:
        """Bytes that are equal exactly if SQL calls the values equal."""
        form = _FAMILIES[self.name].equality_form
        if form is None:
            raise CellError("42883", f"operator does not exist: {self.name} = {self.name}")
        return form(canonical)

    @property
    def equality(self) -> Convert:
        """The function that `equality_form` calls; it may be `settings.identity`."""
        return _FAMILIES[self.name].equality_form or self.equality_form


@lru_cache(maxsize=1024)
def _decoder(name: str, format_code: int, settings: Settings) -> Convert:
    family = _FAMILIES[name]
    return (family.from_binary if _is_binary(format_code) else family.from_text)(settings)


@lru_cache(maxsize=1024)
def _encoder(name: str, format_code: int, settings: Settings) -> Convert:
    family = _FAMILIES[name]
    return (family.to_binary if _is_binary(format_code) else family.to_text)(settings)


def _is_binary(format_code: int) -> bool:
    if format_code not in (0, 1):
        raise CellError("22023", f"unsupported format code: {format_code}")
    return format_code == 1


TYPES: Mapping[str, LogicalType] = {
    name: LogicalType(name, oid, array_oid, length)
    for name, oid, array_oid, length in (
        ("text", 25, 1009, -1),
        ("varchar", 1043, 1015, -1),
        ("bpchar", 1042, 1014, -1),
        ("int2", 21, 1005, 2),
        ("int4", 23, 1007, 4),
        ("int8", 20, 1016, 8),
        ("numeric", 1700, 1231, -1),
        ("float4", 700, 1021, 4),
        ("float8", 701, 1022, 8),
        ("bool", 16, 1000, 1),
        ("date", 1082, 1182, 4),
        ("timestamp", 1114, 1115, 8),
        ("timestamptz", 1184, 1185, 8),
        ("uuid", 2950, 2951, 16),
        ("json", 114, 199, -1),
        ("jsonb", 3802, 3807, -1),
        ("bytea", 17, 1001, -1),
    )
}
_BY_OID: Mapping[int, LogicalType] = {logical.oid: logical for logical in TYPES.values()}


def by_oid(oid: int) -> LogicalType | None:
    """The type without a modifier; None for a type that cannot be sealed."""
    return _BY_OID.get(oid)
