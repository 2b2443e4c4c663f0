"""A load that pgbench makes: a script, a protocol, how many clients, and who is compared. [io]"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from bench.measure import Figures, Measured, interleave
from bench.pgbench import NoTransaction
from bench.servers import NotAvailable
from bench.sides import Side
from bench.stage import Stage

EMAILS = 4
"""pgbench cannot compute texts: an e-mail is chosen by choosing among so many scripts. Few, as every client prepares
the statement of every script."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """script: pgbench's, with `{s}` for the schema, `{people}` and `{accounts}` for numbers of rows, and `:email`
    for one of the e-mails. scripts: other words for sides that need them. cells: sealed cells per transaction on a
    sealed side. rows: of the table that is read, where it is not the scale's."""

    name: str
    title: str
    script: str = ""
    scripts: Mapping[str, str] = field(default_factory=dict)
    sides: tuple[str, ...]
    protocol: Literal["simple", "extended", "prepared"] = "prepared"
    clients: tuple[int, ...] = (8,)
    cells: int = 0
    warm: int = 30  # transactions of each client before a measured round
    reconnect: bool = False
    writes: bool = False
    rows: int = 0

    def runs(self) -> list[tuple[str, Callable[[Stage], Measured]]]:
        return [(f"{self.name}@{count}", self._run(count)) for count in self.clients]

    def _run(self, clients: int) -> Callable[[Stage], Measured]:
        def run(stage: Stage) -> Measured:
            measured = Measured(
                f"{self.name}@{clients}", self.title, "transactions/s", clients, self.cells
            )
            # With one client there is nothing to share among workers.
            sides = tuple(s for s in self.sides if clients > 1 or not s[-1].isdigit())
            available = reachable(stage, sides, measured)
            interleave(
                measured, available, stage.scale.rounds, lambda s: self._once(stage, s, clients)
            )
            return measured

        return run

    def _once(self, stage: Stage, name: str, clients: int) -> Figures:
        side = stage.side(name)
        pgbench = stage.pgbench(side)
        if self.writes:
            stage.empty(side)
        scripts, variables = self._scripts(stage, side)

        def load(seconds: int | None, transactions: int | None) -> dict[str, float]:
            return pgbench.run(
                scripts,
                protocol=self.protocol,
                clients=clients,
                seconds=seconds,
                transactions=transactions,
                reconnect=self.reconnect,
                variables=variables,
            )

        load(None, self.warm)
        seconds = max(1, round(stage.scale.seconds))
        meter = stage.meter(side)
        try:
            figures = load(seconds, None)
        except NoTransaction:  # many clients on a busy machine
            meter = stage.meter(side)
            figures = load(5 * seconds, None)
        return {**figures, **meter.read()}

    def _scripts(self, stage: Stage, side: Side) -> tuple[list[str], dict[str, str]]:
        scale = stage.scale
        people = self.rows or scale.people
        written = self.scripts.get(side.name, self.script)
        accounts = min(people, scale.accounts)
        script = written.format(s=side.schema, people=people, accounts=accounts)
        if ":email" not in script:
            return [script], {}
        step = people // EMAILS
        emails = {f"e{n}": f"user{1 + n * step}@example.com" for n in range(EMAILS)}
        return [script.replace(":email", f":{name}") for name in emails], emails


def reachable(stage: Stage, sides: tuple[str, ...], measured: Measured) -> list[str]:
    """The sides that can run here; the others are noted in `measured`, with the reason."""
    found = []
    for name in sides:
        try:
            stage.side(name)
        except NotAvailable as reason:
            measured.missing[name] = str(reason)
        else:
            found.append(name)
    return found
