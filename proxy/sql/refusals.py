"""Why a statement is refused, in words that help.

One function per reason. A message names table and column, a hint says what to change; neither ever
holds a literal. Names that the client wrote itself (functions, relations) may appear: they are not
values. SQLSTATEs are those of `interface.md`: 0A000 for what sealed columns do not support or what
is not understood for certain, 42501 for terms, and PostgreSQL's own code where the server would
have said the same.
"""

from __future__ import annotations

from typing import Final

from proxy.sql.plan import Refusal

FEATURE_NOT_SUPPORTED: Final = "0A000"
INSUFFICIENT_PRIVILEGE: Final = "42501"
UNDEFINED_COLUMN: Final = "42703"
UNDEFINED_TABLE: Final = "42P01"
AMBIGUOUS_COLUMN: Final = "42702"
SYNTAX_ERROR: Final = "42601"


class Refused(Exception):
    """The statement under analysis is not sent. Carries the refusal, no text of the statement."""

    def __init__(self, sqlstate: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.literal_shaped = False
        """A literal's value decided: with another one the statement may be right."""
        self.refusal = Refusal(sqlstate, message, hint)


def no_such_parameter(number: int) -> Refused:
    """As the server says it."""
    return Refused("42P02", f"there is no parameter ${number}", "Parameters are numbered from $1.")


def not_understood(what: str = "the statement") -> Refused:
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f"{what} names a table with sealed columns and cannot be understood for certain",
        "Write it more simply, or keep sealed tables out of this statement.",
    )


def unexplained(name: str) -> Refused:
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f'"{name}" is the name of a sealed table or column and is used here in a way that cannot be understood for certain',
        "Write the statement more simply, or keep sealed tables out of it.",
    )


def unsupported(what: str, hint: str) -> Refused:
    return Refused(FEATURE_NOT_SUPPORTED, f"{what} is not supported on sealed columns", hint)


# How a sealed column was used, and what to do instead.
_HINTS: Final = {
    "in ORDER BY": "Sealed values have no order that the server can see: order by another column, or in the application.",
    "in GROUP BY": "Equal values are sealed differently each time: group by another column, or in the application.",
    "in DISTINCT": "Equal values are sealed differently each time: drop DISTINCT, use DISTINCT ON another column, or EXISTS.",
    "in a window definition": "Equal values are sealed differently each time: partition and order by another column.",
    "with LIKE": "No pattern search on sealed values: compare with = where the column has equality, or filter in the application.",
    "with a pattern": "No pattern search on sealed values: compare with = where the column has equality, or filter in the application.",
    "under a cast": "Drop the cast: the column already reads as its own type.",
    "in IS TRUE": "Compare the column with = TRUE where it has equality, or test it in the application.",
    "in USING": "Join with ON ... = ... on columns that may be compared: one column, or two of one search_group.",
    "in NATURAL JOIN": "Name the join columns with ON.",
    "in an array": "Select the column by itself, one per row.",
    "with a collation": "Sealed values are bytes: drop COLLATE.",
    "in a subquery that an expression uses": "Join with ON ... = ..., or use EXISTS (SELECT 1 ... WHERE a = b).",
    "in a row comparison with something else than rows": "Compare with as many columns as there are on the left.",
    "as an argument of upper()": 'Write lower(column) = lower(value), where the column has "equality:casefold".',
    "as a condition": "Compare the column with = TRUE where it has equality, or test it in the application.",
    "in NULLIF": "Do it in the application, on the value it reads.",
}
_GENERAL_HINT: Final = (
    "Select the column by itself and compute in the application, on the value it reads."
)


def misuse(label: str, how: str) -> Refused:
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f"column {label} is sealed and cannot be used {how}",
        _HINTS.get(how, _GENERAL_HINT),
    )


def whole_row(label: str, name: str) -> Refused:
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f'whole-row reference "{name}" would carry sealed column {label}',
        "Name the columns, or write the row as *.",
    )


def not_searchable(label: str) -> Refused:
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f"column {label} is sealed and may not be compared: its search has no equality",
        f'Add search = ["equality"] to [columns."{label}"] and run sealgate apply.',
    )


def incomplete(label: str) -> Refused:
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f"column {label} is not compared: its rows do not all have the search terms that are declared",
        "`sealgate apply` gives them to all; if it is at work, wait for it. `sealgate check` says what is missing.",
    )


def not_ordered(label: str, name: str) -> Refused:
    """`name`: of the column's type."""
    if name in _UNORDERED:
        hint = f"There is no order for sealed values of type {name}: filter or sort in the application."
    else:
        entry = "order:C:16" if name in _TEXTS else "order"
        hint = f'Add "{entry}" to the search of [columns."{label}"] and run sealgate apply.'
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f"column {label} is sealed and may not be ordered: its search has no order",
        hint,
    )


_TEXTS: Final = frozenset({"text", "varchar"})
_UNORDERED: Final = frozenset({"bool", "bpchar", "bytea", "json", "jsonb", "uuid"})


def first_bytes_only(label: str) -> Refused:
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f"column {label} is sealed, and of its texts the first bytes alone are in order: it can be less or greater than a value, not than a column",
        "Compare it with a parameter or literal, or compare with = where the column has equality.",
    )


def not_folded(label: str) -> Refused:
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f"column {label} is sealed and lower() of it may not be compared: its search has no equality:casefold",
        f'Add "equality:casefold" to the search of [columns."{label}"] and run sealgate apply.',
    )


def undeclared(label: str) -> Refused:
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f"column {label} carries sealed values and is not declared itself: it can be read, not compared or written",
        "Compare and write through the table whose column is declared, or declare this column.",
    )


def through_view(label: str) -> Refused:
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f"column {label} of a view carries sealed values and cannot be written",
        "Write to the table itself, or leave this column out.",
    )


def not_a_value(label: str) -> Refused:
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f"column {label} is sealed: only a parameter, a literal, NULL, DEFAULT or the column itself can be put there",
        "Compute the value in the application and send it as a parameter.",
    )


def not_comparable(label: str) -> Refused:
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f"column {label} is sealed: it can be compared with parameters, literals and itself",
        "Compute the value in the application and send it as a parameter.",
    )


def other_key(label: str, target: str) -> Refused:
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f"column {target} is sealed and cannot take the value of {label}: it would carry the value under another key",
        "Read the value in the application and write it as a parameter.",
    )


def other_key_comparison(label: str, other: str) -> Refused:
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f"sealed columns {label} and {other} cannot be compared: they are sealed under different keys",
        "Read one value in the application and send it as a parameter.",
    )


def plain_source(label: str) -> Refused:
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f"column {label} is sealed and cannot take a value that is not: the server has no key",
        "Read the values in the application and write them as parameters.",
    )


def plain_target(label: str) -> Refused:
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f"sealed column {label} would be stored in a column that is not declared as sealed",
        "Name the columns to copy and leave this one out, or declare the target column.",
    )


def deduplicated(label: str) -> Refused:
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f"column {label} is sealed and cannot be deduplicated by UNION, INTERSECT or EXCEPT",
        "UNION can be where it is the whole statement; otherwise SELECT DISTINCT from the UNION ALL in FROM. For INTERSECT and EXCEPT use EXISTS (... WHERE a = b) and NOT EXISTS.",
    )


def mixed(label: str) -> Refused:
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f"one result column would mix sealed column {label} with other values",
        "Put them in different result columns.",
    )


def type_lost(label: str, into: str) -> Refused:
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f"{into} would hold values of sealed column {label} in a column that is not sealed",
        "Select the column by itself, without a function or other values beside it.",
    )


def temporary_copy(label: str) -> Refused:
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f"a temporary table cannot hold values of sealed column {label}: Sealgate does not see it",
        "Create a table that is not temporary (UNLOGGED is as fast), or use WITH.",
    )


def listed_twice(label: str) -> Refused:
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f"values in the statement are used for sealed column {label} and for something else as well",
        "Give them in two columns of the list, or as two parameters, one for each use.",
    )


def parameter_conflict(number: int) -> Refused:
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f"parameter ${number} is used for a sealed column and for something else as well",
        "Use two parameters with the same value.",
    )


def odd_cast(label: str) -> Refused:
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f"a value for sealed column {label} has a cast that Sealgate does not follow",
        "Drop the cast, or cast to the column's own type.",
    )


def mixed_types(label: str) -> Refused:
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f"values of several types side by side are not supported for sealed column {label}",
        "Write all of them as the column's own type.",
    )


def terms_are_internal() -> Refused:
    return Refused(
        INSUFFICIENT_PRIVILEGE,
        "functions of schema sealgate cannot be called on sealed tables",
        "Compare the column itself: Sealgate puts the terms in.",
    )


def ambiguous_column(name: str) -> Refused:
    return Refused(
        AMBIGUOUS_COLUMN,
        f'column reference "{name}" is ambiguous and may mean a sealed column',
        "Qualify it with its table or alias.",
    )


def unknown_column() -> Refused:
    # Not repeated: "ada@example.com" in double quotes is a name to PostgreSQL and a value to who wrote it.
    return Refused(
        UNDEFINED_COLUMN,
        "a column that the statement names does not exist",
        "If it was added a moment ago and not through Sealgate, reload Sealgate's picture of the catalog (SIGHUP).",
    )


def too_many_values() -> Refused:
    return Refused(SYNTAX_ERROR, "INSERT has more expressions than target columns", "")


def too_many_columns() -> Refused:
    return Refused("54011", "target lists can have at most 1664 entries", "Name fewer columns.")


def unknown_qualifier() -> Refused:
    return Refused(
        UNDEFINED_TABLE, "missing FROM-clause entry for a table that the statement names", ""
    )


def unknown_relation(name: str) -> Refused:
    return Refused(
        UNDEFINED_TABLE,
        f'relation "{name}" does not exist in the schemas that this session searches',
        "A sealed table has this name: qualify it with its schema, or give the other table another name.",
    )


def which_schema(name: str) -> Refused:
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f'there are several relations named "{name}" and one has sealed columns',
        "Qualify the name with its schema.",
    )


def by_reference(label: str, how: str) -> Refused:
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f"column {label} is sealed and cannot be used {how} through a result column that is an expression of it",
        "Put the query into FROM, SELECT ... FROM (SELECT ...) AS s, and use the column of s.",
    )


def united_order(label: str) -> Refused:
    return Refused(
        FEATURE_NOT_SUPPORTED,
        f"column {label} is sealed and cannot be used in ORDER BY behind UNION ALL",
        "Put the UNION ALL into FROM: SELECT * FROM (... UNION ALL ...) AS u ORDER BY ...",
    )


def not_listed() -> Refused:
    """As the server says it."""
    return Refused(
        "42P10",
        "for SELECT DISTINCT, ORDER BY expressions must appear in select list",
        "Order by the name or the number of a result column.",
    )
