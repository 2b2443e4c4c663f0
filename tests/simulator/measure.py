"""Runs of the simulated shop through `proxy.detection.watch`: what ordinary days set off, and what attacks do.

A shop lives for 28 days; what its watch has learned by the evening of day 20 is kept. Each attack then happens on day 21, to
one login, on top of what that login does on that day anyway. An attack is found by the first finding of at least medium
severity that the same day without it does not have.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from heapq import merge
from random import Random
from typing import Any

from proxy.audit.event import Event
from proxy.detection.budget import Budgets
from proxy.detection.finding import Finding
from proxy.detection.settings import Detection
from proxy.detection.watch import Watch
from proxy.tally import Tally
from tests.simulator.attacks import ATTACKS, Attack, begins, victims
from tests.simulator.events import COLUMNS
from tests.simulator.shop import DAY, MINUTE, MONDAY, SECOND, Shop, Timed

DAYS = 28
LEARNED = 14
"""Days before which findings are not counted: detectors learn."""
ATTACKED = 21
LATENCY_MS = 1 * SECOND
"""From the event's being written to the login's being contained: the auditor reads, decides, workers look."""
CHAIN = "51a" * 8
SETTINGS = Detection()


@dataclass
class Ordinary:
    """28 ordinary days of one shop."""

    seed: int
    logins: int
    days: int
    told: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(detector, severity) -> findings, on the days that count."""
    events: int = 0
    learned: dict[str, Any] = field(default_factory=dict)


@dataclass
class Outcome:
    """One attack on one login."""

    attack: str
    intensity: int
    found: bool
    hinted: bool
    """There was a finding of low severity at least."""
    seconds: float | None
    """Until it was found."""
    cells: int
    """All that it shows, where nobody stops it."""
    leaked: int
    """What it had shown a second after it was found: all, where it was not found."""
    budgeted: int
    """What it has shown where the inline budgets end the session (mode kill), with their default numbers."""
    detectors: tuple[str, ...] = ()


class Numbered:
    """Gives events what the log adds."""

    def __init__(self, sequence: int = 0) -> None:
        self.sequence = sequence

    def put(self, ms: int, event: Event) -> Event:
        self.sequence += 1
        event["time"] = ms
        event["metadata"]["sequence"] = self.sequence
        event["unmapped"]["sealgate"]["integrity"] = {"chain": CHAIN}
        return event


def ordinary(seed: int, settings: Detection = SETTINGS, days: int = DAYS) -> Ordinary:
    """28 days, and what was learned in 21 of them."""
    shop = Shop(seed)
    watch, log = Watch(settings), Numbered()
    result = Ordinary(seed, len(shop.logins), days - LEARNED)
    for day in range(days):
        if day == ATTACKED:
            result.learned = watch.snapshot()
        for ms, event in together(shop, shop.logins, day):
            result.events += 1
            for finding in watch.observe(log.put(ms, event)):
                if day >= LEARNED:
                    result.told[finding.detector, finding.severity] += 1
    if watch.unreadable:
        raise AssertionError(f"{watch.unreadable} events were not understood")
    return result


def attacked(
    shop: Shop,
    learned: dict[str, Any],
    attack: Attack,
    intensity: int,
    number: int,
    settings: Detection = SETTINGS,
) -> Outcome:
    """The attack on the login that `number` draws."""
    random = Random(f"{shop.seed} {attack.name} {number}")
    login = random.choice(victims(attack, shop))
    start = MONDAY + ATTACKED * DAY
    ms = begins(attack, start) + random.randrange(60) * MINUTE
    usual = shop.day(login.name, ATTACKED)
    before = {(f.detector, f.title) for f, _ in _run(learned, usual, [], settings)}
    evil = sorted(attack.make(shop, login, ms, intensity, random), key=lambda timed: timed[0])
    cells = sum(_cells(event) for _, event in evil)
    first = evil[0][0]
    new = [
        (finding, at)
        for finding, at in _run(learned, usual, evil, settings)
        if (finding.detector, finding.title) not in before and at >= first
    ]
    found = [(finding, at) for finding, at in new if finding.severity != "low"]
    budgeted = within_budget(usual, evil, settings)
    if not found:
        return Outcome(
            attack.name,
            intensity,
            found=False,
            hinted=bool(new),
            seconds=None,
            cells=cells,
            leaked=cells,
            budgeted=budgeted,
        )
    at = found[0][1]
    contained: dict[str, int] = {}
    for finding, time in found:
        contained.setdefault(finding.login, time + LATENCY_MS)
    leaked = sum(
        _cells(event) for time, event in evil if time <= contained.get(_login(event), time)
    )
    detectors = tuple(sorted({finding.detector for finding, _ in found}))
    return Outcome(
        attack.name,
        intensity,
        found=True,
        hinted=True,
        seconds=(at - first) / SECOND,
        cells=cells,
        leaked=leaked,
        budgeted=budgeted,
        detectors=detectors,
    )


def within_budget(usual: list[Timed], evil: list[Timed], settings: Detection) -> int:
    """The cells that an attack is shown until its login has spent a budget: a part that would is not released."""
    now = 0
    budgets = Budgets(1, settings, lambda: now / SECOND)
    over: set[str] = set()
    attacking = {id(event) for _, event in evil}
    cells = 0
    for ms, event in merge(usual, evil, key=lambda timed: timed[0]):
        if not event.ids:
            continue
        login, now = _login(event), ms
        if login in over:
            continue
        account, tally = budgets.account(login), Tally()
        for (column, outcome), ids in zip(COLUMNS, event.ids, strict=True):
            tally.use(column, outcome).add([bytes.fromhex(cell_id) for cell_id in ids], 1)
        if account.charge(tally) is not None:
            over.add(login)
        elif id(event) in attacking:
            cells += _cells(event)
    return cells


def campaign(
    seed: int, learned: dict[str, Any], each: int, attacks: Iterable[Attack] = ATTACKS
) -> Iterator[Outcome]:
    """Every attack in every intensity, on `each` logins."""
    shop = Shop(seed)
    for attack in attacks:
        for intensity in attack.intensities:
            for number in range(each):
                yield attacked(shop, learned, attack, intensity, number)


def median(values: list[float]) -> float | None:
    return statistics.median(values) if values else None


def _run(
    learned: dict[str, Any], usual: list[Timed], evil: list[Timed], settings: Detection
) -> Iterator[tuple[Finding, int]]:
    watch = Watch(settings, learned)
    log = Numbered(watch.position[1])
    for ms, event in merge(usual, evil, key=lambda timed: timed[0]):
        for finding in watch.observe(log.put(ms, event)):
            yield finding, ms


def together(shop: Shop, names: Iterable[str], day: int) -> Iterator[Timed]:
    """All their events of a day, in order."""
    return merge(*(shop.day(name, day) for name in names), key=lambda timed: timed[0])


def _cells(event: Event) -> int:
    cells: int = event["unmapped"]["sealgate"].get("cells", 0)
    return cells


def _login(event: Event) -> str:
    login: str = event["actor"]["user"]["name"]
    return login
