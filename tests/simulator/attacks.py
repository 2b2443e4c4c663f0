"""Attacks on the simulated shop, each in several intensities. All begin at a given time and are made of the proxy's own events."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from random import Random

from tests.simulator.events import denied, logged_in, shown
from tests.simulator.shop import (
    CUSTOMERS,
    DUMP,
    HOUR,
    LIST,
    LOOK_UP,
    MINUTE,
    SEARCH,
    SECOND,
    Login,
    Shop,
    Timed,
    read_all,
)

Make = Callable[[Shop, Login, int, int, Random], Iterator[Timed]]
"""Shop, login, when it begins (epoch ms), intensity, chance."""


@dataclass(frozen=True)
class Attack:
    """`victims`: the kind of login it is tried on, or one login's name. `hour`: of the day, UTC."""

    name: str
    says: str
    """What an intensity counts."""
    victims: str
    hour: float
    intensities: tuple[int, ...]
    make: Make


def _dump(shop: Shop, login: Login, ms: int, rows: int, random: Random) -> Iterator[Timed]:
    who = [n % CUSTOMERS for n in range(rows)]
    yield from read_all(shop, login.origin, DUMP, who, ms, "dump")


def _slow(shop: Shop, login: Login, ms: int, percent: int, random: Random) -> Iterator[Timed]:
    """For six hours, lists of 20 of ever new customers: in percent of what the login reads in a day."""
    cells = 10 * login.busy * percent // 100
    lists = max(1, cells // 40)
    for number in range(lists):
        who = [(number * 20 + n) % CUSTOMERS for n in range(20)]
        yield (
            ms + number * 6 * HOUR // lists,
            shown(login.origin, LIST, shop.customers, who),
        )


def _enumerate(shop: Shop, login: Login, ms: int, number: int, random: Random) -> Iterator[Timed]:
    """One customer after the other within five minutes, by the application's own statement."""
    for n in range(number):
        yield (
            ms + n * 5 * MINUTE // number,
            shown(login.origin, LOOK_UP, shop.customers, [n % CUSTOMERS]),
        )


def _stolen(shop: Shop, login: Login, ms: int, strange: int, random: Random) -> Iterator[Timed]:
    """30 customers looked up in 20 minutes, by a thief who is strange in 0 to 4 ways: network, application, statement, hour."""
    origin = login.origin
    if strange >= 1:
        origin = replace(origin, client_host=f"192.168.{random.randrange(250)}.7")
    if strange >= 2:
        origin = replace(origin, application_name="psql")
    statement = LOOK_UP if strange < 3 else "SELECT * FROM customers WHERE id = $1"
    if strange >= 4:
        ms += 13 * HOUR
    yield ms, logged_in(origin)
    for n in range(30):
        who = [random.randrange(CUSTOMERS)]
        yield ms + n * 40 * SECOND, shown(origin, statement, shop.customers, who)


def _together(shop: Shop, login: Login, ms: int, number: int, random: Random) -> Iterator[Timed]:
    """So many customers looked up within five minutes, by all twelve logins of support in turn."""
    helpers = [other for other in shop.logins.values() if other.kind == "support"]
    for n in range(number):
        origin = helpers[n % len(helpers)].origin
        yield (
            ms + n * 5 * MINUTE // number,
            shown(origin, LOOK_UP, shop.customers, [n % CUSTOMERS]),
        )


def _insider(shop: Shop, login: Login, ms: int, times: int, random: Random) -> Iterator[Timed]:
    """Somebody in support looks up so many times as many people as usual, within two hours, in the usual way."""
    number = login.busy * times
    for n in range(number):
        who = [random.randrange(CUSTOMERS)]
        yield (
            ms + n * 2 * HOUR // number,
            shown(login.origin, LOOK_UP, shop.customers, who),
        )


def _guess(shop: Shop, login: Login, ms: int, number: int, random: Random) -> Iterator[Timed]:
    """Failed logins of one name from one address in five minutes."""
    origin = replace(login.origin, client_host="192.0.2.66")
    for n in range(number):
        yield ms + n * 5 * MINUTE // number, logged_in(origin, ok=False)


def _spray(shop: Shop, login: Login, ms: int, number: int, random: Random) -> Iterator[Timed]:
    """One password, so many logins, one address."""
    for n in range(number):
        origin = replace(login.origin, client_host="192.0.2.66", login=f"name{n:03}")
        yield ms + n * 5 * MINUTE // number, logged_in(origin, ok=False)


def _botnet(shop: Shop, login: Login, ms: int, number: int, random: Random) -> Iterator[Timed]:
    """So many failed logins in five minutes, each of another name from another network."""
    for n in range(number):
        origin = replace(
            login.origin, client_host=f"100.64.{n % 250}.{n // 250}", login=f"name{n:03}"
        )
        yield ms + n * 5 * MINUTE // number, logged_in(origin, ok=False)


def _probe(shop: Shop, login: Login, ms: int, number: int, random: Random) -> Iterator[Timed]:
    """Refused statements in five minutes, on so many columns."""
    for n in range(number):
        column = f"public.customers.secret{n}"
        yield ms + n * 5 * MINUTE // number, denied(login.origin, column, SEARCH)


ATTACKS = (
    Attack("dump", "rows of one statement", "support", 10.3, (4000, 2000, 1000, 500, 200), _dump),
    Attack(
        "slow exfiltration",
        "percent of the login's own day, in six hours",
        "support",
        9.2,
        (3000, 1500, 800, 400, 200, 100),
        _slow,
    ),
    Attack(
        "enumeration by a person's login",
        "customers in five minutes",
        "support",
        10.3,
        (600, 200, 100, 60, 30),
        _enumerate,
    ),
    Attack(
        "enumeration through the application",
        "customers in five minutes",
        "shop_app",
        15.3,
        (1500, 600, 300, 100, 60, 30),
        _enumerate,
    ),
    Attack(
        "enumeration by twelve logins at once",
        "customers in five minutes, altogether",
        "support",
        10.3,
        (4000, 2000, 1200, 600),
        _together,
    ),
    Attack(
        "stolen login",
        "ways in which the thief is strange",
        "support",
        10.3,
        (4, 3, 2, 1, 0),
        _stolen,
    ),
    Attack(
        "insider", "times a day's look-ups, in two hours", "support", 10.3, (16, 8, 4, 2), _insider
    ),
    Attack(
        "guessing one login", "failures in five minutes", "support", 10.3, (60, 12, 6, 3), _guess
    ),
    Attack(
        "one password, many logins",
        "logins in five minutes",
        "support",
        10.3,
        (20, 8, 5, 3),
        _spray,
    ),
    Attack(
        "guessing from everywhere",
        "failures in five minutes",
        "support",
        10.3,
        (400, 100, 50, 20),
        _botnet,
    ),
    Attack("refusal probing", "columns in five minutes", "support", 10.3, (20, 5, 3, 2, 1), _probe),
)


def begins(attack: Attack, day_start: int) -> int:
    """When it begins on a day."""
    return day_start + round(attack.hour * HOUR)


def victims(attack: Attack, shop: Shop) -> list[Login]:
    """Whose login it may be."""
    return [login for login in shop.logins.values() if attack.victims in (login.kind, login.name)]
