"""What a path leads to in a sealed jsonb, compared: by the terms that the column has of its declared paths.

    data->>'city' = $1                sealgate.paths(data) @> $1              one term, in an array
    data->'address'->>'city' IN (..)  sealgate.paths(data) && (.. || ..)      one of them
    data#>>'{a,b}' = ANY($1)          sealgate.paths(data) && ($1)
    data->'age' = '5'                 sealgate.paths(data) @> '{..}'          the jsonb value there, not its text
    data @> '{"address": {..}}'       sealgate.paths(data) @> '{..}'          a term for each of its scalars

A parameter may be a key, as object mappers write them (`data ->> $1 = $2`): which path it is is known when it is bound.

The terms say where a comparison is true (`proxy.cells.paths`). Where it is not they say false, and PostgreSQL false or NULL:
the same in a condition, and under AND and OR in one; nowhere else, so that everything else is refused (`_require_condition`).

All operators but the comparisons are one kind of node in the tree, with no names: these are read from the tokens.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final

from sqlglot import exp

from policy import Access
from proxy.cells import CellError, Settings, array_items, by_oid
from proxy.cells.paths import Given, Keys, Operand, Reading, of_objects
from proxy.sql import common, refusals
from proxy.sql.columns import Span, cast_around, column_span, sealed_column
from proxy.sql.draft import Draft
from proxy.sql.lexer import Kind, UnreadableSql, literal_value
from proxy.sql.plan import Form, Use
from proxy.sql.scope import Scope, SealedRef
from proxy.sql.tree import only, text_at
from proxy.sql.values import TypeName, Value, chain, locate, one_cast, word

TERMS: Final = "sealgate.paths("
_ARRAY: Final = "::bytea[]"


@dataclass(frozen=True, slots=True)
class Place:
    """A sealed jsonb, or what a path leads to in one, as an operand in the text."""

    ref: SealedRef
    column: Span
    """The column by itself, with its brackets."""
    span: Span
    """With the path, and the brackets and casts around it."""
    keys: tuple[str | Given, ...] = ()
    reading: Reading = Reading.CONTAINED
    """CONTAINED: it is the column itself."""

    @property
    def operand(self) -> Operand:
        return Operand(self.keys, self.reading)


def comparison(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    """`=` and its like with a path on one side; False if there is none in a sealed column."""
    for one, other in ((node.this, node.expression), (node.expression, node.this)):
        place = _path(draft, scope, one)
        if place is None:
            continue
        _require_condition(place.ref, node)
        if not isinstance(node, exp.EQ):
            raise _only_equality(place.ref.label)
        _require_declared(draft, place)
        if one is node.this and isinstance(other, exp.Any):
            _any(draft, place, other)
        else:
            _one(draft, place, other, "=", "=")
        return True
    return False


def in_list(draft: Draft, scope: Scope, node: exp.In) -> bool:
    """`data->>'city' IN ('a', $1)`"""
    place = _path(draft, scope, node.this)
    if place is None:
        return False
    _require_condition(place.ref, node)
    _require_declared(draft, place)
    at = place.span.end
    if not node.expressions or node.args.get("query") or node.args.get("unnest"):
        raise refusals.not_comparable(place.ref.label)
    if word(draft.tokens, at) != "in" or text_at(draft, at + 1) != "(":
        raise refusals.not_understood("IN")
    values = [_value(draft, place, item) for item in node.expressions]
    _around_column(draft, place, draft.tokens[values[0].start].start, ") && (")
    _joined(draft, place, values)
    return True


def operator(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    """`data @> $1`, `$1 <@ data`; a path that stands anywhere else is refused. False: nothing of it is sealed jsonb."""
    for one, other, sign in (
        (node.this, node.expression, "@>"),
        (node.expression, node.this, "<@"),
    ):
        place = _path(draft, scope, one) or _column(draft, scope, one)
        if place is None:
            continue
        left = one is node.this
        between = place.span.end if left else place.span.start - 1
        if text_at(draft, between) != sign or place.reading is Reading.TEXT:
            continue
        _require_condition(place.ref, node)
        if not place.ref.column or not place.ref.column.search.paths:
            raise _undeclared(place.ref.label)
        draft.touch(place.ref, Access.COMPARE)
        contained = replace(place, reading=Reading.CONTAINED)
        _one(draft, contained, other, sign, sign)
        return True
    place = _path(draft, scope, node)
    if place is not None:
        raise _elsewhere(place.ref.label)
    return False


def element(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    """`data['city']` that is not compared; False: it is of nothing that is sealed."""
    place = _path(draft, scope, node)
    if place is not None:
        raise _elsewhere(place.ref.label)
    return False


# Both sides of a comparison.


def _one(draft: Draft, place: Place, other: exp.Expr, *signs: str) -> None:
    """One value beside the path, on either side of it."""
    value = _value(draft, place, other)
    tokens = draft.tokens
    left = place.span.end < value.end
    between = place.span.end if left else value.end
    if (value.start if left else place.span.start) != between + 1:
        raise refusals.not_understood("the operator of a comparison")
    if text_at(draft, between) not in signs:
        raise refusals.not_understood("the operator of a comparison")
    if left:
        _around_column(draft, place, tokens[value.start].start, ") @> ")
    else:
        last = tokens[place.span.end - 1].end
        draft.edit(tokens[value.end - 1].end, tokens[place.column.start].start, f" <@ {TERMS}")
        draft.edit(tokens[place.column.end - 1].end, last, ")")
    _seal(draft, place, value)


def _any(draft: Draft, place: Place, node: exp.Any) -> None:
    """`= ANY($1)`, `= ANY('{a,b}')`, `= ANY(ARRAY['a', $1])`"""
    tokens, at = draft.tokens, place.span.end
    if text_at(draft, at) != "=" or word(tokens, at + 1) not in ("any", "some"):
        raise refusals.not_understood("the operator of a comparison")
    if text_at(draft, at + 2) != "(":
        raise refusals.not_understood("ANY")
    inner = node.this
    inner = inner.this if type(inner) is exp.Paren else inner  # The brackets are the operator's.
    found = chain(inner)
    if found is None:
        _items(draft, place, inner, at + 3)
        return
    value = locate(tokens, found)
    if value is None or (value.cast is not None and not value.cast.endswith("[]")):
        raise refusals.odd_cast(place.ref.label)
    _around_column(draft, place, tokens[at + 2].start, ") && ")
    _seal(draft, place, value, Form.TERMS)


def _items(draft: Draft, place: Place, node: exp.Expr, at: int) -> None:
    """`ARRAY['a', $1]`, `ARRAY['a', $1]::text[]`, which begins at token `at`: the items, one behind the other."""
    tokens = draft.tokens
    casts: list[exp.Expr] = []
    while type(node) in (exp.Paren, exp.Cast):
        casts.append(node)
        node = node.this
    if not isinstance(node, exp.Array) or not node.expressions:
        raise refusals.not_comparable(place.ref.label)
    values = [_value(draft, place, item) for item in node.expressions]
    span = Span(values[0].start - 2, values[-1].end + 1)
    if word(tokens, span.start) != "array" or text_at(draft, span.start + 1) != "[":
        raise refusals.not_understood("ARRAY")
    if text_at(draft, span.end - 1) != "]":
        raise refusals.not_understood("ARRAY")
    for layer in reversed(casts):
        if isinstance(layer, exp.Cast):
            span, found = cast_around(draft, span)
            values = [_cast_item(draft, place, value, found) for value in values]
        else:
            span = _brackets(draft, span)
    if span.start != at or text_at(draft, span.end) != ")":
        raise refusals.not_understood("ARRAY")
    _around_column(draft, place, tokens[values[0].start].start, ") && (")
    draft.edit(tokens[values[-1].end - 1].end, tokens[span.end - 1].end, "")
    _joined(draft, place, values)


def _cast_item(draft: Draft, place: Place, value: Value, array: TypeName) -> Value:
    """`ARRAY[...]::text[]` is a cast of each item."""
    both = one_cast(value.cast, array.name.removesuffix("[]"))
    if not array.name.endswith("[]") or both is None:
        raise refusals.odd_cast(place.ref.label)
    draft.literal_shaped |= array.modified
    return replace(value, cast=both)


_TOGETHER: Final = 64
"""Operands of || in one pair of brackets: a thousand side by side would be a tree a thousand levels deep."""


def _joined(draft: Draft, place: Place, values: Sequence[Value]) -> None:
    """`'a', $1` becomes `{a} || $1`: each is an array of one term."""
    tokens = draft.tokens
    own = replace(place.ref, type="text") if place.reading is Reading.TEXT else place.ref
    common.check_values(draft, own, values)
    grouped = len(values) > _TOGETHER
    if grouped:
        start = tokens[values[0].start].start
        draft.edit(start, start, "(")
    for number, (one, following) in enumerate(pairwise(values), 1):
        if following.start != one.end + 1 or text_at(draft, one.end) != ",":
            raise refusals.not_understood("a list")
        between = ") || (" if grouped and number % _TOGETHER == 0 else " || "
        draft.edit(tokens[one.end - 1].end, tokens[following.start].start, between)
    for value in values:
        _seal(draft, place, value)
    if grouped:
        end = tokens[values[-1].end - 1].end
        draft.edit(end, end, ")")


def _value(draft: Draft, place: Place, node: exp.Expr) -> Value:
    found = chain(node)
    if found is None:
        raise refusals.not_comparable(place.ref.label)
    value = locate(draft.tokens, found)
    if value is None:
        raise refusals.odd_cast(place.ref.label)
    return value


def _seal(draft: Draft, place: Place, value: Value, form: Form = Form.PATHS) -> None:
    if not place.operand.known and draft.tokens[value.leaf].kind is not Kind.PARAM:
        raise _no_literal_key(place.ref.label)  # It is sealed before the key is known.
    if word(draft.tokens, value.leaf) == "null":
        draft.replace_around(value, "", _ARRAY)
    else:
        draft.seal(value, place.ref, form, use=Use.COMPARED, at=place.operand)


def _around_column(draft: Draft, place: Place, until: int, behind: str) -> None:
    """`data->>'city' = ` becomes `sealgate.paths(data) @> `, up to the offset where the value begins."""
    tokens = draft.tokens
    draft.edit(tokens[place.span.start].start, tokens[place.column.start].start, TERMS)
    draft.edit(tokens[place.column.end - 1].end, until, behind)


# What is declared, and where it may stand.


def _require_declared(draft: Draft, place: Place) -> None:
    column = place.ref.column
    if column is None:
        raise refusals.undeclared(place.ref.label)
    if not column.search.paths:
        raise _undeclared(place.ref.label)
    if place.operand.known and place.keys not in column.path_keys:
        raise _undeclared(place.ref.label)
    draft.touch(place.ref, Access.COMPARE)


def _require_condition(ref: SealedRef, node: exp.Expr) -> None:
    """Raises Refused unless false and NULL are one where the comparison stands."""
    while isinstance(node.parent, (exp.Paren, exp.And, exp.Or)):
        node = node.parent
    parent, key = node.parent, node.arg_key
    if isinstance(parent, (exp.Where, exp.Having)) or (
        isinstance(parent, (exp.Join, exp.Merge)) and key == "on"
    ):
        return
    if isinstance(parent, exp.When) and key == "condition":
        return
    if isinstance(parent, exp.If) and key == "this":
        case = parent.parent
        if isinstance(case, exp.Case) and case.this is None:
            return  # CASE WHEN condition
    raise _elsewhere(ref.label)


# Reading a path.


def _column(draft: Draft, scope: Scope, node: exp.Expr) -> Place | None:
    """A sealed jsonb, brackets and casts to its own type aside."""
    ref = sealed_column(draft, scope, node)
    if ref is None or ref.type != "jsonb":
        return None
    span = Span(*column_span(draft, node))
    return Place(ref, span, span)


def _path(draft: Draft, scope: Scope, node: exp.Expr) -> Place | None:
    """`data->'a'->>'b'`, `(data#>>'{a,b}')::text`; None where no path of a sealed jsonb stands."""
    layers: list[exp.Expr] = []
    inner = node
    while type(inner) in _LAYERS:
        layers.append(inner)
        inner = inner.this
    while layers and type(layers[-1]) not in _STEPPING:
        inner = layers.pop()  # Brackets and casts of the column itself.
    place = _column(draft, scope, inner) if layers and _names_column(inner) else None
    for layer in reversed(layers):
        if place is None:
            return None
        if type(layer) is exp.Operator:
            place = _step(draft, place, layer)
        elif type(layer) is exp.Bracket:
            place = _subscript(draft, place, layer)
        elif type(layer) is exp.Paren:
            place = replace(place, span=_brackets(draft, place.span))
        else:
            place = _under_cast(draft, place)
    return place


_STEPPING: Final = (exp.Operator, exp.Bracket)
_LAYERS: Final = (exp.Paren, exp.Cast, *_STEPPING)


def _names_column(node: exp.Expr) -> bool:
    while type(node) in (exp.Paren, exp.Cast):
        node = node.this
    return isinstance(node, exp.Column)


_STEPS: Final = {
    "->": Reading.VALUE,
    "->>": Reading.TEXT,
    "#>": Reading.VALUE,
    "#>>": Reading.TEXT,
}


def _step(draft: Draft, place: Place, node: exp.Expr) -> Place | None:
    """One operator further; None for one that leads to no path."""
    reading = _STEPS.get(text_at(draft, place.span.end))
    if reading is None:
        return None
    if place.reading is Reading.TEXT:
        raise _elsewhere(place.ref.label)
    nested = text_at(draft, place.span.end).startswith("#")
    found = chain(node.expression)
    keys: tuple[str | Given, ...]
    if found is None and nested:
        keys, end = _listed_keys(draft, place, node.expression)
    else:
        value = _key(draft, place, node.expression)
        end = value.end
        if draft.tokens[value.leaf].kind is Kind.PARAM:
            keys = (_given(draft, place, value, nested=nested),)
        elif nested:
            keys = _literal_keys(draft, place, value)
        else:
            keys = (_literal(draft, place, value),)
    span = Span(place.span.start, end)
    return replace(place, span=span, keys=place.keys + keys, reading=reading)


def _subscript(draft: Draft, place: Place, node: exp.Expr) -> Place:
    """`data['city']`, which `#>` means as well."""
    only(node, "this", "expressions")
    if place.reading is Reading.TEXT or len(node.expressions) != 1:
        raise _elsewhere(place.ref.label)
    value = _key(draft, place, node.expressions[0])
    if text_at(draft, place.span.end) != "[" or text_at(draft, value.end) != "]":
        raise refusals.not_understood("a subscript")
    key: str | Given
    if draft.tokens[value.leaf].kind is Kind.PARAM:
        key = replace(_given(draft, place, value, nested=False), of_object=False)
    else:
        (key,) = _of_objects(place, [_literal(draft, place, value)])
    span = Span(place.span.start, value.end + 1)
    return replace(place, span=span, keys=(*place.keys, key), reading=Reading.VALUE)


def _key(draft: Draft, place: Place, node: exp.Expr) -> Value:
    """The value behind an operator, or in brackets."""
    found = chain(node)
    value = locate(draft.tokens, found) if found is not None else None
    if value is None or value.start != place.span.end + 1:
        raise _no_literal_key(place.ref.label)
    return value


def _given(draft: Draft, place: Place, value: Value, *, nested: bool) -> Given:
    """A parameter that is a key, or an array of them."""
    array = "[]" if nested else ""
    if value.cast not in (None, f"text{array}", f"varchar{array}"):
        raise _no_literal_key(place.ref.label)
    draft.take(value, place.ref, Form.KEYS if nested else Form.KEY)
    return Given(int(draft.tokens[value.leaf].value), of_object=not nested)


def _literal_keys(draft: Draft, place: Place, value: Value) -> Keys:
    """The keys in the literal of an array."""
    text = _literal(draft, place, value)
    keys: list[str] = []
    of_text = by_oid(_TEXT_OID)
    if of_text is None or value.cast not in (None, "text[]", "varchar[]"):
        raise _no_literal_key(place.ref.label)
    try:
        items = array_items(0, text.encode(), of_text, Settings())
    except CellError:
        items = [None]
    for item in items:
        if item is None:
            raise _no_literal_key(place.ref.label)
        keys.append(item.decode())
    return _of_objects(place, keys)


_TEXT_OID: Final = 25


def _listed_keys(draft: Draft, place: Place, node: exp.Expr) -> tuple[Keys, int]:
    """`#> ARRAY['a', 'b']`, and the token behind it."""
    at = place.span.end + 1
    if not isinstance(node, exp.Array) or not node.expressions:
        raise _no_literal_key(place.ref.label)
    if word(draft.tokens, at) != "array" or text_at(draft, at + 1) != "[":
        raise refusals.not_understood("ARRAY")
    keys: list[str] = []
    at += 2
    for item in node.expressions:
        found = chain(item)
        value = locate(draft.tokens, found) if found is not None else None
        if value is None or value.start != at or text_at(draft, value.end) not in (",", "]"):
            raise _no_literal_key(place.ref.label)
        keys.append(_literal(draft, place, value))
        at = value.end + 1
    return _of_objects(place, keys), at


def _of_objects(place: Place, keys: Sequence[str]) -> Keys:
    """As they are, unless `#>` would take one for the place of an array's element."""
    try:
        return of_objects(keys)
    except CellError:
        raise _elements(place.ref.label) from None


def _literal(draft: Draft, place: Place, value: Value) -> str:
    """The text of a quoted literal. The plan is good for this very one."""
    token = draft.tokens[value.leaf]
    draft.deciding.add(token.start)
    if token.kind is Kind.NUMBER:
        raise _elements(place.ref.label)
    if token.kind is not Kind.STRING or value.cast not in (None, "text", "varchar", "text[]"):
        raise _no_literal_key(place.ref.label)
    try:
        return literal_value(token.text)
    except UnreadableSql as error:
        raise refusals.Refused(error.sqlstate, error.message, error.hint) from None


def _brackets(draft: Draft, inner: Span) -> Span:
    span = Span(inner.start - 1, inner.end + 1)
    if text_at(draft, span.start) != "(" or text_at(draft, inner.end) != ")":
        raise refusals.not_understood()
    return span


def _under_cast(draft: Draft, place: Place) -> Place:
    """A cast to the type that it has already."""
    span, found = cast_around(draft, place.span)
    own = ("text", "varchar") if place.reading is Reading.TEXT else ("jsonb",)
    if found.name not in own:
        raise _under_a_cast(place.ref.label)
    return replace(place, span=span)


# Refusals.


def _refused(message: str, hint: str) -> refusals.Refused:
    return refusals.Refused(refusals.FEATURE_NOT_SUPPORTED, message, hint)


def _undeclared(label: str) -> refusals.Refused:
    return _refused(
        f"column {label} is sealed and may not be compared at this path: its search does not have it",
        f'Add "path:key.key", with the keys of the path, to search of [columns."{label}"] and run sealgate apply.',
    )


def _elsewhere(label: str) -> refusals.Refused:
    return _refused(
        f"a path in sealed column {label} can be compared in a condition, and nothing else",
        "Use = , IN, = ANY or @> with values, alone or under AND and OR in WHERE, ON, FILTER or CASE WHEN; "
        "select the column to read what is in it.",
    )


def _only_equality(label: str) -> refusals.Refused:
    return _refused(
        f"a path in sealed column {label} can be compared with = alone",
        "Where there is nothing at the path the result is NULL, which terms do not tell from false.",
    )


def _no_literal_key(label: str) -> refusals.Refused:
    return _refused(
        f"a path in sealed column {label} is not given by its keys",
        "Write the keys as literals: data->'address'->>'city', data#>>'{address,city}'; "
        "or as parameters, and what is compared as parameters too.",
    )


def _elements(label: str) -> refusals.Refused:
    return _refused(
        f"an element of an array in sealed column {label} cannot be compared",
        "Only what stands at keys of objects has terms.",
    )


def _under_a_cast(label: str) -> refusals.Refused:
    return _refused(
        f"what is at a path in sealed column {label} cannot be compared under a cast",
        "Compare it as what it is: ->> with a text, -> with a jsonb such as '5'.",
    )
