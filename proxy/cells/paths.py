"""Paths in a jsonb: the forms of which the terms are made that `->>`, `->` and `@>` compare.

A document has, at each declared path where a scalar stands, up to two forms:

    text    what `data -> 'address' ->> 'city'` gives; none for a JSON null, of which it makes NULL
    value   what `data -> 'address' -> 'city'` gives, written so that equal jsonb are equal bytes: 1.50 is 1.5, '5' is not 5

Objects and arrays at a path have none, nor has what is not there. So a document has a term that an operand has too
exactly where PostgreSQL finds the comparison true (never false: what is not true may be NULL there), provided that the
operand is no object or array either; and `@>` with an object of objects is all of its leaves at once (JsonbDeepContains
in src/backend/utils/adt/jsonb_util.c). What cannot be told so is refused, value by value.

    form    kind "t" or "v", number of keys (2 bytes), each key with its length (4 bytes), then the text or the value
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import TypeAlias

from proxy.cells.errors import CellError
from proxy.cells.jsonb import Node, document, equality_form, normalise, render

Keys: TypeAlias = tuple[str, ...]
"""Of a path, outermost first."""


@dataclass(frozen=True, slots=True)
class Given:
    """A place in a path whose key, or keys, a parameter gives."""

    number: int
    of_object: bool = False
    """`->` and `->>` take it for an object's key for certain; `#>` and a subscript where it is no number."""


class Reading(Enum):
    """How a statement reads what stands at a path."""

    TEXT = "->>"
    VALUE = "->"
    CONTAINED = "@>"
    """Not at the path alone but below it: the operand is a document."""


@dataclass(frozen=True, slots=True)
class Operand:
    """What a value is compared with: not a column, but what a path leads to in one."""

    keys: tuple[str | Given, ...]
    reading: Reading

    @property
    def known(self) -> bool:
        """All keys stand in the text."""
        return not any(isinstance(key, Given) for key in self.keys)

    def with_keys(self, given: Mapping[int, Keys | None]) -> Operand | None:
        """With what the parameters give; None where that is NULL, and so what the path leads to. Raises CellError."""
        keys: list[str] = []
        for key in self.keys:
            if isinstance(key, str):
                keys.append(key)
                continue
            found = given.get(key.number)
            if found is None:
                return None
            keys += found if key.of_object else of_objects(found)
        return Operand(tuple(keys), self.reading)


def path_forms(canonical: bytes, paths: Sequence[Keys]) -> list[bytes]:
    """A jsonb's forms at the declared paths: at most two for each, none twice. Raises CellError XX001 for what is no jsonb."""
    whole = document(canonical)
    forms: dict[bytes, None] = {}
    for keys in paths:
        found = _at(whole, keys)
        if found is None or isinstance(found, (list, dict)):
            continue
        text_head, value_head = _heads(keys)
        forms[value_head + _comparable(found)] = None
        if found != b"null":
            text = found.encode() if isinstance(found, str) else render(found)
            forms[text_head + text] = None
    return list(forms)


def operand_forms(operand: Operand, canonical: bytes, paths: Sequence[Keys]) -> list[bytes]:
    """The forms that a document has all of, if and only if the comparison with this value is true.

    `canonical`: UTF-8 for TEXT, else a jsonb. Raises CellError 0A000 where no forms tell it, or the path is not declared.
    """
    keys = tuple(key for key in operand.keys if isinstance(key, str))
    if operand.reading is Reading.CONTAINED:
        return _contained(keys, document(canonical), frozenset(paths))
    if not operand.known or keys not in paths:
        raise undeclared_path()
    if operand.reading is Reading.TEXT:
        if _is_container(canonical):
            raise _unsupported("the text of an object or array")
        return [_heads(keys)[0] + canonical]
    found = document(canonical)
    if isinstance(found, (list, dict)):
        raise _unsupported("an object or array")
    return [_heads(keys)[1] + _comparable(found)]


def _at(node: Node, keys: Keys) -> Node:
    """What stands at a path, a JSON null as it is written; None: nothing."""
    for key in keys:
        if not isinstance(node, dict) or key not in node:
            return None
        node = node[key]
    return b"null" if node is None else node


def _comparable(scalar: Node) -> bytes:
    if isinstance(scalar, str):
        return render(scalar)
    return equality_form(b"\x01" + render(scalar))[1:]


def _is_container(text: bytes) -> bool:
    """Whether `->>` gives this text of an object or array as well."""
    if text[:1] not in (b"{", b"["):
        return False
    with suppress(CellError):
        return normalise(text) == text
    return False


def _contained(keys: Keys, template: Node, declared: frozenset[Keys]) -> list[bytes]:
    """Of each leaf of an object of objects."""
    if not isinstance(template, dict):
        raise _unsupported("what is no object")
    forms: list[bytes] = []
    pending: list[tuple[Keys, Node]] = [(keys, template)]
    longest = max(map(len, declared), default=0)
    while pending:
        path, node = pending.pop()
        if isinstance(node, list) or node == {}:
            raise _unsupported("an array or an empty object inside")
        if isinstance(node, dict) and len(path) < longest:
            pending += [((*path, key), member) for key, member in node.items()]
        elif isinstance(node, dict) or path not in declared:
            raise undeclared_path()
        else:
            forms.append(_heads(path)[1] + _comparable(node))
    return forms


@lru_cache(maxsize=1024)
def _heads(keys: Keys) -> tuple[bytes, bytes]:
    """What stands before the text and before the value at a declared path."""
    parts = [len(keys).to_bytes(2, "big")]
    for key in keys:
        spelled = key.encode()
        parts.append(len(spelled).to_bytes(4, "big"))
        parts.append(spelled)
    path = b"".join(parts)
    return b"t" + path, b"v" + path


def of_objects(keys: Sequence[str]) -> Keys:
    """The keys of `#>` and of subscripts. Raises CellError 0A000 for one that would be the place of an array's element
    (jsonb_get_element in jsonfuncs.c), and for none: the document itself."""
    if not keys or any(key.strip().lstrip("+-").isdigit() for key in keys):
        raise CellError(
            "0A000",
            "elements of arrays have no terms, and what looks like a place in one is no path",
        )
    return tuple(keys)


def undeclared_path() -> CellError:
    return CellError(
        "0A000", 'a path that is compared is none of those that the column declares, "path:key.key"'
    )


def _unsupported(what: str) -> CellError:
    return CellError(
        "0A000", f"a comparison with {what} cannot be made at the paths of a sealed column"
    )
