"""SQL's PREPARE: the statement behind AS is planned like any other, its parameters are the prepared statement's.

A sealed parameter reaches the server as `bytea`, so its type in the list becomes that. PREPARE without a list, or with
one that is too short, gets the items it lacks: `unknown` leaves a type to the statement, as if it were not there
(PrepareQuery in src/backend/commands/prepare.c).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from proxy.sql import refusals
from proxy.sql.commands import main_command
from proxy.sql.draft import Draft
from proxy.sql.lexer import Kind, Token
from proxy.sql.named import Prepares, TypeItem, prepared_name, type_list
from proxy.sql.plan import Form, Run, StatementPlan
from proxy.sql.values import word


@dataclass(frozen=True, slots=True)
class PreparedText:
    """What stands around the statement that PREPARE names."""

    name: str
    tokens: Sequence[Token]
    inner: Sequence[Token]
    types: tuple[TypeItem, ...]

    def retype(self, draft: Draft) -> bool:
        """Edit the list for the draft's sealed parameters. True: a literal in it decided. Raises Refused."""
        types = self.types
        keyed = next(
            (s for s in draft.parameters.values() if s.form in (Form.KEY, Form.KEYS)), None
        )
        if keyed is not None:
            raise refusals.Refused(
                refusals.FEATURE_NOT_SUPPORTED,
                f"PREPARE of a statement whose parameters are keys in sealed column {keyed.column} is not supported",
                "Write the keys as literals, or let the driver prepare the statement.",
            )
        wanted = {n: seal.form.sql_type for n, seal in draft.parameters.items()}
        for number, sent in wanted.items():
            if number > len(types):
                continue
            item = types[number - 1]
            if item.oid is None:
                column = draft.parameters[number].column
                raise refusals.Refused(
                    refusals.FEATURE_NOT_SUPPORTED,
                    f"parameter ${number} is for sealed column {column} and has a type that Sealgate does not read",
                    "Declare it as the column's own type, or leave the type out.",
                )
            draft.edit(self.tokens[item.start].start, self.tokens[item.end - 1].end, sent)
        self._extend(draft, wanted)
        return any(
            t.kind is Kind.NUMBER for item in types for t in self.tokens[item.start : item.end]
        )

    def _extend(self, draft: Draft, wanted: dict[int, str]) -> None:
        highest = max(wanted, default=0)
        if highest > MOST_PARAMETERS:
            raise refusals.Refused(
                "42P02",
                f"there is no parameter above ${MOST_PARAMETERS}",
                "Number the parameters from $1.",
            )
        missing = [wanted.get(n, "unknown") for n in range(len(self.types) + 1, highest + 1)]
        if not missing:
            return
        if self.types:
            at = self.tokens[self.types[-1].end - 1].end
            draft.edit(at, at, "".join(f", {sent}" for sent in missing))
        else:
            at = self.tokens[1].end
            draft.edit(at, at, f" ({', '.join(missing)})")

    def plan(self, plan: StatementPlan) -> StatementPlan:
        """The plan of PREPARE, from that of its statement with the whole text."""
        statement = replace(
            plan, pieces=(), command=main_command(self.inner) if self.inner else "SELECT"
        )
        declared = tuple(item.oid or 0 for item in self.types)
        return replace(
            plan,
            parameters=MappingProxyType({}),
            outputs=None,
            shown=(),
            run=Run.LATER,
            named=Prepares(self.name, statement, declared),
        )


MOST_PARAMETERS = 65_535
"""What the protocol can count."""


def read_prepare(tokens: Sequence[Token]) -> PreparedText | None:
    """None: PREPARE TRANSACTION, or what the server would not take."""
    name = prepared_name(tokens)
    if name is None:
        return None
    types = type_list(tokens)
    behind = types[-1].end + 1 if types else 2
    if word(tokens, behind) != "as":
        return None
    return PreparedText(name, tokens, tokens[behind + 1 :], types)
