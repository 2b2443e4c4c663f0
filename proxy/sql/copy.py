"""COPY planned: which columns the fields of a row are, how rows are written, and where they go.

`copy_statement` reads the tokens; libpg_query reads the same text, and both must say the same before anything here is
believed.

COPY FROM a sealed table always names its columns to the server, also where the client did not. Should the picture of
the catalog be older than the table, the server then says so, instead of taking a field that was not sealed for the
sealed column and writing it into its log.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from policy import Access
from proxy.catalog import Attribute, Catalog, Relation
from proxy.cells import LogicalType, logical_type
from proxy.sql import refusals
from proxy.sql.copy_options import read_options
from proxy.sql.copy_plan import CopyColumn, CopyPlan
from proxy.sql.copy_statement import CopyStatement, confirm, read_copy
from proxy.sql.draft import Draft
from proxy.sql.lexer import Kind, Token
from proxy.sql.scope import Field, SealedRef

BYTEA_OID: Final = 17
FIRST_USER_OID: Final = 16384


@dataclass(frozen=True, slots=True)
class TableCopy:
    """COPY of a table, planned."""

    plan: CopyPlan
    draft: Draft


def plan_table_copy(
    catalog: Catalog,
    search_path: tuple[str, ...] | None,
    tokens: Sequence[Token],
    text: str,
) -> TableCopy | None:
    """COPY table [(columns)] FROM | TO, which names an interesting relation; None: no column of it is sealed.

    Raises Refused.
    """
    draft = Draft(catalog, search_path, tokens)
    statement = read_copy(tokens)
    if statement is None:
        raise refusals.not_understood("COPY")
    schema = statement.name[-2] if len(statement.name) > 1 else None
    source = draft.relation(schema, statement.name[-1])
    relation = catalog.relation(source.schema, statement.name[-1]) if source.schema else None
    if relation is None:
        return None
    refs = {
        f.name: f.sealed for f in source.shape.fields if f.sealed is not None and f.name is not None
    }
    names = statement.columns or tuple(a.name for a in relation.attributes if not a.generated)
    sealed = [refs[name] for name in names if name in refs]
    options = read_options(statement.options)
    _check_where(statement, tokens, relation, refs)
    if not sealed and not (statement.incoming and refs and not statement.on_server and options):
        return None  # Else its fields are counted: the server logs a row that has too many.
    confirm(text, statement)
    if statement.on_server:
        raise _on_server(statement, sealed[0])
    for ref in sealed:
        if statement.incoming and (ref.column is None or relation.kind == "v"):
            raise refusals.undeclared(ref.label)
        draft.touch(ref, Access.WRITE if statement.incoming else Access.READ)
    if statement.incoming and statement.columns is None:
        at = tokens[statement.name_at].end
        draft.edit(at, at, " (" + ", ".join(map(_quoted, names)) + ")")
    columns = tuple(copy_column(catalog, relation, name, refs.get(name)) for name in names)
    plan = CopyPlan(
        statement.incoming,
        relation.name,
        columns,
        options,
        catalog.server_version,
    )
    return TableCopy(plan, draft)


def plan_query_copy(
    catalog: Catalog,
    tokens: Sequence[Token],
    query_end: int,
    text: str | None,
    outputs: Sequence[Field] | None,
) -> CopyPlan:
    """COPY (query) TO STDOUT. `outputs`: the result columns, None if they are not known.

    `text`: the statement with a query in it that PostgreSQL's parser reads, to be confirmed. Raises Refused.
    """
    statement = read_copy(tokens, query_end)
    if statement is None:
        raise refusals.not_understood("COPY")
    if text is not None:
        confirm(text, statement)
    if statement.on_server:
        sealed = next((f.sealed for f in outputs or () if f.sealed), None)
        raise _on_server(statement, sealed)
    columns = None
    if outputs is not None:
        columns = tuple(map(_result_column, outputs))
    return CopyPlan(False, "", columns, read_options(statement.options), catalog.server_version)


def plan_plain_copy(
    catalog: Catalog, tokens: Sequence[Token], query_end: int | None
) -> CopyPlan | None:
    """COPY TO STDOUT of nothing that is sealed as far as is known: values say themselves if they are."""
    statement = read_copy(tokens, query_end)
    if statement is None or statement.incoming or statement.on_server:
        return None
    options = read_options(statement.options)
    return CopyPlan(False, "", None, options, catalog.server_version) if options else None


def copy_column(
    catalog: Catalog, relation: Relation, name: str, ref: SealedRef | None
) -> CopyColumn:
    """What COPY relation (name) has in this field. `ref`: the column that it is, also a parent's for a partition."""
    attribute = relation.attribute(name)
    if attribute is None:
        return CopyColumn(name)  # The server says that it does not exist.
    declared = ref.column if ref is not None else None
    return CopyColumn(
        name,
        label=declared.label if declared is not None else None,
        declared=declared is not None and declared.table == relation.label,
        logical=declared.type if declared is not None else _domain_type(attribute),
        plain=_is_plain(attribute),
        table=relation.oid,
    )


def _domain_type(attribute: Attribute) -> LogicalType | None:
    return logical_type(attribute.sealed) if attribute.sealed is not None else None


def _is_plain(attribute: Attribute) -> bool:
    """PostgreSQL's own types but bytea; another's may be a domain over it."""
    oid = attribute.type_oid
    return oid != BYTEA_OID and oid < FIRST_USER_OID and not attribute.carries_sealed


def _result_column(output: Field) -> CopyColumn:
    """As `shape` has it for a SELECT. A value beside the column's own, in COALESCE for instance, has not gone through
    its modifier."""
    ref = output.sealed
    if ref is None or (ref.column is None and ref.type is None):
        return CopyColumn(output.name)
    if ref.shown is not None:
        logical = logical_type(ref.shown)
    else:
        logical = ref.column.type if ref.column is not None else logical_type(ref.type or "")
    return CopyColumn(output.name, label=ref.label, logical=replace(logical, modifier=-1))


def _check_where(
    statement: CopyStatement,
    tokens: Sequence[Token],
    relation: Relation,
    refs: dict[str, SealedRef],
) -> None:
    """COPY FROM ... WHERE is evaluated by the server, on sealed values."""
    if statement.where is None or not refs:
        return
    for at in range(statement.where, len(tokens)):
        token = tokens[at]
        if token.kind not in (Kind.IDENT, Kind.QUOTED_IDENT):
            continue
        row = token.value == relation.name and not _qualifies(tokens, at)
        if token.value in refs or row:
            ref = refs.get(token.value) or next(iter(refs.values()))
            raise refusals.Refused(
                refusals.FEATURE_NOT_SUPPORTED,
                f"column {ref.label} is sealed and cannot be used in COPY FROM ... WHERE",
                "Filter by other columns, or before the rows are sent.",
            )


def _qualifies(tokens: Sequence[Token], at: int) -> bool:
    """`customers` in `customers.id`: not the whole row."""
    return (
        at + 2 < len(tokens)
        and tokens[at + 1].text == "."
        and tokens[at + 2].kind in (Kind.IDENT, Kind.QUOTED_IDENT)
    )


def _on_server(statement: CopyStatement, ref: SealedRef | None) -> refusals.Refused:
    way = "from" if statement.incoming else "to"
    does = "reads" if statement.incoming else "writes"
    what = f"sealed column {ref.label}" if ref is not None else "a query on sealed columns"
    client = "FROM STDIN" if statement.incoming else "TO STDOUT"
    return refusals.Refused(
        refusals.FEATURE_NOT_SUPPORTED,
        f"COPY of {what} {way} {statement.on_server} is not supported: the server itself {does} it",
        f"COPY {client} goes through Sealgate; psql has it as \\copy.",
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
