"""Guessed passwords: of one login, from one address, of many logins from one address, from everywhere; and success behind it.

Counted is what was refused for the password (SQLSTATE 28P01) within a window; of an address and altogether also what was refused
for pg_hba.conf or a certificate (28000), but not what Sealgate itself keeps out because it is contained: or an application
that comes again and again would be taken for a guesser as soon as it is let in. An IPv6 address counts as its /64. Who varies names and addresses until the tables are full is still counted in the total.
"""

from __future__ import annotations

from typing import Any, Final, final

from proxy.detection.seen import Seen, short
from proxy.detection.settings import FailedLogins
from proxy.detection.signal import Signal
from proxy.detection.windows import Count, Tally, counts

NAME: Final = "failed_logins"
_PAIRS: Final = 4 * 4096
_CONTAINED: Final = 1024
_GUESSED: Final = "28P01"  # invalid_password
_NOT_AUTHORIZED: Final = "28000"  # invalid_authorization_specification


@final
class Guessing:
    """All failures of one service."""

    __slots__ = ("addresses", "contained", "logins", "pairs", "settings", "sprayed", "total")

    def __init__(self, settings: FailedLogins) -> None:
        self.settings = settings
        seconds = settings.window_seconds
        self.total = Count(seconds)
        self.logins = Tally(seconds)
        self.addresses = Tally(seconds)
        self.pairs = Tally(seconds, _PAIRS)
        self.sprayed = Tally(seconds)
        self.contained: dict[str, int] = {}
        """Until when, epoch milliseconds."""

    def keep_out(self, login: str, until: int) -> None:
        """The login is contained; `until` 0: no longer."""
        self.contained.pop(login, None)
        if until:
            if len(self.contained) >= _CONTAINED:
                del self.contained[next(iter(self.contained))]
            self.contained[login] = until

    def failed(self, seen: Seen) -> list[Signal]:
        limits, now = self.settings, seen.time
        guessed = seen.sqlstate == _GUESSED
        if not guessed and seen.sqlstate != _NOT_AUTHORIZED:
            return []  # too many connections, no such database, the client went away
        if not guessed and self.contained.get(seen.login, 0) > now:
            return []
        login = short(seen.login)
        total = self.total.add(now)
        of_login = self.logins.add(now, login, int(guessed))
        of_address = self.addresses.add(now, seen.source)
        pair = short(f"{seen.source}\0{login}")
        other = "-" + pair
        if not self.pairs.of(now, pair) and not self.pairs.of(now, other):
            self.sprayed.add(now, seen.source)
        self.pairs.add(now, pair if guessed else other)
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
        return [self.contained, *(part.snapshot() for part in self._parts())]

    def restore(self, data: Any) -> None:
        contained, *parts = data
        self.contained = dict(counts(contained, _CONTAINED))
        for part, saved in zip(self._parts(), parts, strict=True):
            part.restore(saved)

    def _parts(self) -> tuple[Count | Tally, ...]:
        return self.total, self.logins, self.addresses, self.pairs, self.sprayed


def _signal(title: str, numbers: dict[str, int], key: str, anybody: bool = True) -> Signal:
    key = f"{title}\0{key}"
    return Signal(NAME, title, "medium", numbers, key, guesses=True, anybody=anybody)
