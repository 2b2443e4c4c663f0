"""The corpora: one that every machine has, one that is fetched."""

from __future__ import annotations

import pytest

from proxy.embedded import EmbeddedPostgres
from tests.oracle import corpora
from tests.oracle.corpora import NoCorpus, Sample


@pytest.fixture(scope="session")
def installed(postgres: EmbeddedPostgres) -> list[Sample]:
    """What is on every machine that runs the tests: about 2,800 statements."""
    return [
        *corpora.installed(postgres.bin),
        *corpora.catalog(postgres.dsn("postgres")),
        *corpora.clients(postgres, "postgres", ("pg_class", "information_schema.tables")),
    ]


@pytest.fixture(scope="session")
def regression() -> tuple[Sample, ...]:
    """PostgreSQL 18's regression tests; fetched here, because only long tests ask for them."""
    try:
        corpora.fetch()
        return corpora.regression()
    except NoCorpus as reason:
        pytest.skip(str(reason))
