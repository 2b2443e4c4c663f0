"""Writes docs/statements.md and docs/search.md from what the proxy does: `python -m tests.statements.page`."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from proxy.embedded import EmbeddedPostgres
from tests.conftest import Database
from tests.integration import shop as customers
from tests.integration.shop import Shop
from tests.statements import searching, shapes
from tests.statements.outcomes import Outcome, outcomes, owned, twins

DOCS = Path(__file__).parents[2] / "docs"

_WRITTEN = """
<!-- Written by `python -m tests.statements.page`: every statement below was sent through the proxy by a role with all
grants, and, on plain tables of the same contents, its result compared. A test compares this page with what happens. -->
"""
_KINDS = """
- **protected**: it touches sealed columns; values are sealed on the way in, unsealed for who may read them on the way
  out, the result equals that of a plain table, and the access log has an event.
- **passed**: no sealed value goes in or comes out; forwarded.
- **refused**: not executed; the client gets the SQLSTATE, a message that names the column, and a hint.
"""


@dataclass(frozen=True)
class Page:
    """A page of docs/, and the tables on which its statements are tried."""

    file: Path
    head: str
    schema: str
    tables: Sequence[str]
    columns: str
    families: Mapping[str, list[str | shapes.Shape]]

    def play(self, database: Database, directory: Path) -> list[Outcome]:
        """On a fresh database, through a proxy of its own."""
        database.psql(self.schema + twins(self.tables))
        shop = Shop(database, directory, columns=self.columns)
        shop.prepare()
        database.psql(owned(self.tables))
        shop.serve()
        try:
            return outcomes(shop, self.families)
        finally:
            shop.stop()

    def text(self, played: list[Outcome]) -> str:
        parts = [self.head, _counts(played)]
        for family, listed in groupby(played, lambda outcome: outcome.family):
            parts.append(f"\n## {family}\n\n| statement | what becomes of it |\n| --- | --- |\n")
            parts.extend(f"| `{_cell(o.sql)}` | {_said(o)} |\n" for o in listed)
        return "".join(parts)


STATEMENTS = Page(
    DOCS / "statements.md",
    f"""# What becomes of a statement
{_WRITTEN}
In the shop of the tests, `email` and `birth_date` are sealed with `search = ["equality"]`, `ssn` and `balance` without.
What other searches make possible is in search.md.
{_KINDS}
Literals stand for parameters as well. COPY ... FROM STDIN and TO STDOUT, in text, csv and binary, are protected
(`tests/integration/test_copy.py`); only files and programs of the server are listed here.

`ALTER TABLE ... DROP COLUMN` of a sealed column needs CASCADE, which drops the trigger that keeps the history with it; run
`sealgate apply` behind it (disclosure.md).
""",
    customers.SCHEMA,
    ("customers", "orders"),
    customers.COLUMNS,
    shapes.FAMILIES,
)

SEARCH = Page(
    DOCS / "search.md",
    f"""# Search on sealed columns
{_WRITTEN}
A sealed column can be searched in the ways that its `search` declares, and in no other. For each, a *term* is stored in the
sealed value, between its header and its ciphertext: made with a key, so that who has the database and no key can compare
terms, and not read them. What that tells is in leakage.md; read it before you declare anything.

| search | for | the server compares | index that `sealgate apply` makes |
| --- | --- | --- | --- |
| `equality` | every type but json | `sealgate.eq(c)`: HMAC-SHA-256 of the value, 16 bytes | btree |
| `equality:casefold` | text, varchar | `sealgate.eq_casefold(c)`: the same of its lower case, character by character | btree |
| `order` | int2, int4, int8, numeric, float4, float8, date, timestamp, timestamptz | `sealgate.ord(c)`: 8 bytes for each byte of the value, which sort as values do (Chenette, Lewi, Weis, Wu 2016) | btree |
| `order:C:16` | text, varchar | `sealgate.ord(c)` of the first 16 bytes, by collation C | btree |
| `match`, `match:4` | text, varchar | `sealgate.match(c)`: 4 bytes of HMAC-SHA-256 for each group of 3 (4) characters | GIN |
| `path:city`, `path:a.b` | jsonb | `sealgate.paths(c)`: HMAC-SHA-256 of what stands there, 16 bytes, as `->>` and as `->` give it | GIN |

- `order` of a type that is no text serves `=` as well. With `equality:casefold` and no `equality`, `=` is that of citext.
- A role may compare, sort, group and join by a column if it has `clear` or `search` on it; `masked` is not enough: who can
  ask "less than?" often enough knows the value. Every such use is in the access log, as `compared`.
- `search_group`: columns of one group have one index key, so that they can be joined and compared with one another; who has
  the database sees which of their values are equal.
- LIKE by `match`: the server finds rows that have all groups of characters of the pattern, and Sealgate drops those whose
  value does not match once it is unsealed. So the column has to be in the select list, and forms that count, limit or
  change rows are refused. `LIKE 'abc%'` on a column with `order:C:N` has none of these limits.
- A portal with LIKE by `match` is executed once: of an Execute with a row limit the rows behind it are not to be had, and a
  driver that fetches in batches is refused at the second one. SQL's cursors, PREPARE, COPY and views cannot have one.
- Upper and lower case (ILIKE, `lower()`, `upper()`, `equality:casefold`) are Unicode's simple mappings, character by character,
  whatever the database's collation.
- Texts sort by their first N bytes; those longer than N that begin alike have no particular order among them, and min() and
  max() give one of them. Comparing with a value of more than N bytes is refused. Windows and WITH TIES, which ask what is
  equal, need equality as well.
{_KINDS}
Below, `email` has equality; `login` equality:casefold; `born`, `salary`, `score`, `seen` order; `age` equality and order; `name`
equality, equality:casefold, order:C:16 and match; `note` match; `profile` path:city, path:tags.vip and path:age; `ssn` nothing.
`accounts.mail` is of one search_group with `email`, `opened` with `born`; `closed` is not sealed. Literals stand for parameters as well.
""",
    searching.SCHEMA,
    searching.TABLES,
    searching.COLUMNS,
    searching.FAMILIES,
)
PAGES = (STATEMENTS, SEARCH)


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
    named = [page for page in PAGES if page.file.stem in sys.argv[1:]] or PAGES
    with EmbeddedPostgres() as postgres:
        for page in named:
            postgres.create_database(page.file.stem)
            with tempfile.TemporaryDirectory() as directory:
                played = page.play(Database(page.file.stem, postgres), Path(directory))
            for outcome in played:
                if outcome.difference:
                    print(f"DIFFERS: {outcome.sql}\n  {outcome.difference}")
            page.file.write_text(page.text(played))
            print(page.file.name, _counts(played).strip())


if __name__ == "__main__":
    main()
