"""Loading: what is a policy, and what each mistake is told."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy import Policy, PolicyError, Search, load
from policy.label import canonical, covers, quoted

EMAIL, SSN = "public.customers.email", "public.customers.ssn"
TEXT = {"type": "text"}
COLUMNS: dict[str, Any] = {
    EMAIL: {"type": "text", "search": ["equality"], "mask": "email"},
    SSN: {"type": "text"},
}


def with_role(**grants: Any) -> Policy:
    return load(COLUMNS, {"support": grants}, {})


def refused(columns: Any = None, roles: Any = None, policy: Any = None) -> str:
    with pytest.raises(PolicyError) as caught:
        load(COLUMNS if columns is None else columns, roles or {}, policy or {})
    return str(caught.value)


def test_the_example_of_the_interface_page_loads() -> None:
    """The tables of interface.md, as tomllib gives them."""
    policy = load(
        {
            EMAIL: {"type": "text", "search": ["equality"], "mask": "email"},
            SSN: {"type": "text", "mask": "keep_last:4"},
            "public.customers.birth_date": {"type": "date", "mask": "year"},
        },
        {
            "shop_app": {"clear": ["public.customers.*"], "write": ["public.customers.*"]},
            "support": {"clear": [EMAIL], "masked": [SSN, "public.customers.birth_date"]},
        },
        {"denied_value": "null"},
    )
    assert policy.columns[EMAIL].search == Search(equality=True)
    assert policy.columns[SSN].mask == "keep_last:4"
    assert policy.roles["shop_app"].write == ("public.customers.*",)
    assert policy.denied_value == "null"
    assert policy.unused == ()


def test_nothing_declared_is_a_policy() -> None:
    """Empty tables: nothing is sealed, nothing granted, and wildcards are reported as idle."""
    assert load({}, {}, {}).columns == {}
    assert load({}, {"a": {"clear": ["*"]}}, {}).unused == ("roles.a.clear: *",)


def test_denied_value() -> None:
    """null unless the configuration says error; nothing else."""
    assert load({}, {}, {}).denied_value == "null"
    assert load({}, {}, {"denied_value": "error"}).denied_value == "error"
    for value in ("NULL", "", None, 0, True):
        assert refused(policy={"denied_value": value}).endswith('Write "null" or "error".')


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"type": "text", "masks": "email"}, f'columns."{SSN}".masks: is not a known key. Did you mean mask?'),
        ({"type": "text", "zzz": 1}, f'columns."{SSN}".zzz: is not a known key. Known keys: type, search, search_group, mask, audit.'),
        ({}, f'columns."{SSN}".type: the column\'s type is missing. Write for example type = "text".'),
        ({"type": 5}, f'columns."{SSN}".type: the column\'s type is missing. Write for example type = "text".'),
        ("text", f'columns."{SSN}": is not a table. Write a table with type, search, search_group, mask, audit.'),
        ({"type": "text", "search": "equality"}, f'columns."{SSN}".search: is not a list of texts. Write for example ["equality"].'),
        ({"type": "text", "search": ["prefix"]}, f'columns."{SSN}".search: \'prefix\' is no search. Known: "equality", "equality:casefold", "order", "order:C:16" (texts), "match", "match:4", "path:key.key" (jsonb).'),
        ({"type": "json", "search": ["equality"]}, f'columns."{SSN}".search: json has no equality in PostgreSQL. Use jsonb.'),
        ({"type": "text", "audit": "fsync"}, f'columns."{SSN}".audit: \'fsync\' is no choice. Write "async", "ack" or "durable".'),
        ({"type": "text", "audit": True}, f'columns."{SSN}".audit: True is no choice. Write "async", "ack" or "durable".'),
        ({"type": "text", "mask": 4}, f'columns."{SSN}".mask: is not a text. Write for example mask = "null".'),
        ({"type": "text", "mask": "stars"}, f'columns."{SSN}".mask: \'stars\' is no mask. Write one of: email, keep_last:N, keep_first:N, year, constant:TEXT, null.'),
        ({"type": "text", "mask": "year"}, f'columns."{SSN}".mask: year does not give a value of type text. Masks for this type: email, keep_last, keep_first, constant, null.'),
        ({"type": "date", "mask": "keep_last:4"}, f'columns."{SSN}".mask: keep_last does not give a value of type date. Masks for this type: year, constant, null.'),
        ({"type": "jsonb", "mask": "email"}, f'columns."{SSN}".mask: email does not give a value of type jsonb. Masks for this type: constant, null.'),
        ({"type": "text", "mask": "keep_last:0"}, f'columns."{SSN}".mask: \'keep_last:0\' keeps no number of characters. Write for example "keep_last:4".'),
    ],
)  # fmt: skip
def test_mistakes_in_a_column(table: Any, message: str) -> None:
    """Each names the key and what to write."""
    assert refused(columns={SSN: table}) == message


@pytest.mark.parametrize(
    "label",
    [
        "",
        "ssn",
        "customers.ssn",
        "db.public.customers.ssn",
        "public.customers.*",
        "*",
        "public..ssn",
        ".a.b",
        "a.b.",
        'a.b."',
        'a.b.""',
        'a.b."c"d',
        "a.b.c\0",
    ],
)
def test_what_is_no_label(label: str) -> None:
    """A column is schema.table.column, no more and no less."""
    assert refused(columns={label: TEXT}).endswith("Write it as schema.table.column.")


@pytest.mark.parametrize(
    ("label", "spelled"),
    [
        ("public.Customers.ssn", 'public."Customers".ssn'),
        ('"public".customers.ssn', "public.customers.ssn"),
        ("public.my table.ssn", 'public."my table".ssn'),
        ("public.customers.1st", 'public.customers."1st"'),
        ("öffentlich.a.b", '"öffentlich".a.b'),
    ],
)
def test_a_label_has_one_spelling(label: str, spelled: str) -> None:
    """Other spellings would be other strings everywhere else: the error has the right one."""
    assert f"Write {spelled} " in refused(columns={label: TEXT})
    assert load({spelled: TEXT}, {}, {}).columns[spelled].column == spelled


@pytest.mark.parametrize(
    ("grants", "message"),
    [
        ({"read": [EMAIL]}, "roles.support.read: is not a known key."),
        ({"maskd": [EMAIL]}, "roles.support.maskd: is not a known key. Did you mean masked?"),
        ({"clear": EMAIL}, 'roles.support.clear: is not a list of texts. Write for example ["public.customers.*"].'),
        ({"clear": [5]}, 'roles.support.clear: is not a list of texts. Write for example ["public.customers.*"].'),
        ({"clear": ["public.customers.emial"]}, f"roles.support.clear: public.customers.emial is not a declared column. Did you mean {EMAIL}?"),
        ({"write": ["x.y.z"]}, 'roles.support.write: x.y.z is not a declared column. Declare it as [columns."x.y.z"], or drop the grant.'),
        ({"clear": ["public.customers"]}, "roles.support.clear: 'public.customers' names no columns. Write a label, \"schema.table.*\", \"schema.*\" or \"*\"."),
        ({"clear": ["public.*.email"]}, "roles.support.clear: 'public.*.email' names no columns."),
        ({"clear": ["public.customers.em*"]}, "roles.support.clear: 'public.customers.em*' names no columns."),
        ({"clear": ["**"]}, "roles.support.clear: '**' names no columns."),
        ({"clear": ["a.b.c.*"]}, "roles.support.clear: 'a.b.c.*' names no columns."),
        ({"clear": [""]}, "roles.support.clear: '' names no columns."),
        ({"clear": ["Public.*"]}, 'roles.support.clear: Public.* is spelled otherwise in the catalog. Write "Public".*'),
        ({"masked": [SSN]}, f'roles.support.masked: {SSN} has no mask. Give [columns."{SSN}"] a mask, for example mask = "null",'),
        ({"masked": ["public.customers.*"]}, f"roles.support.masked: {SSN} has no mask."),
        ({"masked": ["*"], "clear": [EMAIL]}, f"roles.support.masked: {SSN} has no mask."),
        ({"search": [SSN]}, f'roles.support.search: {SSN} declares no search. Add search = ["equality"] to [columns."{SSN}"], or drop the grant.'),
    ],
)  # fmt: skip
def test_mistakes_in_a_role(grants: Any, message: str) -> None:
    """Each names the key and what to write."""
    assert refused(roles={"support": grants}).startswith(message)


def test_masked_by_wildcard_is_moot_where_the_role_reads_clear() -> None:
    """`masked = ["*"]` beside `clear` on the column without a mask is no contradiction."""
    assert with_role(masked=["*"], clear=[SSN]).roles["support"].masked == ("*",)


@pytest.mark.parametrize("role", ["public", "none", ""])
def test_what_is_no_role(role: str) -> None:
    """PUBLIC is not a role that a login is a member of: a grant to it would never apply."""
    assert "is no role's name in PostgreSQL" in refused(roles={role: {}})


def test_a_role_is_a_table() -> None:
    """`[roles]` with `support = "clear"` is told so."""
    assert refused(roles={"support": "clear"}) == (
        "roles.support: is not a table. Write a table with clear, masked, search, write, audit."
    )


def test_wildcards_that_mean_nothing_yet_are_listed() -> None:
    """They may come to mean something; `sealgate check` shows them."""
    policy = with_role(
        clear=["public.customers.*", "public.orders.*"], write=["clinic.*"], search=["*"]
    )
    assert policy.unused == (
        "roles.support.clear: public.orders.*",
        "roles.support.write: clinic.*",
    )
    only = load({SSN: TEXT}, {"a": {"search": ["*"]}}, {})
    assert only.unused == ("roles.a.search: *",)


def test_unknown_policy_keys_are_refused() -> None:
    """A misspelled denied_value would silently be the default."""
    assert refused(policy={"denied_valeu": "error"}) == (
        "policy.denied_valeu: is not a known key. Did you mean denied_value?"
    )


def test_constants_are_checked_when_a_parser_is_given() -> None:
    """With the types' parser, a constant that is no value of its type stops the start."""

    def parse(spec: str, text: str) -> bytes:
        if spec == "date" and len(text) != 10:
            raise LookupError("the message quotes the text")
        return text.encode()

    columns = {SSN: {"type": "date", "mask": "constant:soon"}}
    load(columns, {}, {})
    with pytest.raises(PolicyError) as caught:
        load(columns, {}, {}, parse)
    assert caught.value.key == f'columns."{SSN}".mask'
    assert caught.value.__context__ is None
    load({SSN: {"type": "date", "mask": "constant:2000-01-01"}}, {}, {}, parse)


# --- labels

NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=8) | st.sampled_from(["a", "a.b", "*", 'q"q', "a.*", ".", '"', "public", "x$1"])  # fmt: skip


@given(parts=st.lists(NAMES, min_size=3, max_size=3))
def test_any_names_make_a_label_that_reads_back(parts: list[str]) -> None:
    """Quoting is undone by reading, whatever dots, stars and quotes a name has; no two labels meet."""
    label = ".".join(map(quoted, parts))
    assert canonical(label) == tuple(map(quoted, parts))
    assert load({label: TEXT}, {"r": {"clear": [label]}}, {}).unused == ()


@given(parts=st.lists(NAMES, min_size=3, max_size=3), other=st.lists(NAMES, min_size=1, max_size=2))
def test_a_wildcard_covers_its_schema_or_table_only(parts: list[str], other: list[str]) -> None:
    """A prefix of the text is a prefix of the names: no quoted dot or star widens a grant."""
    label = ".".join(map(quoted, parts))
    pattern = ".".join([*map(quoted, other), "*"])
    assert covers(pattern, label) is (parts[: len(other)] == other)
    assert covers("*", label)


@pytest.mark.parametrize(
    ("pattern", "covered", "other"),
    [
        ("public.*", "public.a.b", "publicity.a.b"),
        ("public.*", "public.customers.ssn", '"public.customers".a.b'),
        ("public.customers.*", EMAIL, "public.customers_old.email"),
        ("public.customers.*", EMAIL, 'public."customers.email".x'),
        ("public.customers.email", EMAIL, "public.customers.email2"),
        ('"a.b".*', '"a.b".c.d', "a.b.c"),
        ('"*".*', '"*".a.b', "public.a.b"),
    ],
)
def test_names_that_begin_alike_are_not_covered(pattern: str, covered: str, other: str) -> None:
    """A grant on a schema or table does not reach one whose name only starts the same."""
    assert covers(pattern, covered)
    assert not covers(pattern, other)


@given(
    label=NAMES,
    columns=st.dictionaries(NAMES, st.just(TEXT), max_size=2),
    grant=st.lists(NAMES, max_size=2),
)
def test_junk_is_a_policy_error_or_a_policy(
    label: str, columns: dict[str, Any], grant: list[str]
) -> None:
    """No label, role or grant makes loading fail in another way."""
    with suppress(PolicyError):
        load({**columns, "public.t.c": TEXT}, {label: {"clear": grant}}, {})


@given(table=st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=5), lambda t: st.lists(t, max_size=3) | st.dictionaries(st.sampled_from(["type", "search", "mask", "clear", "masked"]), t, max_size=3), max_leaves=6))  # fmt: skip
def test_tables_of_wrong_types_are_policy_errors(table: Any) -> None:
    """Whatever TOML gives, the answer is a policy or a PolicyError."""
    for columns, roles in (({"public.t.c": table}, {}), ({"public.t.c": TEXT}, {"r": table})):
        with suppress(PolicyError):
            load(columns, roles, {})


def test_audit_is_part_of_the_policy() -> None:
    """What a column or a role says of its events changes the version; what says nothing leaves it as it was."""
    plain = load({SSN: TEXT}, {"app": {"clear": ["*"]}}, {})
    assert (plain.columns[SSN].audit, plain.roles["app"].audit) == (None, None)
    versions = {plain.version}
    for mode in ("async", "ack", "durable"):
        column = load({SSN: {**TEXT, "audit": mode}}, {"app": {"clear": ["*"]}}, {})
        role = load({SSN: TEXT}, {"app": {"clear": ["*"], "audit": mode}}, {})
        assert (column.columns[SSN].audit, role.roles["app"].audit) == (mode, mode)
        versions |= {column.version, role.version}
    assert len(versions) == 7
