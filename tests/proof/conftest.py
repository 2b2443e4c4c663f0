"""The twins: one pair for the package."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.proof.twins import Twins, twins


@pytest.fixture(scope="package")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Twins]:
    with twins(tmp_path_factory.mktemp("twins")) as made:
        yield made
