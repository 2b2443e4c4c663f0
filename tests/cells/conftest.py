"""The oracle, and randomness whose seed a failure shows: rerun with CELLS_SEED=... to repeat it."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator

import pytest

from proxy.embedded import EmbeddedPostgres
from tests.cells.oracle import Oracle


@pytest.fixture(scope="session")
def oracle(postgres: EmbeddedPostgres) -> Iterator[Oracle]:
    connection = Oracle(postgres.dsn("postgres"))
    yield connection
    connection.close()


@pytest.fixture
def rng(request: pytest.FixtureRequest) -> random.Random:
    seed = int(os.environ.get("CELLS_SEED", random.SystemRandom().getrandbits(32)))
    print(f"CELLS_SEED={seed} for {request.node.nodeid}")
    return random.Random(seed)
