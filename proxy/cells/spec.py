"""Type names as SQL writes them, with their aliases and modifiers.

Mirrors the GenericType, Numeric, Character and ConstDatetime productions of src/backend/parser/gram.y and the
typmod input functions (numerictypmodin, anychar_typmodin, anytimestamp_typmodin) with their limits.
"""

from __future__ import annotations

import re
from dataclasses import replace

from proxy.cells.errors import TypeSpecError
from proxy.cells.logical import TYPES, LogicalType

_ALIASES = {
    "text": "text",
    "varchar": "varchar",
    "character varying": "varchar",
    "char varying": "varchar",
    "national character varying": "varchar",
    "national char varying": "varchar",
    "nchar varying": "varchar",
    "character": "bpchar",
    "char": "bpchar",
    "nchar": "bpchar",
    "national character": "bpchar",
    "national char": "bpchar",
    "bpchar": "bpchar",
    "smallint": "int2",
    "int2": "int2",
    "integer": "int4",
    "int": "int4",
    "int4": "int4",
    "bigint": "int8",
    "int8": "int8",
    "numeric": "numeric",
    "decimal": "numeric",
    "dec": "numeric",
    "real": "float4",
    "float4": "float4",
    "float": "float8",
    "double precision": "float8",
    "float8": "float8",
    "boolean": "bool",
    "bool": "bool",
    "date": "date",
    "timestamp": "timestamp",
    "timestamp without time zone": "timestamp",
    "timestamptz": "timestamptz",
    "timestamp with time zone": "timestamptz",
    "uuid": "uuid",
    "json": "json",
    "jsonb": "jsonb",
    "bytea": "bytea",
}
_SPEC = re.compile(r"([a-z0-9 ]+?) ?(?:\( ?(-?[0-9]{1,9})(?: ?, ?(-?[0-9]{1,9}))? ?\) ?(.*))?")
_CHARACTER_WITHOUT_LENGTH = frozenset(
    {"character", "char", "nchar", "national character", "national char"}
)
_MAX_CHARACTERS = 10485760


def logical_type(spec: str) -> LogicalType:
    """The type that `spec` names, such as `varchar(40)` or `timestamp(3) with time zone`; raises TypeSpecError."""
    words = " ".join(spec.lower().split()).removeprefix("pg_catalog.")
    match = _SPEC.fullmatch(words) if len(words) <= 100 else None
    if match is None:
        raise TypeSpecError(f"{spec[:100]!r} is not the name of a type")
    first, second, after = match[2], match[3], match[4]
    alias = f"{match[1]} {after}" if after else match[1]
    name = _ALIASES.get(alias)
    misplaced = first is not None and alias.endswith(" zone") and not after
    if name is None or misplaced or (after and not alias.endswith(" zone")):
        raise TypeSpecError(f"{spec[:100]!r} is not a type that can be sealed")
    arguments = [int(argument) for argument in (first, second) if argument is not None]
    if alias == "float" and arguments:
        return _float(arguments)
    if not arguments:
        return (
            replace(TYPES[name], modifier=5) if alias in _CHARACTER_WITHOUT_LENGTH else TYPES[name]
        )
    return replace(TYPES[name], modifier=_modifier(name, arguments))


def _float(arguments: list[int]) -> LogicalType:
    if len(arguments) != 1 or not 1 <= arguments[0] <= 53:
        raise TypeSpecError("precision for type float must be between 1 and 53 bits")
    return TYPES["float4" if arguments[0] <= 24 else "float8"]


def _modifier(name: str, arguments: list[int]) -> int:
    if name == "numeric":
        return _numeric_modifier(arguments[0], arguments[1] if len(arguments) > 1 else 0)
    if len(arguments) > 1:
        raise TypeSpecError(f"type {name} takes one modifier")
    value = arguments[0]
    if name in ("varchar", "bpchar"):
        if not 1 <= value <= _MAX_CHARACTERS:
            raise TypeSpecError(f"length for type {name} must be between 1 and {_MAX_CHARACTERS}")
        return value + 4
    if name in ("timestamp", "timestamptz"):
        if not 0 <= value <= 6:
            raise TypeSpecError(f"precision for type {name} must be between 0 and 6")
        return value
    raise TypeSpecError(f"type modifier is not allowed for type {name}")


def _numeric_modifier(precision: int, scale: int) -> int:
    if not 1 <= precision <= 1000:
        raise TypeSpecError("NUMERIC precision must be between 1 and 1000")
    if not -1000 <= scale <= 1000:
        raise TypeSpecError("NUMERIC scale must be between -1000 and 1000")
    return (precision << 16 | scale & 0x7FF) + 4


_NAMES = {
    "varchar": "character varying",
    "bpchar": "character",
    "int2": "smallint",
    "int4": "integer",
    "int8": "bigint",
    "float4": "real",
    "float8": "double precision",
    "bool": "boolean",
    "timestamp": "timestamp without time zone",
    "timestamptz": "timestamp with time zone",
}


def sql_name(logical: LogicalType) -> str:
    """The name with its modifier as format_type writes it: `character varying(40)`, `numeric(10,2)`."""
    name, modifier = logical.name, logical.modifier
    if name == "bpchar" and modifier < 4:
        return "bpchar"
    full = _NAMES.get(name, name)
    if modifier < 0:
        return full
    if name == "numeric":
        scale = ((modifier - 4 & 0x7FF) ^ 1024) - 1024
        return f"numeric({modifier - 4 >> 16},{scale})"
    if name in ("timestamp", "timestamptz"):
        return full.replace("timestamp", f"timestamp({modifier})", 1)
    return f"{full}({modifier - 4})"
