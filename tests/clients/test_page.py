"""docs/clients.md says what the tests of this package show."""

from __future__ import annotations

from tests.clients.page import PAGE, blocks, rendered


def test_the_page_is_made_from_the_tests() -> None:
    """Tables, SQL forms and code are what the tests have; `python -m tests.clients.page` mends a page that is not."""
    page = PAGE.read_text()
    assert page == rendered(page)
    for name in blocks():
        assert f"<!-- from the tests: {name} -->" in page
