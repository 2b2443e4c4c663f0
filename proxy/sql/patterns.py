"""LIKE and ILIKE on sealed texts: found by grams, tested once unsealed.

    name LIKE '%' || $1 || '%'      sealgate.match(name) @> $1          $1 an int4[]: the terms of the grams it requires

What the server finds so is more than what matches: grams that do not stand side by side, and terms that two grams share.
The rest is dropped from the result (`StatementPlan.filters`), so nothing else may depend on it: not a count, a limit, a
group, another row, or anything that is written. A statement is a plain SELECT, each of its rows one of FROM's, that
shows the column; LIKE is one of the conditions that AND joins in its WHERE, or all of those that OR joins in one of
them. `LIKE 'abc%'` on a column with an order of texts needs none of this (`ranges.prefix`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlglot import exp

from policy import Access
from proxy.sql import ranges, refusals
from proxy.sql.columns import (
    Span,
    bare,
    column_span,
    column_tokens,
    field_of,
    function_span,
    sealed_column,
)
from proxy.sql.draft import Draft
from proxy.sql.lexer import Kind
from proxy.sql.plan import Form, Pattern, Test, Use
from proxy.sql.refusals import Refused
from proxy.sql.scope import Scope, SealedRef
from proxy.sql.tree import keyword, place_of, text_at, unbracketed
from proxy.sql.values import Value, chain, locate, word, words

_OPERATORS: Final = {"like": False, "ilike": True, "~~": False, "~~*": True}
"""And whether upper and lower case are alike to them."""
_LIKE: Final = (exp.Like, exp.ILike)
_CASES: Final = ("lower", "upper")
_WILD: Final = frozenset("%_")


def like(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    """`name LIKE $1`, `lower(name) ILIKE ...`, `name ~~ $1`, with or without ESCAPE; False if nothing in it is sealed."""
    found = _Predicate.of(draft, node)
    if found is None:
        return False
    column = _column(draft, scope, found.operand)
    if column is None:
        return False
    if not _searched(column.ref):
        raise _not_declared(column.ref)
    end = column.span.end
    operator = text_at(draft, end).lower()
    if isinstance(node.parent, exp.Operator):
        # `name ~~ '%' || 'x'` is (name ~~ '%') || 'x': an error of the server's, which would log the rest of the pattern.
        raise refusals.unsupported(
            "an operator beside ~~", "Write LIKE, or put the pattern in brackets."
        )
    if found.negated or operator == "not":
        raise refusals.unsupported("NOT LIKE", _NOT_LIKE_HINT)
    if operator not in _OPERATORS:
        raise refusals.not_understood("LIKE")
    pattern = _read(draft, column.ref, found, end + 1)
    insensitive = _OPERATORS[operator]
    conjunct = _conjunct(node)
    output = _tested(draft, scope, conjunct, column, pattern, insensitive=insensitive)
    if output is None:
        ranges.prefix(draft, scope, found.operand, pattern.value)
        return True
    draft.touch(column.ref, Access.COMPARE)
    _edit_column(draft, column)
    tokens = draft.tokens
    # From the operator on: what replaces a stretch that begins with a literal would come behind the literal.
    draft.edit(tokens[end].start, tokens[pattern.value.start].start, "@> ")
    source = _seal(draft, column, pattern, insensitive=insensitive)
    draft.edit(tokens[pattern.value.end - 1].end, tokens[pattern.end - 1].end, "")
    test = Test(output, column.ref.label, source)
    draft.tests.setdefault(id(conjunct), {})[test] = None
    return True


def _edit_column(draft: Draft, column: _Column) -> None:
    """`lower(name::text)` becomes `sealgate.match(name)`; the cast is out already."""
    tokens = draft.tokens
    first, last = column_tokens(draft, column.node)
    draft.edit(tokens[first].start, tokens[first].start, "sealgate.match(")
    draft.edit(tokens[last - 1].end, tokens[last - 1].end, ")")
    if column.call is not None:
        call, inner = column.call
        draft.edit(tokens[call.start].start, tokens[inner.start].start, "")
        draft.edit(tokens[inner.end - 1].end, tokens[call.end - 1].end, "")


def _seal(draft: Draft, column: _Column, pattern: _Pattern, *, insensitive: bool) -> int:
    """Returns `Test.source`."""
    token = draft.tokens[pattern.value.leaf]
    parameter = token.kind is Kind.PARAM
    how = Pattern(
        pattern.before,
        pattern.after,
        pattern.function,
        column.function,
        insensitive,
        pattern.escape,
        0 if parameter else pattern.value.leaf,
    )
    draft.seal(pattern.value, column.ref, Form.GRAMS, use=Use.COMPARED, pattern=how)
    return int(token.value) if parameter else -pattern.value.leaf


# What stands there.


@dataclass(frozen=True, slots=True)
class _Predicate:
    operand: exp.Expr
    pattern: exp.Expr
    escape: exp.Expr | None
    negated: bool

    @staticmethod
    def of(draft: Draft, node: exp.Expr) -> _Predicate | None:
        """What the tree has of a LIKE; None for something else."""
        escape = None
        if isinstance(node, exp.Escape):
            node, escape = node.this, node.expression
        if isinstance(node, exp.Operator):
            operator = text_at(draft, _behind(draft, node.this))
            if operator in ("~~", "~~*", "!~~", "!~~*"):
                return _Predicate(node.this, node.expression, escape, operator[0] == "!")
        if not isinstance(node, _LIKE):
            return None
        return _Predicate(node.this, node.expression, escape, bool(node.args.get("negate")))


def _behind(draft: Draft, operand: exp.Expr) -> int:
    """The token behind a column, or a call with one as its argument; -1 for other operands."""
    called = unbracketed(operand)
    if isinstance(called, exp.Anonymous) and len(called.expressions) == 1:
        argument = called.expressions[0]
        if isinstance(bare(argument), exp.Column):
            return function_span(draft, operand, Span(*column_span(draft, argument))).end
    inner = bare(operand)
    if isinstance(inner, exp.Column) and not isinstance(inner.this, exp.Star):
        return column_span(draft, operand)[1]
    return -1


@dataclass(frozen=True, slots=True)
class _Column:
    ref: SealedRef
    node: exp.Expr
    """With the casts and brackets around it."""
    function: str
    span: Span
    """Tokens of the whole operand."""
    call: tuple[Span, Span] | None = None
    """Those of the function with its brackets, and of what is in them."""


def _column(draft: Draft, scope: Scope, operand: exp.Expr) -> _Column | None:
    """A sealed column, or lower() or upper() of one."""
    called = unbracketed(operand)
    if isinstance(called, exp.Anonymous):
        function = keyword(draft, called)
        if function not in _CASES or len(called.expressions) != 1:
            return None
        node = called.expressions[0]
        ref = sealed_column(draft, scope, node)
        if ref is None:
            return None
        place = place_of(called)
        inner = Span(*column_span(draft, node))
        if inner.start != place + 2:
            raise refusals.not_understood(f"{function}()")
        draft.explain(place)
        call = Span(place, inner.end + 1)
        span = function_span(draft, operand, inner)
        return _Column(_declared(ref), bare(node), function, span, (call, inner))
    ref = sealed_column(draft, scope, operand)
    if ref is None:
        return None
    return _Column(_declared(ref), bare(operand), "", Span(*column_span(draft, operand)))


def _declared(ref: SealedRef) -> SealedRef:
    if ref.column is None:
        raise refusals.undeclared(ref.label)
    return ref


@dataclass(frozen=True, slots=True)
class _Pattern:
    value: Value
    """The part that says what is looked for."""
    function: str
    before: str
    after: str
    escape: str | None
    end: int
    """Token behind the whole of it, ESCAPE included."""

    @property
    def alone(self) -> bool:
        """Nothing but the value."""
        return not (self.function or self.before or self.after) and self.escape is None


def _read(draft: Draft, ref: SealedRef, found: _Predicate, at: int) -> _Pattern:
    """The pattern whose tokens begin at `at`: a value, wildcards around it, lower() or upper() of it."""
    node, brackets = found.pattern, 0
    while type(node) is exp.Paren and chain(node) is None:
        node, brackets = node.this, brackets + 1
    parts: list[tuple[Value, str]] = []
    place = at + brackets
    for number, part in enumerate(_joined(node)):
        if number:
            if text_at(draft, place) != "||":
                raise _odd(ref)
            place += 1
        value, function, place = _part(draft, ref, part, place)
        parts.append((value, function))
    if any(
        text_at(draft, i) != bracket
        for bracket, first in (("(", at), (")", place))
        for i in range(first, first + brackets)
    ):
        raise _odd(ref)
    end = place + brackets
    escape = None
    if found.escape is not None:
        token = draft.tokens[end + 1] if end + 1 < len(draft.tokens) else None
        if word(draft.tokens, end) != "escape" or token is None or token.kind is not Kind.STRING:
            raise refusals.unsupported("ESCAPE with anything but a constant", _PATTERN_HINT)
        if place_of(found.escape) != end + 1:
            raise _odd(ref)
        escape = token.value
        draft.deciding.add(token.start)
        end += 2
    before, main, after = _wild(draft, ref, parts)
    value, function = main
    if draft.tokens[value.leaf].kind not in (Kind.STRING, Kind.PARAM):
        raise _odd(ref)
    return _Pattern(value, function, before, after, escape, end)


def _joined(node: exp.Expr) -> list[exp.Expr]:
    """The operands of `a || b || c`: of a chain of operators, which are looked at in the text."""
    parts: list[exp.Expr] = []
    while type(node) is exp.Operator:
        parts.append(node.expression)
        node = node.this
    return [node, *reversed(parts)]


def _part(draft: Draft, ref: SealedRef, node: exp.Expr, place: int) -> tuple[Value, str, int]:
    """A value at `place`, what is done to it, and the token behind."""
    function, inner = "", node
    if isinstance(node, exp.Anonymous) and len(node.expressions) == 1:
        function, inner = keyword(draft, node), node.expressions[0]
        if function not in _CASES or place_of(node) != place:
            raise _odd(ref)
        draft.explain(place)
    found = chain(inner)
    value = locate(draft.tokens, found) if found is not None else None
    begins = place + (2 if function else 0)
    if value is None or value.start != begins or value.signs:
        raise _odd(ref)
    if not function:
        return value, "", value.end
    if text_at(draft, place + 1) != "(" or text_at(draft, value.end) != ")":
        raise _odd(ref)
    return value, function, value.end + 1


def _wild(
    draft: Draft, ref: SealedRef, parts: Sequence[tuple[Value, str]]
) -> tuple[str, tuple[Value, str], str]:
    """The wildcards in front of the one part that is more than that, that part, and those behind it."""
    if len(parts) == 1:
        return "", parts[0], ""
    texts = [_wildcards(draft, *part) for part in parts]
    others = [i for i, text in enumerate(texts) if text is None]
    main = others[0] if others else 0
    tokens = (draft.tokens[value.leaf] for i, (value, _) in enumerate(parts) if i != main)
    draft.deciding.update(token.start for token in tokens if token.kind is not Kind.PARAM)
    if len(others) > 1:
        raise refusals.unsupported("LIKE with a pattern of several values", _PATTERN_HINT)
    before = "".join(text or "" for text in texts[:main])
    after = "".join(text or "" for text in texts[main + 1 :])
    return before, parts[main], after


def _wildcards(draft: Draft, value: Value, function: str) -> str | None:
    """The text of a constant that is nothing but wildcards."""
    token = draft.tokens[value.leaf]
    if token.kind is not Kind.STRING or value.casts or function:
        return None
    text = token.value
    return text if _WILD.issuperset(text) else None


# Prefixes, by order.


def _by_order(draft: Draft, column: _Column, pattern: _Pattern) -> bool:
    """The pattern is such a literal for certain, or the order is all that the column has."""
    assert column.ref.column is not None  # noqa: S101 - `_declared`
    search = column.ref.column.search
    token = draft.tokens[pattern.value.leaf]
    if token.kind is Kind.PARAM or not search.match:
        return not search.match
    draft.deciding.add(token.start)
    text = token.value
    needle = text.removesuffix("%")
    limit = search.order.prefix if search.order is not None else 0
    plain = needle != text and not _WILD & set(needle) and "\\" not in needle
    return plain and 0 < len(needle.encode()) <= limit


def _may_be_prefix(column: _Column, pattern: _Pattern, *, insensitive: bool) -> bool:
    declared = column.ref.column
    order = declared.search.order if declared is not None else None
    return bool(
        order is not None
        and order.prefix
        and pattern.alone
        and not insensitive
        and not column.function
    )


# Where a test on the result is right.


def _tested(
    draft: Draft,
    scope: Scope,
    conjunct: exp.Expr,
    column: _Column,
    pattern: _Pattern,
    *,
    insensitive: bool,
) -> int | None:
    """The result column that shows the value to be tested; None: its order answers, and nothing is to be tested.

    `conjunct`: the condition that the predicate is, or is in beside OR. All of its alternatives are tested, or none.
    Raises Refused where dropping rows of the result would not do.
    """
    prefix = _may_be_prefix(column, pattern, insensitive=insensitive)
    alternatives = _alternatives(conjunct)
    if len(alternatives) > 1:
        if all(_testable(draft, scope, part) for part in alternatives):
            return _shown(draft, scope, conjunct, column)
        if prefix:
            return None
        raise refusals.unsupported("LIKE beside OR with another condition", _OR_HINT)
    if prefix and _by_order(draft, column, pattern):
        return None
    declared = column.ref.column
    if declared is None or not declared.search.match:
        raise _not_declared(column.ref)
    try:
        return _shown(draft, scope, conjunct, column)
    except Refused:
        if not prefix:
            raise
        return None


def _conjunct(node: exp.Expr) -> exp.Expr:
    """The outermost OR that the predicate is in, with nothing but AND and brackets between; else itself."""
    found, parent = node, node.parent
    while isinstance(parent, (exp.And, exp.Or, exp.Paren)):
        if isinstance(parent, exp.Or):
            found = parent
        parent = parent.parent
    return found


def _shown(draft: Draft, scope: Scope, conjunct: exp.Expr, column: _Column) -> int:
    """The result column that shows the value. Raises Refused where dropping rows of the result would not do."""
    parent = conjunct.parent
    while isinstance(parent, (exp.And, exp.Paren)):
        parent = parent.parent
    select = parent.parent if isinstance(parent, exp.Where) else None
    if not isinstance(select, exp.Select) or select.parent is not None:
        raise _refused("LIKE outside the WHERE of a plain SELECT")
    _check_select(draft, select)
    return _output(draft, scope, select, column)


def _alternatives(node: exp.Expr) -> list[exp.Expr]:
    """Of a condition that AND joins to others: what OR joins in it."""
    found: list[exp.Expr] = []
    pending = [node]
    while pending:
        part = pending.pop()
        if isinstance(part, exp.Or):
            pending += [part.this, part.expression]
        elif isinstance(part, exp.Paren):
            pending.append(part.this)
        else:
            found.append(part)
    return found


def _testable(draft: Draft, scope: Scope, node: exp.Expr) -> bool:
    """It is a LIKE on a sealed column that has grams. (An AND in an OR is none.)"""
    found = _Predicate.of(draft, node)
    if found is None:
        return False
    operand = unbracketed(found.operand)
    if isinstance(operand, exp.Anonymous) and len(operand.expressions) == 1:
        operand = operand.expressions[0]
    inner = bare(operand)
    if not isinstance(inner, exp.Column) or isinstance(inner.this, exp.Star):
        return False
    ref = field_of(draft, scope, inner).sealed
    return ref is not None and ref.column is not None and bool(ref.column.search.match)


_CLAUSES: Final = {
    "distinct": "DISTINCT",
    "group": "GROUP BY",
    "having": "HAVING",
    "limit": "LIMIT",
    "offset": "OFFSET",
    "windows": "window functions",
    "locks": "FOR UPDATE",
    "into": "SELECT INTO",
}
_HARMLESS: Final = words(
    """
    abs array_agg avg btrim ceil char_length coalesce concat count current_date current_timestamp date_part date_trunc
    floor greatest initcap json_agg jsonb_agg least left length lower lpad ltrim max min mod now nullif replace right
    round row rpad rtrim split_part string_agg substring sum to_char trim upper
    """
)
"""Functions that may be called for a row that is dropped: they change nothing. (Aggregates are for subqueries: beside the
column itself the server takes none.)"""


def _check_select(draft: Draft, select: exp.Select) -> None:
    """Raises Refused unless each row of the result is one of FROM's, and nothing else depends on how many there are."""
    for key, clause in _CLAUSES.items():
        if select.args.get(key):
            raise _refused(f"LIKE with {clause}")
    if any(word(draft.tokens, i) == "over" for i in range(len(draft.tokens))):
        raise _refused("LIKE with window functions")
    for expression in select.expressions:
        for part in expression.walk():
            called = isinstance(part, exp.Anonymous) and keyword(draft, part) not in _HARMLESS
            if called or isinstance(part, exp.Dot):
                raise _refused("LIKE in a SELECT that calls functions for its result")


def _output(draft: Draft, scope: Scope, select: exp.Select, column: _Column) -> int:
    """Where the select list shows the column as it is."""
    sought = _whose(draft, scope, column.node)
    if sought is None:
        raise refusals.not_understood("the column of LIKE")
    place = 0
    for item in select.expressions:
        expression = item.this if isinstance(item, exp.Alias) else item
        columns, more = _columns(draft, scope, expression)
        if more:
            break  # They may stand before those that are known.
        if sought in columns:
            return place + columns.index(sought)
        place += len(columns)
    raise refusals.unsupported(
        f"LIKE on {column.ref.label}, which the SELECT does not show,", _HINT
    )


Whose = tuple[str | None, str | None]
"""The name of a row source, and of a column in it."""
_NOBODYS: Final = (None, None)


def _whose(draft: Draft, scope: Scope, node: exp.Expr) -> Whose | None:
    """The column that a reference means; None unless it is one of a row source of this level for certain."""
    if not isinstance(node, exp.Column) or isinstance(node.this, exp.Star):
        return None
    field_of(draft, scope, node)  # Names are explained there, and what is ambiguous refused.
    name = draft.name(node.this)
    qualifier = node.args.get("table")
    if qualifier is not None:
        of: str | None = draft.name(qualifier)
    else:
        visible = [field for field in scope.visible if field.name == name]
        of = visible[0].of if len(visible) == 1 else None
    sources = [source for source in scope.sources if source.name == of]
    if of is None or len(sources) != 1:
        return None
    named = [field for field in sources[0].shape.fields if field.name == name]
    return (of, name) if len(named) == 1 else None


def _columns(draft: Draft, scope: Scope, node: exp.Expr) -> tuple[list[Whose], bool]:
    """The columns that an item of a select list stands for; True: and perhaps more."""
    if isinstance(node, exp.Star):
        return [(field.of, field.name) for field in scope.visible], scope.open
    inner = bare(node)
    if isinstance(inner, exp.Column) and isinstance(inner.this, exp.Star):
        if inner.args.get("catalog") is not None:
            return [], True
        schema = inner.args.get("db")
        named = draft.name(schema) if schema is not None else None
        source = scope.source(named, draft.name(inner.args["table"]))
        return [(source.name, field.name) for field in source.shape.fields], source.shape.open
    if isinstance(node, exp.Dot) and isinstance(node.expression, exp.Star):
        return [], True
    return [_whose(draft, scope, inner) or _NOBODYS], False


# Refusals.

_HINT: Final = (
    "Candidates are tested once they are unsealed: select the column itself in a plain SELECT whose WHERE has the LIKE, "
    "without LIMIT, OFFSET, DISTINCT, GROUP BY, aggregates and window functions, and do the rest in the application."
)
_NOT_LIKE_HINT: Final = "Terms tell what may match, not what does not: filter in the application."
_PATTERN_HINT: Final = (
    "Give the pattern as one value: LIKE $1, LIKE '%' || $1 || '%', LIKE 'x!%' ESCAPE '!'."
)
_OR_HINT: Final = "OR may join LIKEs on sealed columns that the SELECT shows; send the other condition as a query of its own."


def _refused(what: str) -> Refused:
    return refusals.unsupported(what, _HINT)


def _odd(ref: SealedRef) -> Refused:
    return refusals.unsupported(f"this pattern of LIKE on {ref.label}", _PATTERN_HINT)


def _searched(ref: SealedRef) -> bool:
    """There are patterns that the column can be searched by."""
    search = ref.column.search if ref.column is not None else None
    return bool(search is not None and (search.match or (search.order and search.order.prefix)))


def _not_declared(ref: SealedRef) -> Refused:
    hint = f'Add "match" to the column\'s search to find values of {ref.label} by LIKE.'
    if _searched(ref):
        hint += " By its order alone it can be found by the pattern 'abc%', with nothing around it."
    return Refused(
        refusals.FEATURE_NOT_SUPPORTED,
        f"column {ref.label} is sealed and cannot be used with LIKE",
        hint,
    )
