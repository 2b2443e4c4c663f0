"""Guessed passwords: of one login, from one address, of many logins from one address, from everywhere; and success behind it.

Counted is what the server refused for the password or pg_hba.conf (SQLSTATE class 28) within a window. An IPv6 address counts
as its /64. Who varies names and addresses until the tables are full is still counted in the total.
"""

from __future__ import annotations

from typing import Any, Final, final

from proxy.detection.seen import Seen, short
from proxy.detection.settings import FailedLogins
from proxy.detection.signal import Signal
from proxy.detection.windows import Count, Tally

NAME: Final = "failed_logins"
_PAIRS: Final = 4 * 4096


@final
class Guessing:
    """All failures of one service."""

    __slots__ = ("addresses", "logins", "pairs", "settings", "sprayed", "total")

    def __init__(self, settings: FailedLogins) -> None:
        self.settings = settings
        seconds = settings.window_seconds
        self.total = Count(seconds)
        self.logins = Tally(seconds)
        self.addresses = Tally(seconds)
        self.pairs = Tally(seconds, _PAIRS)
        self.sprayed = Tally(seconds)

    def failed(self, seen: Seen) -> list[Signal]:
        if not seen.sqlstate.startswith("28"):
            return []  # too many connections, no such database, the client went away: not a guess
        limits, now = self.settings, seen.time
        login = short(seen.login)
        total = self.total.add(now)
        of_login = self.logins.add(now, login)
        of_address = self.addresses.add(now, seen.source)
        pair = short(f"{seen.source}\0{login}")
        if self.pairs.of(now, pair) == 0:
            self.sprayed.add(now, seen.source)
        self.pairs.add(now, pair)
        numbers = {
            "failures_of_login": of_login,
            "failures_from_address": of_address,
            "failures": total,
        }
        signals = []
        if of_login >= limits.per_login:
            signals.append(_signal("Many failed logins of one name", numbers, seen.login, False))
        if of_address >= limits.per_address:
            signals.append(_signal("Many failed logins from one address", numbers, seen.source))
        sprayed = self.sprayed.of(now, seen.source)
        if sprayed >= limits.spray_logins:
            told = numbers | {"logins": sprayed}
            signals.append(_signal("One address failed with many logins", told, seen.source))
        if total >= limits.total:
            full = {"tables_full": int(self.logins.full or self.addresses.full)}
            signals.append(_signal("Many failed logins altogether", numbers | full, ""))
        return signals

    def succeeded(self, seen: Seen) -> list[Signal]:
        limit, now = self.settings.before_success, seen.time
        login = short(seen.login)
        pair = short(f"{seen.source}\0{login}")
        from_here = self.pairs.of(now, pair)
        anywhere = self.logins.of(now, login)
        if from_here < limit and anywhere < 4 * limit:
            return []
        self.pairs.forget(pair)
        self.logins.forget(login)
        numbers = {"failures_of_login": anywhere, "failures_of_login_from_here": from_here}
        return [Signal(NAME, "Login succeeded behind many failures", "high", numbers)]

    def snapshot(self) -> list[Any]:
        return [part.snapshot() for part in self._parts()]

    def restore(self, data: Any) -> None:
        for part, saved in zip(self._parts(), data, strict=True):
            part.restore(saved)

    def _parts(self) -> tuple[Count | Tally, ...]:
        return self.total, self.logins, self.addresses, self.pairs, self.sprayed


def _signal(title: str, numbers: dict[str, int], key: str, anybody: bool = True) -> Signal:
    key = f"{title}\0{key}"
    return Signal(NAME, title, "medium", numbers, key, guesses=True, anybody=anybody)
