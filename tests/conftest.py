"""One PostgreSQL 18 for the whole run; a fresh database for every test that asks for one."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest

from proxy.compiled import compiled, mode, stale
from proxy.embedded import EmbeddedPostgres

_numbers = itertools.count(1)


def pytest_configure() -> None:
    """What runs is what the sources say, and compiled or not as SEALGATE_COMPILE demands (1 or 0)."""
    if reason := stale():
        raise pytest.UsageError(reason)
    wanted = os.environ.get("SEALGATE_COMPILE")
    if wanted in ("0", "1") and compiled() != (wanted == "1"):
        raise pytest.UsageError(f"SEALGATE_COMPILE={wanted}, but the hot modules are {mode()}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    terminalreporter.write_line(f"Sealgate ran {mode()}.")


@dataclass(frozen=True, slots=True)
class Database:
    """A fresh, empty database on the shared server; dropped after the test."""

    name: str
    postgres: EmbeddedPostgres

    def dsn(
        self, user: str = "postgres", password: str | None = None, *, via_socket: bool = False
    ) -> str:
        return self.postgres.dsn(self.name, user, password, via_socket=via_socket)

    def psql(self, sql: str, user: str = "postgres") -> str:
        return self.postgres.psql(sql, self.name, user)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The run's server: trust authentication, every statement in its log."""
    with EmbeddedPostgres(log_everything=True) as server:
        yield server


@pytest.fixture(scope="session")
def make_database(postgres: EmbeddedPostgres) -> Callable[[], Database]:
    """Creates databases for fixtures of a wider scope; the caller drops them."""

    def make() -> Database:
        name = f"test_{next(_numbers)}"
        postgres.create_database(name)
        return Database(name, postgres)

    return make


@pytest.fixture
def database(
    postgres: EmbeddedPostgres, make_database: Callable[[], Database]
) -> Iterator[Database]:
    fresh = make_database()
    yield fresh
    postgres.drop_database(fresh.name)
