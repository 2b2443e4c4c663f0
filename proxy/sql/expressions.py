"""Expressions: where a sealed column may stand, and what is done to it there.

`walk` is the default deny. It goes through any expression; a sealed column in it is refused unless
its immediate use is one that the server can do on sealed values:

- a comparison for equality with a value or the same column: both sides become their terms,
  `sealgate.eq(column) = sealgate.eq(value)` (`compare`);
- a test for NULL, or count(column): NULL is not sealed.

`sealable` is the other half: what may be put *into* a sealed column. `carried` tells which sealed
column an expression hands through unchanged, for result columns.

This module, `resolve` (queries) and `writes` refer to one another as SQL's grammar does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

from sqlglot import exp

from policy import Access
from proxy.sql import refusals, resolve
from proxy.sql.draft import Draft
from proxy.sql.lexer import Kind
from proxy.sql.parse import position
from proxy.sql.plan import Form, Use
from proxy.sql.scope import PLAIN, Field, Scope, SealedRef
from proxy.sql.values import RESERVED, Value, chain, locate, same_type, word

EQ: Final = "sealgate.eq("
QUERIES: Final = (exp.Select, exp.SetOperation, exp.Subquery, exp.Values)


def walk(draft: Draft, scope: Scope, node: exp.Expr, how: str = "in an expression") -> None:
    """Analyse an expression whose own result is not sealed. `how` it is used, for a refusal."""
    if isinstance(node, exp.Column):
        field = column(draft, scope, node)
        if field.sealed is not None:
            raise refusals.misuse(field.sealed.label, how)
    elif isinstance(node, QUERIES):
        shape = resolve.query(draft, scope, node)
        if shape.sealed is not None:
            raise refusals.misuse(shape.sealed.label, "in a subquery that an expression uses")
    elif isinstance(node, (exp.Query, exp.DML, exp.With, exp.Table)):
        raise refusals.not_understood()
    elif not _special(draft, scope, node):
        inner = _use(node, how)
        for child in children(node):
            walk(draft, scope, child, inner)


def walk_all(draft: Draft, scope: Scope, nodes: Sequence[exp.Expr], how: str) -> None:
    for node in nodes:
        walk(draft, scope, node, how)


def children(node: exp.Expr) -> Iterator[exp.Expr]:
    """The expressions directly inside one; types and bare names are none."""
    for key, argument in node.args.items():
        if isinstance(node, exp.Cast) and key == "to":
            continue
        for child in argument if isinstance(argument, list) else (argument,):
            if isinstance(child, exp.Expr) and not isinstance(child, _NO_EXPRESSIONS):
                yield child


_NO_EXPRESSIONS: Final = (exp.Identifier, exp.DataType, exp.Var, exp.Star)


def _use(node: exp.Expr, how: str) -> str:
    """How an expression uses what is inside it."""
    if isinstance(node, _TRANSPARENT):
        return how
    if isinstance(node, exp.Anonymous) and node.name != "operator":
        return f"as an argument of {node.name}()"
    return next((use for kind, use in _USES if isinstance(node, kind)), "in an expression")


_TRANSPARENT: Final = (
    exp.Paren, exp.Ordered, exp.Order, exp.Tuple, exp.Rollup, exp.Cube, exp.GroupingSets
)  # fmt: skip
_USES: Final[tuple[tuple[type[exp.Expr], str], ...]] = (
    (exp.Like, "with LIKE"),
    (exp.ILike, "with LIKE"),
    (exp.SimilarTo, "with a pattern"),
    (exp.Between, "in BETWEEN"),
    (exp.LT, "with the operator <"),
    (exp.LTE, "with the operator <="),
    (exp.GT, "with the operator >"),
    (exp.GTE, "with the operator >="),
    (exp.Cast, "under a cast"),
    (exp.Collate, "with a collation"),
    (exp.Array, "in an array"),
    (exp.Window, "in a window definition"),
    (exp.And, "as a condition"),
    (exp.Or, "as a condition"),
    (exp.Not, "as a condition"),
    (exp.Where, "as a condition"),
    (exp.Having, "as a condition"),
)


# Names.


def column(draft: Draft, scope: Scope, node: exp.Column) -> Field:
    """The column that a reference means; refuses references to whole rows with sealed columns."""
    if isinstance(node.this, exp.Star):
        source = scope.source(_part(draft, node, "db"), draft.name(node.args["table"]))
        if source.shape.sealed is not None:
            raise refusals.whole_row(source.shape.sealed.label, f"{source.name}.*")
        return PLAIN
    if node.args.get("catalog") is not None:
        catalog = draft.name(node.args["catalog"])
        if catalog != draft.catalog.database:
            raise refusals.unknown_qualifier()
    field = _field(draft, scope, node)
    draft.use_cells(field.cells)
    return field


def _field(draft: Draft, scope: Scope, node: exp.Column) -> Field:
    name = draft.name(node.this)
    if node.args.get("table") is None:
        quoted = node.this.args.get("quoted")
        return (
            PLAIN
            if name in RESERVED and not quoted and _reserved(draft, node.this)
            else scope.column(name)
        )
    return scope.qualified(_part(draft, node, "db"), draft.name(node.args["table"]), name)


def _reserved(draft: Draft, identifier: exp.Expr) -> bool:
    """`default`, `user`: the tree calls some keywords columns."""
    index = position(identifier)
    return index is not None and draft.tokens[index].kind is Kind.IDENT


def _part(draft: Draft, node: exp.Expr, key: str) -> str | None:
    part = node.args.get(key)
    return draft.name(part) if part is not None else None


def sealed_column(draft: Draft, scope: Scope, node: exp.Expr) -> SealedRef | None:
    """The sealed column that an operand is, brackets aside."""
    node = unbracketed(node)
    if isinstance(node, exp.Column) and not isinstance(node.this, exp.Star):
        return column(draft, scope, node).sealed
    return None


def unbracketed(node: exp.Expr) -> exp.Expr:
    while isinstance(node, exp.Paren):
        node = node.this
    return node


# Uses of a sealed column that the server can do.


def _special(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    """Handles the expressions that are more than their parts; False for all others."""
    handler = _HANDLERS.get(type(node))
    return handler is not None and handler(draft, scope, node)


def _equality(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    left, right = node.this, node.expression
    rows = row(left), row(right)
    if rows[0] is not None and rows[1] is not None and len(rows[0]) == len(rows[1]):
        for one, other in zip(rows[0], rows[1], strict=True):
            if not _compared(draft, scope, one, other, node, in_row=True):
                walk_all(draft, scope, (one, other), "in a row comparison")
        return True
    return _compared(draft, scope, left, right, node)


def row(node: exp.Expr) -> list[exp.Expr] | None:
    """The fields of (a, b) or ROW(a, b)."""
    if isinstance(node, exp.Tuple) or (isinstance(node, exp.Anonymous) and node.name == "row"):
        return list(node.expressions)
    return None


def _compared(
    draft: Draft,
    scope: Scope,
    left: exp.Expr,
    right: exp.Expr,
    node: exp.Expr,
    *,
    in_row: bool = False,
) -> bool:
    for one, other in ((left, right), (right, left)):
        ref = sealed_column(draft, scope, one)
        if ref is None:
            continue
        _require_equality(draft, ref)
        start, end = _column_span(draft, one)
        quantified = None if in_row else _quantified(other)
        if quantified is not None and one is left:
            _check_operator(draft, node, end, end + 1)
            _any(draft, ref, quantified)
        else:
            other_start, other_end = _term(draft, scope, ref, other)
            if not in_row:
                _check_operator(draft, node, min(end, other_end), max(start, other_start))
        _as_term(draft, one)
        return True
    return False


def _require_equality(draft: Draft, ref: SealedRef) -> None:
    if ref.column is None:
        raise refusals.undeclared(ref.label)
    if "equality" not in ref.column.search:
        raise refusals.not_searchable(ref.label)
    draft.touch(ref, Access.COMPARE)


def _as_term(draft: Draft, node: exp.Expr) -> None:
    """`email` becomes `sealgate.eq(email)`."""
    tokens = draft.tokens
    start, end = _column_tokens(draft, unbracketed(node))
    draft.edit(tokens[start].start, tokens[start].start, EQ)
    draft.edit(tokens[end - 1].end, tokens[end - 1].end, ")")


def conflict_term(draft: Draft, ref: SealedRef, node: exp.Expr) -> None:
    """`ON CONFLICT (email)` infers the unique index on the column's terms."""
    _require_equality(draft, ref)
    _as_term(draft, node)


def _column_tokens(draft: Draft, node: exp.Expr) -> tuple[int, int]:
    """Tokens [start, end) of a column reference."""
    parts = [node.args.get(key) for key in ("catalog", "db", "table", "this")]
    places = [position(part) for part in parts if part is not None]
    first, last = places[0], places[-1]
    if first is None or last is None or last - first != 2 * (len(places) - 1):
        raise refusals.not_understood()
    return first, last + 1


def _column_span(draft: Draft, node: exp.Expr) -> tuple[int, int]:
    """Tokens [start, end) of a column reference with its brackets."""
    start, end = _column_tokens(draft, unbracketed(node))
    while isinstance(node, exp.Paren):
        start, end = start - 1, end + 1
        if start < 0 or draft.tokens[start].text != "(" or _text(draft, end - 1) != ")":
            raise refusals.not_understood()
        node = node.this
    return start, end


def _check_operator(draft: Draft, node: exp.Expr, start: int, end: int) -> None:
    """Between the operands must be the very operator: the tree's class is not enough."""
    between = [token.value for token in draft.tokens[start:end]]
    if between not in _OPERATORS[type(node)]:
        raise refusals.not_understood("the operator of a comparison")


_OPERATORS: Final[dict[type[exp.Expr], tuple[list[str], ...]]] = {
    exp.EQ: (["="],),
    exp.NEQ: (["<>"], ["!="]),
    exp.NullSafeEQ: (["is", "not", "distinct", "from"],),
    exp.NullSafeNEQ: (["is", "distinct", "from"],),
}


def _term(draft: Draft, scope: Scope, ref: SealedRef, node: exp.Expr) -> tuple[int, int]:
    """The other side of a comparison becomes a term; returns the tokens where it stood."""
    found = chain(node)
    if found is not None:
        value = locate(draft.tokens, found)
        if value is None:
            raise refusals.odd_cast(ref.label)
        _seal_term(draft, ref, value)
        return value.start, value.end
    span = _seal_values_column(draft, scope, node, ref)
    if span is not None:
        _as_term(draft, node)
        return span
    other = sealed_column(draft, scope, node)
    if other is None:
        raise refusals.not_comparable(ref.label)
    if other.label != ref.label:
        raise refusals.other_key_comparison(ref.label, other.label)
    _as_term(draft, node)
    return _column_span(draft, node)


def _seal_term(draft: Draft, ref: SealedRef, value: Value) -> None:
    if word(draft.tokens, value.leaf) == "null":
        draft.replace_around(value, "", "::bytea")
    else:
        draft.seal(value, ref, before=EQ, after=")", use=Use.COMPARED)


def _quantified(node: exp.Expr) -> exp.Expr | None:
    """What is inside ANY(...), SOME(...) or ALL(...)."""
    if isinstance(node, (exp.Any, exp.All)):
        inner: exp.Expr = node.this
        # The brackets of ANY($1) are the operator's.
        return inner.this if type(inner) is exp.Paren else inner
    if isinstance(node, exp.Anonymous) and node.name in ("all", "some"):
        return next(iter(node.expressions), None)
    return None


def _any(draft: Draft, ref: SealedRef, node: exp.Expr) -> None:
    """`= ANY($1)`, `= ANY('{a,b}'::text[])`, `= ANY(ARRAY['a', $1])`"""
    found = chain(node)
    if found is not None:
        value = locate(draft.tokens, found)
        if value is None or (value.cast is not None and not value.cast.endswith("[]")):
            raise refusals.odd_cast(ref.label)
        draft.seal(value, ref, Form.TERMS, use=Use.COMPARED)
        return
    array = unbracketed(node)
    cast = isinstance(array, exp.Cast)
    if cast:
        array = array.this
    if not isinstance(array, exp.Array) or not array.expressions:
        raise refusals.not_comparable(ref.label)
    last = 0
    for element in array.expressions:
        item = chain(element)
        value = locate(draft.tokens, item) if item is not None else None
        if value is None:
            raise refusals.not_comparable(ref.label)
        _seal_term(draft, ref, value)
        last = value.end
    if cast:
        _retype_array(draft, ref, last)


def _retype_array(draft: Draft, ref: SealedRef, bracket: int) -> None:
    """`ARRAY[...]::text[]`: the elements are bytea now."""
    tokens = draft.tokens
    found = draft.type_at(bracket + 2)
    if _text(draft, bracket) != "]" or _text(draft, bracket + 1) != "::" or found is None:
        raise refusals.odd_cast(ref.label)
    draft.edit(tokens[bracket + 1].start, tokens[found.end - 1].end, "::bytea[]")


def _in(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    """`email IN ('a', $1)`, `(id, email) IN ((1, 'a'))`"""
    fields = row(node.this)
    if fields is not None:
        return _row_in(draft, scope, fields, node)
    ref = sealed_column(draft, scope, node.this)
    if ref is None:
        return False
    _require_equality(draft, ref)
    if not node.expressions or node.args.get("query") or node.args.get("unnest"):
        raise refusals.misuse(ref.label, "in a subquery that an expression uses")
    _, end = _column_span(draft, node.this)
    end += word(draft.tokens, end) == "not"
    if word(draft.tokens, end) != "in" or _text(draft, end + 1) != "(":
        raise refusals.not_understood()
    _as_term(draft, node.this)
    for item in node.expressions:
        _term(draft, scope, ref, item)
    return True


def _row_in(draft: Draft, scope: Scope, fields: list[exp.Expr], node: exp.Expr) -> bool:
    refs = [sealed_column(draft, scope, part) for part in fields]
    if not any(refs):
        return False
    items = [row(item) for item in node.expressions]
    if not items or any(item is None or len(item) != len(fields) for item in items):
        label = next(ref.label for ref in refs if ref is not None)
        raise refusals.misuse(label, "in a row comparison with something else than rows")
    for place, ref in enumerate(refs):
        parts = [item[place] for item in items if item is not None]
        if ref is None:
            walk_all(draft, scope, [fields[place], *parts], "in a row comparison")
            continue
        _require_equality(draft, ref)
        _as_term(draft, fields[place])
        for part in parts:
            _term(draft, scope, ref, part)
    return True


def _is(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    null = isinstance(node.expression, exp.Null)
    found = chain(node.this)
    if found is not None and null and isinstance(found.leaf, exp.Parameter):
        value = locate(draft.tokens, found)
        if value is not None:
            draft.presence(value)
        return True
    ref = sealed_column(draft, scope, node.this)
    if ref is None:
        return False
    if not null:
        raise refusals.misuse(ref.label, "in IS TRUE")
    draft.touch(ref, Access.PRESENCE)
    return True


def _function(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    index = position(node)
    if index is None:
        return False
    name = draft.tokens[index].value
    if name not in draft.catalog.interesting:
        draft.explain(index)
    if name == "nullif":
        walk_all(draft, scope, node.expressions, "in NULLIF")
        return True
    if name == "count" and len(node.expressions) == 1:
        ref = sealed_column(draft, scope, node.expressions[0])
        # count(DISTINCT ROW?) and the like are no bare columns in the tree.
        if ref is not None:
            draft.touch(ref, Access.PRESENCE)
            return True
    return False


def _dot(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    """`schema.function(...)`, `(composite).field`"""
    base, member = node.this, node.expression
    if isinstance(base, exp.Identifier):
        if draft.name(base) == "sealgate":
            raise refusals.terms_are_internal()
    else:
        walk(draft, scope, base, "as a composite value")
    if isinstance(member, exp.Identifier):
        draft.name(member)
    elif not isinstance(member, exp.Star):
        walk(draft, scope, member)
    return True


def _case(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    """A CASE whose result is not sealed; `CASE email WHEN 'x'` compares."""
    case_conditions(draft, scope, node)
    for branch in case_branches(node):
        walk(draft, scope, branch, "in CASE, next to other values")
    return True


def case_branches(node: exp.Expr) -> list[exp.Expr]:
    default = node.args.get("default")
    return [branch.args["true"] for branch in node.args["ifs"]] + ([default] if default else [])


def case_conditions(draft: Draft, scope: Scope, node: exp.Expr) -> None:
    subject: exp.Expr | None = node.this
    conditions = [branch.this for branch in node.args["ifs"]]
    ref = sealed_column(draft, scope, subject) if subject is not None else None
    if ref is not None and subject is not None:
        _require_equality(draft, ref)
        _as_term(draft, subject)
        for condition in conditions:
            _term(draft, scope, ref, condition)
        return
    if subject is not None:
        walk(draft, scope, subject)
    walk_all(draft, scope, conditions, "as a condition")


def _exists(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    # What EXISTS selects goes nowhere.
    resolve.query(draft, scope, node.this)
    return True


def _window(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    for name in (node.args.get("alias"), node.this):
        if isinstance(name, exp.Identifier):
            draft.name(name)
    if isinstance(node.this, exp.Expr) and not isinstance(node.this, exp.Identifier):
        walk(draft, scope, node.this)
    for key, argument in node.args.items():
        if key not in ("this", "alias"):
            parts = argument if isinstance(argument, list) else [argument]
            walk_all(
                draft,
                scope,
                [part for part in parts if isinstance(part, exp.Expr)],
                "in a window definition",
            )
    return True


def _order(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    """ORDER BY inside an aggregate's brackets hangs on its last argument."""
    if isinstance(node.this, exp.Expr):
        walk(draft, scope, node.this, "as an argument of an aggregate")
    walk_all(draft, scope, node.expressions, "in ORDER BY")
    return True


def _distinct(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    walk_all(draft, scope, node.expressions, "in DISTINCT")
    return True


def _named_argument(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    walk(draft, scope, node.expression, "as an argument of a function")
    return True


_HANDLERS: Final = {
    exp.EQ: _equality,
    exp.NEQ: _equality,
    exp.NullSafeEQ: _equality,
    exp.NullSafeNEQ: _equality,
    exp.In: _in,
    exp.Is: _is,
    exp.Anonymous: _function,
    exp.Dot: _dot,
    exp.Case: _case,
    exp.Exists: _exists,
    exp.Window: _window,
    exp.Order: _order,
    exp.Distinct: _distinct,
    exp.Kwarg: _named_argument,
}


# Values for a sealed column.


def sealable(
    draft: Draft, scope: Scope, node: exp.Expr, target: SealedRef, *, direct: bool
) -> None:
    """Make an expression into something that the sealed column `target` can hold.

    `direct`: it stands where the server knows the column's type (VALUES, SET); elsewhere a
    parameter gets its type written behind it.
    """
    node_in = unbracketed(node)
    if is_default(draft, node_in):
        return
    found = chain(node)
    if found is not None:
        _seal_value(draft, target, locate(draft.tokens, found), direct=direct)
    elif isinstance(node_in, exp.Case):
        case_conditions(draft, scope, node_in)
        for branch in case_branches(node_in):
            sealable(draft, scope, branch, target, direct=False)
    elif _is_coalesce(draft, node_in):
        _function(draft, scope, node_in)
        for argument in node_in.expressions:
            sealable(draft, scope, argument, target, direct=False)
    elif isinstance(node_in, exp.Subquery):
        flow(resolve.query(draft, scope, node_in, (target,)).fields, (target,))
    elif _seal_values_column(draft, scope, node_in, target) is None:
        ref = sealed_column(draft, scope, node_in)
        if ref is None:
            if isinstance(node_in, exp.Column):
                raise refusals.plain_source(target.label)
            walk(draft, scope, node_in, f"in a value for {target.label}")
            raise refusals.not_a_value(target.label)
        flow((Field(None, ref),), (target,))


def _seal_value(draft: Draft, target: SealedRef, value: Value | None, *, direct: bool) -> None:
    if value is None:
        raise refusals.odd_cast(target.label)
    if word(draft.tokens, value.leaf) == "null":
        # Elsewhere than in VALUES and SET, a column of nothing but NULL would be text.
        draft.replace_around(value, "", "" if direct else "::bytea")
        return
    if target.column is None:
        raise refusals.undeclared(target.label)
    typed = "" if direct or draft.tokens[value.leaf].kind is not Kind.PARAM else "::bytea"
    draft.seal(value, target, after=typed)


def _seal_values_column(
    draft: Draft, scope: Scope, node: exp.Expr, target: SealedRef
) -> tuple[int, int] | None:
    """`v.email` of FROM (VALUES ...) AS v: sealed in the list itself, where it has no other use.

    One cast around the reference is taken over by the values. Returns the tokens of the reference
    without the cast; None if it is something else.
    """
    cast = node if type(node) is exp.Cast else None
    inner = unbracketed(cast.this) if cast is not None else unbracketed(node)
    if not isinstance(inner, exp.Column) or isinstance(inner.this, exp.Star):
        return None
    field = _field(draft, scope, inner)
    if field.sealed is not None or not field.cells or field.name is None:
        return None
    seal_cells(
        draft, field.cells, target, _without_cast(draft, inner) if cast is not None else None
    )
    return _column_span(draft, node) if cast is None else _column_tokens(draft, inner)


def seal_cells(
    draft: Draft, cells: Sequence[exp.Expr], target: SealedRef, cast: str | None = None
) -> None:
    draft.seal_cells(cells, target)
    for cell in cells:
        found = chain(cell)
        value = locate(draft.tokens, found) if found is not None else None
        if value is not None and cast is not None:
            if value.cast is not None and not same_type(value.cast, cast):
                raise refusals.odd_cast(target.label)
            value = replace(value, cast=value.cast or cast)
        _seal_value(draft, target, value, direct=False)


def _without_cast(draft: Draft, node: exp.Expr) -> str:
    """Takes `::type` or CAST( AS type) from around a reference; returns the type."""
    tokens = draft.tokens
    start, end = _column_tokens(draft, node)
    prefixed = _text(draft, end) != "::"
    found = draft.type_at(end + 1)
    last = found.end if found is not None else end
    if prefixed:
        closed = word(tokens, end) == "as" and _text(draft, last) == ")"
        opened = word(tokens, start - 2) == "cast" and _text(draft, start - 1) == "("
        if not (closed and opened):
            found = None
        draft.edit(tokens[start - 2].start, tokens[start].start, "")
        last += 1
    if found is None or found.modified or last > len(tokens):
        raise refusals.not_understood("a cast")
    draft.edit(tokens[end - 1].end, tokens[last - 1].end, "")
    return found.name


def is_default(draft: Draft, node: exp.Expr) -> bool:
    """The keyword DEFAULT, which the tree has as a Var or a column."""
    if isinstance(node, exp.Var):
        return node.name.lower() == "default"
    if not isinstance(node, exp.Column) or node.args.get("table") is not None:
        return False
    index = position(node.this)
    if index is None or word(draft.tokens, index) != "default":
        return False
    draft.explain(index)
    return True


def _is_coalesce(draft: Draft, node: exp.Expr) -> bool:
    return isinstance(node, exp.Anonymous) and _keyword(draft, node) == "coalesce"


def _keyword(draft: Draft, node: exp.Anonymous) -> str:
    """A function's name if it is not quoted: "coalesce"(...) would be a function of that name."""
    return word(draft.tokens, _place(node))


def _place(node: exp.Expr) -> int:
    index = position(node)
    return -1 if index is None else index


def flow(fields: Sequence[Field], targets: Sequence[SealedRef | None]) -> None:
    """Values of `fields` are stored in `targets`: only the same sealed column takes sealed values."""
    for field, target in zip(fields, targets, strict=False):
        if field.sealed is None:
            if target is not None:
                raise refusals.plain_source(target.label)
        elif target is None:
            raise refusals.plain_target(field.sealed.label)
        elif target.column is not None and target.label != field.sealed.label:
            raise refusals.other_key(field.sealed.label, target.label)


# Results.


def carried(draft: Draft, scope: Scope, node: exp.Expr) -> SealedRef | None:
    """The sealed column whose values a result column hands through, or None after a `walk`."""
    ref = _carrier(draft, scope, node)
    inner = unbracketed(node)
    if ref is None:
        walk(draft, scope, node)
    elif isinstance(inner, (exp.Case, exp.Anonymous)):
        # Values next to the column's own are sealed by its keys, which is as good as comparing.
        before = len(draft.marks) + len(draft.parameters)
        sealable(draft, scope, inner, ref, direct=False)
        if len(draft.marks) + len(draft.parameters) > before:
            draft.touch(ref, Access.COMPARE)
    return ref


def _carrier(draft: Draft, scope: Scope, node: exp.Expr) -> SealedRef | None:
    node = unbracketed(node)
    if isinstance(node, exp.Column):
        return sealed_column(draft, scope, node)
    if isinstance(node, exp.Subquery):
        return resolve.query(draft, scope, node).sealed
    branches: list[exp.Expr] = []
    if isinstance(node, exp.Case):
        branches = case_branches(node)
    elif _is_coalesce(draft, node):
        branches = node.expressions
    return next((ref for b in branches if (ref := _carrier(draft, scope, b)) is not None), None)


def _text(draft: Draft, index: int) -> str:
    return draft.tokens[index].text if 0 <= index < len(draft.tokens) else ""
