"""[detection]: for each detector a mode, and the numbers of its formula (docs/detection.md).

The modes, from the mildest: `observe` writes a finding; `alert` one that is an alert; `throttle` delays what the login is
shown; `mask` shows it masks only; `quarantine` refuses its statements on sealed columns, and new sessions; `kill` also ends
the sessions it has. The last four contain the login: for `ttl_minutes`, or until `sealgate release`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Literal

Mode = Literal["observe", "alert", "throttle", "mask", "quarantine", "kill"]
Containing = Literal["throttle", "mask", "quarantine", "kill"]

MODES: Final[tuple[Mode, ...]] = ("observe", "alert", "throttle", "mask", "quarantine", "kill")
"""From the mildest to the strictest."""
CONTAINING: Final[tuple[Containing, ...]] = ("throttle", "mask", "quarantine", "kill")


def _number(default: int, low: int, high: int) -> int:
    number: int = field(default=default, metadata={"range": (low, high)})
    return number


def _seconds(default: int) -> int:
    return _number(default, 10, 86_400)


def _days(default: int) -> int:
    return _number(default, 0, 365)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetCells:
    """[detection.budget_cells]: cells that a login is shown, clear or masked. Inline."""

    mode: Mode | None = None
    window_seconds: int = _seconds(300)
    cells: int = _number(10_000, 1, 1_000_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class BudgetSubjects:
    """[detection.budget_subjects]: different rows of one table that a login is shown something of. Inline."""

    mode: Mode | None = None
    window_seconds: int = _seconds(300)
    subjects: int = _number(2_000, 1, 1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Honey:
    """[detection.honey]: rows and columns that no real use reads (`sealgate honey`). Inline."""

    mode: Mode | None = "alert"


@dataclass(frozen=True, slots=True, kw_only=True)
class Enumeration:
    """[detection.enumeration]: look-ups of one subject after the other."""

    mode: Mode | None = None
    window_seconds: int = _seconds(300)
    rows: int = _number(10, 1, 256)
    distinct: int = _number(100, 2, 1_000_000)
    new_percent: int = _number(80, 1, 100)
    percent: int = _number(200, 100, 10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class FailedLogins:
    """[detection.failed_logins]: guessing, spraying, and success behind failures."""

    mode: Mode | None = None
    window_seconds: int = _seconds(300)
    per_login: int = _number(5, 1, 1_000_000)
    per_address: int = _number(10, 1, 1_000_000)
    spray_logins: int = _number(5, 2, 1_000_000)
    total: int = _number(100, 1, 1_000_000)
    before_success: int = _number(5, 1, 1_000_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusals:
    """[detection.refusals]: bursts of refused statements."""

    mode: Mode | None = None
    window_seconds: int = _seconds(300)
    refusals: int = _number(10, 1, 1_000_000)
    columns: int = _number(3, 1, 10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewNetwork:
    """[detection.new_network]: a login from a network it never came from."""

    mode: Mode | None = None
    learn_days: int = _days(14)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewApplication:
    """[detection.new_application]: a login with an application name it never had."""

    mode: Mode | None = None
    learn_days: int = _days(14)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewStatement:
    """[detection.new_statement]: a statement shape that is new for its login."""

    mode: Mode | None = None
    learn_days: int = _days(14)


@dataclass(frozen=True, slots=True, kw_only=True)
class BulkExport:
    """[detection.bulk_export]: COPY, or a result of very many rows, that is new for its login."""

    mode: Mode | None = None
    rows: int = _number(1_000, 1, 1_000_000_000)
    percent: int = _number(200, 100, 10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    """[detection.volume]: more cells than the login is usually shown, in a window or a day."""

    mode: Mode | None = None
    window_seconds: int = _seconds(300)
    cells: int = _number(300, 1, 1_000_000_000)
    day_cells: int = _number(1_000, 1, 1_000_000_000)
    percent: int = _number(300, 100, 10_000)


@dataclass(frozen=True, slots=True, kw_only=True)
class StolenLogin:
    """[detection.stolen_login]: several things at once that are new for the login."""

    mode: Mode | None = None
    score: int = _number(80, 1, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """[detection.silence]: no checkpoint where one was due, or events that are missing."""

    mode: Mode | None = None
    intervals: int = _number(3, 1, 1000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """[detection]: what holds where a detector's own table says nothing."""

    mode: Mode = "observe"
    ttl_minutes: int = _number(60, 1, 525_600)
    exempt: tuple[str, ...] = ()
    throttle_cells_per_second: int = _number(20, 1, 1_000_000)
    budget_cells: BudgetCells = field(default_factory=BudgetCells)
    budget_subjects: BudgetSubjects = field(default_factory=BudgetSubjects)
    honey: Honey = field(default_factory=Honey)
    enumeration: Enumeration = field(default_factory=Enumeration)
    failed_logins: FailedLogins = field(default_factory=FailedLogins)
    refusals: Refusals = field(default_factory=Refusals)
    new_network: NewNetwork = field(default_factory=NewNetwork)
    new_application: NewApplication = field(default_factory=NewApplication)
    new_statement: NewStatement = field(default_factory=NewStatement)
    bulk_export: BulkExport = field(default_factory=BulkExport)
    volume: Volume = field(default_factory=Volume)
    stolen_login: StolenLogin = field(default_factory=StolenLogin)
    silence: Silence = field(default_factory=Silence)

    def mode_of(self, own: Mode | None, login: str = "") -> Mode:
        """What a finding about `login` leads to, by the detector's own mode. Exempt logins are never contained."""
        mode = own if own is not None else self.mode
        return "alert" if mode in CONTAINING and login in self.exempt else mode
