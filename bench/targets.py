"""What the project wants to reach, and whether a result does.

Every target is shown in every report: met, not met, or not measured. None is hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

Result = Mapping[str, Any]
Formula = Callable[[Result], float | None]
Verdict = Literal["met", "met by the other", "not met", "not measured"]


@dataclass(frozen=True, slots=True)
class Target:
    """what: in words; figure: out of a result; bound: in the sense of `sense`.

    either: of targets that share this word, one is enough.
    """

    what: str
    figure: Formula
    sense: Literal["at least", "at most", "more than", "less than"]
    bound: float
    unit: str = ""
    either: str = ""

    def verdict(self, figure: float | None) -> Verdict:
        if figure is None:
            return "not measured"
        holds = {
            "at least": figure >= self.bound,
            "at most": figure <= self.bound,
            "more than": figure > self.bound,
            "less than": figure < self.bound,
        }[self.sense]
        return "met" if holds else "not met"


def rate(name: str, side: str) -> Formula:
    """The median rate of a side."""

    def figure(result: Result) -> float | None:
        medians = result["measured"].get(name, {}).get("medians", {})
        found: float | None = medians.get(side, {}).get("rate")
        return found

    return figure


@dataclass(frozen=True, slots=True)
class Quotient:
    """The median rate of a side in units of another's."""

    name: str
    side: str
    to: str

    def __call__(self, result: Result) -> float | None:
        above, below = rate(self.name, self.side)(result), rate(self.name, self.to)(result)
        return above / below if above is not None and below else None


def slowest(side: str, to: str) -> Formula:
    """The smallest quotient over all measurements that have both sides."""

    def figure(result: Result) -> float | None:
        found = [Quotient(name, side, to)(result) for name in result["measured"]]
        return min((one for one in found if one is not None), default=None)

    return figure


def seen(name: str, case: str, value: str) -> Formula:
    """A figure that was looked at once. True counts as 1."""

    def figure(result: Result) -> float | None:
        cases = result["observed"].get(name, {}).get("cases", {})
        found = cases.get(case, {}).get(value)
        return None if found is None else float(found)

    return figure


def largest(name: str, value: str) -> Formula:
    """The largest figure of that name over all cases."""

    def figure(result: Result) -> float | None:
        cases = result["observed"].get(name, {}).get("cases", {})
        return max(
            (float(c[value]) for c in cases.values() if c.get(value) is not None), default=None
        )

    return figure


def inverse(formula: Formula) -> Formula:
    """Time instead of rate."""

    def figure(result: Result) -> float | None:
        found = formula(result)
        return 1 / found if found else None

    return figure


TARGETS = (
    Target(
        "unprotected point SELECT, prepared, 8 clients / pgbouncer",
        Quotient("point_select_prepared@8", "sealgate", "pgbouncer"),
        "at least",
        0.80,
    ),
    Target(
        "the same, simple protocol with literals / pgbouncer",
        Quotient("point_select_simple@8", "sealgate", "pgbouncer"),
        "at least",
        0.70,
    ),
    Target(
        "point SELECT of one sealed column, prepared / pgbouncer",
        Quotient("point_select_sealed@8", "sealed", "pgbouncer"),
        "at least",
        0.65,
    ),
    Target(
        "1,000-row SELECT, nothing sealed / pgbouncer",
        Quotient("rows_1k_0@8", "sealgate", "pgbouncer"),
        "at least",
        0.85,
    ),
    Target(
        "1,000-row SELECT, one sealed column of four / pgbouncer passing the sealed bytes",
        Quotient("rows_1k_1@8", "sealed", "pgbouncer_sealed"),
        "at least",
        0.25,
    ),
    Target(
        "INSERT with one sealed column, prepared / pgbouncer",
        Quotient("insert@8", "sealed", "pgbouncer"),
        "at least",
        0.75,
    ),
    Target(
        "COPY in, 3 sealed of 6 columns (or the next)",
        rate("copy_in", "sealed"),
        "at least",
        150_000,
        "rows/s",
        "copy_in",
    ),
    Target(
        "the same / direct (or the one before)",
        Quotient("copy_in", "sealed", "direct"),
        "at least",
        0.35,
        either="copy_in",
    ),
    Target(
        "slowest workload / pgcrypto (pgp_sym_encrypt)",
        slowest("sealed_pgcrypto", "pgcrypto"),
        "more than",
        1.0,
    ),
    Target(
        "the same, pgcrypto through pgbouncer",
        slowest("sealed_pgcrypto", "pgcrypto_pgbouncer"),
        "more than",
        1.0,
    ),
    Target(
        "slowest workload / application-side encryption",
        slowest("sealed_application", "application"),
        "more than",
        1.0,
    ),
    Target(
        "the same, the application through pgbouncer",
        slowest("sealed_application", "application_pgbouncer"),
        "more than",
        1.0,
    ),
    Target(
        "look-up by sealed e-mail: index scan (1: yes)",
        seen("plans", "sealed", "index_scan"),
        "at least",
        1,
    ),
    Target(
        "look-up by sealed e-mail: its time / the plain column's through pgbouncer",
        inverse(Quotient("lookup@8", "sealed", "pgbouncer")),
        "at most",
        1.5,
    ),
    Target(
        "two workers / one, 5,000-row SELECT of three sealed columns, 8 clients that discard",
        Quotient("workers_rows@8", "sealed_2", "sealed"),
        "at least",
        1.6,
    ),
    Target(
        "two workers / one, COPY out of three sealed columns, 8 clients that discard",
        Quotient("workers_copy_out@8", "sealed_2", "sealed"),
        "at least",
        1.6,
    ),
    Target(
        "memory per idle connection",
        seen("idle", "sealgate", "per_connection_kb"),
        "less than",
        60,
        "kB",
    ),
    Target(
        "growth of memory while rows stream to a slow reader",
        seen("streaming", "sealed", "growth_mb"),
        "at most",
        4,
        "MB",
    ),
    Target(
        "longest block of the event loop",
        largest("blocks", "longest_ms"),
        "at most",
        50,
        "ms",
    ),
)


def judge(result: Result) -> list[dict[str, Any]]:
    """Every target with this result's figure and a verdict, as JSON."""
    figures = [target.figure(result) for target in TARGETS]
    verdicts = [target.verdict(figure) for target, figure in zip(TARGETS, figures, strict=True)]
    met = {t.either for t, v in zip(TARGETS, verdicts, strict=True) if t.either and v == "met"}
    return [
        {
            "what": target.what,
            "sense": target.sense,
            "bound": target.bound,
            "unit": target.unit,
            "figure": figure,
            "verdict": "met by the other"
            if verdict == "not met" and target.either in met
            else verdict,
        }
        for target, figure, verdict in zip(TARGETS, figures, verdicts, strict=True)
    ]
