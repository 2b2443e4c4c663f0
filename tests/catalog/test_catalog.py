"""The picture of the database, as a value."""

from __future__ import annotations

import dataclasses
import random

import pytest

from policy import ColumnRule, Search, read_search
from proxy.catalog import (
    SEALABLE_TYPES,
    Attribute,
    Catalog,
    Declaration,
    Dependency,
    Relation,
    SealedColumn,
    column_parts,
    domain_name,
    label,
    label_parts,
    sealed_columns,
)
from proxy.cells import TypeSpecError, logical_type

ID = Attribute(1, "id", 23, -1)
EMAIL = Attribute(2, "email", 90001, -1, "text", True)
CUSTOMERS = Relation(100, "public", "customers", "r", (ID, EMAIL))
ORDERS = Relation(101, "public", "orders", "r", (ID,))


def rule(name: str, spec: str = "text", *search: str) -> ColumnRule:
    return ColumnRule(name, spec, read_search(search, "search"))


def declared(*rules: ColumnRule) -> dict[str, SealedColumn]:
    return sealed_columns({r.column: r for r in rules})


def catalog(
    *relations: Relation,
    sealed: dict[str, SealedColumn] | None = None,
    dependencies: tuple[Dependency, ...] = (),
) -> Catalog:
    return Catalog("shop", 180004, relations, sealed or {}, dependencies)


EMAIL_DECLARED = declared(rule("public.customers.email", "varchar(40)", "equality"))


def test_a_policys_column_rule_is_a_declaration() -> None:
    """introspect and apply take `policy.columns` as they are."""
    declaration: Declaration = rule("public.customers.email", "text", "equality")
    column = sealed_columns({"public.customers.email": declaration})["public.customers.email"]
    assert column == SealedColumn(
        "public.customers.email",
        "public.customers",
        "email",
        logical_type("text"),
        Search(equality=True),
    )


def test_a_result_field_leads_to_the_declared_column() -> None:
    """RowDescription's table oid and column number name the declared column, with its modifier."""
    taken = catalog(CUSTOMERS, ORDERS, sealed=EMAIL_DECLARED)
    column = taken.column(100, 2)
    assert column is not None
    assert column.label == "public.customers.email"
    assert taken.attribute_type(100, 2) == logical_type("varchar(40)")
    for table, number in ((100, 1), (101, 2), (0, 0)):
        assert taken.column(table, number) is None
        assert taken.attribute_type(table, number) is None


def test_a_view_or_history_table_is_typed_by_its_domain() -> None:
    """A relation that is not declared has no column, but its domain tells the type applications see."""
    history = Relation(200, "public", "history", "r", (dataclasses.replace(EMAIL, number=1),))
    taken = catalog(CUSTOMERS, history, sealed=EMAIL_DECLARED)
    assert taken.column(200, 1) is None
    assert taken.attribute_type(200, 1) == logical_type("text")


def test_a_partition_is_typed_by_its_parents_declaration() -> None:
    """A child's column shows the length that its parent's is declared with, a grandchild's too; a view's does not."""
    varchar = dataclasses.replace(EMAIL, sealed="varchar")
    parent = dataclasses.replace(CUSTOMERS, attributes=(ID, varchar))
    child, grandchild, view = (
        Relation(200 + n, "public", name, kind, (dataclasses.replace(varchar, number=n + 1),))
        for n, (name, kind) in enumerate((("child", "r"), ("grandchild", "r"), ("view", "v")))
    )
    edges = (
        Dependency(200, 100, inheritance=True),
        Dependency(201, 200, inheritance=True),
        Dependency(202, 100),
    )
    taken = catalog(parent, child, grandchild, view, sealed=EMAIL_DECLARED, dependencies=edges)
    assert taken.attribute_type(200, 1) == logical_type("varchar(40)")
    assert taken.attribute_type(201, 2) == logical_type("varchar(40)")
    assert taken.attribute_type(202, 3) == logical_type("varchar")
    assert taken.column(200, 1) is None


def test_names_are_looked_up_in_every_schema() -> None:
    """`named` knows no search_path: the planner decides which of them a statement means."""
    other = Relation(300, "sales", "customers", "v")
    taken = catalog(CUSTOMERS, other)
    assert taken.named("customers") == (CUSTOMERS, other)
    assert taken.relation("sales", "customers") == other
    assert taken.relation("sales", "Customers") is None
    assert taken.named("nothing") == ()


def test_interesting_follows_views_and_both_ways_of_inheritance() -> None:
    """Views over views over a sealed table, its children and parents, and what is over those."""
    relations = [Relation(n, "public", f"r{n}", "r") for n in range(1, 9)]
    sealed = Relation(10, "public", "sealed", "r", (EMAIL,))
    edges = (
        Dependency(1, 10),  # a view
        Dependency(2, 1),  # a view over the view
        Dependency(3, 10, inheritance=True),  # a child
        Dependency(10, 4, inheritance=True),  # the parent
        Dependency(5, 4, inheritance=True),  # the parent's other child
        Dependency(6, 5),  # a view over that
        Dependency(10, 7),  # what a rule of the sealed table leads to
    )
    taken = catalog(*relations, sealed, dependencies=edges)
    assert taken.interesting == {"sealed", "r1", "r2", "r3", "r4", "r5", "r6"}


def test_interesting_has_what_is_declared_or_carries_a_sealed_type() -> None:
    """A declared table that does not exist yet, a plain declared one, and one with an array of sealed values."""
    array = Relation(400, "public", "arrays", "r", (Attribute(1, "a", 90002, -1, None, True),))
    plain = Relation(401, "public", "plain", "r", (Attribute(1, "x", 25, -1),))
    taken = catalog(
        array,
        plain,
        ORDERS,
        sealed=declared(rule("public.plain.x"), rule('public."To Come".x')),
    )
    assert taken.interesting == {"arrays", "plain", "To Come"}


def test_interesting_of_a_random_graph_is_its_transitive_closure() -> None:
    """Against a plain fixpoint over the edges."""
    seed = random.randrange(1 << 32)
    print("seed", seed)
    rng = random.Random(seed)
    for _ in range(200):
        size = rng.randint(1, 12)
        relations = [Relation(n, "public", f"r{n}", "r") for n in range(size)]
        relations[0] = dataclasses.replace(relations[0], attributes=(EMAIL,))
        edges = tuple(
            Dependency(rng.randrange(size), rng.randrange(size), rng.random() < 0.3)
            for _ in range(rng.randint(0, 20))
        )
        reached = {0}
        for _ in range(size):
            for edge in edges:
                if edge.referenced in reached:
                    reached.add(edge.dependent)
                if edge.inheritance and edge.dependent in reached:
                    reached.add(edge.referenced)
        taken = catalog(*relations, dependencies=edges)
        assert taken.interesting == {f"r{n}" for n in reached}


def test_version_changes_with_what_matters_and_with_nothing_else() -> None:
    """Order of relations is nothing; names, types, edges, declarations are something."""
    taken = catalog(CUSTOMERS, ORDERS, sealed=EMAIL_DECLARED)
    assert catalog(ORDERS, CUSTOMERS, sealed=EMAIL_DECLARED).version == taken.version
    renamed = dataclasses.replace(CUSTOMERS, name="clients")
    retyped = dataclasses.replace(
        CUSTOMERS, attributes=(ID, dataclasses.replace(EMAIL, sealed=None))
    )
    versions = {
        taken.version,
        catalog(CUSTOMERS, sealed=EMAIL_DECLARED).version,
        catalog(renamed, ORDERS, sealed=EMAIL_DECLARED).version,
        catalog(retyped, ORDERS, sealed=EMAIL_DECLARED).version,
        catalog(CUSTOMERS, ORDERS).version,
        catalog(
            CUSTOMERS, ORDERS, sealed=declared(rule("public.customers.email", "varchar(41)"))
        ).version,
        catalog(
            CUSTOMERS, ORDERS, sealed=EMAIL_DECLARED, dependencies=(Dependency(101, 100),)
        ).version,
        dataclasses.replace(taken, database="other").version,
    }
    assert len(versions) == 8


def test_a_catalog_is_a_frozen_value() -> None:
    """Two pictures of the same are equal and hash alike; nothing in one can be changed."""
    first, second = (catalog(CUSTOMERS, sealed=EMAIL_DECLARED) for _ in range(2))
    assert first == second
    assert hash(first) == hash(second)
    with pytest.raises(dataclasses.FrozenInstanceError):
        first.database = "x"  # type: ignore[misc]
    with pytest.raises(TypeError):
        first.sealed["a"] = EMAIL_DECLARED["public.customers.email"]  # type: ignore[index]


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        (("public", "customers", "email"), "public.customers.email"),
        (("public", "Odd.Name", "email"), 'public."Odd.Name".email'),
        (("public", 'a"b', "ü"), 'public."a""b"."ü"'),
        (("s", "select", "_a$1"), "s.select._a$1"),
        (("s", "1a", "a b"), 's."1a"."a b"'),
        (("s", "a\n", "b"), 's."a\n".b'),
    ],
)
def test_a_label_is_read_back(parts: tuple[str, ...], text: str) -> None:
    """Each part quoted only if it has to be; keywords are not."""
    assert label(*parts) == text
    assert label_parts(text) == parts
    assert column_parts(text) == parts


@pytest.mark.parametrize(
    "text",
    ["", "a..b", "a.b.", ".a.b", "A.b.c", '"a".b.c', 'a."b', "a b.c.d", "a.b.c\n", '""', "a.b.c;d"],
)
def test_what_label_would_not_have_written_is_none(text: str) -> None:
    """One spelling: labels are compared as strings."""
    with pytest.raises(ValueError, match="not a label"):
        label_parts(text)


def test_a_column_has_three_parts() -> None:
    """A table's label is no column's."""
    with pytest.raises(ValueError, match=r"schema\.table\.column"):
        column_parts("public.customers")


def test_a_type_that_cannot_be_sealed_is_refused() -> None:
    """By cells, with its own error."""
    with pytest.raises(TypeSpecError):
        sealed_columns({"a.b.c": rule("a.b.c", "tsvector")})


def test_each_sealable_type_has_a_domain_of_its_name() -> None:
    """17 types; `sealed_` and pg_type's name."""
    assert len(SEALABLE_TYPES) == 17
    assert [logical_type(name).name for name in SEALABLE_TYPES] == list(SEALABLE_TYPES)
    assert domain_name("varchar") == "sealed_varchar"
