"""docs/statements.md and docs/search.md say what becomes of every shape of statement: it is what the proxy does."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.conftest import Database
from tests.statements.outcomes import Outcome
from tests.statements.page import PAGES, Page

Played = tuple[Page, list[Outcome]]


@pytest.fixture(scope="module", params=PAGES, ids=lambda page: page.file.stem)
def played(
    request: pytest.FixtureRequest,
    make_database: Callable[[], Database],
    tmp_path_factory: pytest.TempPathFactory,
) -> Played:
    page: Page = request.param
    database = make_database()
    found = page.play(database, tmp_path_factory.mktemp(page.file.stem))
    database.postgres.drop_database(database.name)
    return page, found


def test_no_shape_differs_from_its_plain_twin(played: Played) -> None:
    """Command tag, columns, types, rows, and their order where it counts, are those of a table that is not sealed; or the statement is refused."""
    assert not [o for o in played[1] if o.difference]


def test_a_refusal_names_what_to_do(played: Played) -> None:
    """SQLSTATE and hint, whatever was refused. By the server itself: what a trigger of ours depends on, which its own hint covers."""
    refused = [o for o in played[1] if o.kind == "refused"]
    ours = ("0A000", "42501", "42804")
    others = [(o.sqlstate, o.sql) for o in refused if o.sqlstate not in ours]
    assert set(others) <= {("2BP01", "ALTER TABLE customers DROP COLUMN email")}
    assert [o for o in refused if not o.hint] == []


def test_the_page_is_what_happened(played: Played) -> None:
    """If this fails, run `python -m tests.statements.page` and read the difference."""
    page, found = played
    assert page.file.read_text() == page.text(found)
