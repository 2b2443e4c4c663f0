"""Load by pgbench: runs scripts of ours, reads its summary and its log of transactions. [io]

The log has a line per transaction: client, number, microseconds, script, time of its end in seconds and microseconds
(PostgreSQL's manual, pgbench, "Per-Transaction Logging").
"""

from __future__ import annotations

import re
import resource
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.measure import percentile

LONGEST_SECONDS = 300.0  # one run; then it is ended, and its side has failed
SUMMARY = {
    "count": re.compile(r"^number of transactions actually processed: (\d+)", re.MULTILINE),
    "failed": re.compile(r"^number of failed transactions: (\d+)", re.MULTILINE),
    "rate": re.compile(r"^tps = ([\d.]+) ", re.MULTILINE),
}


class PgbenchFailed(Exception):
    """pgbench ended with an error, or a transaction failed; the text has its last words."""


class NoTransaction(PgbenchFailed):
    """Not one transaction ended in the time that was given."""


@dataclass(frozen=True, slots=True)
class Pgbench:
    """pgbench against one address."""

    program: Path
    port: int
    login: str
    database: str

    def run(
        self,
        scripts: Sequence[str],
        *,
        protocol: str,
        clients: int,
        seconds: int | None = None,
        transactions: int | None = None,
        reconnect: bool = False,
        variables: Mapping[str, str] | None = None,
    ) -> dict[str, float]:
        """`rate` (transactions/s without the time to connect), `count`, `p50_ms`, `p99_ms`, `client_cpu_s`.

        Give one of: seconds (whole), transactions (of each client).
        reconnect: a new connection for every transaction; then `rate` has the time to connect in it, and as pgbench
        times the transactions only, there are no percentiles.
        """
        with tempfile.TemporaryDirectory(prefix="bench-pgbench-") as directory:
            home = Path(directory)
            arguments = [
                *("-h", "127.0.0.1", "-p", str(self.port), "-U", self.login),
                *("-n", "-M", protocol, "-c", str(clients), "-j", "1", "--exit-on-abort"),
                *(("-T", str(seconds)) if seconds is not None else ("-t", str(transactions))),
                *(("-C",) if reconnect else ("-l", "--log-prefix", str(home / "log"))),
            ]
            for name, value in (variables or {}).items():
                arguments += ["-D", f"{name}={value}"]
            for number, script in enumerate(scripts):
                file = home / f"{number}.sql"
                file.write_text(script + "\n")
                arguments += ["-f", str(file)]
            before = _children_cpu_seconds()
            said = subprocess.run(
                [self.program, *arguments, self.database],
                capture_output=True,
                text=True,
                check=False,
                timeout=LONGEST_SECONDS,
                env={"PGSSLMODE": "disable", "PGGSSENCMODE": "disable"},
            )
            if said.returncode != 0:
                raise PgbenchFailed(said.stderr.strip()[-400:])
            figures = summary(said.stdout)
            figures["client_cpu_s"] = _children_cpu_seconds() - before
            for file in home.glob("log.*"):
                figures.update(percentiles(milliseconds(file.read_text().splitlines())))
            return figures


def _children_cpu_seconds() -> float:
    """Of all processes that this one has started and waited for."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def summary(said: str) -> dict[str, float]:
    """`rate` and `count` out of what pgbench prints. Raises PgbenchFailed when transactions failed."""
    found = {name: pattern.search(said) for name, pattern in SUMMARY.items()}
    rate, count, failed = found["rate"], found["count"], found["failed"]
    if count is not None and count[1] == "0":
        raise NoTransaction("no transaction ended in the time that was given")
    if rate is None or count is None:
        raise PgbenchFailed(f"no figures in what pgbench said: {said[-400:]}")
    if failed is not None and int(failed[1]):
        raise PgbenchFailed(f"{failed[1]} transactions failed")
    return {"rate": float(rate[1]), "count": float(count[1])}


def milliseconds(lines: Iterable[str]) -> list[float]:
    """How long each transaction of a log took."""
    return [int(line.split(" ", 3)[2]) / 1000 for line in lines]


def percentiles(times: Iterable[float]) -> dict[str, float]:
    ordered = sorted(times)
    if not ordered:
        return {}
    return {"p50_ms": percentile(ordered, 0.5), "p99_ms": percentile(ordered, 0.99)}
