"""Duties that should not be in one hand, and logins that do not look like one person's or one program's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from proxy.report.times import moment
from proxy.report.use import LoginSeen

INTERACTIVE: Final = (
    "psql",
    "pgadmin",
    "dbeaver",
    "datagrip",
    "tableplus",
    "heidisql",
    "navicat",
    "postico",
    "beekeeper",
    "pg_dump",
    "excel",
    "power bi",
    "tableau",
)
"""How applications for people, and for taking data along, call themselves. Anybody may call himself otherwise."""
SERVICE_SHARE: Final = 0.9
"""Of a login's sessions, that one application which is not in that list has: then it is a service's login."""
_HOSTS: Final = 2


@dataclass(frozen=True, slots=True)
class SeveralDuties:
    """One name in several duties. The names are the operating system's, the database's and what clients claim: that they are
    one person is a guess."""

    name: str
    duties: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ServiceByHand:
    """A login that a service uses, and sessions of it with a tool for people."""

    login: str
    service: str
    tools: tuple[tuple[str, int], ...]
    """(application, sessions)"""


@dataclass(frozen=True, slots=True)
class SharedLogin:
    login: str
    hosts_at_once: int
    at: datetime
    hosts: int


def duties(found: Mapping[str, Mapping[str, int]]) -> Iterator[SeveralDuties]:
    by_name: dict[str, list[str]] = {}
    for duty, names in found.items():
        for name in names:
            by_name.setdefault(name, []).append(duty)
    for name, held in sorted(by_name.items()):
        if len(held) > 1:
            yield SeveralDuties(name, tuple(sorted(held)))


def by_hand(logins: Iterator[tuple[str, LoginSeen]]) -> Iterator[ServiceByHand]:
    for login, one in logins:
        tools = {name: n for name, n in one.applications.items() if interactive(name)}
        others = {name: n for name, n in one.applications.items() if name not in tools}
        service = max(others, key=lambda name: others[name], default="")
        if tools and service and others[service] >= SERVICE_SHARE * one.sessions:
            yield ServiceByHand(login, service, tuple(sorted(tools.items())))


def shared(logins: Iterator[tuple[str, LoginSeen]]) -> Iterator[SharedLogin]:
    for login, one in logins:
        if one.hosts_at_once >= _HOSTS:
            yield SharedLogin(login, one.hosts_at_once, moment(one.hosts_at), len(one.addresses))


def interactive(application: str) -> bool:
    name = application.lower()
    return any(tool in name for tool in INTERACTIVE)
