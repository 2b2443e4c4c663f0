"""Functions whose results hold sealed values, as the catalog tells: SETOF a table, RETURNS TABLE, OUT, the domain itself.

The server describes their columns as bytea of no table, so only the plan knows that they are sealed, and as what. Whose
values they are is known to each value alone: they are read, and neither compared nor written to a declared column.
"""

from __future__ import annotations

from sqlglot import exp

from proxy.catalog import Output, label
from proxy.sql import refusals
from proxy.sql.draft import Draft
from proxy.sql.parse import position
from proxy.sql.scope import Field, SealedRef, Shape


def table_shape(
    draft: Draft, call: exp.Expr, schema: str | None, alias: str | None
) -> Shape | None:
    """The columns of a call in FROM; None for a function that returns nothing sealed."""
    name = _called(draft, call)
    if name is None:
        return None
    found = draft.catalog.returned_by(schema, name)
    if found is None:
        raise refusals.not_understood(f"a call of {name}(), of which there are several")
    fields = tuple(_field(found.schema, name, output) for output in found.outputs)
    if found.scalar:
        fields = (Field(alias or name, fields[0].sealed),)
    return Shape(fields)


def scalar_ref(draft: Draft, node: exp.Expr) -> SealedRef | None:
    """What a call in a select list returns, if it is one sealed value."""
    schema = None
    if isinstance(node, exp.Dot) and isinstance(node.this, exp.Identifier):
        schema = draft.name(node.this)
        node = node.expression
    name = _called(draft, node)
    found = draft.catalog.returned_by(schema, name) if name is not None else None
    if found is None or not found.scalar:
        return None
    return _field(found.schema, found.name, found.outputs[0]).sealed


def _called(draft: Draft, call: exp.Expr) -> str | None:
    """The function's name, thereby explained, if a function by it returns sealed values."""
    index = position(call) if isinstance(call, exp.Anonymous) else None
    if index is None:
        return None
    name = draft.tokens[index].value
    if not any(function.name == name for function in draft.catalog.functions):
        return None
    draft.explain(index)
    return name


def _field(schema: str, function: str, output: Output) -> Field:
    ref = None
    if output.sealed is not None or output.carries_sealed:
        full = label(schema, function, output.name)
        ref = SealedRef(full, label(schema, function), None, output.sealed)
    return Field(output.name, ref)
