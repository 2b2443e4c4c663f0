"""`sealgate explain`: what the proxy would do with a statement, for a role, without executing it.

Uses what a session uses: the planner over the current catalog, and the policy's decisions for the role and the groups
it is a member of. The statement is not sent. What is shown of it is the SQL that the server would receive, with
`<sealed>` where a sealed value would stand: the plaintext is not repeated, so the output can go into a ticket.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import asdict, dataclass, replace

import asyncpg

from keystore import Keyset
from policy import Access, Decision, Outcome
from proxy.commands.errors import CommandRefused
from proxy.commands.output import aligned, say_json
from proxy.commands.resources import connected
from proxy.config import Configuration, load
from proxy.cursors import fetching
from proxy.introspect import introspect, roles_of
from proxy.snapshot import Authority, Snapshot
from proxy.sql.execute import Executed, Executes, executed
from proxy.sql.lexer import Stripped
from proxy.sql.named import Declares, Fetches, Prepares
from proxy.sql.plan import (
    Action,
    ConstantSite,
    LiteralSite,
    Piece,
    Refusal,
    Seal,
    StatementPlan,
    Text,
)
from proxy.sql.prepare import MOST_PARAMETERS
from proxy.sql.refusals import Refused
from proxy.state import read_search_path

SEALED = "'<sealed>'::bytea"

# The narrowest setting wins: role in database, role, database, server.
_SEARCH_PATH = """
SELECT coalesce(
    (SELECT substr(entry, length('search_path=') + 1)
     FROM pg_db_role_setting s, unnest(s.setconfig) entry
     WHERE starts_with(entry, 'search_path=')
       AND s.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database()))
       AND s.setrole IN (0, (SELECT oid FROM pg_roles WHERE rolname = $1))
     ORDER BY s.setrole = 0, s.setdatabase = 0 LIMIT 1),
    (SELECT boot_val FROM pg_settings WHERE name = 'search_path'))
"""


@dataclass(frozen=True, slots=True)
class Use:
    """One way the statement uses a sealed column, and what the policy says to it."""

    column: str
    access: str
    outcome: str
    rule: str
    reason: str


@dataclass(frozen=True, slots=True)
class SealedInput:
    """A literal or parameter that is sealed on its way."""

    what: str
    column: str
    form: str
    cast: str | None


@dataclass(frozen=True, slots=True)
class Explanation:
    """One statement's treatment. `sql` is None where nothing is sent."""

    verdict: str  # forwarded, allowed, refused
    command: str
    uses: tuple[Use, ...]
    sealed: tuple[SealedInput, ...]
    outputs: tuple[tuple[str, str] | None, ...] | None
    sql: str | None
    refusal: Refusal | None


def add(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("statement", metavar="SQL", help='the statement; "-" reads standard input')
    parser.add_argument("--role", required=True, help="the login (or group) that would send it")
    parser.add_argument(
        "--search-path",
        metavar="SCHEMAS",
        help="as in SET search_path; default: what a new session of that role has",
    )
    parser.add_argument("--json", action="store_true", help="the explanation as JSON")


def run(options: argparse.Namespace) -> int:
    configuration = load(options.config)
    sql = sys.stdin.read() if options.statement == "-" else options.statement
    roles, explanations = asyncio.run(_ask(configuration, options.role, options.search_path, sql))
    if options.json:
        say_json(
            {
                "role": options.role,
                "roles": sorted(roles),
                "policy_version": configuration.policy.version,
                "statements": [asdict(explanation) for explanation in explanations],
            }
        )
    else:
        print(_for_people(options.role, roles, explanations))
    return int(any(explanation.verdict == "refused" for explanation in explanations))


async def _ask(
    configuration: Configuration, role: str, search_path: str | None, sql: str
) -> tuple[frozenset[str], list[Explanation]]:
    async with connected(configuration.control) as connection:
        roles = await roles_of(connection, role)
        if roles is None:
            raise CommandRefused(
                f'role "{role}" does not exist in {configuration.control.database}. '
                "Name a login or group of this server (psql: \\du)."
            )
        catalog = await introspect(connection, configuration.policy.columns)
        path = search_path or await _search_path_of(connection, role)
    snapshot = Snapshot(configuration.policy, catalog, Keyset(()))
    return roles, explain(snapshot, roles, sql, read_search_path(path, role))


async def _search_path_of(connection: asyncpg.Connection, role: str) -> str:
    return str(await connection.fetchval(_SEARCH_PATH, role))


def explain(
    snapshot: Snapshot, roles: frozenset[str], sql: str, search_path: tuple[str, ...]
) -> list[Explanation]:
    """What a session of a login with these roles would do with the message `sql`."""
    plan, stripped = snapshot.planner.plan(sql, search_path)
    authority = Authority(snapshot, roles)
    names = _Names(stripped.text)
    return [_explanation(authority, names.resolved(s), stripped) for s in plan.statements]


class _Names:
    """What the statements of one text prepare and declare, for those behind them that execute and fetch it."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._prepared: dict[str, Executed] = {}
        self._declared: dict[str, StatementPlan] = {}

    def resolved(self, statement: StatementPlan) -> StatementPlan:
        match statement.named:
            case Prepares(name, prepared, declared):
                self._prepared[name] = Executed(prepared, self._text, declared, MOST_PARAMETERS)
            case Declares(name, _):
                self._declared[name] = fetching(statement, self._text)
            case Fetches(name) if name in self._declared:
                return replace(
                    self._declared[name], command=statement.command, pieces=statement.pieces
                )
            case Executes() as execute:
                return self._executed(statement, execute)
        return statement

    def _executed(self, statement: StatementPlan, execute: Executes) -> StatementPlan:
        found = self._prepared.get(execute.name)
        if found is None:
            refusal = Refusal(
                "26000", f'prepared statement "{execute.name}" does not exist', _PREPARE
            )
            return replace(statement, action=Action.REFUSE, refusal=refusal)
        try:
            return executed(statement, execute, found)
        except Refused as refused:
            return replace(statement, action=Action.REFUSE, refusal=refused.refusal)


_PREPARE = "Put its PREPARE in front of it, in the same text."


def _explanation(authority: Authority, plan: StatementPlan, stripped: Stripped) -> Explanation:
    refusal = authority.refusal(plan)
    if refusal is not None:
        verdict = "refused"
    else:
        verdict = "forwarded" if plan.action is Action.FORWARD else "allowed"
    return Explanation(
        verdict=verdict,
        command=plan.command,
        uses=tuple(
            _use(touch.column, touch.access, authority.decide(touch.column, touch.access))
            for touch in plan.touches
        ),
        sealed=tuple(_sealed_inputs(plan)),
        outputs=_outputs(authority, plan),
        sql=None if refusal else "".join(_shown(piece, stripped) for piece in plan.pieces).strip(),
        refusal=refusal,
    )


def _use(column: str, access: Access, decision: Decision) -> Use:
    return Use(column, access.value, decision.outcome.value, decision.rule, decision.reason)


def _sealed_inputs(plan: StatementPlan) -> list[SealedInput]:
    number = 0
    found = []
    for piece in plan.pieces:
        if isinstance(piece, LiteralSite):
            number += 1
            if piece.seal is not None:
                found.append(_sealed_input(f"literal {number}", piece.seal))
        elif isinstance(piece, ConstantSite):
            found.append(_sealed_input(piece.text, piece.seal))
    prepared = plan.named.statement if isinstance(plan.named, Prepares) else plan
    parameters = sorted(prepared.parameters.items())
    return found + [_sealed_input(f"parameter ${n}", seal) for n, seal in parameters]


def _sealed_input(what: str, seal: Seal) -> SealedInput:
    return SealedInput(what, seal.column, seal.form.value, seal.cast)


def _outputs(
    authority: Authority, plan: StatementPlan
) -> tuple[tuple[str, str] | None, ...] | None:
    if plan.outputs is None:
        return None
    return tuple(
        None if label is None else (label, _outcome(authority, label)) for label in plan.outputs
    )


def _outcome(authority: Authority, label: str) -> str:
    if label not in authority.snapshot.policy.columns:
        return "decided by each value's own column"
    return authority.decide(label, Access.READ).outcome.value


def _shown(piece: Piece, stripped: Stripped) -> str:
    if isinstance(piece, LiteralSite):
        return SEALED if piece.seal is not None else stripped.literals[piece.ordinal]
    if isinstance(piece, ConstantSite):
        return SEALED
    return piece.text if isinstance(piece, Text) else piece


def _for_people(role: str, roles: frozenset[str], explanations: list[Explanation]) -> str:
    groups = sorted(roles - {role})
    lines = [f"As {role}" + (f", member of {', '.join(groups)}:" if groups else ":")]
    for explanation in explanations:
        lines += ["", *_statement_lines(explanation)]
    if not explanations:
        lines.append("No statement in this text.")
    return "\n".join(lines)


_READ_AS = {
    Outcome.CLEAR.value: "the value",
    Outcome.MASKED.value: "the masked value",
    Outcome.WITHHELD.value: "nothing (withheld)",
}


def _statement_lines(explanation: Explanation) -> list[str]:
    lines = [f"{explanation.command}: {explanation.verdict}"]
    if explanation.refusal is not None:
        refusal = explanation.refusal
        lines += [f"  {refusal.sqlstate}: {refusal.message}", f"  HINT: {refusal.hint}"]
    if explanation.verdict == "forwarded":
        return [*lines, "  Touches no sealed column: the server receives it byte for byte."]
    if explanation.uses:
        rows = [(use.access, use.column, use.outcome, use.rule) for use in explanation.uses]
        lines.append(aligned([("access", "column", "decision", "rule"), *rows]))
    if explanation.sealed:
        lines += ["Sealed on the way:", aligned(map(_input_row, explanation.sealed))]
    if explanation.outputs is not None and any(explanation.outputs):
        rows_ = [
            (f"{n}", output[0], _READ_AS[output[1]])
            for n, output in enumerate(explanation.outputs, 1)
            if output is not None
        ]
        lines += ["Sealed columns of the result:", aligned(rows_)]
    if explanation.sql is not None:
        lines += ["The server receives:", f"  {explanation.sql}"]
    return lines


_FORMS = {
    "value": "as a sealed value",
    "grams": "as terms of the pattern's n-grams",
    "paths": "as terms of what is at a path",
    "key": "a key of a path: read, and not sent",
    "keys": "keys of a path: read, and not sent",
}


def _input_row(sealed: SealedInput) -> tuple[str, ...]:
    form = _FORMS.get(sealed.form, "as equality terms")
    cast = f"read as {sealed.cast}" if sealed.cast else ""
    return (sealed.what, sealed.column, form, cast)
