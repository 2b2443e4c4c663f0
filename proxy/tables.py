"""A TOML table into a frozen dataclass, with errors that name the key and the fix.

The dataclass is the schema: a field's name is the key, its annotation the type, its default the default. Known
annotations: str, int, bool, Path, Literal of strings, tuple[str, ...] (a list), another such dataclass,
a tuple of such (an array of tables), and each of them `| None`.
Metadata of a field: `range` (low, high) for a number, `example` the value shown where the fix needs one.
Relative paths are taken from `base`. An unknown key is an error, with the nearest known one.
"""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")


class BadTable(ValueError):
    """A key of a table is missing, unknown, or not of its type. Never quotes the value: it may be a secret."""

    def __init__(self, key: str, problem: str, fix: str) -> None:
        super().__init__(f"{key}: {problem}. {fix}")
        self.key = key
        self.problem = problem
        self.fix = fix


def read(schema: type[T], table: object, key: str, base: Path) -> T:
    """Builds `schema` out of the table that stands at `key`."""
    if not isinstance(table, Mapping):
        raise BadTable(
            key, f"is {_kind(table)}, not a table", f"Write [{key}] and its keys below it."
        )
    fields = {field.name: field for field in dataclasses.fields(schema)}  # type: ignore[arg-type]
    for name in table:
        if name not in fields:
            raise unknown(f"{key}.{name}", name, fields)
    hints = typing.get_type_hints(schema)
    values = {}
    for name, field in fields.items():
        where = f"{key}.{name}"
        if name in table:
            values[name] = _value(hints[name], table[name], where, field, base)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise BadTable(where, "is missing", f"Add to [{key}]: {_example(field, hints[name])}")
        else:
            values[name] = _default(field, base)
    return schema(**values)


def unknown(key: str, name: str, known: Iterable[str]) -> BadTable:
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    fix = f"Did you mean {near[0]}?" if near else f"Known here: {', '.join(names)}."
    return BadTable(key, "is not a known key", fix)


def _value(hint: Any, value: object, key: str, field: dataclasses.Field[Any], base: Path) -> Any:
    # `Literal[...] | None` is typing's own Union.
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        hint = next(part for part in typing.get_args(hint) if part is not types.NoneType)
    if dataclasses.is_dataclass(hint):
        return read(typing.cast("type[Any]", hint), value, key, base)
    if typing.get_origin(hint) is typing.Literal:
        choices = typing.get_args(hint)
        if value not in choices:
            raise BadTable(
                key, "is none of its possible values", f"Write one of: {_quoted(choices)}."
            )
        return value
    if typing.get_origin(hint) is tuple:
        item = typing.get_args(hint)[0]
        if dataclasses.is_dataclass(item):
            return _tables(item, value, key, base)
        return _strings(value, key, field)
    expected = str if hint is Path else hint
    # bool is an int to Python and not to anybody who writes a configuration file.
    if type(value) is not expected:
        problem = f"is {_kind(value)}, not {_NAMES[expected]}"
        raise BadTable(key, problem, f"Write for example: {_example(field, hint)}")
    return _checked(hint, value, key, field, base)


def _tables(schema: Any, value: object, key: str, base: Path) -> tuple[Any, ...]:
    """An array of tables; the first one is number 0."""
    if not isinstance(value, list):
        problem = f"is {_kind(value)}, not an array of tables"
        raise BadTable(key, problem, f"Write [[{key}]] and the keys of one below it.")
    return tuple(read(schema, table, f"{key}[{n}]", base) for n, table in enumerate(value))


def _strings(value: object, key: str, field: dataclasses.Field[Any]) -> tuple[str, ...]:
    fix = f'Write for example: {field.name} = ["name"]'
    if not isinstance(value, list) or not all(type(item) is str for item in value):
        problem = f"is {_kind(value)}, not a list of strings"
        raise BadTable(key, problem if not isinstance(value, list) else "is not all strings", fix)
    if any(not item.strip() or "\0" in item for item in value):
        raise BadTable(key, "has an empty string in it", fix)
    return tuple(value)


def _checked(hint: Any, value: Any, key: str, field: dataclasses.Field[Any], base: Path) -> Any:
    if isinstance(value, str) and (not value.strip() or "\0" in value):
        raise BadTable(key, "is empty", f"Write for example: {_example(field, hint)}")
    if hint is Path:
        return base / Path(value).expanduser()
    low, high = field.metadata.get("range", (None, None))
    if low is not None and not low <= value <= high:
        raise BadTable(key, "is out of range", f"Write a whole number from {low} to {high}.")
    return value


def _default(field: dataclasses.Field[Any], base: Path) -> Any:
    made = field.default_factory
    return _based(field.default if made is dataclasses.MISSING else made(), base)


def _based(value: Any, base: Path) -> Any:
    """A default with its relative paths taken from `base`."""
    if isinstance(value, Path):
        return base / value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value)]
        return dataclasses.replace(
            value, **{name: _based(getattr(value, name), base) for name in names}
        )
    return value


_NAMES = {str: "a string", int: "a whole number", bool: "true or false", float: "a decimal number"}


def _kind(value: object) -> str:
    if isinstance(value, Mapping):
        return "a table"
    return "a list" if isinstance(value, list) else _NAMES.get(type(value), "a date or time")


def _quoted(choices: Iterable[object]) -> str:
    return ", ".join(f'"{choice}"' for choice in choices)


def _example(field: dataclasses.Field[Any], hint: Any) -> str:
    value = field.metadata.get("example", field.default)
    if value is None or value is dataclasses.MISSING:
        return f"{field.name} = ..."
    if isinstance(value, bool):
        return f"{field.name} = {str(value).lower()}"
    return f"{field.name} = {value}" if isinstance(value, int) else f'{field.name} = "{value}"'
