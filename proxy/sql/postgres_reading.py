"""libpg_query's tree of a statement as a `Reading`.

The tree is `pgparse`'s dictionaries: node and field names are those of parsenodes.h, locations are
UTF-8 bytes, fields with default values are absent. Pointers to a node of any type come wrapped
(`{"ColumnRef": {...}}`), pointers to a certain type bare. Nothing here recurses: a chain of a
thousand ANDs is a thousand levels deep.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Final

from proxy.sql.lexer import Kind, Token
from proxy.sql.reading import Extent, Extents, Reading

Node = dict[str, Any]

# Bare pointers, by field name, to the node types that matter here.
_BARE: Final = {
    "relation": "RangeVar",
    "rel": "RangeVar",
    "larg": "SelectStmt",
    "rarg": "SelectStmt",
    "onConflictClause": "OnConflictClause",
    "infer": "InferClause",
    "typeName": "TypeName",
}


class PostgresTree:
    """One raw statement. The structure of `reading` waits for `fill_structure`.

    Raises LookupError for a location at which there is no token.
    """

    def __init__(self, statement: Node, tokens: Sequence[Token], places: Mapping[int, int]) -> None:
        """`places` maps byte offsets to indexes in `tokens`."""
        self.reading = Reading()
        self._tokens = tokens
        self._places = places
        self._extents = Extents()
        self._structures: list[tuple[str, Node]] = []
        self._walk(statement)

    def fill_structure(self, leaves: set[int]) -> None:
        """Fill `reading.structure` and `.predicates`, counting these leaves only."""
        self._extents.measure(leaves)
        for kind, node in self._structures:
            self._STRUCTURES[kind](self, node)

    def _walk(self, statement: Node) -> None:
        extents = self._extents
        stack: list[tuple[Any, int, str]] = [(statement, 0, "")]
        while stack:
            outer, parent, kind = stack.pop()
            index = extents.add(outer, parent)
            if isinstance(outer, list):
                stack.extend((item, index, "") for item in outer)
                continue
            kind, node = _unwrapped(outer, kind)
            if kind == "MultiAssignRef" and node["colno"] > 1:
                continue  # SET (a, b) = (...): the same source again for each further column
            extents.same(node, index)
            collect = self._LEAVES.get(kind)
            if collect is not None:
                collect(self, node, index)
                continue
            collect = self._COLLECTED.get(kind)
            if collect is not None:
                collect(self, node, index)
            if kind in self._STRUCTURES:
                self._structures.append((kind, node))
            for key, child in node.items():
                if isinstance(child, (dict, list)):
                    stack.append((child, index, _BARE.get(key, "")))

    def _place(self, node: Node) -> int | None:
        """Index of the token at the node's location; None if the grammar gave it none."""
        location = node.get("location", 0)
        return None if location < 0 else self._places[location]

    # Leaves.

    def _column(self, node: Node, index: int) -> None:
        place = self._place(node)
        if place is None:
            return  # the * that TABLE x stands for
        self._extents.leaf(index, place)
        self.reading.names.add((place, tuple(_parts(node["fields"]))))

    def _constant(self, node: Node, index: int) -> None:
        place = self._literal_place(node)
        if place is not None:
            self._extents.leaf(index, place)
            self.reading.constants.add(place)

    def _literal_place(self, node: Node) -> int | None:
        """Where the literal of an A_Const is. TRUE, NULL, the field of EXTRACT and what the grammar
        adds by itself have none; a negated number is located at its minus sign."""
        place = self._place(node)
        if place is None:
            return None
        tokens = self._tokens
        if tokens[place].text == "-":
            while tokens[place].text in ("-", "("):
                place += 1
        return place if tokens[place].kind in (Kind.STRING, Kind.NUMBER) else None

    def _parameter(self, node: Node, index: int) -> None:
        place = self._places[node.get("location", 0)]
        self._extents.leaf(index, place)
        self.reading.parameters.add((place, node.get("number", 0)))

    def _table(self, node: Node, _: int) -> None:
        place = self._places[node.get("location", 0)]
        parts = (node.get("catalogname"), node.get("schemaname"), node["relname"])
        self.reading.tables.add((place, tuple(part for part in parts if part)))
        self._alias(node)

    def _alias(self, node: Node, _: int = 0) -> None:
        """Of a row source. A function may declare the columns of its record instead."""
        alias = node.get("alias", {})
        columns = _parts(alias.get("colnames", ()))
        columns += [column["ColumnDef"]["colname"] for column in node.get("coldeflist", ())]
        if alias or columns:
            self.reading.words["alias", alias.get("aliasname", ""), *columns] += 1

    def _type(self, node: Node, _: int) -> None:
        """Type modifiers are no values."""

    # Other facts on the way.

    def _insert_targets(self, node: Node, _: int) -> None:
        for target in node.get("cols", ()):
            self._target(target["ResTarget"])

    def _update_targets(self, node: Node, _: int) -> None:
        for target in node.get("targetList", ()):
            self._target(target["ResTarget"])

    def _target(self, target: Node) -> None:
        place = self._places[target.get("location", 0)]
        # `SET c.f = ...` is a field of column c, never a column of table c: no reading of sqlglot's
        # equals it. `SET c[1] = ...` is the column.
        field = any("A_Indices" not in step for step in target.get("indirection", ()))
        self.reading.names.add((place, (target["name"], *("." if field else ""))))

    def _join(self, node: Node, _: int) -> None:
        self._alias(node)
        for name in _parts(node.get("usingClause", ())):
            self.reading.words["using", name] += 1

    def _index_element(self, node: Node, _: int) -> None:
        if "name" in node:
            self.reading.words["conflict", node["name"]] += 1

    def _common_table(self, node: Node, _: int) -> None:
        columns = _parts(node.get("aliascolnames", ()))
        self.reading.words["alias", node["ctename"], *columns] += 1

    def _type_cast(self, node: Node, _: int) -> None:
        """INTERVAL 'text': sqlglot cuts the text up, so its literal has no place. Nothing that is
        cast to an interval can be a sealed value."""
        if _parts(node["typeName"].get("names", ()))[-1:] == ["interval"]:
            self._uncounted(node["arg"])

    def _function(self, node: Node, _: int) -> None:
        """EXTRACT('epoch' FROM x): the string is a word to sqlglot."""
        if _parts(node["funcname"]) == ["pg_catalog", "extract"]:
            self._uncounted(node["args"][0])

    def _uncounted(self, node: Node) -> None:
        if "A_Const" in node:
            place = self._literal_place(node["A_Const"])
            if place is not None:
                self.reading.uncounted.add(place)

    # Structure.

    def _select(self, node: Node) -> None:
        order = self._extent(node.get("sortClause"))
        if node.get("op", "SETOP_NONE") != "SETOP_NONE":
            left, right = self._extent(node["larg"]), self._extent(node["rarg"])
            self.reading.structure[node["op"], left, right, order] += 1
            return
        for row in node.get("valuesLists", ()):
            items = row["List"].get("items", ())
            self.reading.structure["row", *(self._extent(item) for item in items)] += 1
        if "valuesLists" not in node:
            targets = tuple(self._output(target) for target in node.get("targetList", ()))
            tables = self._tables(node.get("fromClause", ()))
            having = self._extent(node.get("havingClause"))
            self.reading.structure["select", targets, tables, self._where(node), having, order] += 1
            self._groups(node)

    def _groups(self, node: Node) -> None:
        distinct = node.get("distinctClause")
        group, windows = (
            self._extent(node.get("groupClause")),
            self._extent(node.get("windowClause")),
        )
        facts = (group, windows, distinct is not None, self._extent(distinct))
        if any(facts):
            self.reading.structure["groups", *facts] += 1

    def _insert(self, node: Node) -> None:
        targets = tuple(self._place(target["ResTarget"]) for target in node.get("cols", ()))
        self.reading.structure["insert", self._place(node["relation"]), targets] += 1
        self._returning(node)

    def _update(self, node: Node) -> None:
        tables = self._tables(node.get("fromClause", ()))
        place = self._place(node["relation"])
        self.reading.structure["update", place, tables, self._where(node)] += 1
        self._sets(node)
        self._returning(node)

    def _delete(self, node: Node) -> None:
        tables = self._tables(node.get("usingClause", ()))
        place = self._place(node["relation"])
        self.reading.structure["delete", place, tables, self._where(node)] += 1
        self._returning(node)

    def _merge(self, node: Node) -> None:
        tables = self._tables([node["sourceRelation"]])
        condition = self._extent(node.get("joinCondition"))
        self.reading.structure["merge", self._place(node["relation"]), tables, condition] += 1
        for number, wrapped in enumerate(node["mergeWhenClauses"]):
            self._when(number, wrapped["MergeWhenClause"])
        self._returning(node)

    def _when(self, number: int, node: Node) -> None:
        action = node["commandType"]
        condition = self._extent(node.get("condition"))
        self.reading.structure["when", number, node["matchKind"], action, condition] += 1
        if action == "CMD_UPDATE":
            self._sets(node)
        elif action == "CMD_INSERT":
            targets = tuple(self._place(t["ResTarget"]) for t in node.get("targetList", ()))
            values = tuple(self._extent(value) for value in node.get("values", ()))
            self.reading.structure["when insert", number, targets, values] += 1

    def _conflict(self, node: Node) -> None:
        self.reading.structure["conflict", self._where(node)] += 1
        self._sets(node)

    def _sets(self, node: Node) -> None:
        several: Extent = None
        for wrapped in node.get("targetList", ()):
            target = wrapped["ResTarget"]
            extent = self._extent(target.get("val"))
            if "MultiAssignRef" in target.get("val", ()):
                several = extent if target["val"]["MultiAssignRef"]["colno"] == 1 else several
                extent = several
            self.reading.structure["set", self._place(target), extent] += 1

    def _returning(self, node: Node) -> None:
        if "returningList" in node:
            targets = tuple(self._output(target) for target in node["returningList"])
            self.reading.structure["returning", targets] += 1

    def _join_condition(self, node: Node) -> None:
        if "quals" in node:
            joined = self._tables([node["rarg"]])
            self.reading.structure["join", joined, self._extent(node["quals"])] += 1

    def _expression(self, node: Node) -> None:
        word = _OPERATORS.get((node["kind"], *_parts(node["name"])))
        if word is not None:
            left, right = self._extent(node.get("lexpr")), self._extent(node.get("rexpr"))
            self.reading.predicates.add((word, left, right))

    def _sublink(self, node: Node) -> None:
        word = {"ANY_SUBLINK": " any", "ALL_SUBLINK": " all"}.get(node["subLinkType"])
        if word is None:
            return
        operator = _parts(node.get("operName", ()))
        word = operator[0] + word if operator else "in"
        left, right = self._extent(node.get("testexpr")), self._extent(node.get("subselect"))
        self.reading.predicates.add((word, left, right))

    def _output(self, target: Node) -> tuple[Extent, str]:
        inner = target["ResTarget"]
        return self._extent(inner.get("val")), inner.get("name", "")

    def _where(self, node: Node) -> Extent:
        return self._extent(node.get("whereClause"))

    def _extent(self, node: object) -> Extent:
        return self._extents.extent(node)

    def _tables(self, sources: Iterable[Node]) -> tuple[int, ...]:
        """Places of the tables that are row sources here, through joins, not through subqueries."""
        places = []
        stack = list(sources)
        while stack:
            kind, node = _unwrapped(stack.pop(), "")
            if kind == "RangeVar":
                places.append(self._places[node.get("location", 0)])
            elif kind == "JoinExpr":
                stack += [node["larg"], node["rarg"]]
            elif kind == "RangeTableSample":
                stack.append(node["relation"])
        return tuple(sorted(places))

    _LEAVES: ClassVar[dict[str, Any]] = {
        "ColumnRef": _column,
        "A_Const": _constant,
        "ParamRef": _parameter,
        "RangeVar": _table,
        "TypeName": _type,
    }
    _COLLECTED: ClassVar[dict[str, Any]] = {
        "InsertStmt": _insert_targets,
        "UpdateStmt": _update_targets,
        "OnConflictClause": _update_targets,
        "MergeWhenClause": _update_targets,
        "JoinExpr": _join,
        "IndexElem": _index_element,
        "CommonTableExpr": _common_table,
        "RangeFunction": _alias,
        "RangeSubselect": _alias,
        "TypeCast": _type_cast,
        "FuncCall": _function,
    }
    _STRUCTURES: ClassVar[dict[str, Any]] = {
        "SelectStmt": _select,
        "InsertStmt": _insert,
        "UpdateStmt": _update,
        "DeleteStmt": _delete,
        "MergeStmt": _merge,
        "OnConflictClause": _conflict,
        "JoinExpr": _join_condition,
        "A_Expr": _expression,
        "SubLink": _sublink,
    }


def _unwrapped(node: Node, kind: str) -> tuple[str, Node]:
    if len(node) == 1:
        ((name, inner),) = node.items()
        if name[0].isupper():
            return name, inner
    return kind, node


def _parts(names: Iterable[Node]) -> list[str]:
    return [node["String"].get("sval", "") if "String" in node else "*" for node in names]


_OPERATORS: Final = {
    ("AEXPR_OP", "="): "=",
    ("AEXPR_OP", "<>"): "<>",
    ("AEXPR_OP_ANY", "="): "= any",
    ("AEXPR_OP_ANY", "<>"): "<> any",
    ("AEXPR_OP_ALL", "="): "= all",
    ("AEXPR_OP_ALL", "<>"): "<> all",
    ("AEXPR_IN", "="): "in",
    ("AEXPR_IN", "<>"): "in",
    ("AEXPR_DISTINCT", "="): "distinct",
    ("AEXPR_NOT_DISTINCT", "="): "not distinct",
}
