"""What becomes of comparisons of paths in a sealed jsonb: the text that the server gets, and what is refused.

`docs.data` has the paths city, address.city and "a.b"; `docs.other` is sealed without any; `docs.plain` is not sealed.
In what is expected, {->>city:x} is the array of terms of the value x compared with data->>'city'.
"""

from __future__ import annotations

import re

import pytest

from policy import Access, Search
from proxy.catalog import Attribute, Catalog, Relation, SealedColumn
from proxy.cells import logical_type
from proxy.cells.paths import Given, Operand, Reading
from proxy.sql.plan import Action, Form, Plan, Seal, StatementPlan
from proxy.sql.planner import Planner
from proxy.sql.rewrite import render
from tests.oracle.rewritten import faults

_COLUMNS = {
    "id": ("int4", None),
    "data": ("jsonb", Search(paths=('"a.b"', "address.city", "city"))),
    "other": ("jsonb", Search()),
    "plain": ("jsonb", None),
    "email": ("text", Search(equality=True)),
}
_ATTRIBUTES = tuple(
    Attribute(
        number,
        name,
        logical_type(spec).oid if search is None else 17,
        -1,
        None if search is None else spec,
        carries_sealed=search is not None,
    )
    for number, (name, (spec, search)) in enumerate(_COLUMNS.items(), 1)
)
_SEALED = {
    f"public.docs.{name}": SealedColumn(
        f"public.docs.{name}", "public.docs", name, logical_type(spec), search
    )
    for name, (spec, search) in _COLUMNS.items()
    if search is not None
}
CATALOG = Catalog(
    "shop",
    180004,
    (Relation(16384, "public", "docs", "r", _ATTRIBUTES),),
    _SEALED,
    (),
    (),
)


def seal(how: Seal, text: str) -> bytes:
    """The operand and the text, in place of what is sealed."""
    at = f"{how.at.reading.value}{'.'.join(map(str, how.at.keys))}:" if how.at is not None else ""
    item = f"{at}{f'({how.cast})' if how.cast else ''}{text}".encode()
    if how.form is Form.VALUE:
        return item
    header = b"\0\0\0\1" + b"\0\0\0\0" + (17).to_bytes(4) + b"\0\0\0\1" + b"\0\0\0\1"
    return header + len(item).to_bytes(4) + item


def planned(sql: str) -> tuple[StatementPlan, str]:
    plan, stripped = Planner(CATALOG).plan(sql, ("public",))
    (statement,) = plan.statements
    if statement.refusal is not None:
        return statement, ""
    text = render(statement, stripped.literals, seal)
    text = re.sub(
        r"""'\{"\\\\x([0-9a-f]*)"\}'::bytea\[\]""",
        lambda m: "{" + bytes.fromhex(m[1]).decode() + "}",
        text,
    )
    return statement, text


# Condition as the client writes it, and as the server gets it.
COMPARED = [
    ("data->>'city' = 'Paris'", "sealgate.paths(data) @> {->>city:Paris}"),
    ("data->>'city' = $1", "sealgate.paths(data) @> $1"),
    ("data ->> 'city' = 'Paris'", "sealgate.paths(data) @> {->>city:Paris}"),
    ("'Paris' = data->>'city'", "{->>city:Paris} <@ sealgate.paths(data)"),
    ("$1 = (d.data->>'city')", "$1 <@ sealgate.paths(d.data)"),
    ("data->'address'->>'city' = 'x'", "sealgate.paths(data) @> {->>address.city:x}"),
    ("data#>>'{address,city}' = 'x'", "sealgate.paths(data) @> {->>address.city:x}"),
    ("data #>> '{address,city}'::text[] = 'x'", "sealgate.paths(data) @> {->>address.city:x}"),
    ("data#>>ARRAY['address','city'] = 'x'", "sealgate.paths(data) @> {->>address.city:x}"),
    ("data#>'{address}'->>'city' = 'x'", "sealgate.paths(data) @> {->>address.city:x}"),
    ("data->>'a.b' = 'x'", "sealgate.paths(data) @> {->>a.b:x}"),
    ("data->>E'cit\\x79' = $$x$$", "sealgate.paths(data) @> {->>city:x}"),
    ("data->>'city'::text = 'x'", "sealgate.paths(data) @> {->>city:x}"),
    ("(data->>'city')::text = $1::varchar", "sealgate.paths(data) @> $1"),
    ("CAST(data->>'city' AS text) = 'x'", "sealgate.paths(data) @> {->>city:x}"),
    ("data::jsonb->>'city' = 'x'", "sealgate.paths(data) @> {->>city:x}"),
    ("((data)->>'city') = ('x')", "sealgate.paths((data)) @> {->>city:x}"),
    ("data->>'city' = NULL", "sealgate.paths(data) @> NULL::bytea[]"),
    ("data->>'city' = 'x'::varchar", "sealgate.paths(data) @> {->>city:(varchar)x}"),
    ("data->'city' = '\"x\"'", 'sealgate.paths(data) @> {->city:"x"}'),
    ("(data->'city')::jsonb = '5'::jsonb", "sealgate.paths(data) @> {->city:(jsonb)5}"),
    ("data['city'] = '5'", "sealgate.paths(data) @> {->city:5}"),
    ("(data['address'::text])->>'city'::text = $1", "sealgate.paths(data) @> $1"),
    ("data['address']['city'] = '5'", "sealgate.paths(data) @> {->address.city:5}"),
    ("data->>$1 = $2", "sealgate.paths(data) @> $2"),
    ("(d.data ->> $1::TEXT) = $2::VARCHAR", "sealgate.paths(d.data) @> $2"),
    ("data->$1->>$2 IN ($3, $4)", "sealgate.paths(data) && ($3 || $4)"),
    ("data #>> $1 = ANY($2)", "sealgate.paths(data) && ($2)"),
    ("$2 = data[$1::TEXT]", "$2 <@ sealgate.paths(data)"),
    ("data @> '{\"city\": 1}'", 'sealgate.paths(data) @> {@>:{"city": 1}}'),
    ("d.data @> $1::jsonb", "sealgate.paths(d.data) @> $1"),
    ("$1 <@ data", "$1 <@ sealgate.paths(data)"),
    ("data->'address' @> '{\"city\": 1}'", 'sealgate.paths(data) @> {@>address:{"city": 1}}'),
    ("data->>'city' IN ('a')", "sealgate.paths(data) && ({->>city:a})"),
    (
        "data->>'city' IN ('a', $1, NULL, 'b'::text)",
        "sealgate.paths(data) && ({->>city:a} || $1 || NULL::bytea[] || {->>city:(text)b})",
    ),
    ("data->>'city' = ANY($1)", "sealgate.paths(data) && ($1)"),
    ("data->>'city' = SOME ($1::text[])", "sealgate.paths(data) && ($1)"),
    ("data->>'city' = ANY('{a,b}')", "sealgate.paths(data) && ({->>city:{a,b}})"),
    (
        "data->>'city' = ANY(ARRAY['a', $1])",
        "sealgate.paths(data) && ({->>city:a} || $1)",
    ),
    (
        "data->>'city' = ANY(ARRAY['a', $1]::text[])",
        "sealgate.paths(data) && ({->>city:(text)a} || $1)",
    ),
    (
        "data->>'city' = ANY(CAST((ARRAY['a', $1]::text[]) AS text[]))",
        "sealgate.paths(data) && ({->>city:(text)a} || $1)",
    ),
    (
        "id = 1 OR (data->>'city' = 'x' AND id > 2)",
        "id = 1 OR (sealgate.paths(data) @> {->>city:x} AND id > 2)",
    ),
    (
        "EXISTS (SELECT 1 FROM docs i WHERE i.data->>'city' = 'x' AND i.id = d.id)",
        "EXISTS (SELECT 1 FROM docs i WHERE sealgate.paths(i.data) @> {->>city:x} AND i.id = d.id)",
    ),
    (
        "CASE WHEN data->>'city' = 'x' THEN 1 ELSE 2 END = 1",
        "CASE WHEN sealgate.paths(data) @> {->>city:x} THEN 1 ELSE 2 END = 1",
    ),
    ("plain->>'city' = 'x' AND d.id = 1", None),
    ("plain @> '{}' AND plain->>'city' IS NULL", None),
]


@pytest.mark.parametrize(("condition", "expected"), COMPARED)
def test_a_condition(condition: str, expected: str | None) -> None:
    """A comparison of a declared path becomes one of its terms; paths of a column that is not sealed stay what they are."""
    statement, text = planned(f"SELECT id FROM docs d WHERE {condition}")
    assert text == f"SELECT id FROM docs d WHERE {expected or condition}"
    if expected is None:
        assert statement.action is Action.FORWARD
    else:
        assert {t.access for t in statement.touches} == {Access.COMPARE}
        assert {t.column for t in statement.touches} == {"public.docs.data"}


@pytest.mark.parametrize("condition", [condition for condition, _ in COMPARED])
def test_what_is_sent_is_the_clients_condition(condition: str) -> None:
    """As PostgreSQL's parser reads both: a comparison of the same column with as many values, and no literal of it."""
    sql = f"SELECT id FROM docs d WHERE {condition}"
    plan, stripped = Planner(CATALOG).plan(sql, ("public",))
    assert not list(faults(sql, plan, stripped))


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        (
            "SELECT count(*) FILTER (WHERE data->>'city' = 'x') FROM docs",
            "SELECT count(*) FILTER (WHERE sealgate.paths(data) @> {->>city:x}) FROM docs",
        ),
        (
            "SELECT a.id FROM docs a LEFT JOIN docs b ON a.id = b.id AND b.data->>'city' = 'x'",
            "SELECT a.id FROM docs a LEFT JOIN docs b ON a.id = b.id AND sealgate.paths(b.data) @> {->>city:x}",
        ),
        (
            "UPDATE docs SET id = 1 WHERE data->>'city' = 'x'",
            "UPDATE docs SET id = 1 WHERE sealgate.paths(data) @> {->>city:x}",
        ),
        (
            "DELETE FROM docs USING docs i WHERE docs.data @> $1 AND i.id = 1",
            "DELETE FROM docs USING docs i WHERE sealgate.paths(docs.data) @> $1 AND i.id = 1",
        ),
        (
            "MERGE INTO docs d USING (SELECT 1 AS n) s ON d.id = s.n AND d.data->>'city' = 'x'"
            " WHEN MATCHED AND d.data @> $1 THEN DELETE",
            "MERGE INTO docs d USING (SELECT 1 AS n) s ON d.id = s.n AND sealgate.paths(d.data) @> {->>city:x}"
            " WHEN MATCHED AND sealgate.paths(d.data) @> $1 THEN DELETE",
        ),
        (
            "WITH q AS (SELECT id, data AS doc FROM docs) SELECT id FROM q WHERE doc->>'city' = 'x'",
            "WITH q AS (SELECT id, data AS doc FROM docs) SELECT id FROM q WHERE sealgate.paths(doc) @> {->>city:x}",
        ),
        (
            "EXPLAIN SELECT id FROM docs WHERE data->>'city' = $1",
            "EXPLAIN SELECT id FROM docs WHERE sealgate.paths(data) @> $1",
        ),
        (
            "PREPARE p (text, int) AS SELECT id FROM docs WHERE data->>'city' = $1 AND id = $2",
            "PREPARE p (bytea[], int) AS SELECT id FROM docs WHERE sealgate.paths(data) @> $1 AND id = $2",
        ),
    ],
)
def test_a_statement(sql: str, expected: str) -> None:
    """Wherever a condition stands."""
    assert planned(sql)[1] == expected


def test_what_a_parameter_is_compared_with() -> None:
    """One is a value, the other an array of them; each knows its path."""
    statement, _ = planned(
        "SELECT id FROM docs WHERE data->'address'->>'city' = $2 AND data->'city' = ANY($1) AND data @> $3"
    )
    found = {n: (s.form, s.at) for n, s in statement.parameters.items()}
    assert found == {
        2: (Form.PATHS, Operand(("address", "city"), Reading.TEXT)),
        1: (Form.TERMS, Operand(("city",), Reading.VALUE)),
        3: (Form.PATHS, Operand((), Reading.CONTAINED)),
    }


def test_a_key_that_is_a_parameter() -> None:
    """It is a text, and of a list of them an array; what is compared there waits for it."""
    statement, _ = planned(
        "SELECT id FROM docs WHERE data->>$1 = $2 AND data#>>$3 = $4 AND data[$1]['b'] = $5"
    )
    found = {n: (s.form, s.at and s.at.keys) for n, s in statement.parameters.items()}
    assert found == {
        1: (Form.KEY, None),
        2: (Form.PATHS, (Given(1, of_object=True),)),
        3: (Form.KEYS, None),
        4: (Form.PATHS, (Given(3),)),
        5: (Form.PATHS, (Given(1), "b")),
    }


def test_a_thousand_items_are_no_deep_tree() -> None:
    """They are concatenated in groups: PostgreSQL's stack is not a matter of how long a list is."""
    items = ", ".join(f"'c{n}'" for n in range(1000))
    _, text = planned(f"SELECT id FROM docs WHERE data->>'city' IN ({items})")
    assert text.count(" || ") == 999
    groups = text.partition(" && ")[2].split(") || (")
    assert max(group.count(" || ") for group in groups) == 63
    assert text.count("(") == text.count(")")


ELSEWHERE = "can be compared in a condition, and nothing else"
NO_PATH = "its search does not have it"
NOT_A_VALUE = "it can be compared with parameters, literals and itself"
REFUSED = [
    ("SELECT data->>'city' FROM docs", ELSEWHERE),
    ("SELECT data->>'city' = 'x' FROM docs", ELSEWHERE),
    ("SELECT data @> '{\"city\": 1}' FROM docs", ELSEWHERE),
    ("SELECT id FROM docs WHERE NOT data->>'city' = 'x'", ELSEWHERE),
    ("SELECT id FROM docs WHERE NOT (id = 1 AND data @> $1)", ELSEWHERE),
    ("SELECT id FROM docs WHERE data->>'city' NOT IN ('x')", ELSEWHERE),
    ("SELECT id FROM docs WHERE (data->>'city' = 'x') IS NOT TRUE", ELSEWHERE),
    ("SELECT id FROM docs WHERE (data->>'city' = 'x') IS NULL", ELSEWHERE),
    ("SELECT id FROM docs WHERE data->>'city' = 'x' = true", ELSEWHERE),
    ("SELECT id FROM docs WHERE coalesce(data->>'city' = 'x', true)", ELSEWHERE),
    ("SELECT id FROM docs WHERE CASE WHEN id = 1 THEN data->>'city' = 'x' END", ELSEWHERE),
    ("SELECT id FROM docs WHERE CASE true WHEN data->>'city' = 'x' THEN true END", ELSEWHERE),
    ("SELECT id FROM docs WHERE (data->>'city', id) = ('x', 1)", ELSEWHERE),
    ("SELECT id FROM docs WHERE data->>'city' IS NULL", ELSEWHERE),
    ("SELECT id FROM docs WHERE data->>'city' LIKE 'x%'", ELSEWHERE),
    ("SELECT id FROM docs WHERE data->>'city' > 'x'", ELSEWHERE),
    ("SELECT id FROM docs WHERE data->>'city' || 'x' = 'xx'", ELSEWHERE),
    ("SELECT id FROM docs ORDER BY data->>'city'", ELSEWHERE),
    ("SELECT id FROM docs GROUP BY id, data->>'city'", ELSEWHERE),
    ("SELECT count(DISTINCT data->>'city') FROM docs", ELSEWHERE),
    ("UPDATE docs SET plain = data->'city'", ELSEWHERE),
    ("SELECT id FROM docs WHERE data->>'city' <> 'x'", "with = alone"),
    ("SELECT id FROM docs WHERE data->>'city' IS DISTINCT FROM 'x'", "with = alone"),
    ("SELECT id FROM docs WHERE data->>'town' = 'x'", NO_PATH),
    ("SELECT id FROM docs WHERE data->>'address' = 'x'", NO_PATH),
    ("SELECT id FROM docs WHERE data->'city'->>'city' = 'x'", NO_PATH),
    ("SELECT id FROM docs WHERE other->>'city' = 'x'", NO_PATH),
    ("SELECT id FROM docs WHERE other @> '{}'", NO_PATH),
    ("SELECT id FROM docs WHERE (data->>'city')::int = 5", "under a cast"),
    ("SELECT id FROM docs WHERE data->>$1 = 'x'", "not given by its keys"),
    ("SELECT id FROM docs WHERE data->>$1::int = $2", "not given by its keys"),
    ("SELECT id FROM docs WHERE data->>$1 = $1", "something else as well"),
    ("SELECT id FROM docs WHERE data->>$1 = $2 AND id = $1", "something else as well"),
    ("SELECT id FROM docs WHERE other->>$1 = $2", NO_PATH),
    ("SELECT id FROM docs WHERE data['city'][0] = '1'", "an element of an array"),
    ("SELECT id FROM docs WHERE data['0'] = '1'", "an element of an array"),
    ("SELECT id FROM docs WHERE data['city':'x'] = '1'", "not given by its keys"),
    ("SELECT data['city'] FROM docs", ELSEWHERE),
    ("UPDATE docs SET data['city'] = '1'", "in parts"),
    ("PREPARE p AS SELECT id FROM docs WHERE data->>$1 = $2", "PREPARE of a statement"),
    ("SELECT id FROM docs WHERE data->>email = 'x'", "not given by its keys"),
    ("SELECT id FROM docs WHERE data#>>'{city,NULL}' = 'x'", "not given by its keys"),
    ("SELECT id FROM docs WHERE data#>>'{city' = 'x'", "not given by its keys"),
    ("SELECT id FROM docs WHERE data->0->>'city' = 'x'", "an element of an array"),
    ("SELECT id FROM docs WHERE data#>>'{city,0}' = 'x'", "an element of an array"),
    ("SELECT id FROM docs WHERE data#>>'{city, -1}' = 'x'", "an element of an array"),
    ("SELECT id FROM docs WHERE data#>>'{}' = 'x'", "an element of an array"),
    ("SELECT id FROM docs WHERE data ? 'city'", "cannot be used in an expression"),
    ("SELECT id FROM docs WHERE data - 'city' = '{}'", "cannot be used in an expression"),
    ("SELECT id FROM docs WHERE data OPERATOR(pg_catalog.->>) 'city' = 'x'", "in an expression"),
    ("SELECT id FROM docs WHERE '{}' @> data", "in an expression"),
    ("SELECT id FROM docs WHERE email || 'x' = 'y'", "in an expression"),
    ("SELECT id FROM docs WHERE data->>'city' = lower($1)", NOT_A_VALUE),
    ("SELECT id FROM docs WHERE data->>'city' = plain->>'city'", NOT_A_VALUE),
    ("SELECT id FROM docs a JOIN docs b ON a.data->>'city' = b.data->>'city'", NOT_A_VALUE),
    ("SELECT id FROM docs WHERE data->>'city' = (SELECT 'x')", NOT_A_VALUE),
    ("SELECT id FROM docs WHERE data->>'city' IN (SELECT 'x')", NOT_A_VALUE),
    ("SELECT id FROM docs WHERE data->>'city' = ALL($1)", NOT_A_VALUE),
    ("SELECT id FROM docs WHERE data @> ANY($1)", NOT_A_VALUE),
    ("SELECT id FROM docs WHERE data @> plain", NOT_A_VALUE),
    ("SELECT id FROM docs WHERE data @> $1 AND data->>'city' = $1", "something else as well"),
]


@pytest.mark.parametrize(("sql", "said"), REFUSED)
def test_what_terms_do_not_tell_is_refused(sql: str, said: str) -> None:
    """Not guessed, and not left to the server, which would get the literals."""
    statement, _ = planned(sql)
    assert statement.refusal is not None
    assert statement.refusal.sqlstate == "0A000"
    assert said in statement.refusal.message
    assert statement.refusal.hint
    assert "'x'" not in statement.refusal.message + statement.refusal.hint


def test_the_hint_names_the_search_entry() -> None:
    """What to add, and where."""
    statement, _ = planned("SELECT id FROM docs WHERE other->>'city' = 'x'")
    assert statement.refusal is not None
    assert '"path:key.key"' in statement.refusal.hint
    assert '[columns."public.docs.other"]' in statement.refusal.hint


def test_another_key_is_another_plan() -> None:
    """A plan made for one key is not used for a text that differs in the key alone."""
    planner = Planner(CATALOG)
    for key, value in (("city", "x"), ("town", "x"), ("a.b", "y"), ("city", "y")):
        sql = f"SELECT id FROM docs WHERE data->>'{key}' = '{value}'"
        plan, stripped = planner.plan(sql, ("public",))
        (statement,) = plan.statements
        if key == "town":
            assert statement.action is Action.REFUSE
        else:
            text = render(statement, stripped.literals, seal)
            assert f"->>{key}:{value}".encode().hex() in text


def test_texts_with_the_same_keys_share_a_plan() -> None:
    """A driver that interpolates values plans once for a path; the literals that are no keys do not count."""
    planner = Planner(CATALOG)

    def plan(sql: str) -> Plan:
        return planner.plan(sql, ("public",))[0]

    sql = "SELECT id FROM docs WHERE data->'{}'->>'{}' = '{}' AND id > {}"
    one = plan(sql.format("address", "city", "x", 1))
    assert plan(sql.format("address", "city", "y", 2)) is one
    refused = plan(sql.format("town", "city", "x", 1))
    assert refused.statements[0].action is Action.REFUSE
    assert plan(sql.format("address", "city", "x", 3)) is not refused
    other = plan("SELECT id FROM docs WHERE data->>'city' = 'x' OR data->>'a.b' = 'y'")
    assert plan("SELECT id FROM docs WHERE data->>'city' = 'y' OR data->>'a.b' = 'y'") is other
    assert plan("SELECT id FROM docs WHERE data->>'city' = 'y' OR data->>'city' = 'y'") is not other
    second = plan("SELECT 'city'; SELECT id FROM docs WHERE data->>'a.b' = 'y'")
    assert plan("SELECT 'else'; SELECT id FROM docs WHERE data->>'a.b' = 'z'") is second
    assert plan("SELECT 'city'; SELECT id FROM docs WHERE data->>'city' = 'y'") is not second


def test_long_lists_are_not_cut_short() -> None:
    """A list in which the text between the items is edited is planned as it is, key and all."""
    planner = Planner(CATALOG)
    for key, count in (("city", 20), ("a.b", 20), ("city", 30)):
        items = ", ".join(f"'c{n}'" for n in range(count))
        sql = f"SELECT id FROM docs WHERE id IN ({items}) AND data->>'{key}' IN ({items})"
        plan, stripped = planner.plan(sql, ("public",))
        text = render(plan.statements[0], stripped.literals, seal)
        assert text.startswith(
            f"SELECT id FROM docs WHERE id IN ({items}) AND sealgate.paths(data)"
        )
        found = [bytes.fromhex(x).decode() for x in re.findall(r"x([0-9a-f]+)\"", text)]
        assert found == [f"->>{key}:c{n}" for n in range(count)]
