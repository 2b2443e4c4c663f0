"""docs/statements.md says what becomes of every shape of statement: it is what the proxy does."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.conftest import Database
from tests.integration.shop import SCHEMA, Shop
from tests.statements.outcomes import OWNED, TWINS, Outcome, outcomes
from tests.statements.page import PAGE, page


@pytest.fixture(scope="module")
def played(
    make_database: Callable[[], Database], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[Outcome]]:
    database = make_database()
    database.psql(SCHEMA + TWINS)
    shop = Shop(database, tmp_path_factory.mktemp("statements"))
    shop.prepare()
    database.psql(OWNED)
    shop.serve()
    yield outcomes(shop)
    shop.stop()
    database.postgres.drop_database(database.name)


def test_no_shape_differs_from_its_plain_twin(played: list[Outcome]) -> None:
    """Command tag, columns, types and rows are those of a table that is not sealed; or the statement is refused."""
    assert not [o for o in played if o.difference]


def test_a_refusal_names_what_to_do(played: list[Outcome]) -> None:
    """SQLSTATE and hint, whatever was refused; the server's own errors do not count as refusals."""
    refused = [o for o in played if o.kind == "refused"]
    assert [o for o in refused if o.sqlstate not in ("0A000", "42501", "42804")] == []
    assert [o for o in refused if not o.hint] == []


def test_the_page_is_what_happened(played: list[Outcome]) -> None:
    """If this fails, run `python -m tests.statements.page` and read the difference."""
    assert PAGE.read_text() == page(played)
