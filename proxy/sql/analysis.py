"""One query or write, from tokens to what is to be done with it.

The tree is sqlglot's (`parse`), the reading of it ours (`resolve`, `expressions`, `writes`). What is
found is an `Analysis`; whether libpg_query agrees with the tree is for the planner to ask, once for
the whole message.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlglot import exp

from policy import Access
from proxy.catalog import SCHEMA, Catalog, domain_name, label
from proxy.sql import assignment, lists, refusals, resolve, writes
from proxy.sql.draft import Draft
from proxy.sql.lexer import Token
from proxy.sql.parse import parse
from proxy.sql.plan import Touch
from proxy.sql.scope import SealedRef, Shape
from proxy.sql.values import word


@dataclass(frozen=True, slots=True)
class Analysis:
    """What is known about one query or write."""

    draft: Draft
    tree: exp.Expr
    shape: Shape
    creates: bool = False
    """SELECT INTO"""

    @property
    def outputs(self) -> tuple[str | None, ...] | None:
        if self.creates:
            return ()
        fields = self.shape.fields
        refs = [field.sealed for field in fields]
        if self.shape.open or any(
            ref is not None and ref.column is None and ref.type is None for ref in refs
        ):
            return None
        return tuple(_output(ref) for ref in refs)

    @property
    def shown(self) -> tuple[tuple[int, str], ...]:
        if self.shape.open:
            return ()
        refs = enumerate(field.sealed for field in self.shape.fields)
        return tuple((place, ref.shown) for place, ref in refs if ref is not None and ref.shown)

    @property
    def touches_nothing(self) -> bool:
        """Forwarding it byte for byte is right."""
        return not (self.draft.touches or self.draft.changed or self.shape.sealed)


def _output(ref: SealedRef | None) -> str | None:
    if ref is None or ref.column is not None:
        return ref.label if ref is not None else None
    return label(SCHEMA, domain_name(ref.type or ""))


def analyse(
    catalog: Catalog, search_path: tuple[str, ...] | None, tokens: Sequence[Token]
) -> Analysis:
    """Raises Refused; UnparsedSql where sqlglot gives up."""
    tokens = without_current_of(without_overriding(tokens))
    draft = Draft(catalog, search_path, tokens)
    try:
        return _analysed(draft, parse(tokens))
    except refusals.Refused as refused:
        refused.literal_shaped |= draft.literal_shaped or bool(draft.deciding)
        raise


def _analysed(draft: Draft, tree: exp.Expr) -> Analysis:
    creates = _into(draft, tree)
    if isinstance(tree, writes.WRITES):
        shape = writes.write(draft, None, tree)
    else:
        shape = resolve.query(draft, None, tree)
    fields = tuple(lists.shown(draft, f) if f.cells else f for f in shape.fields)
    shape = replace(shape, fields=fields)
    for field in shape.fields:
        if field.sealed is not None:
            draft.touch(field.sealed, Access.READ)
    draft.settle()
    return Analysis(draft, tree, shape, creates)


def without_current_of(tokens: Sequence[Token]) -> Sequence[Token]:
    """Without WHERE CURRENT OF cursor, which sqlglot cannot read: it names no column and holds no value."""
    for at in range(len(tokens) - 3):
        if [word(tokens, at + i) for i in range(3)] == ["where", "current", "of"]:
            return [*tokens[:at], *tokens[at + 4 :]]
    return tokens


def touches_of_copy(analysis: Analysis, into: str) -> tuple[Touch, ...]:
    """What a statement touches whose result becomes a table, `into`.

    The new table's columns are of the sealed domains where the query hands columns through, so it
    refuses plaintext, and what it holds is read as its key allows. Nothing is read yet; but who has
    the rows sees which values are equal, where the column has terms. Raises Refused where a column
    would be a mere bytea, which takes plaintext.
    """
    touches = [touch for touch in analysis.draft.touches if touch.access is not Access.READ]
    for field in analysis.shape.fields:
        ref = field.sealed
        if ref is not None and not field.domain:
            raise refusals.type_lost(ref.label, into)
        if ref is not None and ref.column is not None:
            touches.append(Touch(ref.table, ref.label, assignment.copied(ref)))
    return tuple(dict.fromkeys(touches))


def without_overriding(tokens: Sequence[Token]) -> Sequence[Token]:
    """Without OVERRIDING { SYSTEM | USER } VALUE, which sqlglot cannot read and which concerns no value."""
    for at, token in enumerate(tokens):
        if token.value == "overriding" and word(tokens, at + 1) in ("system", "user"):
            return [*tokens[:at], *tokens[at + 3 :]]
    return tokens


def _into(draft: Draft, tree: exp.Expr) -> bool:
    """SELECT INTO: the new table's name is explained; it must not be that of a sealed one."""
    clause = tree.args.get("into")
    if clause is None:
        return False
    if not isinstance(clause.this, exp.Table) or not isinstance(clause.this.this, exp.Identifier):
        raise refusals.not_understood("SELECT INTO")
    if draft.name(clause.this.this) in draft.catalog.interesting:
        raise refusals.unsupported(
            "SELECT INTO a table of that name", "Give the new table another name."
        )
    return True
