"""What the proxy knows about the database's tables, columns and views: one frozen picture.

A `Catalog` is taken by `introspect` (the only file that asks the server) and swapped whole when DDL changed it.
It answers four questions, all without I/O:

- what does a name in a statement mean?            `named`, `relation`
- which declared column is behind a result field?  `column` (RowDescription gives the table's oid and the column's number)
- what type does an application see in a field?    `attribute_type` (views and history tables too: the domain tells)
- can this statement touch a sealed value at all?  `interesting`: if none of these names is in it, it is forwarded unread

`interesting` errs to the large side. It begins with every relation that has a sealed attribute, whether the
configuration declares it, or its type is one of our domains, or such a domain is inside its type (an array, a
composite). It then follows views (a view over an interesting relation is interesting, whichever columns it takes)
and inheritance in both directions (a statement on the parent reads the children, and the other way round a row
routed to a child arrives through the parent).

Names: a column is everywhere one string, its label, `public.customers.email`; see `label`.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Protocol

from policy import Search
from policy.paths import path_keys
from proxy.cells import LogicalType, logical_type

SCHEMA = "sealgate"
DOMAIN_PREFIX = "sealed_"
_NO_SEARCH = Search()
SEALABLE_TYPES = (
    *("text", "varchar", "bpchar", "int2", "int4", "int8", "numeric", "float4", "float8", "bool"),
    *("date", "timestamp", "timestamptz", "uuid", "json", "jsonb", "bytea"),
)

_PLAIN_NAME = re.compile(r"[a-z_][a-z0-9_$]*\Z")
_LABEL_PART = re.compile(r'([a-z_][a-z0-9_$]*|"(?:[^"]|"")+")(\.|\Z)')


@dataclass(frozen=True, slots=True)
class Attribute:
    """One column of one relation, as pg_attribute has it."""

    number: int
    name: str
    type_oid: int
    type_modifier: int
    sealed: str | None = None
    """The logical type's name where the attribute's type is a `sealgate.sealed_*` domain."""
    carries_sealed: bool = False
    """The type is one of those domains or holds one inside: an array, a composite, a domain over it."""
    generated: bool = False
    """GENERATED ALWAYS AS: COPY leaves it out."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A table, view, materialized view, foreign or partitioned table. `kind` is pg_class.relkind."""

    oid: int
    schema: str
    name: str
    kind: str
    attributes: tuple[Attribute, ...] = ()

    @property
    def label(self) -> str:
        return label(self.schema, self.name)

    def attribute(self, name: str) -> Attribute | None:
        return next((a for a in self.attributes if a.name == name), None)


@dataclass(frozen=True, slots=True)
class Output:
    """One column of a function's result. `sealed` and `carries_sealed` as for an Attribute."""

    name: str
    sealed: str | None = None
    carries_sealed: bool = False


@dataclass(frozen=True, slots=True)
class Function:
    """A function or procedure whose result holds sealed values: SETOF a table, RETURNS TABLE, OUT, or the domain itself."""

    schema: str
    name: str
    outputs: tuple[Output, ...]
    scalar: bool
    """One column that goes by the name of the function."""


@dataclass(frozen=True, slots=True)
class SealedColumn:
    """A column that the configuration declares. It may not be sealed in the database yet: `sealgate check` says."""

    label: str
    table: str
    name: str
    type: LogicalType
    search: Search = _NO_SEARCH
    search_group: str | None = None
    """Columns of one group have the same terms for the same values."""
    incomplete: bool = False
    """Some stored value may lack the terms that are declared: it is written, but not compared; see `assurance`."""

    @property
    def path_keys(self) -> tuple[tuple[str, ...], ...]:
        """The declared paths, each as its keys."""
        return tuple(path_keys(path) for path in self.search.paths)

    def comparable_with(self, other: SealedColumn) -> bool:
        """Their terms are made with one key."""
        group = self.search_group
        return self.label == other.label or (group is not None and group == other.search_group)


@dataclass(frozen=True, slots=True)
class Dependency:
    """`dependent` shows rows of `referenced` (both pg_class oids): a view, or a child and its parent."""

    dependent: int
    referenced: int
    inheritance: bool = False


@dataclass(frozen=True, slots=True)
class Catalog:
    """All user relations of one database (none of pg_catalog, information_schema, pg_toast) and what is sealed in it."""

    database: str
    server_version: int
    relations: tuple[Relation, ...]
    sealed: Mapping[str, SealedColumn] = field(hash=False)
    dependencies: tuple[Dependency, ...] = ()
    functions: tuple[Function, ...] = ()

    interesting: frozenset[str] = field(init=False, repr=False, compare=False)
    version: str = field(init=False, compare=False)
    names: frozenset[str] = field(init=False, repr=False, compare=False)
    """Every schema's, relation's and column's name."""
    namesakes: bool = field(init=False, repr=False, compare=False)
    """Some interesting name is that of several relations: which schema is searched first decides."""
    _by_name: Mapping[str, tuple[Relation, ...]] = field(init=False, repr=False, compare=False)
    _columns: Mapping[tuple[int, int], SealedColumn] = field(init=False, repr=False, compare=False)
    _types: Mapping[tuple[int, int], LogicalType] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        columns = dict(_declared_attributes(self.relations, self.sealed))
        types = dict(_domain_types(self.relations))
        types |= _inherited_types(self.relations, columns, self.dependencies)
        types |= {at: c.type for at, c in columns.items()}
        by_name = _by_name(self.relations)
        interesting = _interesting(self.relations, self.sealed, self.dependencies)
        derived = {
            "sealed": MappingProxyType(dict(self.sealed)),
            "interesting": interesting | {function.name for function in self.functions},
            "namesakes": any(len(by_name.get(name, ())) > 1 for name in interesting),
            "version": _version(self),
            "names": frozenset(_names(self.relations)),
            "_by_name": by_name,
            "_columns": columns,
            "_types": types,
        }
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    def named(self, name: str) -> tuple[Relation, ...]:
        """Every relation with this bare name, in any schema."""
        return self._by_name.get(name, ())

    def returned_by(self, schema: str | None, name: str) -> Function | None:
        """What a function by this name returns: one of several by that name, if they all return the same."""
        found = [f for f in self.functions if f.name == name and schema in (None, f.schema)]
        alike = {(f.outputs, f.scalar) for f in found}
        return found[0] if len(alike) == 1 else None

    def relation(self, schema: str, name: str) -> Relation | None:
        return next((r for r in self.named(name) if r.schema == schema), None)

    def column(self, table_oid: int, number: int) -> SealedColumn | None:
        """The declared column behind a RowDescription field; declared tables only."""
        return self._columns.get((table_oid, number))

    def attribute_type(self, table_oid: int, number: int) -> LogicalType | None:
        """What applications see: the declared type, or for any other relation the type its sealgate domain names."""
        return self._types.get((table_oid, number))


class Declaration(Protocol):
    """What this module needs of a column in the configuration (`policy.ColumnRule` has it)."""

    @property
    def type(self) -> str: ...
    @property
    def search(self) -> Search: ...
    @property
    def search_group(self) -> str | None: ...


def sealed_columns(declared: Mapping[str, Declaration]) -> dict[str, SealedColumn]:
    """Configuration's columns by label. Raises ValueError for a label that is not three parts, or cells' TypeSpecError."""
    columns = {}
    for name, declaration in declared.items():
        schema, table, column = column_parts(name)
        columns[name] = SealedColumn(
            label=name,
            table=label(schema, table),
            name=column,
            type=logical_type(declaration.type),
            search=declaration.search,
            search_group=declaration.search_group,
        )
    return columns


def label(*parts: str) -> str:
    """`public.customers.email`; a part that is not `[a-z_][a-z0-9_$]*` is quoted. Keywords are not, unlike quote_ident."""
    return ".".join(p if _PLAIN_NAME.match(p) else '"' + p.replace('"', '""') + '"' for p in parts)


def label_parts(text: str) -> tuple[str, ...]:
    """The reverse of `label`. ValueError if the text is not one that `label` would have written."""
    parts, at, separator = [], 0, "."
    while separator:
        match = _LABEL_PART.match(text, at)
        if match is None:
            raise ValueError(f"not a label: {text}")
        part, separator = match.groups()
        parts.append(part[1:-1].replace('""', '"') if part.startswith('"') else part)
        at = match.end()
    if label(*parts) != text:
        raise ValueError(f"not a label as Sealgate writes it: {text}; write {label(*parts)}")
    return tuple(parts)


def column_parts(text: str) -> tuple[str, str, str]:
    parts = label_parts(text)
    if len(parts) != 3:
        raise ValueError(f"a column is written schema.table.column, not {text}")
    return parts[0], parts[1], parts[2]


def domain_name(type_name: str) -> str:
    """The bare name of the domain for a logical type: `sealed_varchar`."""
    return DOMAIN_PREFIX + type_name


def _by_name(relations: Iterable[Relation]) -> dict[str, tuple[Relation, ...]]:
    named: dict[str, tuple[Relation, ...]] = {}
    for relation in relations:
        named[relation.name] = (*named.get(relation.name, ()), relation)
    return named


def _names(relations: Iterable[Relation]) -> Iterator[str]:
    for relation in relations:
        yield relation.schema
        yield relation.name
        yield from (attribute.name for attribute in relation.attributes)


def _declared_attributes(
    relations: Iterable[Relation], sealed: Mapping[str, SealedColumn]
) -> Iterable[tuple[tuple[int, int], SealedColumn]]:
    tables = {column.table for column in sealed.values()}
    for relation in relations:
        if relation.label not in tables:
            continue
        for attribute in relation.attributes:
            column = sealed.get(label(relation.schema, relation.name, attribute.name))
            if column is not None:
                yield (relation.oid, attribute.number), column


def _inherited_types(
    relations: Iterable[Relation],
    columns: Mapping[tuple[int, int], SealedColumn],
    dependencies: Iterable[Dependency],
) -> dict[tuple[int, int], LogicalType]:
    """Of partitions and other children: the type that the parent's column is declared with, its length included."""
    by_oid = {relation.oid: relation for relation in relations}
    children: dict[int, list[int]] = {}
    for edge in dependencies:
        if edge.inheritance:
            children.setdefault(edge.referenced, []).append(edge.dependent)
    types = {}
    for (parent, _), column in columns.items():
        pending, seen = list(children.get(parent, ())), {parent}
        while pending:
            child = pending.pop()
            if child in seen or child not in by_oid:
                continue
            seen.add(child)
            pending += children.get(child, ())
            for attribute in by_oid[child].attributes:
                if attribute.name == column.name and attribute.sealed == column.type.name:
                    types[child, attribute.number] = column.type
    return types


def _domain_types(
    relations: Iterable[Relation],
) -> Iterable[tuple[tuple[int, int], LogicalType]]:
    for relation in relations:
        for attribute in relation.attributes:
            if attribute.sealed is not None:
                yield (relation.oid, attribute.number), logical_type(attribute.sealed)


def _interesting(
    relations: tuple[Relation, ...],
    sealed: Mapping[str, SealedColumn],
    dependencies: tuple[Dependency, ...],
) -> frozenset[str]:
    tables = {column.table for column in sealed.values()}
    reached = {
        r.oid
        for r in relations
        if r.label in tables or any(a.sealed or a.carries_sealed for a in r.attributes)
    }
    leads_to: dict[int, set[int]] = {}
    for edge in dependencies:
        leads_to.setdefault(edge.referenced, set()).add(edge.dependent)
        if edge.inheritance:
            leads_to.setdefault(edge.dependent, set()).add(edge.referenced)
    pending = list(reached)
    while pending:
        fresh = leads_to.get(pending.pop(), set()) - reached
        reached |= fresh
        pending.extend(fresh)
    # A declared table that does not exist (yet) is named too: it may be created between two pictures.
    declared = {label_parts(table)[1] for table in tables}
    return frozenset(r.name for r in relations if r.oid in reached) | declared


def _version(catalog: Catalog) -> str:
    digest = hashlib.sha256(f"{catalog.database}\n{catalog.server_version}\n".encode())
    for relation in sorted(catalog.relations, key=lambda r: r.oid):
        attributes = [
            (a.number, a.name, a.type_oid, a.type_modifier, a.sealed, a.generated)
            for a in relation.attributes
        ]
        digest.update(f"{relation.oid} {relation.kind} {relation.label} {attributes}\n".encode())
    for edge in sorted((d.dependent, d.referenced, d.inheritance) for d in catalog.dependencies):
        digest.update(f"{edge}\n".encode())
    for function in sorted(catalog.functions, key=repr):
        digest.update(f"{function}\n".encode())
    for name, column in sorted(catalog.sealed.items()):
        search = (column.search.declared, column.search_group, column.incomplete)
        described = (name, column.type.name, column.type.modifier, *search)
        digest.update(f"{described}\n".encode())
    return digest.hexdigest()[:16]
