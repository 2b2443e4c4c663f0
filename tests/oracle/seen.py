"""What the running server sees in a statement: its relations, and the columns it reads and writes.

Theory: parse analysis (`src/backend/parser/analyze.c`, `parse_relation.c`) notes for each relation
that a query names what a role must be granted: columns selected, inserted, updated, in a
RTEPermissionInfo of the query tree. `debug_print_parse` sends that tree to a client that asks for
LOG messages. It is what PostgreSQL itself goes by to refuse a column, so nothing that a statement
can reach is missing from it.

A query or write is prepared and never executed (parse analysis is done then, EXPLAIN's and
DECLARE's too); other statements are executed, so that what scripts create is there.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import pq

from proxy.catalog import Attribute, Relation

_PERMISSIONS: Final = re.compile(
    r"\{RTEPERMISSIONINFO :relid ([0-9]+) :inh \w+ :requiredPerms ([0-9]+) :checkAsUser [0-9]+"
    r" :selectedCols \(b([^)]*)\) :insertedCols \(b([^)]*)\) :updatedCols \(b([^)]*)\)\}"
)
# A column set holds attnum - FirstLowInvalidHeapAttributeNumber; 0 is the whole row.
_LOWEST: Final = -7
WHOLE_ROW: Final = 0

PREPARED: Final = frozenset(
    [
        "select",
        "insert",
        "update",
        "delete",
        "merge",
        "with",
        "values",
        "table",
        "explain",
        "declare",
        "(",
    ]
)
_FIRST: Final = re.compile(r"(?:\s|--[^\n]*\n|/\*.*?\*/)*([A-Za-z]+|\()", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Use:
    """One relation as one query of the statement uses it; attribute numbers."""

    relation: int
    selected: frozenset[int]
    inserted: frozenset[int]
    updated: frozenset[int]


class Server:
    """A connection whose session runs scripts and tells what it saw."""

    def __init__(self, dsn: str) -> None:
        self._connection = psycopg.connect(dsn, autocommit=True)
        self._connection.add_notice_handler(self._notice)
        self._trees: list[str] = []
        self._relations: dict[int, Relation | None] = {}
        self._run("SET client_min_messages = error; SET statement_timeout = '1500ms'")
        self._run("SET lock_timeout = '500ms'; SET debug_pretty_print = off")
        self._run("SET enable_partition_pruning = off; SET constraint_exclusion = off")

    def close(self) -> None:
        self._connection.close()

    def see(self, sql: str) -> list[Use] | None:
        """The relations of a statement, with all its queries; None where the server refuses it."""
        prepared = first_word(sql) in PREPARED
        self._trees = []
        self._run("SET client_min_messages = log; SET debug_print_parse = on")
        done = self._prepare(sql) if prepared else self._run(sql)
        trees = self._trees.copy()
        self._run("SET debug_print_parse = off; SET client_min_messages = error")
        if not prepared or " into " in sql.lower():
            self._relations.clear()
        # One tree for the statement and one for the query that COPY and PREPARE hold; functions that
        # are executed print theirs behind it.
        return _uses(trees[: 1 if prepared else 2]) if done else None

    def execute(self, sql: str) -> bool:
        """Run a statement for what it leaves behind."""
        self._relations.clear()
        return self._run(sql)

    def uses_value(self, relation: Relation, column: str, query: str) -> bool:
        """Does PostgreSQL's plan of a query have the column in its result or in any condition?

        What a scan hands on and nobody takes is no use. Best asked under a name that nothing else
        has; a query that uses the column's own name is asked for what its plan calls `alias.name`, and
        for what subqueries may call it. True where it cannot be planned."""
        name = "only_this_one"
        idle = self._connection.info.transaction_status == pq.TransactionStatus.IDLE
        self._run("BEGIN" if idle else "SAVEPOINT renamed")
        self._run(f'ALTER TABLE {relation.label} RENAME COLUMN "{column}" TO {name}')
        plan = self._explain(query)
        self._run("ROLLBACK" if idle else "ROLLBACK TO renamed; RELEASE renamed")
        if plan:
            return name in _used_lines(plan, frozenset())
        plan = self._explain(query)
        return not plan or _names_it(plan, relation, column)

    def _explain(self, query: str) -> list[str]:
        result = self._connection.pgconn.exec_(
            f"EXPLAIN (VERBOSE, COSTS OFF, GENERIC_PLAN) {query}".encode()
        )
        return [(result.get_value(row, 0) or b"").decode() for row in range(result.ntuples)]

    def search_path(self) -> tuple[str, ...] | None:
        """None in a transaction that failed."""
        row = self._row("SELECT pg_catalog.current_schemas(false)::text[]")
        return None if row is None else tuple(row[0])

    def relation(self, oid: int) -> Relation | None:
        """As the catalog picture has it; None for those of the system, and temporary ones."""
        if oid not in self._relations:
            row = self._row(_RELATION, oid)
            self._relations[oid] = None if row is None else _relation(oid, row)
        return self._relations[oid]

    def _row(self, query: str, *parameters: object) -> tuple[Any, ...] | None:
        try:
            return self._connection.execute(query.encode(), parameters or None).fetchone()
        except psycopg.Error:
            return None

    def _notice(self, diagnostic: psycopg.errors.Diagnostic) -> None:
        if diagnostic.message_primary == "parse tree:" and diagnostic.message_detail:
            self._trees.append(diagnostic.message_detail)

    def _prepare(self, sql: str) -> bool:
        result = self._connection.pgconn.prepare(b"", sql.encode())
        return result.status == pq.ExecStatus.COMMAND_OK

    def _run(self, sql: str) -> bool:
        """The simple protocol; a COPY is ended at once."""
        connection = self._connection.pgconn
        result = connection.exec_(sql.encode())
        if result.status == pq.ExecStatus.COPY_IN:
            connection.put_copy_end(b"no data")
        elif result.status == pq.ExecStatus.COPY_OUT:
            while connection.get_copy_data(0)[0] > 0:
                pass
        if result.status in (pq.ExecStatus.COPY_IN, pq.ExecStatus.COPY_OUT):
            while connection.get_result() is not None:
                pass
            return True
        return result.status in (pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK)


_NAME: Final = r'(?:"(?:[^"]|"")*"|[^\s."]+)'
_NODE: Final = re.compile(
    rf"\s*(?:-> +)?[A-Z][A-Za-z ]* on ({_NAME}(?:\.{_NAME})?)(?: ({_NAME}))?$"
)


def _names_it(plan: list[str], relation: Relation, column: str) -> bool:
    """Does a plan have `alias.column`, or a column of a subquery that may be it: one of its name, or
    of a name that is none of the table's?"""
    aliases = _aliases(plan, relation.label)
    lines = _used_lines(plan, aliases)
    others = {attribute.name for attribute in relation.attributes} - {column}
    inner = frozenset(
        match[2] or match[1] for line in plan if (match := _SUBQUERY.match(line)) is not None
    )
    for alias, name in _COLUMN.findall(lines):
        plain = name.strip('"')
        if (alias in aliases and plain == column) or (alias in inner and plain not in others):
            return True
    return False


_PART: Final = r'(?:"(?:[^"]|"")*"|[\w$]+)'
_COLUMN: Final = re.compile(rf"(?<![\w$\"])({_PART})\.({_PART})")
_SUBQUERY: Final = re.compile(
    rf"\s*(?:-> +)?(?:Subquery|CTE|WorkTable|Values|Function) Scan on ({_NAME})(?: ({_NAME}))?$"
)


def _aliases(plan: list[str], table: str) -> frozenset[str]:
    """Names that the plan has for a table. One with children is alias_1, alias_2 ... where it is
    scanned, and what is above speaks of alias; an only child is called alias."""
    nodes = [match for line in plan if (match := _NODE.match(line)) is not None]
    own = {_alias(node) for node in nodes if node[1] == table} or {_alias(node) for node in nodes}
    return frozenset(own | {re.sub(r"_[0-9]+$", "", name) for name in own})


def _alias(node: re.Match[str]) -> str:
    return node[2] or re.findall(_NAME, node[1])[-1]


def _used_lines(plan: list[str], aliases: frozenset[str]) -> str:
    """The plan without what scans of these aliases (of anything, if none is given) put out. The
    result is the topmost node's output; where that prints none (Append, Insert), its children's."""
    kept: list[str] = []
    scan, result = False, 0
    for line, following in zip(plan, [*plan[1:], ""], strict=True):
        indent = len(line) - len(line.lstrip())
        if line.lstrip().startswith("->") or not kept:
            node = _NODE.match(line)
            scan = not aliases or (node is not None and _alias(node) in aliases)
            if indent <= result:
                result += 0 if "Output:" in following else 6
                scan = False
        if not (scan and line.lstrip().startswith("Output:")):
            kept.append(line)
    return "\n".join(kept)


def first_word(sql: str) -> str:
    found = _FIRST.match(sql)
    return found[1].lower() if found is not None else ""


def _uses(trees: Iterable[str]) -> list[Use]:
    return [
        Use(int(match[1]), *(_numbers(match[group]) for group in (3, 4, 5)))
        for tree in trees
        for match in _PERMISSIONS.finditer(tree.replace("\n", " "))
    ]


def _numbers(columns: str) -> frozenset[int]:
    return frozenset(int(column) + _LOWEST for column in columns.split())


_RELATION: Final = """
SELECT ARRAY[nspname, relname, relkind::text],
       ARRAY(SELECT ARRAY[attnum::text, attname, atttypid::text, atttypmod::text]
             FROM pg_catalog.pg_attribute a WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
             ORDER BY attnum)
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = relnamespace
WHERE c.oid = %s AND nspname NOT LIKE 'pg\\_%%' AND nspname <> 'information_schema'
"""


def _relation(oid: int, row: tuple[Any, ...]) -> Relation:
    (schema, name, kind), attributes = row
    return Relation(
        oid,
        schema,
        name,
        kind,
        tuple(Attribute(int(n), name, int(t), int(m)) for n, name, t, m in attributes),
    )
