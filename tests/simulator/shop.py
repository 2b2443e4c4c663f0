"""A shop on ordinary days: two applications, three nightly or weekly jobs, twelve people in support, three analysts.

Everything of a login's day comes from one random generator, seeded by the run's seed, the login and the day: a day can be made
again alone. Rates are of a small shop; the busiest login has about 1,500 statements a day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from random import Random
from typing import Literal

from proxy.audit.event import Origin
from tests.simulator.events import Customers, Made, denied, found_nothing, logged_in, shown

SECOND, MINUTE, HOUR, DAY = 1000, 60_000, 3_600_000, 86_400_000
MONDAY = 1_795_392_000_000 - DAY
"""Monday 23 November 2026, 0:00 UTC."""
CUSTOMERS = 4000

Kind = Literal["application", "job", "support", "analyst"]
Timed = tuple[int, Made]

LOOK_UP = "SELECT email, ssn FROM customers WHERE id = $1"
SEARCH = "SELECT id, email, ssn FROM customers WHERE email = $1"
LIST = "SELECT id, email, ssn FROM customers WHERE city = $1 ORDER BY id LIMIT \x00n"
BATCH = "SELECT id, email, ssn FROM customers WHERE id > $1 ORDER BY id LIMIT \x00n"
EXPORT = "COPY customers (id, email, ssn) TO STDOUT"
REPORT = "SELECT email, ssn FROM customers WHERE created > $1"
DUMP = "SELECT * FROM customers"

MACHINES: tuple[tuple[str, Kind, int], ...] = (
    ("shop_app", "application", 1500),
    ("shipping", "application", 400),
    ("billing", "job", 0),
    ("warehouse", "job", 0),
    ("mailer", "job", 0),
)


@dataclass(frozen=True)
class Login:
    """Somebody who uses the database. `busy`: statements on an ordinary day."""

    name: str
    kind: Kind
    busy: int
    origin: Origin
    home: Origin
    """Where a person works from on some days; of an application, its other host."""


class Shop:
    """A shop, by its seed."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        random = Random(f"{seed} shop")
        self.customers = Customers(
            [(random.randbytes(8).hex(), random.randbytes(8).hex()) for _ in range(CUSTOMERS)]
        )
        self.logins = {login.name: login for login in self._hire(random)}

    def day(self, name: str, day: int) -> list[Timed]:
        """All events of a login on a day (0 is a Monday), in order."""
        login, random = self.logins[name], Random(f"{self.seed} {name} {day}")
        kinds = {
            "application": self._application,
            "job": self._job,
            "support": self._support,
            "analyst": self._analyst,
        }
        return sorted(kinds[login.kind](login, day, random), key=lambda timed: timed[0])

    def _hire(self, random: Random) -> Iterator[Login]:
        for name, kind, busy in MACHINES:
            origin = _origin(name, f"10.0.{random.randrange(1, 9)}.5", name)
            other = replace(origin, client_host=origin.client_host[:-1] + "6")
            yield Login(name, kind, busy, origin, other)
        for number in range(12):
            name = f"support{number:02}"
            origin = _origin(name, f"10.1.4.{10 + number}", "helpdesk 4.2")
            home = replace(origin, client_host=f"198.51.{number}.{random.randrange(1, 250)}")
            yield Login(name, "support", random.randrange(30, 120), origin, home)
        for number in range(3):
            name = f"analyst{number:02}"
            origin = _origin(name, f"10.1.5.{10 + number}", "DBeaver 25.2")
            home = replace(origin, client_host=f"203.0.{number}.{random.randrange(1, 250)}")
            yield Login(name, "analyst", 12, origin, home)

    def _application(self, login: Login, day: int, random: Random) -> Iterator[Timed]:
        """Customers come mostly by day, look at themselves a few times each, and some mistype their address."""
        start = MONDAY + day * DAY
        for origin in (login.origin, login.home):
            yield start + random.randrange(5 * MINUTE), logged_in(origin)
        if random.random() < 0.03:
            yield from self._bad_deploy(login, start + random.randrange(9, 16) * HOUR, random)
        shape = f" /* */ AND v{max(0, day) // 14} = $2"  # a new version every two weeks
        visits = round(login.busy / 4 * random.uniform(0.8, 1.3))
        for _ in range(visits):
            ms = start + round(random.triangular(0, DAY - HOUR, 19 * HOUR))
            who = random.randrange(CUSTOMERS)
            origin = random.choice((login.origin, login.home))
            for number in range(random.randrange(2, 7)):
                statement = LOOK_UP if number % 2 else LOOK_UP + shape
                ms += random.randrange(1, 90) * SECOND
                yield ms, shown(origin, statement, self.customers, [who])
            if random.random() < 0.05:
                yield ms, found_nothing(origin, SEARCH)

    def _bad_deploy(self, login: Login, ms: int, random: Random) -> Iterator[Timed]:
        """With yesterday's password, until somebody notices."""
        for _ in range(random.randrange(4, 40)):
            ms += random.randrange(2, 10) * SECOND
            yield ms, logged_in(login.origin, ok=False)
        yield ms + MINUTE, logged_in(login.origin)

    def _job(self, login: Login, day: int, random: Random) -> Iterator[Timed]:
        start = MONDAY + day * DAY + random.randrange(10 * MINUTE)
        if login.name == "billing":  # every night, in batches
            start += 2 * HOUR
            size, statement, command = round(800 * random.uniform(0.8, 1.2)), BATCH, "SELECT"
        elif login.name == "warehouse":  # every night, all of it
            start += 3 * HOUR
            size, statement, command = CUSTOMERS, EXPORT, "COPY"
        else:  # on working days; and now and then seven times as much
            if day % 7 >= 5:
                return
            start += 9 * HOUR
            size = round(250 * random.uniform(0.7, 1.3)) * (7 if random.random() < 0.02 else 1)
            statement, command = REPORT, "SELECT"
        yield start, logged_in(login.origin)
        who = [random.randrange(CUSTOMERS) for _ in range(size)]
        yield from read_all(
            self, login.origin, statement, who, start + SECOND, f"{login.name}-{day}", command
        )

    def _support(self, login: Login, day: int, random: Random) -> Iterator[Timed]:
        """Office hours, sometimes from home; a case is opened, read a few times, closed."""
        if day % 7 >= 5 and random.random() < 0.95:
            return
        start = MONDAY + day * DAY + round(random.triangular(7, 9.5, 8) * HOUR)
        origin = login.home if random.random() < 0.25 else login.origin
        if random.random() < 0.01:
            origin = replace(login.origin, client_host=f"192.0.2.{random.randrange(1, 250)}")
        if day >= 20:
            origin = replace(origin, application_name="helpdesk 4.3")
        if random.random() < 0.04:
            for _ in range(random.randrange(1, 4)):
                yield start - random.randrange(1, 60) * SECOND, logged_in(origin, ok=False)
        yield start, logged_in(origin)
        for _ in range(round(login.busy / 3 * random.uniform(0.6, 1.4))):
            ms = start + random.randrange(9 * HOUR)
            kind = random.random()
            if kind < 0.1:
                yield ms, found_nothing(origin, SEARCH)
            elif kind < 0.2:
                who = [random.randrange(CUSTOMERS) for _ in range(random.randrange(3, 20))]
                yield ms, shown(origin, LIST, self.customers, who)
            else:
                who = [random.randrange(CUSTOMERS)]
                for _ in range(random.randrange(1, 5)):
                    yield ms, shown(origin, LOOK_UP, self.customers, who)
                    ms += random.randrange(5, 120) * SECOND
        if random.random() < 0.03:
            ms = start + random.randrange(9 * HOUR)
            shape = f"SELECT email FROM customers WHERE c{random.randrange(9999)} = $1"
            yield ms, shown(origin, shape, self.customers, [random.randrange(CUSTOMERS)])
        if random.random() < 0.02:
            yield start + HOUR, denied(origin, "public.customers.notes", SEARCH)

    def _analyst(self, login: Login, day: int, random: Random) -> Iterator[Timed]:
        """Statements of their own, up to some hundred rows, some of them refused."""
        if day % 7 >= 5:
            return
        start = MONDAY + day * DAY + round(random.triangular(7, 10, 9) * HOUR)
        origin = login.home if random.random() < 0.3 else login.origin
        yield start, logged_in(origin)
        for number in range(random.randrange(login.busy // 2, login.busy * 2)):
            ms = start + random.randrange(8 * HOUR)
            shape = f"SELECT email FROM customers WHERE q{random.randrange(60)} = $1"
            if random.random() < 0.08:
                yield ms, denied(origin, f"public.customers.c{random.randrange(4)}", shape)
                continue
            who = [random.randrange(CUSTOMERS) for _ in range(round(random.paretovariate(0.9)))]
            yield from read_all(self, origin, shape, who[:600], ms, f"{login.name}-{day}-{number}")


def read_all(
    shop: Shop,
    origin: Origin,
    statement: str,
    who: list[int],
    ms: int,
    execution: str,
    command: str = "SELECT",
) -> Iterator[Timed]:
    """One execution, its rows in parts of 250, ten parts a second."""
    for begin in range(0, len(who), 250):
        rows = who[begin : begin + 250]
        yield (
            ms + begin * 2 // 5,
            shown(
                origin,
                statement,
                shop.customers,
                rows,
                command=command,
                execution=execution,
                part=begin // 250 + 1,
                final=begin + 250 >= len(who),
            ),
        )


def _origin(login: str, host: str, application: str) -> Origin:
    return Origin(
        login=login,
        roles=(login,),
        client_host=host,
        client_port=50000,
        application_name=application,
        session=f"ses-{login}",
        database="shop",
        tls=True,
    )
