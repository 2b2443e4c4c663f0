"""[subjects]: the columns that name the person whose row it is.

    [subjects]
    "public.customers" = "id"
    "public.orders" = "customer_id"
    "public.contracts" = ["tenant", "number"]

They must not be sealed: the person is found by them in the database, and in its history.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from proxy.catalog import label, label_parts
from proxy.tables import BadTable

Subjects = Mapping[str, tuple[str, ...]]
"""A table's label, and the columns in the order in which `--key` takes their values."""

_EXAMPLE = 'Write for example: "public.customers" = "id"'
MOST_COLUMNS = 8


def read_subjects(document: object, sealed: Collection[str]) -> dict[str, tuple[str, ...]]:
    """The table [subjects]. Raises BadTable. `sealed`: labels of the declared columns."""
    if not isinstance(document, Mapping):
        raise BadTable("subjects", "is not a table", f"Write [subjects] and below it {_EXAMPLE}.")
    found: dict[str, tuple[str, ...]] = {}
    for name, value in document.items():
        key = f'subjects."{name}"'
        table = _table(name, key)
        if table in found:
            raise BadTable(key, "names a table that was named before", "Keep one of the two.")
        found[table] = _columns(value, key)
        for column in found[table]:
            if label(*label_parts(table), column) in sealed:
                problem = f"column {column} is sealed, so nobody can be found by it"
                raise BadTable(key, problem, "Name a plain column: the primary key, as a rule.")
    return found


def _table(name: str, key: str) -> str:
    try:
        parts = label_parts(name)
    except ValueError:
        parts = ()
    if len(parts) != 2:
        raise BadTable(key, "is no table's label", 'Write "schema.table".')
    return label(*parts)


def _columns(value: object, key: str) -> tuple[str, ...]:
    columns = [value] if isinstance(value, str) else value
    if (
        not isinstance(columns, list)
        or not 0 < len(columns) <= MOST_COLUMNS
        or not all(isinstance(c, str) and c and "\0" not in c for c in columns)
        or len(set(columns)) < len(columns)
    ):
        raise BadTable(key, "is neither a column's name nor a list of such", f"{_EXAMPLE}.")
    return tuple(columns)
