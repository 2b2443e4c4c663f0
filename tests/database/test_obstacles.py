"""Judgements over facts that the embedded server cannot show us."""

from __future__ import annotations

from dataclasses import replace

import pytest

from policy import read_search
from proxy.catalog import SealedColumn
from proxy.cells import logical_type
from proxy.database.obstacles import configuration_type, drops_default, of_column
from proxy.database.steps import literal, steps_for
from proxy.database.tables import ColumnFacts, RoleFacts, TableFacts

COLUMN = ColumnFacts(
    label="public.t.x",
    name="x",
    quoted="x",
    number=1,
    type_oid=25,
    type_modifier=-1,
    type_text="text",
    sealed=None,
    not_null=False,
    default=None,
    identity="",
    generated="",
    inherited=False,
    deterministic=True,
)
TABLE = TableFacts(
    label="public.t",
    oid=20000,
    schema="public",
    name="t",
    kind="r",
    owned=True,
    owner="me",
    selectable=True,
    schema_create=True,
    typed=False,
    foreign_children=False,
    forced_row_security=False,
    children=(),
    primary_key=(),
    rows_estimate=0,
    table_bytes=0,
    index_bytes=0,
    columns=(COLUMN,),
)
ROLE = RoleFacts("me", False, True, True, "shop", 180004)


def declared(*search: str) -> SealedColumn:
    return SealedColumn(
        "public.t.x", "public.t", "x", logical_type("text"), read_search(search, "search")
    )


def test_a_collation_that_is_not_deterministic_forbids_equality_only() -> None:
    """Terms tell apart what it calls equal."""
    column = replace(COLUMN, deterministic=False)
    assert [o.problem for o in of_column(column, declared("equality"), TABLE)] == [
        "its collation is not deterministic: strings that differ may be equal to SQL, but have different terms"
    ]
    assert list(of_column(column, declared(), TABLE)) == []


def test_foreign_tables_among_the_partitions_are_refused() -> None:
    """Their rows are elsewhere."""
    _, found = steps_for(replace(TABLE, foreign_children=True), [declared()], ROLE, frozenset())
    assert "foreign tables" in found[0].problem


def test_a_foreign_table_is_refused() -> None:
    """Its data is elsewhere."""
    _, found = steps_for(replace(TABLE, kind="f"), [declared()], ROLE, frozenset())
    assert "it is a foreign table" in found[0].problem


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("character varying(40)", "varchar(40)"),
        ("character varying", "varchar"),
        ("character(3)", "char(3)"),
        ("timestamp with time zone", "timestamptz"),
        ("timestamp(3) with time zone", "timestamp(3) with time zone"),
        ("timestamp without time zone", "timestamp"),
        ("numeric(10,2)", "numeric(10,2)"),
        ("double precision", "double precision"),
        ("bpchar", "bpchar"),
        ("public.citext", None),
        ('"char"', None),
        ("interval", None),
    ],
)
def test_the_line_to_write_means_the_same_type(text: str, written: str | None) -> None:
    """What format_type says, as short as the configuration takes it."""
    assert configuration_type(text) == written
    if written is not None:
        found, short = logical_type(text), logical_type(written)
        assert (found.oid, found.modifier) == (short.oid, short.modifier)


@pytest.mark.parametrize(
    ("default", "dropped"),
    [
        (None, False),
        ("NULL::character varying", True),
        ("NULL", True),
        ("'x'::text", False),
        ("NULLIF('a', 'b')", False),
    ],
)
def test_only_null_is_no_default(default: str | None, dropped: bool) -> None:
    assert drops_default(replace(COLUMN, default=default)) is dropped


def test_literals_are_quoted_whatever_standard_conforming_strings_says() -> None:
    """Quotes doubled; backslashes only in E''."""
    assert literal("it's") == "'it''s'"
    assert literal("a\\b'") == "E'a\\\\b'''"
