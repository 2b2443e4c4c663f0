"""What each client is shown to do: scripts by client and ability, and the table of docs/clients.md made from them.

A script is a generator: it takes the DSN of one of the twins and yields what the client saw. `Twins.compare` runs it
against the sealed twin (through `sealgate serve`) and the plain twin (around it): what it yields must be the same,
Python types included.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

ABILITIES: Final = (
    "insert with RETURNING",
    "read every type",
    "NULL, empty, 1 MB and unicode values",
    "values the server does not take",
    "find by sealed e-mail: parameter",
    "find by sealed e-mail: literal",
    "find by sealed e-mail: IN, ANY",
    "update and delete by sealed e-mail",
    "upsert with EXCLUDED",
    "bulk insert",
    "COPY in",
    "COPY out",
    "page by LIMIT/OFFSET and by key",
    "rows in portions (cursors)",
    "prepared statements",
    "transactions",
    "savepoints",
    "errors inside transactions",
    "cancel of a running query",
    "LISTEN and NOTIFY",
    "large objects",
    "reconnect after the server ended the session",
    "catalog queries of its own",
    "connection pool",
    "migrations: DDL",
    "migrations: data",
)
"""The rows of the table."""

Script = Callable[[str], Iterator[Any] | AsyncIterator[Any]]


@dataclass(frozen=True, slots=True)
class Case:
    """One script of one client."""

    client: str
    ability: str
    run: Script
    mode: str = ""

    def __str__(self) -> str:
        return "-".join(filter(None, (self.mode, self.run.__name__)))


@dataclass(slots=True)
class Client:
    """A column of the table: a library as applications use it."""

    name: str
    package: str
    """Its distribution on PyPI."""
    tested_as: str
    """Modes, dialects and interfaces that the scripts go through."""
    settings: str
    """What an application has to set, or may not set; `none` where nothing."""
    cases: list[Case] = field(default_factory=list)
    shown: dict[str, str] = field(default_factory=dict)
    """Ability -> what a test outside the scripts shows."""

    def same(self, ability: str) -> Callable[[Script], Script]:
        """The decorated script yields the same from both twins."""
        known(ability)

        def register(script: Script) -> Script:
            self.cases.append(Case(self.name, ability, script))
            return script

        return register

    def shows(self, ability: str, outcome: str = "yes") -> Callable[[Any], Any]:
        """The decorated test shows the ability by itself: where there is no plain twin to compare with."""
        known(ability)
        self.shown[ability] = outcome
        return lambda test: test

    def cell(self, ability: str) -> str:
        if any(case.ability == ability for case in self.cases):
            return "same"
        return self.shown.get(ability, "")


def known(ability: str) -> None:
    if ability not in ABILITIES:
        raise ValueError(f"unknown ability: {ability}")


def table(clients: list[Client]) -> str:
    """Markdown: one row per ability, one column per client."""
    rows = [["ability", *(client.name for client in clients)], ["---"] * (len(clients) + 1)]
    rows += [[ability, *(client.cell(ability) for client in clients)] for ability in ABILITIES]
    rows.append(["scripts", *(str(len(client.cases)) for client in clients)])
    return "\n".join(f"| {' | '.join(row)} |".replace("|  |", "| |") for row in rows)


def settings(clients: list[Client]) -> str:
    """Markdown: how each client was run, and what it needs."""
    rows = [["client", "tested as", "settings it needs"], ["---"] * 3]
    rows += [[client.name, client.tested_as, client.settings] for client in clients]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
