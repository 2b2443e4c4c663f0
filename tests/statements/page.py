"""Writes docs/statements.md from what the proxy does: `python -m tests.statements.page`."""

from __future__ import annotations

import tempfile
from collections import Counter
from itertools import groupby
from pathlib import Path

from proxy.embedded import EmbeddedPostgres
from tests.conftest import Database
from tests.integration.shop import SCHEMA, Shop
from tests.statements.outcomes import OWNED, TWINS, Outcome, outcomes

PAGE = Path(__file__).parents[2] / "docs" / "statements.md"

HEAD = """# What becomes of a statement

<!-- Written by `python -m tests.statements.page`: every statement below was sent through the proxy by a role with all
grants, and, on plain tables of the same contents, its result compared. A test compares this page with what happens. -->

In the shop of the tests, `email` and `birth_date` are sealed with `search = ["equality"]`, `ssn` and `balance` without.

- **protected**: it touches sealed columns; values are sealed on the way in, unsealed for who may read them on the way
  out, the result equals that of a plain table, and the access log has an event.
- **passed**: no sealed value goes in or comes out; forwarded.
- **refused**: not executed; the client gets the SQLSTATE, a message that names the column, and a hint.

Literals stand for parameters as well. COPY ... FROM STDIN and TO STDOUT, in text, csv and binary, are protected
(`tests/integration/test_copy.py`); only files and programs of the server are listed here.
"""


def page(played: list[Outcome]) -> str:
    parts = [HEAD, _counts(played)]
    for family, listed in groupby(played, lambda outcome: outcome.family):
        parts.append(f"\n## {family}\n\n| statement | what becomes of it |\n| --- | --- |\n")
        parts.extend(f"| `{_cell(o.sql)}` | {_said(o)} |\n" for o in listed)
    return "".join(parts)


def _counts(played: list[Outcome]) -> str:
    counts = Counter(o.kind for o in played)
    return (
        f"\n{len(played)} shapes: {counts['protected']} protected, {counts['passed']} passed, "
        f"{counts['refused']} refused.\n"
    )


def _said(outcome: Outcome) -> str:
    if outcome.kind != "refused":
        return outcome.kind
    return f"**refused {outcome.sqlstate}**: {_cell(outcome.message)}. {_cell(outcome.hint)}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    with tempfile.TemporaryDirectory() as directory, EmbeddedPostgres() as postgres:
        postgres.create_database("shop")
        database = Database("shop", postgres)
        database.psql(SCHEMA + TWINS)
        shop = Shop(database, Path(directory))
        shop.prepare()
        database.psql(OWNED)
        shop.serve()
        try:
            played = outcomes(shop)
        finally:
            shop.stop()
    for outcome in played:
        if outcome.difference:
            print(f"DIFFERS: {outcome.sql}\n  {outcome.difference}")
    PAGE.write_text(page(played))
    print(_counts(played).strip())


if __name__ == "__main__":
    main()
