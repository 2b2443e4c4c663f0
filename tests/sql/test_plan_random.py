"""Random statements: what belongs to a sealed column never stays in the text, and nothing else goes.

Statements are drawn from a grammar that knows, for each literal it writes, whether the value is a
sealed column's. The run's seed is in the test's name and in the message of a failure.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field

import pytest

from proxy.sql.lexer import UnreadableSql, tokenize
from proxy.sql.plan import Action, Seal
from proxy.sql.planner import Planner
from proxy.sql.rewrite import render
from tests.sql import shop

SEED = 20260
PLANNER = Planner(shop.CATALOG)


@dataclass
class Grammar:
    """Writes statements; `sealed` and `plain` are the literals' contents of the last one."""

    random: random.Random
    sealed: list[str] = field(default_factory=list)
    plain: list[str] = field(default_factory=list)
    parameters: int = 0
    depth: int = 0

    def one(self, *choices: str) -> str:
        return self.random.choice(choices)

    def chance(self, probability: float = 0.5) -> bool:
        return self.random.random() < probability

    # Values.

    def literal(self, kept: list[str], letter: str) -> str:
        text = f"{letter}{len(self.sealed) + len(self.plain):03}{letter}"
        kept.append(text)
        return self.one(f"'{text}'", f"E'{text}'", f"$${text}$$", f"$t${text}$t$", f"U&'{text}'")

    def value(self) -> str:
        """A value for a sealed text column."""
        if self.chance(0.2):
            self.parameters += 1
            written = f"${self.parameters}"
        elif self.chance(0.1):
            return "NULL"
        else:
            written = self.literal(self.sealed, "S")
        cast = self.one("text", "varchar", "character varying")
        return self.one(
            written, written, f"{written}::{cast}", f"CAST({written} AS {cast})", f"({written})"
        )

    def other(self) -> str:
        return self.literal(self.plain, "P")

    # Conditions over customers under the name `c`.

    def column(self, c: str) -> str:
        return self.one(f"{c}.email", f'{c}."email"', f"{c}.EMAIL", f"({c}.email)")

    def condition(self, c: str) -> str:
        self.depth += 1
        try:
            if self.depth < 4 and self.chance(0.3):
                joined = self.one(" AND ", " OR ").join(self.condition(c) for _ in range(2))
                return self.one(f"({joined})", f"NOT ({joined})", joined)
            return self.test(c)
        finally:
            self.depth -= 1

    def test(self, c: str) -> str:
        column = self.column(c)
        return self.one(
            f"{column} {self.one('=', '<>', '!=')} {self.value()}"
            if self.chance()
            else f"{self.value()} = {column}",
            f"{column} {self.one('', 'NOT ')}IN ({', '.join(self.value() for _ in range(3))})",
            f"{column} = ANY(ARRAY[{self.value()}, {self.value()}])"
            if self.chance()
            else f"{c}.name = {self.other()}",
            f"({c}.id, {column}) IN ((1, {self.value()}), (2, {self.value()}))"
            if self.chance(0.3)
            else f"{c}.city LIKE {self.other()}",
            f"{column} IS {self.one('', 'NOT ')}DISTINCT FROM {self.value()}"
            if self.chance(0.3)
            else f"{c}.ssn IS NULL",
            f"CASE {column} WHEN {self.value()} THEN true ELSE {c}.name = {self.other()} END"
            if self.chance(0.3)
            else "true",
            f"EXISTS (SELECT 1 FROM orders o WHERE o.note = {self.other()} AND {column} = {self.value()})"
            if self.chance(0.3)
            else f"{c}.id = 7",
        )

    # Statements. What `one` does not choose has been counted too, so each forgets it first.

    def statement(self) -> str:
        self.sealed, self.plain, self.parameters = [], [], 0
        return self.one_of(
            self.select, self.insert, self.update, self.delete, self.upsert, self.with_
        )

    def one_of(self, *writers: object) -> str:
        writer = self.random.choice(writers)
        assert callable(writer)
        return str(writer())

    def select(self) -> str:
        c = self.one("c", "customers", '"C d"')
        alias = "" if c == "customers" else f"{self.one(' AS ', ' ')}{c}"
        items = self.one(
            f"{c}.*",
            f"{c}.email, {c}.id",
            f"count({c}.email)",
            f"COALESCE({c}.email, {self.value()})",
            f"{self.other()} AS k",
        )
        return f"SELECT {items} FROM {self.one('customers', 'public.customers')}{alias} WHERE {self.condition(c)}"

    def insert(self) -> str:
        rows = ", ".join(
            f"({self.value()}, {self.other()}, {self.value()})"
            for _ in range(self.random.randint(1, 4))
        )
        tail = self.one("", " RETURNING *", " RETURNING email AS e")
        source = self.one(
            f"VALUES {rows}", f"SELECT v.a, v.b, v.c FROM (VALUES {rows}) AS v(a, b, c)"
        )
        return f"INSERT INTO customers (email, name, ssn) {source}{tail}"

    def update(self) -> str:
        sets = self.one(
            f"email = {self.value()}, name = {self.other()}",
            f"(email, name) = ({self.value()}, {self.other()})",
            f"email = CASE WHEN {self.condition('c')} THEN {self.value()} ELSE c.email END",
            f"email = COALESCE({self.value()}, c.email)",
            f"(name, ssn) = (SELECT {self.other()}, {self.value()})",
        )
        return f"UPDATE customers c SET {sets} WHERE {self.condition('c')}"

    def delete(self) -> str:
        using = self.one("", " USING orders o")
        return f"DELETE FROM customers c{using} WHERE {self.condition('c')} RETURNING c.id"

    def upsert(self) -> str:
        return (
            f"INSERT INTO customers AS c (id, email) VALUES (1, {self.value()}) ON CONFLICT (email)"
            f" DO UPDATE SET email = EXCLUDED.email, ssn = {self.value()} WHERE {self.condition('c')}"
        )

    def with_(self) -> str:
        return (
            f"WITH x AS (SELECT * FROM customers c WHERE {self.condition('c')})"
            f" SELECT x.email, {self.other()} FROM x WHERE {self.condition('x')}"
        )


def _fake(_: Seal, __: str) -> bytes:
    return b"\x5e\xa1"


@pytest.mark.parametrize("seed", range(SEED, SEED + 8))
def test_no_literal_of_a_sealed_column_survives(seed: int) -> None:
    """In 8 x 250 random statements, every literal of a sealed column is sealed, every other kept."""
    grammar = Grammar(random.Random(seed))
    refused = 0
    for _ in range(250):
        sql = grammar.statement()
        # Alternatives that were written and not chosen are not in the statement.
        sealed = [text for text in grammar.sealed if text in sql]
        plain = [text for text in grammar.plain if text in sql]
        plan, stripped = PLANNER.plan(sql, shop.PATH)
        (statement,) = plan.statements
        if statement.action is Action.REFUSE:
            refused += 1
            assert statement.refusal is not None
            assert not re.search(
                r"[SP]\d{3}[SP]", statement.refusal.message + statement.refusal.hint
            )
            continue
        text = render(statement, stripped.literals, _fake)
        assert not [secret for secret in sealed if secret in text], (seed, sql)
        assert all(kept in text for kept in plain), (seed, sql)
        tokenize(text)
    assert refused < 25, f"seed {seed}: {refused} statements of 250 are refused"


@pytest.mark.parametrize("seed", range(SEED, SEED + 8))
def test_broken_statements_never_break_the_planner(seed: int) -> None:
    """Tokens dropped, doubled, swapped or cut: the planner answers, and a refusal quotes nothing."""
    chance = random.Random(seed)
    grammar = Grammar(chance)
    for _ in range(250):
        sql = _broken(chance, grammar.statement())
        plan, stripped = PLANNER.plan(sql, shop.PATH)
        for statement in plan.statements:
            if statement.refusal is not None:
                said = statement.refusal.message + statement.refusal.hint
                assert not re.search(r"[SP]\d{3}[SP]", said), (seed, sql)
            else:
                render(statement, stripped.literals, _fake)


def _broken(chance: random.Random, sql: str) -> str:
    if chance.random() < 0.2:
        return sql[: chance.randrange(len(sql))]
    try:
        words = [token.text for token in tokenize(sql)]
    except UnreadableSql:
        return sql
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(words))
        other = chance.randrange(len(words))
        match chance.randrange(4):
            case 0:
                del words[at : at + 1]
            case 1:
                words.insert(at, words[other])
            case 2:
                words[at], words[other] = words[other], words[at]
            case _:
                words[at] = chance.choice(
                    [
                        "=",
                        "(",
                        ")",
                        ",",
                        ";",
                        "'",
                        "NULL",
                        "email",
                        "customers",
                        "::",
                        "$1",
                        "*",
                        "c",
                    ]
                )
        if not words:
            return ""
    return " ".join(words)


def test_pieces_of_a_plan_are_the_message() -> None:
    """What the pieces stand for, put together, is the client's own text."""
    grammar = Grammar(random.Random(SEED))
    for _ in range(200):
        sql = "; ".join(grammar.statement() for _ in range(grammar.random.randint(1, 3)))
        plan, stripped = PLANNER.plan(sql, shop.PATH)
        text = ""
        for statement in plan.statements:
            for piece in statement.pieces:
                if isinstance(piece, str):
                    text += piece
                elif hasattr(piece, "ordinal"):
                    text += stripped.literals[piece.ordinal]
                else:
                    text += getattr(piece, "original", None) or getattr(
                        piece, "text", ""
                    ) * hasattr(piece, "seal")
        assert text == sql
