"""Is a use that PostgreSQL sees missing from a plan?

A column that a statement uses is declared as sealed in a catalog that is otherwise what the server
has; the plan must then say so (a touch of that column), or refuse. A column that it does not use
must be no reason to refuse, which is only counted: refusing too much is safe.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from enum import Enum

from policy import Access, Search
from proxy.catalog import Catalog, Relation, SealedColumn, label
from proxy.cells import logical_type
from proxy.sql.lexer import Stripped
from proxy.sql.plan import Action, Plan
from proxy.sql.planner import Planner
from tests.oracle.seen import WHOLE_ROW, Use

_BYTEA = 17
# Type OIDs of what can be sealed; a column of another type is declared as text.
_TYPES = {
    16: "bool",
    17: "bytea",
    20: "int8",
    21: "int2",
    23: "int4",
    25: "text",
    114: "json",
    700: "float4",
    701: "float8",
    1042: "bpchar",
    1043: "varchar",
    1082: "date",
    2950: "uuid",
    1114: "timestamp",
    1184: "timestamptz",
    1700: "numeric",
    3802: "jsonb",
}


class Verdict(Enum):
    """What became of a statement that uses a sealed column."""

    PLANNED = "planned"
    REFUSED = "refused"
    NO_WRITE = "written, and the plan does not say so"
    NO_TOUCH = "used, and the plan does not say so"
    UNSEEN = "forwarded unread"


@dataclass(frozen=True, slots=True)
class Sealing:
    """One column of one relation, declared as sealed."""

    relation: Relation
    number: int
    equality: bool = True

    @property
    def label(self) -> str:
        return label(self.relation.schema, self.relation.name, self.column)

    @property
    def column(self) -> str:
        return next(a.name for a in self.relation.attributes if a.number == self.number)

    def catalog(self, relations: Iterable[Relation]) -> Catalog:
        """The picture of these relations with the column in it."""
        mine = next(a for a in self.relation.attributes if a.number == self.number)
        name = _TYPES.get(mine.type_oid, "text")
        attribute = replace(
            mine, type_oid=_BYTEA, type_modifier=-1, sealed=name, carries_sealed=True
        )
        sealed = replace(
            self.relation,
            attributes=tuple(
                attribute if a.number == self.number else a for a in self.relation.attributes
            ),
        )
        others = {r.oid: r for r in relations if r.oid != self.relation.oid}
        search = Search(equality=self.equality)
        column = SealedColumn(
            self.label, self.relation.label, self.column, logical_type(name), search
        )
        return Catalog("oracle", 180000, (sealed, *others.values()), {self.label: column})


def used(uses: Iterable[Use], relation: Relation) -> tuple[frozenset[int], frozenset[int]]:
    """Columns of a relation that the statement reads, and those that it writes."""
    every = frozenset(a.number for a in relation.attributes)
    read: set[int] = set()
    written: set[int] = set()
    for use in uses:
        if use.relation == relation.oid:
            read |= every if WHOLE_ROW in use.selected else use.selected & every
            written |= (use.inserted | use.updated) & every
    return frozenset(read), frozenset(written)


def plan_of(
    sql: str, path: tuple[str, ...] | None, sealing: Sealing, relations: Iterable[Relation]
) -> tuple[Plan, Stripped]:
    return Planner(sealing.catalog(relations)).plan(sql, path)


def verdict(plan: Plan, column: str, *, written: bool) -> Verdict:
    """Of a plan for a statement that uses this column."""
    if any(statement.action is Action.REFUSE for statement in plan.statements):
        return Verdict.REFUSED
    touches = {
        touch.access for s in plan.statements for touch in s.touches if touch.column == column
    }
    if written and Access.WRITE not in touches:
        return Verdict.NO_WRITE
    if touches:
        return Verdict.PLANNED
    return Verdict.UNSEEN if plan.untouched else Verdict.NO_TOUCH
