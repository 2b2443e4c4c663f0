"""Drivers of other languages, each mode step by step, through a real proxy on sealed columns: `make test-languages`."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.conftest import Database
from tests.integration.shop import SCHEMA, Shop
from tests.languages.clients import CLIENTS, Client, Outcome, Runs, Unavailable

pytestmark = pytest.mark.languages

EACH = [pytest.param(c, id=c.name) for c in CLIENTS]
STEPS = [pytest.param(c, step, id=f"{c.name}: {step}") for c in CLIENTS for step in c.steps]


@pytest.fixture(scope="module")
def shop(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    database = make_database()
    database.psql(SCHEMA)
    shop = Shop(database, tmp_path_factory.mktemp("languages"))
    shop.prepare()
    shop.serve()
    yield shop
    shop.stop()
    database.postgres.drop_database(database.name)


@pytest.fixture(scope="module")
def runs(shop: Shop) -> Runs:
    return Runs(shop.port, shop.database.name)


def outcome(runs: Runs, client: Client) -> Outcome:
    try:
        return runs.outcome(client)
    except Unavailable as unavailable:
        pytest.skip(str(unavailable))


@pytest.mark.parametrize(("client", "step"), STEPS)
def test_step(runs: Runs, client: Client, step: str) -> None:
    """The driver's step does on sealed columns what it does on plain ones."""
    walked = outcome(runs, client)
    assert walked.steps.get(step, f"not reached: {walked.errors[-1000:]}") == ""


@pytest.mark.parametrize("client", EACH)
def test_a_client_takes_these_steps_and_ends_well(runs: Runs, client: Client) -> None:
    """No step is left out or unknown here, and the program ends without an error of its own."""
    walked = outcome(runs, client)
    assert set(walked.steps) == set(client.steps)
    assert walked.code == 0, walked.errors[-1000:]


@pytest.mark.parametrize("client", EACH)
def test_what_a_client_stores_and_compares_stays_out_of_the_logs(
    runs: Runs, shop: Shop, client: Client
) -> None:
    """The server logs every statement with its parameters; each client's e-mail addresses begin with `canary-`."""
    outcome(runs, client)
    for log in (shop.database.postgres.log_path, shop.output_path, shop.audit_path):
        assert b"canary-" not in log.read_bytes()
