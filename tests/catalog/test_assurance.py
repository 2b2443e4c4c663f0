"""The names of the CHECKs by which the server vouches for search terms."""

from __future__ import annotations

from policy import read_search
from proxy.assurance import name
from proxy.catalog import SealedColumn
from proxy.cells import logical_type


def test_columns_of_one_table_and_one_group_have_checks_of_their_own() -> None:
    """A table has one constraint of a name: with the group's name alone, apply could not make the second column's."""
    columns = [
        SealedColumn(
            f"public.third.{column}",
            "third",
            column,
            logical_type("text"),
            read_search(["equality"], "search"),
            search_group="mails",
        )
        for column in ("mail", "email")
    ]
    assert name(columns[0], "eq") != name(columns[1], "eq")
