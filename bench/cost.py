"""CPU time of one round, by who spent it, and what it allows several workers. [io: Meter]"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from bench.processes import cpu_seconds, cpu_seconds_with_the_ended


class Meter:
    """Starts when it is made. proxy: process ids, [] where there is no proxy; server: the postmaster's id."""

    def __init__(self, proxy: list[int], server: int) -> None:
        self._proxy = proxy
        self._server = server
        self._before = self._now()

    def read(self) -> dict[str, float]:
        """Seconds since the start: `cpu_s` of the proxy, where there is one, and `server_cpu_s`."""
        return {name: now - self._before[name] for name, now in self._now().items()}

    def _now(self) -> dict[str, float]:
        server = {"server_cpu_s": cpu_seconds_with_the_ended(self._server)}
        return {"cpu_s": cpu_seconds(self._proxy), **server} if self._proxy else server


@dataclass(frozen=True, slots=True)
class Cost:
    """CPU microseconds of one transaction (or row): of the proxy, and of server and client together."""

    proxy: float
    others: float
    cores: float  # how many were at work for it, all time together, on average

    def possible(self, workers: int, cores: int) -> float:
        """The most that so many workers can do, in units of what one can do, when nobody else needs the cores.

        A worker is one thread: `n` of them end at most n / proxy a second. All cores together end at most
        cores / (proxy + others). Throughput is at most the smaller of both, with one worker as with several. On two
        cores, two workers against one: 2 * proxy / (proxy + others), when the proxy has more to do than the others.
        """
        every = cores / (self.proxy + self.others)
        return min(workers / self.proxy, every) / min(1 / self.proxy, every)


def cost(figures: Mapping[str, float]) -> Cost | None:
    """Out of a side's medians; None where somebody's time was not measured."""
    spent = [figures.get(name) for name in ("cpu_s", "server_cpu_s", "client_cpu_s")]
    proxy, server, client = spent
    if not proxy or server is None or client is None:
        return None
    each = 1e6 / figures["count"]
    cores = (proxy + server + client) * figures["rate"] / figures["count"]
    return Cost(proxy * each, (server + client) * each, cores)
