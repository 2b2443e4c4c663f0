"""A corpus run through the server and the planner, and what came of it, counted."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import groupby
from typing import Final

from proxy.catalog import Relation
from proxy.sql.commands import read_command
from proxy.sql.lexer import tokenize
from proxy.sql.plan import LiteralSite, Plan, Text
from tests.oracle.corpora import Sample
from tests.oracle.missed import Sealing, Verdict, plan_of, used, verdict
from tests.oracle.rewritten import faults
from tests.oracle.seen import PREPARED, Server, Use, first_word


@dataclass(slots=True)
class Census:
    """What came of the statements that use a user's relations."""

    statements: int = 0
    """Judged: the server sees a user's relation in them."""
    words: Counter[str] = field(default_factory=Counter)
    """Their first words."""
    verdicts: Counter[Verdict] = field(default_factory=Counter)
    """Of statements with one of their columns sealed."""
    refusals: Counter[str] = field(default_factory=Counter)
    dead: int = 0
    """Not touched, because PostgreSQL's plan has the column in no result and no condition."""
    rewritten: int = 0
    """Planned, and the text is not the client's: compared with it as trees."""
    unused: Counter[str] = field(default_factory=Counter)
    """The same statements, with a column sealed that they do not use."""
    missed: list[tuple[str, str, str]] = field(default_factory=list)
    """(verdict or fault, column, statement)"""


# Statements that are executed: the server analyses the query inside them.
_HOLDS_QUERY: Final = re.compile(
    r"\s*(?:prepare|copy|create\s+(?:(?:unlogged|temp|temporary)\s+)?(?:table|materialized))\b(?!.*\bas\s+execute\b)",
    re.IGNORECASE | re.DOTALL,
)


class Judge:
    """Seals one column of each statement, or each of them in turn."""

    def __init__(
        self, server: Server, generator: random.Random, census: Census, *, every: bool = False
    ) -> None:
        self.census = census
        self._all = every
        self._server = server
        self._random = generator

    def judge(self, sql: str) -> None:
        uses = self._server.see(sql)
        if not uses or not (first_word(sql) in PREPARED or _HOLDS_QUERY.match(sql)):
            return
        path = self._server.search_path()
        found = [self._server.relation(use.relation) for use in uses]
        relations = [relation for relation in found if relation is not None]
        if path is None or not relations:
            return
        self.census.statements += 1
        self.census.words[first_word(sql)] += 1
        self._seal(sql, path, uses, relations)

    def _seal(
        self, sql: str, path: tuple[str, ...], uses: list[Use], relations: list[Relation]
    ) -> None:
        """With each used column sealed in turn, or with one of them."""
        chosen = {r.oid: r for r in relations}.values() if self._all else [self._one(relations)]
        for relation in chosen:
            read, written = used(uses, relation)
            for number in self._numbers(read | written, written):
                sealing = Sealing(relation, number, self._random.random() < 0.7)
                self._judge_use(sql, path, relations, sealing, written=number in written)
            unused = sorted({a.number for a in relation.attributes} - read - written)
            if unused:
                sealing = Sealing(relation, self._random.choice(unused))
                plan, _ = plan_of(sql, path, sealing, relations)
                outcome = "forwarded" if plan.untouched else _refusal(plan) or "touched"
                self.census.unused[outcome] += 1

    def _one(self, relations: list[Relation]) -> Relation:
        return self._random.choice(relations)

    def _numbers(self, every: frozenset[int], written: frozenset[int]) -> list[int]:
        if self._all or not every:
            return sorted(every)
        return [
            self._random.choice(
                sorted(written if written and self._random.random() < 0.5 else every)
            )
        ]

    def _judge_use(
        self,
        sql: str,
        path: tuple[str, ...],
        relations: list[Relation],
        sealing: Sealing,
        *,
        written: bool,
    ) -> None:
        plan, stripped = plan_of(sql, path, sealing, relations)
        if first_word(sql) == "explain" and plan.untouched:
            # EXPLAIN shows no value, so reading is no touch; the query itself must be planned.
            sql = wrapped(sql)
            plan, stripped = plan_of(sql, path, sealing, relations)
        found = verdict(plan, sealing.label, written=written)
        if found in (Verdict.UNSEEN, Verdict.NO_TOUCH) and not self._server.uses_value(
            sealing.relation, sealing.column, wrapped(sql)
        ):
            self.census.dead += 1
            return
        self.census.verdicts[found] += 1
        for fault in faults(sql, plan, stripped):
            self.census.missed.append((fault, sealing.label, sql))
        self.census.rewritten += found is Verdict.PLANNED and _changes(plan)
        if found is Verdict.REFUSED:
            self.census.refusals[_shape(_refusal(plan) or "", sealing)] += 1
        elif found is not Verdict.PLANNED:
            self.census.missed.append((found.value, sealing.label, sql))


def wrapped(sql: str) -> str:
    """The query inside EXPLAIN, DECLARE, PREPARE, COPY or CREATE; a query itself."""
    tokens = tokenize(sql)
    inner = read_command(tokens).inner
    return sql if inner is None else sql[tokens[inner[0]].start : tokens[inner[1] - 1].end]


def _changes(plan: Plan) -> bool:
    return any(
        isinstance(piece, Text) or (isinstance(piece, LiteralSite) and piece.seal is not None)
        for statement in plan.statements
        for piece in statement.pieces
    )


def _refusal(plan: Plan) -> str | None:
    return next((s.refusal.message for s in plan.statements if s.refusal is not None), None)


def _shape(message: str, sealing: Sealing) -> str:
    """A refusal's message without the names of this one statement."""
    message = message.replace(sealing.label, "COLUMN").replace(sealing.relation.label, "TABLE")
    message = re.sub(r"argument of .*", "argument of a function", message)
    return re.sub(r'"[^"]*"', "NAME", message)


def run(
    dsn: str, samples: Iterable[Sample], generator: random.Random, *, every: bool = False
) -> Census:
    """All samples in order, each script in a session of its own."""
    census = Census()
    for _, script in groupby(samples, key=lambda sample: sample.source):
        server = Server(dsn)
        judge = Judge(server, generator, census, every=every)
        for sample in script:
            judge.judge(sample.sql)
        server.close()
    return census
