"""sqlglot's tree of a statement (`proxy.sql.parse`) as a `Reading`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, ClassVar, Final

from sqlglot import exp

from proxy.sql.lexer import Token
from proxy.sql.parse import position
from proxy.sql.reading import Extent, Extents, Reading


class SqlglotTree:
    """One parsed statement. The structure of `reading` waits for `fill_structure`.

    Raises LookupError for a column or table that has no place.
    """

    def __init__(self, tree: exp.Expr, tokens: Sequence[Token]) -> None:
        self.reading = Reading()
        self._tokens = tokens
        self._extents = Extents()
        self._structures: list[exp.Expr] = []
        self._walk(tree)

    def fill_structure(self, leaves: set[int]) -> None:
        """Fill `reading.structure` and `.predicates`, counting these leaves only."""
        self._extents.measure(leaves)
        for node in self._structures:
            self._STRUCTURES[type(node)](self, node)

    def _walk(self, tree: exp.Expr) -> None:
        stack: list[tuple[Any, int]] = [(tree, 0)]
        while stack:
            node, parent = stack.pop()
            index = self._extents.add(node, parent)
            if isinstance(node, list):
                stack.extend((item, index) for item in node if isinstance(item, exp.Expr))
                continue
            kind = type(node)
            leaf = self._LEAVES.get(kind)
            if leaf is not None and leaf(self, node, index):
                continue
            if kind in self._STRUCTURES:
                self._structures.append(node)
            # The name of a collation looks like a column to sqlglot.
            children = [node.this] if kind is exp.Collate else node.args.values()
            stack.extend((x, index) for x in children if isinstance(x, (exp.Expr, list)))

    # Leaves. Each says whether there is nothing more to see below it.

    def _column(self, node: exp.Expr, index: int) -> bool:
        if isinstance(node.parent, exp.Ordered) and isinstance(node.parent.parent, exp.OnConflict):
            # ON CONFLICT (column): PostgreSQL's grammar tells no place.
            self.reading.words["conflict", node.name] += 1
            return True
        parts = node.parts  # type: ignore[attr-defined]
        place = _place(parts[0])
        self._extents.leaf(index, place)
        names = tuple("*" if isinstance(part, exp.Star) else part.name for part in parts)
        self.reading.names.add((place, names))
        return True

    def _star(self, node: exp.Expr, index: int) -> bool:
        place = position(node)
        # count(*) and (row).* are no column references to PostgreSQL; TABLE x has no star to show.
        if place is not None and not isinstance(node.parent, (exp.Anonymous, exp.Dot)):
            self._extents.leaf(index, place)
            self.reading.names.add((place, ("*",)))
        return True

    def _literal(self, node: exp.Expr, index: int) -> bool:
        place = position(node)
        if place is not None:
            self._extents.leaf(index, place)
            self.reading.constants.add(place)
        return True

    def _parameter(self, node: exp.Expr, index: int) -> bool:
        place = _place(node)
        self._extents.leaf(index, place)
        self.reading.parameters.add((place, int(node.name)))
        return True

    def _table(self, node: exp.Expr, _: int) -> bool:
        if isinstance(node.this, exp.Identifier):
            parts = [part for part in node.parts if part]  # type: ignore[attr-defined]
            names = tuple(part.name for part in parts)
            self.reading.tables.add((_place(parts[0]), names))
        return False

    def _alias(self, node: exp.Expr, _: int) -> bool:
        if node.name == "_values" and isinstance(node.parent, exp.Values):
            return True  # sqlglot's own, around VALUES
        columns = [column.name for column in node.args.get("columns") or ()]
        self.reading.words["alias", node.name, *columns] += 1
        return True

    def _schema(self, node: exp.Expr, _: int) -> bool:
        for column in node.expressions:
            self.reading.names.add((_place(column), (column.name,)))
        return False

    def _join(self, node: exp.Expr, _: int) -> bool:
        for column in node.args.get("using") or ():
            self.reading.words["using", column.name] += 1
        return False

    def _function(self, node: exp.Expr, _: int) -> bool:
        """The precision of current_time(3) and the like is no value."""
        return node.name in _TIME_FUNCTIONS and position(node) is not None

    def _interval(self, node: exp.Expr, index: int) -> bool:
        """The unit, with its precision, is no value; the text has lost its place."""
        return isinstance(node.this, exp.Literal)

    def _nothing(self, node: exp.Expr, _: int) -> bool:
        """Types: their modifiers are no values. Collations."""
        return True

    # Structure.

    def _select(self, node: exp.Expr) -> None:
        source = node.args.get("from_")
        if source is not None and isinstance(source.this, exp.Values) and not _own_star(node):
            return  # sqlglot's own SELECT around VALUES
        targets = tuple(self._output(target) for target in node.expressions)
        tables = self._tables([source and source.this, *(node.args.get("joins") or ())])
        having = self._extent(node.args.get("having"))
        facts = (targets, tables, self._where(node), having, self._order(node))
        self.reading.structure["select", *facts] += 1
        self._groups(node)

    def _groups(self, node: exp.Expr) -> None:
        """What a SELECT groups by, windows and tells apart by; nothing is said of one that does not."""
        distinct = node.args.get("distinct")
        group, windows = self._extent(node.args.get("group")), node.args.get("windows") or None
        on = self._extent(distinct.args.get("on")) if distinct is not None else None
        facts = (group, self._extent(windows), distinct is not None, on)
        if any(facts):
            self.reading.structure["groups", *facts] += 1

    def _set_operation(self, node: exp.Expr) -> None:
        left, right = self._extent(node.this), self._extent(node.expression)
        self.reading.structure[_SET_OPERATIONS[type(node)], left, right, self._order(node)] += 1

    def _order(self, node: exp.Expr) -> Extent:
        """(SELECT ...) ORDER BY x: the order is the query's own to PostgreSQL."""
        order = node.args.get("order")
        while order is None and isinstance(node.parent, exp.Subquery):
            node = node.parent
            order = node.args.get("order")
        return self._extent(order)

    def _values(self, node: exp.Expr) -> None:
        for row in node.expressions:
            items = row.expressions if isinstance(row, exp.Tuple) else [row]
            self.reading.structure["row", *(self._extent(item) for item in items)] += 1

    def _insert(self, node: exp.Expr) -> None:
        if isinstance(node.parent, exp.When):
            return
        target = node.this
        columns = target.expressions if isinstance(target, exp.Schema) else ()
        table = target.this if isinstance(target, exp.Schema) else target
        places = tuple(position(column) for column in columns)
        self.reading.structure["insert", _table_place(table), places] += 1

    def _update(self, node: exp.Expr) -> None:
        if isinstance(node.parent, exp.When):
            return
        source = node.args.get("from_")
        tables = self._tables([source and source.this, *(node.this.args.get("joins") or ())])
        place = _table_place(node.this)
        self.reading.structure["update", place, tables, self._where(node)] += 1
        self._sets(node)

    def _delete(self, node: exp.Expr) -> None:
        tables = self._tables(node.args.get("using") or ())
        place = _table_place(node.this)
        self.reading.structure["delete", place, tables, self._where(node)] += 1

    def _merge(self, node: exp.Expr) -> None:
        tables = self._tables([node.args["using"]])
        condition = self._extent(node.args["on"])
        self.reading.structure["merge", _table_place(node.this), tables, condition] += 1
        for number, when in enumerate(node.args["whens"].expressions):
            self._when(number, when)

    def _when(self, number: int, node: exp.Expr) -> None:
        then, condition = node.args["then"], self._extent(node.args.get("condition"))
        action = _ACTIONS.get(type(then)) or _ACTIONS[then.name.lower()]
        matches = "MERGE_WHEN_MATCHED"
        if not node.args["matched"]:
            by = "SOURCE" if node.args.get("source") else "TARGET"
            matches = f"MERGE_WHEN_NOT_MATCHED_BY_{by}"
        self.reading.structure["when", number, matches, action, condition] += 1
        if isinstance(then, exp.Update):
            self._sets(then)
        elif isinstance(then, exp.Insert):
            columns, values = then.this, then.expression
            # INSERT DEFAULT VALUES is a column of that name to sqlglot.
            listed = columns.expressions if columns is not None and values is not None else ()
            places = tuple(_place(column.parts[0]) for column in listed)
            given = tuple(self._extent(v) for v in values.expressions) if values else ()
            self.reading.structure["when insert", number, places, given] += 1

    def _conflict(self, node: exp.Expr) -> None:
        self.reading.structure["conflict", self._where(node)] += 1
        self._sets(node)

    def _sets(self, node: exp.Expr) -> None:
        for assignment in node.expressions:
            target, value = assignment.this, self._extent(assignment.expression)
            columns = target.expressions if isinstance(target, exp.Tuple) else [target.unnest()]
            for column in columns:
                while isinstance(column, exp.Bracket):
                    column = column.this
                place = _place(column.parts[0]) if isinstance(column, exp.Column) else None
                self.reading.structure["set", place, value] += 1

    def _returning(self, node: exp.Expr) -> None:
        targets = tuple(self._output(target) for target in node.expressions)
        self.reading.structure["returning", targets] += 1

    def _join_condition(self, node: exp.Expr) -> None:
        condition = node.args.get("on")
        if condition is not None:
            joined = self._tables([node.this])
            self.reading.structure["join", joined, self._extent(condition)] += 1

    def _comparison(self, node: exp.Expr) -> None:
        if isinstance(node.parent, (exp.Update, exp.OnConflict)) and node.arg_key == "expressions":
            return  # an assignment
        word, right = _COMPARISONS[type(node)], node.expression
        if isinstance(right, (exp.Any, exp.All)):
            word += " any" if isinstance(right, exp.Any) else " all"
            right = right.this
        self.reading.predicates.add((word, self._extent(node.this), self._extent(right)))

    def _in(self, node: exp.Expr) -> None:
        right = node.args.get("query") or node.args.get("field") or node.expressions
        self.reading.predicates.add(("in", self._extent(node.this), self._extent(right)))

    def _output(self, target: exp.Expr) -> tuple[Extent, str]:
        name = target.alias if isinstance(target, exp.Alias) else ""
        return self._extent(target), name

    def _where(self, node: exp.Expr) -> Extent:
        return self._extent(node.args.get("where"))

    def _extent(self, node: object) -> Extent:
        return self._extents.extent(node)

    def _tables(self, sources: Iterable[exp.Expr | None]) -> tuple[int, ...]:
        places = []
        stack = list(sources)
        while stack:
            node = stack.pop()
            if isinstance(node, exp.Join):
                stack.append(node.this)
            elif isinstance(node, exp.Table):
                if isinstance(node.this, exp.Identifier):
                    places.append(_table_place(node))
                stack += node.args.get("joins") or ()
            elif isinstance(node, exp.Subquery):
                if isinstance(node.this, (exp.Table, exp.Subquery)):
                    stack.append(node.this)
                stack += node.args.get("joins") or ()
            elif node is not None:
                stack += node.args.get("joins") or ()
        return tuple(sorted(place for place in places if place is not None))

    _LEAVES: ClassVar[dict[type, Any]] = {
        exp.Column: _column,
        exp.Star: _star,
        exp.Literal: _literal,
        exp.BitString: _literal,
        exp.HexString: _literal,
        exp.Parameter: _parameter,
        exp.Table: _table,
        exp.TableAlias: _alias,
        exp.Schema: _schema,
        exp.Join: _join,
        exp.DataType: _nothing,
        exp.Anonymous: _function,
        exp.Interval: _interval,
    }
    _STRUCTURES: ClassVar[dict[type, Any]] = {
        exp.Select: _select,
        exp.Union: _set_operation,
        exp.Except: _set_operation,
        exp.Intersect: _set_operation,
        exp.Values: _values,
        exp.Insert: _insert,
        exp.Update: _update,
        exp.Delete: _delete,
        exp.Merge: _merge,
        exp.OnConflict: _conflict,
        exp.Returning: _returning,
        exp.Join: _join_condition,
        exp.EQ: _comparison,
        exp.NEQ: _comparison,
        exp.NullSafeEQ: _comparison,
        exp.NullSafeNEQ: _comparison,
        exp.In: _in,
    }


def _place(node: exp.Expr) -> int:
    place = position(node)
    if place is None:
        raise LookupError
    return place


def _table_place(node: exp.Expr) -> int | None:
    return position(node.parts[0]) if isinstance(node, exp.Table) else None


def _own_star(select: exp.Expr) -> bool:
    star = select.expressions[0] if select.expressions else None
    return not (isinstance(star, exp.Star) and position(star) is None)


_TIME_FUNCTIONS: Final = frozenset(
    {"current_time", "current_timestamp", "localtime", "localtimestamp"}
)
_SET_OPERATIONS: Final[dict[type, str]] = {
    exp.Union: "SETOP_UNION",
    exp.Except: "SETOP_EXCEPT",
    exp.Intersect: "SETOP_INTERSECT",
}
_ACTIONS: Final[dict[object, str]] = {
    exp.Update: "CMD_UPDATE",
    exp.Insert: "CMD_INSERT",
    "delete": "CMD_DELETE",
    "do nothing": "CMD_NOTHING",
}
_COMPARISONS: Final[dict[type, str]] = {
    exp.EQ: "=",
    exp.NEQ: "<>",
    exp.NullSafeEQ: "not distinct",
    exp.NullSafeNEQ: "distinct",
}
