r"""Cases of the planner as text files: input, and what becomes of it.

    -- a comment
    SELECT email FROM customers
      WHERE email = 'x'
    => SELECT email FROM customers
      WHERE sealgate.eq(email) = sealgate.eq({email:x})
    touches: compare email, read email
    outputs: email
    parameters: $1 ssn value text

`=> forwarded` (touches nothing), `=> unchanged` (touches, but the text is the client's own) and
`=> refused 0A000 message` stand for themselves. `{email:x}` is the literal x sealed for
customers.email, `{email(varchar):x}` one with a cast, `{{...}}` an array of terms. `outputs: -` is
a column that is not sealed, `outputs: ?` a shape that the planner leaves to the server. `prepares:`
is the name and the declared types that PREPARE gives; what follows it is the statement's. A blank
line ends a case. `filters: 1 notes.body 2` tests column 1 of the result by the pattern $2, or (-2) by the literal that is
token 2; `[notes.body:x]` stands for the terms of that pattern. `-- path: a, b` (or `unknown`) sets the search_path of the case below it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from proxy.sql.named import Prepares
from proxy.sql.plan import Action, StatementPlan
from proxy.sql.planner import Planner
from proxy.sql.rewrite import render
from proxy.sql.stripped import Stripped
from tests.sql import shop

FIXTURES = Path(__file__).parent / "fixtures"


@dataclass(frozen=True, slots=True)
class Case:
    """One block of a fixture file."""

    file: str
    line: int
    sql: str
    expected: str
    path: tuple[str, ...] | None = shop.PATH

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


def cases() -> Iterator[Case]:
    for file in sorted(FIXTURES.glob("*.sql")):
        yield from _cases(file)


def _cases(file: Path) -> Iterator[Case]:
    line = 1
    for block in file.read_text(encoding="utf-8").split("\n\n"):
        path: tuple[str, ...] | None = shop.PATH
        lines = block.strip("\n").split("\n")
        while lines and lines[0].startswith("--"):
            if lines[0].startswith("-- path:"):
                given = lines[0].removeprefix("-- path:").strip()
                path = None if given == "unknown" else tuple(given.split(", "))
            lines.pop(0)
        text = "\n".join(lines)
        if text:
            sql, found, expected = text.partition("\n=> ")
            assert found, f"{file.name}:{line}: no => in this block"
            yield Case(file.name, line, sql, expected, path)
        line += block.count("\n") + 2


def outcome(planner: Planner, case: Case) -> str:
    """What the planner makes of a case, in the words of the fixture files."""
    plan, stripped = planner.plan(case.sql, case.path)
    alone = case.sql if len(plan.statements) == 1 else None
    return "\n=> ".join(_described(s, alone, stripped) for s in plan.statements)


def _described(statement: StatementPlan, alone: str | None, stripped: Stripped) -> str:
    if statement.refusal is not None:
        assert statement.action is Action.REFUSE
        return f"refused {statement.refusal.sqlstate} {statement.refusal.message}"
    text = shop.readable(render(statement, stripped.literals, shop.seal))
    if alone is not None:
        text += stripped.comment
    if statement.action is Action.FORWARD:
        assert not statement.touches
        assert not statement.parameters
        return f"forwarded {text}" if alone is None else "forwarded"
    lines = ["unchanged" if text == alone else text]
    made = statement.named
    if isinstance(made, Prepares):
        lines += [f"prepares: {made.name} {made.declared}", *_told(made.statement)]
        return "\n".join(lines)
    return "\n".join([*lines, *_told(statement)])


def _told(statement: StatementPlan) -> list[str]:
    lines = []
    if statement.touches:
        touches = (f"{t.access.value} {shop.short(t.column)}" for t in statement.touches)
        lines.append(f"touches: {', '.join(touches)}")
    if statement.outputs is None:
        lines.append("outputs: ?")
    elif statement.outputs:
        lines.append(
            "outputs: " + ", ".join("-" if o is None else shop.short(o) for o in statement.outputs)
        )
    if statement.parameters:
        parameters = (
            f"${n} {shop.short(s.column)} {s.form.value}" + (f" {s.cast}" if s.cast else "")
            for n, s in sorted(statement.parameters.items())
        )
        lines.append("parameters: " + ", ".join(parameters))
    if statement.filters:
        groups = (
            " or ".join(f"{t.output} {shop.short(t.column)} {t.source}" for t in group)
            for group in statement.filters
        )
        lines.append("filters: " + ", ".join(groups))
    return lines
