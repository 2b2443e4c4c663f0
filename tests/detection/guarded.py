"""A session that is judged: its core, with a clock and limits of the test's."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from proxy.audit.event import Origin
from proxy.detection.budget import Budgets
from proxy.detection.guard import Guards
from proxy.detection.settings import BudgetCells, BudgetSubjects, Detection, Honey, Mode
from proxy.effects import Contain, Effect
from proxy.handshake import Terms
from proxy.session import Session
from tests.session.transcript import WELCOME, Talk, startup, told


class Clock:
    """Seconds; moved by the test."""

    def __init__(self, now: float = 1000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def detection(
    mode: Mode = "kill",
    cells: int = 1_000_000,
    subjects: int = 1_000_000,
    seconds: int = 300,
    *,
    exempt: tuple[str, ...] = (),
    honey: Mode = "alert",
) -> Detection:
    return Detection(
        mode=mode,
        exempt=exempt,
        budget_cells=BudgetCells(cells=cells, window_seconds=seconds),
        budget_subjects=BudgetSubjects(subjects=subjects, window_seconds=seconds),
        honey=Honey(mode=honey),
    )


def guards(settings: Detection, clock: Clock, workers: int = 1) -> Guards:
    return Guards(
        settings,
        Budgets(workers, settings, clock),
        lambda: 1_795_364_000_000 + int(clock.now * 1000),
    )


@dataclass
class Guarded(Talk):
    """One session past its login, judged by `guards`. What it decides to contain is contained, as the shell would."""

    guards: Guards = field(default_factory=lambda: guards(detection(), Clock()))
    number: str = "s"

    def __post_init__(self) -> None:
        origin = Origin("", (), "192.0.2.7", 50000, "", self.number, "", tls=False)
        self.session = Session(Terms("shop"), self.source, origin, 1 << 20, self.guards)
        packet = startup(user=self.login, database=self.database, **self.parameters)
        assert told(self.session.client_data(packet)) == ["ConnectServer"]
        self.session.server_connected()
        self.session.server_data(self.welcome)
        self._did(self.session.roles_known(frozenset({self.login})))

    def _state_restrained(self) -> str | None:
        """As if the session had been told, and had not ended for it: what it decides is under the containment in force."""
        state = self.session._state
        assert state is not None
        assert state.guard is not None
        state.restrain(state.guard.restraint)
        return self.session.restraint

    def _did(self, effects: list[Effect]) -> list[str]:
        for effect in effects:
            if isinstance(effect, Contain):
                self.guards.contain(effect.containment)
        return super()._did(effects)


__all__ = ["WELCOME", "Clock", "Guarded", "detection", "guards", "replace"]
