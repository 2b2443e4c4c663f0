"""The oracle, and randomness whose seed a failure shows: rerun with CELLS_SEED=... to repeat it."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from proxy.cells import Settings
from proxy.embedded import EmbeddedPostgres
from tests.cells.oracle import Oracle


@pytest.fixture(scope="session")
def connected(postgres: EmbeddedPostgres) -> Iterator[Oracle]:
    connection = Oracle(postgres.dsn("postgres"))
    yield connection
    connection.close()


@pytest.fixture
def oracle(connected: Oracle) -> Oracle:
    """With the settings that a test begins with, whatever the one before has left."""
    connected.use(Settings())
    return connected


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    seed = int(os.environ.get("CELLS_SEED", random.SystemRandom().getrandbits(32)))
    print(f"CELLS_SEED={seed} for {request.node.nodeid}")
    return random.Random(seed)
