"""Two texts of one statement, before and after sealing, compared as PostgreSQL's parser reads them.

The trees must be equal but for what a plan may do: a constant or parameter becomes a sealed one of
type bytea, the cast of a sealed value goes or is to bytea, a value becomes its term
`sealgate.eq(value)`, `lower(value)` its case-folded one, and the subquery that a term is compared
with becomes one of terms, `SELECT sealgate.eq(r.c1) FROM (subquery) AS r(c1)`. NULLIF(a, b) becomes
NULLIF(a, CASE WHEN a = b THEN a END). A constant that gets a cast keeps the name of its column by AS.
USING becomes ON with a condition on the same columns; then bare names may be qualified, and `*` written out.

`data->>'key' = value` becomes `sealgate.paths(data) @> value`: the path goes, its keys with it, and a list of values is
one array by ||.

`name LIKE pattern` becomes `sealgate.match(name) @> terms` or `sealgate.ord_prefix(name, value)`; what is around the pattern, lower()
and wildcards, goes with it.

Of a group a value is shown, `sealgate.any_value(a)`, in grouping sets where there is one; min() and max() are sealgate's.
What ORDER BY, GROUP BY and DISTINCT ON have of the select list by name or number becomes the term of it, DISTINCT becomes
DISTINCT ON of the numbers or terms of all of it, and behind the order term of a text may stand its other one. A * is
written out there as well. A UNION may go into FROM as UNION ALL, `SELECT DISTINCT ON (...) r.* FROM (...) AS r`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import pgparse

Node = Any

_PLACES: Final = frozenset(
    {"location", "stmt_len", "stmt_location", "list_start", "list_end", "rexpr_list_start", "rexpr_list_end"}
)  # fmt: skip
_CONSTANT: Final = frozenset({"A_Const", "ParamRef", "TypeCast", "A_Expr", "A_ArrayExpr"})
_VARIABLE: Final = ('"ColumnRef"', '"FuncCall"', '"SubLink"', '"RangeVar"', '"SQLValueFunction"')


class Comparison:
    """`differences` are paths to what no plan may do; `edits` counts what one did."""

    def __init__(self, before: str, after: str) -> None:
        self.edits: Counter[str] = Counter()
        self.differences = list(self._compare(pgparse.parse(before), pgparse.parse(after), ""))
        if self.edits["qualified"] and not (self.edits["using"] or self.edits["star"]):
            self.differences.append("a name that is qualified")

    def _compare(self, old: Node, new: Node, path: str) -> Iterator[str]:
        inner = _term(new)
        if inner is not None and _term(old) is None:
            self.edits["term"] += 1
            yield from self._compare(self._compared(old, new), inner, path)
        elif (shown := _of_group(new)) is not None and _of_group(old) is None:
            self.edits["group"] += 1
            yield from self._compare(old, shown, path)
        elif _is_select(old) and _is_select(new) and _is_united(old, new):
            yield from self._united(old["SelectStmt"], new["SelectStmt"], f"{path}.SelectStmt")
        elif _is_select(old) and _is_select(new) and (_terms_of(new) is None or _terms_of(old)):
            yield from self._select(old["SelectStmt"], new["SelectStmt"], f"{path}.SelectStmt")
        elif _sealed(new) and not _sealed(old):
            self.edits["sealed"] += 1
            if not _is_constant(old):
                yield path + " sealed"
        elif _paths(new) is not None and _paths(old) is None:
            self.edits["path"] += 1
            if not _same_at_path(old["A_Expr"], new["A_Expr"]):
                yield path + " path"
        elif (column := _searched(new)) is not None and _searched(old) is None:
            self.edits["pattern"] += 1
            if not _same_pattern(old, new, column):
                yield path + " pattern"
        elif _is_cast(old) and not _is_cast(new):
            self.edits["cast"] += 1
            yield from self._compare(old["TypeCast"]["arg"], new, path)
        elif _is_nullif(old) and _is_nullif(new) and (parts := _case_parts(new)) is not None:
            self.edits["nullif"] += 1
            yield from self._compare(old["A_Expr"]["rexpr"], parts[1], path + ".rexpr")
            for column in (new["A_Expr"]["lexpr"], parts[0], parts[2]):
                yield from self._compare(old["A_Expr"]["lexpr"], column, path + ".lexpr")
        elif (terms := _terms_of(new)) is not None and _terms_of(old) is None:
            self.edits["terms of a query"] += 1
            yield from self._compare(old, terms, path)
        elif _is_qualified(old, new):
            self.edits["qualified"] += 1
        elif isinstance(old, dict) and isinstance(new, dict):
            yield from self._fields(old, new, path)
        elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
            for at, (one, other) in enumerate(zip(old, new, strict=True)):
                yield from self._compare(one, other, f"{path}[{at}]")
        elif old != new:
            yield path

    def _compared(self, old: Node, new: Node) -> Node:
        """What the term `new` is of, where that is not `old` itself."""
        function = _names(new["FuncCall"]["funcname"])[-1]
        call = old.get("FuncCall", {})
        if function == "eq_casefold" and _names(call.get("funcname", ())) == ["lower"]:
            self.edits["folded"] += 1
            return call["args"][0]
        clause = old.get("CollateClause", {})
        if function == "ord" and _names(clause.get("collname", ())) == ["C"]:
            self.edits["collation"] += 1
            return clause["arg"]
        return old

    def _united(self, old: dict[str, Node], new: dict[str, Node], path: str) -> Iterator[str]:
        """A set operation that went into FROM; ORDER BY, LIMIT and WITH stay outside."""
        self.edits["united"] += 1
        inner = new["fromClause"][0]["RangeSubselect"]["subquery"]["SelectStmt"]
        within = {key: value for key, value in old.items() if key not in _OUTSIDE}
        yield from self._union(within, {**inner, "limitOption": old["limitOption"]}, path)
        sorts = list(_without_second_terms(new.get("sortClause", ())))
        if len(sorts) != len(old.get("sortClause", ())):
            yield f"{path}.sortClause"
        for one, other in zip(old.get("sortClause", ()), sorts, strict=False):
            if _bare(one) != _bare(other) and not _sorts_by_result(one, other):
                yield f"{path}.sortClause"
        for key in _OUTSIDE - {"sortClause"}:
            yield from self._compare(old.get(key), new.get(key), f"{path}.{key}")
        told = new.get("distinctClause", ())
        if bool(told) == old.get("all", False) or any(
            "A_Const" not in item and _of_result(_term(item)) is None for item in told
        ):
            yield f"{path}.distinctClause"

    def _union(self, old: dict[str, Node], new: dict[str, Node], path: str) -> Iterator[str]:
        if old.get("op") != "SETOP_UNION":
            yield from self._select(old, new, path)
            return
        if new.get("op") != "SETOP_UNION" or not new.get("all"):
            yield f"{path}.op"
            return
        yield from self._union(old["larg"], new["larg"], f"{path}.larg")
        yield from self._select(old["rarg"], new["rarg"], f"{path}.rarg")

    def _select(self, old: dict[str, Node], new: dict[str, Node], path: str) -> Iterator[str]:
        """One SELECT: the clauses that may refer to its list, and a list with a `*`."""
        targets = old.get("targetList", ())
        old, new = dict(old), dict(new)
        if _stars(targets) != _stars(new.get("targetList", ())):
            self.edits["star"] += 1
            if not _written_out(targets, new["targetList"]):
                yield f"{path}.targetList"
            targets = new["targetList"]
            new["targetList"] = old.get("targetList", ())
        if old.get("distinctClause") == [{}] and new.get("distinctClause") not in (None, [{}]):
            self.edits["distinct"] += 1
            if not _tells_all(new["targetList"], new["distinctClause"]):
                yield f"{path}.distinctClause"
            new["distinctClause"] = old["distinctClause"]
        for key in ("distinctClause", "sortClause", "groupClause"):
            if key in old and key in new:
                new[key] = list(_without_second_terms(new[key]))
                old[key] = [
                    _referred(one, other, targets)
                    for one, other in zip(old[key], new[key], strict=False)
                ] + old[key][len(new[key]) :]
        yield from self._fields(old, new, path)

    def _fields(self, old: dict[str, Node], new: dict[str, Node], path: str) -> Iterator[str]:
        if "orderClause" in new:  # of a window
            new = {**new, "orderClause": list(_without_second_terms(new["orderClause"]))}
        for key in sorted((old.keys() | new.keys()) - _PLACES):
            if key == "name" and "IndexElem" in path and key not in new:
                # ON CONFLICT (email) is ON CONFLICT (sealgate.eq(email)) then.
                column = _column(_term(new.get("expr")))
                self.edits["conflict"] += 1
                if column != old.get(key):
                    yield f"{path}.{key}"
            elif key == "expr" and "name" in old and "name" not in new:
                continue
            elif key in ("larg", "rarg") and key in old and key in new:
                yield from self._select(old[key], new[key], f"{path}.{key}")
            elif key == "name" and key not in old and new[key] == _unnamed(old.get("val")):
                self.edits["name"] += 1
            elif key in ("usingClause", "isNatural") and key not in new and "quals" in new:
                self.edits["using"] += 1
                names = _equated(new["quals"])
                if None in names or (key == "usingClause" and _names(old[key]) != names):
                    yield f"{path}.{key}"
            elif key == "funcname" and _names(old[key]) in (["min"], ["max"]):
                self.edits["extreme"] += old[key] != new[key]
                if _names(new[key])[-1:] != _names(old[key]) or len(new[key]) > 2:
                    yield f"{path}.{key}"
            elif key == "quals" and key not in old and {"usingClause", "isNatural"} & old.keys():
                continue
            elif key == "argtypes":
                yield from self._types(old.get(key, []), new.get(key, []), f"{path}.{key}")
            elif key == "typeName" and _names(new.get(key, {}).get("names", ())) == ["bytea"]:
                self.edits["type"] += key not in old or old[key] != new[key]
            elif key == "name" and path.endswith("ResTarget") and key not in old:
                # A value that is sealed, or a NULL made bytea, keeps the name of the column that it makes.
                self.edits["name"] += 1
                if new[key] != _figured(old["val"]):
                    yield f"{path}.{key}"
            elif key not in old or key not in new:
                yield f"{path}.{key}"
            else:
                yield from self._compare(old[key], new[key], f"{path}.{key}")

    def _types(self, old: list[Node], new: list[Node], path: str) -> Iterator[str]:
        """PREPARE's: a sealed parameter's becomes bytea, and a list that is too short is filled up."""
        if len(new) < len(old):
            yield path
        for at, other in enumerate(new):
            name = _names(other["TypeName"]["names"])[-1:]
            if name == ["bytea"] or (at >= len(old) and name == ["unknown"]):
                self.edits["type"] += 1
            elif at >= len(old):
                yield f"{path}[{at}]"
            else:
                yield from self._compare(old[at], other, f"{path}[{at}]")


def _call(node: Node, *names: str) -> Node | None:
    """The argument of a call of one of these functions of schema sealgate."""
    call = node.get("FuncCall") if isinstance(node, dict) else None
    if call is None or _names(call["funcname"]) not in [["sealgate", name] for name in names]:
        return None
    (argument,) = call["args"]
    return argument


def _term(node: Node) -> Node | None:
    """The value of `sealgate.eq(value)`."""
    return _call(node, "eq", "eq_casefold", "ord")


def _paths(node: Node) -> Node | None:
    """The column in `sealgate.paths(column) @> ...`, on either side."""
    sides = node.get("A_Expr", {}) if isinstance(node, dict) else {}
    found = (_call(sides.get(side), "paths") for side in ("lexpr", "rexpr"))
    return next((column for column in found if column is not None), None)


_AT_PATH: Final = {
    ("AEXPR_OP", "=", "lexpr"): "@>",
    ("AEXPR_OP", "=", "rexpr"): "<@",
    ("AEXPR_OP", "@>", "lexpr"): "@>",
    ("AEXPR_OP", "<@", "rexpr"): "<@",
    ("AEXPR_IN", "=", "lexpr"): "&&",
    ("AEXPR_OP_ANY", "=", "lexpr"): "&&",
}


def _same_at_path(old: Node, new: Node) -> bool:
    """`data->>'city' = 'x'` and `sealgate.paths(data) @> '{...}'`: the operator, the column, and as many values."""
    side = "lexpr" if _call(new["lexpr"], "paths") is not None else "rexpr"
    wanted = _AT_PATH.get((old["kind"], _names(old["name"])[0], side))
    if new["kind"] != "AEXPR_OP" or _names(new["name"]) != [wanted]:
        return False
    other = "rexpr" if side == "lexpr" else "lexpr"
    before = _operands(_uncast(old[other]))
    after = list(_concatenated(new[other]))
    if _column_at(old[side]) != _bare(_call(new[side], "paths")) or len(before) != len(after):
        return False
    return all(
        _is_constant(one) and (_sealed(two) or _bare(_uncast(one)) == _bare(two))
        for one, two in zip(before, after, strict=True)
    )


_LIKE: Final = ("AEXPR_LIKE", "AEXPR_ILIKE")


def _searched(node: Node) -> Node | None:
    """The column in `sealgate.match(column) @> ...` and in `sealgate.ord_prefix(column, ...)`."""
    if not isinstance(node, dict):
        return None
    call = node.get("FuncCall", {})
    if _names(call.get("funcname", ())) == ["sealgate", "ord_prefix"]:
        return call["args"][0]
    expression = node.get("A_Expr", {})
    contains = _names(expression.get("name", ())) == ["@>"]
    return _call(expression.get("lexpr"), "match") if contains else None


def _same_pattern(old: Node, new: Node, column: Node) -> bool:
    """The column, and the one parameter of the pattern or one constant of the type that is expected."""
    like = old.get("A_Expr", {})
    operator = like.get("kind") == "AEXPR_OP" and _names(like["name"])[0] in ("~~", "~~*")
    if not operator and (like.get("kind") not in _LIKE or _names(like["name"])[0][0] == "!"):
        return False
    if _bare(_uncased(like["lexpr"])) != _bare(column):
        return False
    by_order = "FuncCall" in new
    sought = new["FuncCall"]["args"][1] if by_order else new["A_Expr"]["rexpr"]
    given = [n["ParamRef"] for n in _nodes(like["rexpr"]) if "ParamRef" in n]
    if given:
        return [_bare(one) for one in given] == [_bare(sought.get("ParamRef"))]
    names = _names(sought.get("TypeCast", {}).get("typeName", {}).get("names", ()))
    return names == (["bytea"] if by_order else ["int4"])


def _uncased(node: Node) -> Node:
    """Without casts, lower() and upper()."""
    while True:
        call = node.get("FuncCall", {})
        if _is_cast(node):
            node = node["TypeCast"]["arg"]
        elif _names(call.get("funcname", ())) in (["lower"], ["upper"]):
            (node,) = call["args"]
        else:
            return node


def _nodes(node: Node) -> Iterator[dict[str, Node]]:
    if isinstance(node, dict):
        yield node
    for child in (
        node.values() if isinstance(node, dict) else node if isinstance(node, list) else ()
    ):
        yield from _nodes(child)


def _operands(node: Node) -> list[Node]:
    """The items of a list or an array, or the one value that it is."""
    listed = node.get("List", {}).get("items") or node.get("A_ArrayExpr", {}).get("elements")
    return listed or [node]


def _concatenated(node: Node) -> Iterator[Node]:
    expression = node.get("A_Expr", {})
    if expression.get("kind") == "AEXPR_OP" and _names(expression["name"]) == ["||"]:
        yield from _concatenated(expression["lexpr"])
        yield from _concatenated(expression["rexpr"])
    else:
        yield node


def _column_at(node: Node) -> Node:
    """Of which column `data->'a'->>'b'`, `data['a']` and casts of these are; its places left out."""
    while True:
        node = _uncast(node)
        step = node.get("A_Expr", {})
        if step.get("kind") == "AEXPR_OP" and _names(step["name"])[0] in ("->", "->>", "#>", "#>>"):
            if not _is_constant(step["rexpr"]):
                return None
            node = step["lexpr"]
        elif "A_Indirection" in node:
            node = node["A_Indirection"]["arg"]
        else:
            return _bare(node) if "ColumnRef" in node else None


def _equated(condition: Node) -> list[str | None]:
    """The names of `"a"."x" = "b"."x" AND sealgate.eq("a"."y") = sealgate.eq("b"."y")`; None for anything else in it."""
    both = condition.get("BoolExpr", {"args": [condition]})
    return [_equated_name(part.get("A_Expr", {})) for part in both["args"]]


def _equated_name(expression: Node) -> str | None:
    if _names(expression.get("name", ())) != ["="]:
        return None
    sides = [expression["lexpr"], expression["rexpr"]]
    one, other = (_column(_term(side) or side) for side in sides)
    return one if one == other else None


def _is_qualified(old: Node, new: Node) -> bool:
    """`email` and `"p"."email"`"""
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return False
    bare, full = ((node.get("ColumnRef") or {}).get("fields", ()) for node in (old, new))
    return len(bare) == 1 and len(full) == 2 and _names(bare) == _names(full)[1:] != []


_OUTSIDE: Final = frozenset({"sortClause", "limitCount", "limitOffset", "withClause"})


def _is_united(old: Node, new: Node) -> bool:
    """`SELECT r.* FROM (set operation) AS r` in place of the set operation."""
    one, other = old["SelectStmt"], new["SelectStmt"]
    targets, sources = other.get("targetList", ()), other.get("fromClause", ())
    if one.get("op") != "SETOP_UNION" or "larg" in other or len(targets) != 1 or len(sources) != 1:
        return False
    fields = _value(targets[0]).get("ColumnRef", {}).get("fields", ())
    alias = sources[0].get("RangeSubselect", {}).get("alias", {}).get("aliasname")
    return (
        len(fields) == 2 and _names(fields[:1]) == ["r"] and "A_Star" in fields[1] and alias == "r"
    )


def _of_result(node: Node) -> str | None:
    """x of `r.x`."""
    names = _names(node["ColumnRef"]["fields"]) if node and "ColumnRef" in node else []
    return names[1] if len(names) == 2 and names[0] == "r" else None


def _sorts_by_result(old: Node, new: Node) -> bool:
    """`ORDER BY x DESC` and `ORDER BY sealgate.ord(r.x) DESC`"""
    one, other = dict(old["SortBy"]), dict(new["SortBy"])
    before, name = one.pop("node"), _of_result(_term(other.pop("node")))
    return (
        _bare(one) == _bare(other)
        and name is not None
        and ("A_Const" in before or _column(before) == name)
    )


def _is_select(node: Node) -> bool:
    return isinstance(node, dict) and "SelectStmt" in node


def _of_group(node: Node) -> Node | None:
    """The value of `sealgate.any_value(value)` and of `CASE WHEN sealgate.eq(value) IS NOT NULL THEN ... END`."""
    case = node.get("CaseExpr") if isinstance(node, dict) else None
    if case is None or len(case["args"]) != 1 or {"arg", "defresult"} & case.keys():
        return _call(node, "any_value")
    when = case["args"][0]["CaseWhen"]
    tested = when["expr"].get("NullTest", {})
    value = _call(when["result"], "any_value")
    certain = tested.get("nulltesttype") == "IS_NOT_NULL" and value is not None
    return value if certain and _bare(_term(tested["arg"])) == _bare(value) else None


def _bare(node: Node) -> Node:
    """Without places."""
    if isinstance(node, dict):
        return {key: _bare(value) for key, value in node.items() if key not in _PLACES}
    return [_bare(item) for item in node] if isinstance(node, list) else node


def _value(target: Node) -> Node:
    return target["ResTarget"]["val"]


def _referred(old: Node, new: Node, targets: Any) -> Node:
    """Of `ORDER BY 2` or `ORDER BY name`, the column of the result that became a term; else itself."""
    if isinstance(old, dict) and "SortBy" in old and "SortBy" in new:
        inner = _referred(old["SortBy"]["node"], new["SortBy"]["node"], targets)
        return {"SortBy": {**old["SortBy"], "node": inner}}
    if isinstance(old, dict) and "GroupingSet" in old and "GroupingSet" in new:
        sets, others = old["GroupingSet"], new["GroupingSet"]
        pairs = zip(sets.get("content", ()), others.get("content", ()), strict=False)
        content = [_referred(one, other, targets) for one, other in pairs]
        return {"GroupingSet": {**sets, "content": content} if content else sets}
    inner = _term(new)
    if inner is None or not isinstance(old, dict) or _bare(old) == _bare(_of_group(inner) or inner):
        return old
    number = old.get("A_Const", {}).get("ival", {}).get("ival")
    name = _column(old) if len(old.get("ColumnRef", {}).get("fields", ())) == 1 else None
    for place, target in enumerate(targets, 1):
        if place == number or target["ResTarget"].get("name", _last(_value(target))) == name:
            return _unstarred(_value(target), new)
    # A number or a name of what a * stands for.
    starred = _stars(targets) > 0
    return _term(new) if starred and (number is not None or name == _last(_term(new))) else old


def _unstarred(value: Node, new: Node) -> Node:
    return _term(new) if _is_star(value) else value


def _last(node: Node) -> str | None:
    """The name of a column, casts aside, or of what is shown of its group."""
    while _is_cast(node):
        node = node["TypeCast"]["arg"]
    node = _of_group(node) or node
    if isinstance(node, dict) and "CaseExpr" in node:
        return _last(node["CaseExpr"].get("defresult"))
    if isinstance(node, dict) and "FuncCall" in node:
        return _names(node["FuncCall"]["funcname"])[-1]
    return _column(node)


def _is_star(node: Node) -> bool:
    return isinstance(node, dict) and "A_Star" in node.get("ColumnRef", {}).get("fields", [{}])[-1]


def _stars(targets: Any) -> int:
    return sum(_is_star(_value(target)) for target in targets)


def _written_out(old: Any, new: Any) -> bool:
    """One `*` among `old` became columns, one by one, each under its own name."""
    at = next((n for n, target in enumerate(old) if _is_star(_value(target))), None)
    if at is None:
        return False
    columns = new[at : len(new) - (len(old) - at - 1)]
    names = [target["ResTarget"].get("name") for target in columns]
    values = [_of_group(_value(target)) or _value(target) for target in columns]
    return all(
        _column(value) is not None and name in (None, _column(value))
        for name, value in zip(names, values, strict=True)
    )


def _tells_all(targets: Any, items: Any) -> bool:
    """DISTINCT ON has each column of the result, by its number or by terms of it."""
    places = {item["A_Const"]["ival"]["ival"] for item in items if "A_Const" in item}
    terms = [_bare(_of_group(inner) or inner) for item in items if (inner := _term(item))]
    if _stars(targets):
        return len(places) + len(terms) == len(items)
    values = [_bare(_of_group(_value(target)) or _value(target)) for target in targets]
    told = (n in places or _uncast(v) in terms for n, v in enumerate(values, 1))
    return all(told) and all(term in map(_uncast, values) for term in terms)


def _uncast(node: Node) -> Node:
    while _is_cast(node):
        node = node["TypeCast"]["arg"]
    return node


def _without_second_terms(items: Any) -> Iterator[Node]:
    """ORDER BY, of a window too, and DISTINCT ON without the term of equality behind an order term of the same."""
    before = None
    for item in items:
        inner = item.get("SortBy", {}).get("node", item) if isinstance(item, dict) else item
        first = _call(before, "ord")
        if first is None or _bare(first) != _bare(_call(inner, "eq")):
            yield item
        before = inner


def _sealed(node: Node) -> bool:
    """A constant or parameter of type bytea or bytea[]."""
    cast = node.get("TypeCast") if isinstance(node, dict) else None
    return (
        cast is not None
        and _names(cast["typeName"].get("names", ())) == ["bytea"]
        and bool({"A_Const", "ParamRef"} & cast["arg"].keys())
    )


def _terms_of(node: Node) -> Node | None:
    """The query of `SELECT sealgate.eq(r.c1) FROM (query) AS r(c1)`."""
    select = node.get("SelectStmt") if isinstance(node, dict) else None
    targets, sources = (select or {}).get("targetList", ()), (select or {}).get("fromClause", ())
    if len(sources) != 1 or "RangeSubselect" not in sources[0]:
        return None
    if not any(_term(target["ResTarget"].get("val")) is not None for target in targets):
        return None
    return sources[0]["RangeSubselect"]["subquery"]


def _is_nullif(node: Node) -> bool:
    return isinstance(node, dict) and node.get("A_Expr", {}).get("kind") == "AEXPR_NULLIF"


def _case_parts(node: Node) -> tuple[Node, Node, Node] | None:
    """a, b and c of `NULLIF(..., CASE WHEN a = b THEN c END)`."""
    case = node["A_Expr"]["rexpr"].get("CaseExpr")
    if case is None or len(case["args"]) != 1 or {"arg", "defresult"} & case.keys():
        return None
    when = case["args"][0]["CaseWhen"]
    equality = when["expr"].get("A_Expr", {})
    if _names(equality.get("name", ())) != ["="]:
        return None
    return equality["lexpr"], equality["rexpr"], when["result"]


def _unnamed(value: Node) -> str | None:
    """The name of a result column that is a constant without AS."""
    if value is None or not _is_constant(value):
        return None
    return _names(value["TypeCast"]["typeName"]["names"])[-1] if _is_cast(value) else "?column?"


def _is_cast(node: Node) -> bool:
    return isinstance(node, dict) and "TypeCast" in node


def _figured(value: Node) -> str:
    """The name that PostgreSQL gives a result column (FigureColname, src/backend/parser/parse_target.c)."""
    if (name := _last(value)) is not None:
        return name
    if _is_cast(value):
        return _names(value["TypeCast"]["typeName"]["names"])[-1]
    return "?column?"


def _is_constant(node: Node) -> bool:
    return bool(_CONSTANT & node.keys()) and not any(name in _written(node) for name in _VARIABLE)


def _written(node: Node) -> str:
    return str(node).replace("'", '"')


def _column(node: Node) -> str | None:
    fields = node["ColumnRef"]["fields"] if node and "ColumnRef" in node else ()
    return (_names(fields) or [None])[-1] if fields else None


def _names(nodes: Any) -> list[str]:
    return [node["String"]["sval"] for node in nodes if "String" in node]
