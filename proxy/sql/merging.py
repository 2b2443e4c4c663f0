"""JOIN ... USING and NATURAL JOIN, which make one column of two.

The server would compare sealed values as the bytes they are. So where one of the columns is sealed, the join gets a condition
in place of USING or NATURAL, on terms:

    a JOIN b USING (id, email)    a JOIN b ON ("a"."id" = "b"."id" AND sealgate.eq("a"."email") = sealgate.eq("b"."email"))

Then there are two columns of each name, and what meant the merged one has to say which: the left side's of an inner or left
join, the right side's of a right join (transformFromClauseItem in src/backend/parser/parse_clause.c). A full join's is either,
and an alias of the join as a whole hides the tables inside: these are refused. `*` is written out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from sqlglot import exp

from proxy.sql import capability, refusals
from proxy.sql.columns import type_of
from proxy.sql.draft import Draft
from proxy.sql.parse import position
from proxy.sql.scope import Field, RowSource, Scope
from proxy.sql.tree import text_at
from proxy.sql.values import word


@dataclass(slots=True)
class Joined:
    """One item of FROM with all that is joined to it."""

    sources: list[RowSource] = field(default_factory=list)
    visible: list[Field] = field(default_factory=list)
    open: bool = False

    def scope(self, around: Scope) -> Scope:
        return Scope(around.parent, list(self.sources), list(self.visible), self.open, around.ctes)


@dataclass(frozen=True, slots=True)
class Sides:
    """The two sides of one join."""

    left: Joined
    right: Joined
    join: exp.Expr

    @property
    def how(self) -> str:
        return "in NATURAL JOIN" if self.join.args.get("method") else "in USING"

    @property
    def side(self) -> str:
        return str(self.join.args.get("side") or "")

    def pair(self, name: str) -> tuple[Field, Field] | None:
        """The two columns of a name; None if there are not just two: the server says so."""
        one = [f for f in self.left.visible if f.name == name]
        other = [f for f in self.right.visible if f.name == name]
        return (one[0], other[0]) if len(one) == len(other) == 1 else None


def merged(draft: Draft, sides: Sides, using: Sequence[str]) -> list[Field]:
    """The columns of a join: those of `using` once and first, then the rest of both sides."""
    both = (*sides.left.visible, *sides.right.visible)
    rest = [f for f in both if f.name not in using]
    sealed = next((f.sealed for f in both if f.name in using and f.sealed is not None), None)
    if sealed is None:
        for column in both:
            if column.name in using:
                draft.use_cells(column.cells)
        return [*(_one(sides, name) for name in using), *rest]
    pairs = [sides.pair(name) for name in using]
    known = [pair for pair in pairs if pair is not None and _is_simple(sides, *pair)]
    if len(known) < len(pairs) or sides.side == "FULL":
        raise refusals.misuse(sealed.label, sides.how)
    _write_condition(draft, sides, " AND ".join(_equal(draft, one, other) for one, other in known))
    of = 1 if sides.side == "RIGHT" else 0
    return [*(replace(pair[of], qualified=_qualified(pair[of])) for pair in known), *rest]


def _one(sides: Sides, name: str) -> Field:
    """A merged column that is not sealed, and whose it is, where that is certain."""
    pair = sides.pair(name)
    if pair is None or sides.side == "FULL" or not _same_type(*pair):
        return Field(name)
    one = pair[1] if sides.side == "RIGHT" else pair[0]
    return Field(name, type_oid=one.type_oid, of=one.of)


def _is_simple(sides: Sides, one: Field, other: Field) -> bool:
    """Both columns can be named, and either can stand for both."""
    named = [source.name for side in (sides.left, sides.right) for source in side.sources]
    if any(f.of is None or named.count(f.of) != 1 or f.cells for f in (one, other)):
        return False
    if one.sealed is None or other.sealed is None:
        return one.sealed is other.sealed and _same_type(one, other)
    return type_of(one.sealed) == type_of(other.sealed)


def _same_type(one: Field, other: Field) -> bool:
    return one.type_oid is not None and one.type_oid == other.type_oid


def _equal(draft: Draft, one: Field, other: Field) -> str:
    names = _qualified(one), _qualified(other)
    if one.sealed is None or other.sealed is None:
        return f"{names[0]} = {names[1]}"
    by = capability.equality(draft, one.sealed)
    capability.require_comparable(draft, one.sealed, other.sealed)
    return f"{by.opening}{names[0]}) = {by.opening}{names[1]})"


def _qualified(column: Field) -> str:
    return f"{_quoted(column.of)}.{_quoted(column.name)}"


def _quoted(name: str | None) -> str:
    return '"' + (name or "").replace('"', '""') + '"'


def _write_condition(draft: Draft, sides: Sides, condition: str) -> None:
    """ON in place of USING (...), or behind what NATURAL joins."""
    tokens = draft.tokens
    using = sides.join.args.get("using")
    if using:
        places = [_place(c.this if isinstance(c, exp.Column) else c) for c in using]
        first, last = places[0] - 2, places[-1] + 1
        around = word(tokens, first), text_at(draft, first + 1), text_at(draft, last)
        if around != ("using", "(", ")") or word(tokens, last + 1) == "as":
            raise refusals.not_understood("JOIN USING")
        draft.edit(tokens[first].start, tokens[last].end, f"ON ({condition})")
        return
    first, last = _natural_item(sides.join.this)
    natural = first - 1
    while word(tokens, natural) in ("join", "inner", "outer", "left", "right"):
        natural -= 1
    if word(tokens, first - 1) != "join" or word(tokens, natural) != "natural":
        raise refusals.not_understood("NATURAL JOIN")
    draft.edit(tokens[natural].start, tokens[natural + 1].start, "")
    draft.edit(tokens[last].end, tokens[last].end, f" ON ({condition})")


def _natural_item(node: exp.Expr) -> tuple[int, int]:
    """The first and last token of a table, with its alias."""
    known = {"this", "db", "catalog", "alias"}
    alias = node.args.get("alias")
    if not isinstance(node, exp.Table) or any(v for k, v in node.args.items() if k not in known):
        raise refusals.not_understood("NATURAL JOIN")
    if alias is not None and alias.args.get("columns"):
        raise refusals.not_understood("NATURAL JOIN")
    parts = [node.args[k] for k in ("catalog", "db", "this") if node.args.get(k) is not None]
    return _place(parts[0]), _place(alias.this if alias is not None else parts[-1])


def _place(node: exp.Expr) -> int:
    found = position(node)
    if found is None:
        raise refusals.not_understood("a join")
    return found


def check_unmerged(columns: Iterable[Field]) -> None:
    """An alias of a join names its columns, and there must be one of each name."""
    if any(column.qualified is not None for column in columns):
        raise refusals.not_understood("an alias of JOIN USING on a sealed column")
