"""Literals and parameters of one statement, sealed: what `StatementSealer` makes of them, and when it works it out anew."""

from __future__ import annotations

import random
import struct
from typing import Final

import pytest

from keystore import Keyset, cell_id, generate, looks_sealed
from policy import Search, load
from proxy.catalog import Attribute, Catalog, Relation, SealedColumn
from proxy.cells import Settings, logical_type
from proxy.seal import Sealers, StatementSealer, ValueRefused
from proxy.snapshot import Snapshot
from proxy.sql.lexer import Stripped
from proxy.sql.plan import LiteralSite, Seal, StatementPlan
from proxy.sql.rewrite import render
from proxy.tally import Sealed
from tests.session.transcript import BYTEA, INT4

TYPES: Final = {
    "t": "text",
    "v": "varchar(5)",
    "c": "char(5)",
    "i": "integer",
    "n": "numeric(6,2)",
    "d": "date",
    "b": "boolean",
    "s": "text",
}
SEARCHED: Final = "tvcindb"
"""All but `s`."""


def label(name: str) -> str:
    return f"public.p.{name}"


CATALOG = Catalog(
    "shop",
    180004,
    (
        Relation(
            16384,
            "public",
            "p",
            "r",
            (
                Attribute(1, "id", INT4, -1),
                *(
                    Attribute(i, name, BYTEA, -1, logical_type(kind).name, carries_sealed=True)
                    for i, (name, kind) in enumerate(TYPES.items(), 2)
                ),
            ),
        ),
    ),
    {
        label(name): SealedColumn(
            label(name),
            "public.p",
            name,
            logical_type(kind),
            Search(equality=name in SEARCHED),
        )
        for name, kind in TYPES.items()
    },
)
POLICY = load(
    {
        label(name): {"type": kind, "search": ["equality"] if name in SEARCHED else []}
        for name, kind in TYPES.items()
    },
    {"app": {"clear": ["public.p.*"], "write": ["public.p.*"]}},
    {},
)


def keyset(*without: str) -> Keyset:
    return generate([label(name) for name in TYPES if name not in without])


KEYS = keyset()
SNAPSHOT = Snapshot(POLICY, CATALOG, KEYS)
UTF8 = Settings()


def planned(sql: str, snapshot: Snapshot = SNAPSHOT) -> tuple[StatementPlan, Stripped]:
    plan, stripped = snapshot.planner.plan(sql, ("public",))
    assert plan.statements[0].refusal is None, plan.statements[0].refusal
    return plan.statements[0], stripped


def opened(value: bytes | None, keys: Keyset = KEYS) -> tuple[str, bytes | None, bytes] | None:
    """(column, term, plaintext) of a sealed value."""
    if value is None:
        return None
    assert looks_sealed(value)
    key = keys.data_keys[int.from_bytes(value[4:8], "big")]
    return key.column.rpartition(".")[2], value[8:24] if value[3] else None, key.open(value)


def term(name: str, form: bytes) -> bytes:
    return KEYS.column(label(name)).equality_term(form)


def sealer(sql: str, *declared: int, settings: Settings = UTF8) -> StatementSealer:
    return StatementSealer(planned(sql)[0], declared, SNAPSHOT, settings)


STORED: Final = {
    # column, format, wire: plaintext
    ("t", 0, "é".encode()): "é".encode(),
    ("t", 1, b""): b"",
    ("v", 0, b"abc     "): b"abc  ",
    ("v", 1, b"abc"): b"abc",
    ("c", 0, b"ab"): b"ab   ",
    ("i", 0, b" -7 "): struct.pack("!i", -7),
    ("i", 1, b"\0\0\0\x2a"): struct.pack("!i", 42),
    ("n", 0, b"1.005"): None,
    ("d", 0, b"2000-01-02"): struct.pack("!i", 1),
    ("b", 0, b"on"): b"\x01",
    ("s", 0, b"x"): b"x",
}


@pytest.mark.parametrize(("name", "form", "wire"), STORED)
def test_a_parameter_is_stored_as_the_column_stores_it(name: str, form: int, wire: bytes) -> None:
    """Read in its format, assigned to the column's type, with the term of its equality form where the column is searched;
    counted. The second value goes the same way.
    """
    expected = STORED[name, form, wire]
    statement, sealed = sealer(f"INSERT INTO p ({name}) VALUES ($1)"), Sealed()
    ids: list[bytes] = []
    for _ in range(2):
        values, formats = [wire, b"behind"], [form, 0]
        shown: list[bytes | None] = list(values)
        statement.parameters(shown, formats, sealed)
        assert formats == [1, 0]
        assert shown[1] == b"behind"
        found = opened(shown[0])
        assert found is not None
        assert shown[0] is not None
        ids.append(cell_id(shown[0]))
        column, has, plaintext = found
        assert column == name
        logical = logical_type(TYPES[name])
        if expected is None:
            expected = logical.assign(logical.from_text(wire, UTF8))
        assert plaintext == expected
        searched = name in SEARCHED
        assert has == (term(name, logical.equality_form(plaintext)) if searched else None)
        assert sealed == {label(name): ids}


def test_a_compared_parameter_holds_a_term_and_no_plaintext() -> None:
    """Nothing is stored, nothing is counted; the term is that of the stored value that it equals."""
    for name, wire, form in (("t", b"ada", b"ada"), ("i", b"7", struct.pack("!i", 7))):
        values: list[bytes | None] = [wire]
        sealed: Sealed = {}
        sealer(f"SELECT id FROM p WHERE {name} = $1").parameters(values, [0], sealed)
        assert opened(values[0]) == (name, term(name, form), b"")
        assert sealed == {}


def test_a_parameter_is_given_in_the_declared_type() -> None:
    """An int8 that Parse declared is converted to the column's numeric(6,2); text goes into varchar."""
    values: list[bytes | None] = [struct.pack("!q", 12)]
    sealer("INSERT INTO p (n) VALUES ($1)", 20).parameters(values, [1], {})
    logical = logical_type("numeric(6,2)")
    assert opened(values[0]) == (
        "n",
        term("n", logical.equality_form(logical.from_text(b"12", UTF8))),
        logical.assign(logical.from_text(b"12", UTF8)),
    )
    values = [b"abc    "]
    sealer("INSERT INTO p (v) VALUES ($1)", 25).parameters(values, [0], {})
    assert opened(values[0]) == ("v", term("v", b"abc  "), b"abc  ")


def test_an_array_of_terms() -> None:
    """`= ANY($1)`: the terms of the elements, NULLs stay."""
    values: list[bytes | None] = [b"{ada,NULL,grace}"]
    sealer("SELECT id FROM p WHERE t = ANY($1)").parameters(values, [0], {})
    items = b"".join(
        b"\xff\xff\xff\xff" if item is None else struct.pack("!i", 16) + term("t", item)
        for item in (b"ada", None, b"grace")
    )
    assert values == [struct.pack("!iiIii", 1, 1, BYTEA, 3, 1) + items]
    values = [b"{}"]
    sealer("SELECT id FROM p WHERE t = ANY($1)").parameters(values, [0], {})
    assert values == [struct.pack("!iiI", 0, 0, BYTEA)]


def test_null_and_missing_parameters() -> None:
    """NULL stays NULL, in binary form as its neighbours; a parameter that is missing is the server's to miss."""
    statement = sealer("INSERT INTO p (t, s) VALUES ($1, $2)")
    values: list[bytes | None] = [None, b"x"]
    formats = [0, 0]
    statement.parameters(values, formats, {})
    assert values[0] is None
    assert formats == [1, 1]
    values, formats = [b"x"], [0]
    statement.parameters(values, formats, {})
    assert opened(values[0]) == ("t", term("t", b"x"), b"x")
    assert formats == [1]


REFUSED: Final = {
    "INSERT INTO p (i) VALUES ($1)": (0, b"seven", "22P02"),
    "INSERT INTO p (v) VALUES ($1)": (0, b"abcdef", "22001"),
    "INSERT INTO p (t) VALUES ($1)": (0, b"\xff", "22021"),
    "INSERT INTO p (s) VALUES ($1)": (2, b"secret", "22023"),
    "INSERT INTO p (d) VALUES ($1::int)": (0, b"6", "42804"),
    "SELECT id FROM p WHERE d = $1": (1, b"\0\0\0", "08P01"),
}


@pytest.mark.parametrize("sql", REFUSED)
def test_what_is_no_value_of_the_column(sql: str) -> None:
    """PostgreSQL's SQLSTATE with the column's name, each time, without the value and without an exception that has it."""
    form, wire, sqlstate = REFUSED[sql]
    statement = sealer(sql)
    for _ in range(2):
        with pytest.raises(ValueRefused) as caught:
            statement.parameters([wire], [form], {})
        refusal = caught.value.refusal
        assert refusal.sqlstate == sqlstate
        assert "public.p." in refusal.message
        assert caught.value.__context__ is None
        assert wire.decode("latin-1") not in f"{refusal}"


@pytest.mark.parametrize("declared", [0, 25])
def test_a_value_that_is_stored_and_shown_is_one_that_the_column_keeps(declared: int) -> None:
    """RETURNING shows the parameter itself: what varchar(5) would cut is refused, what fits is stored."""
    statement = sealer("UPDATE p SET v = $1 RETURNING coalesce(v, $1)", declared)
    values: list[bytes | None] = [b"abcde"]
    statement.parameters(values, [0], {})
    assert opened(values[0]) == ("v", term("v", b"abcde"), b"abcde")
    with pytest.raises(ValueRefused, match="one that the column would change"):
        statement.parameters([b"abcde  "], [0], {})


def test_the_first_wrong_parameter_is_the_one_that_is_told() -> None:
    """In their order, also where a later one could not be read whatever its value."""
    statement = sealer("INSERT INTO p (i, d) VALUES ($1, $2)", 0, 16)
    with pytest.raises(ValueRefused, match=r"sealed column public\.p\.i"):
        statement.parameters([b"x", b"t"], [0, 0], {})
    with pytest.raises(ValueRefused, match=r"public\.p\.d"):
        statement.parameters([b"1", b"t"], [0, 0], {})


def test_a_column_without_a_key() -> None:
    """Its values are refused; the other columns' are not."""
    snapshot = Snapshot(POLICY, CATALOG, keyset("s"))
    plan, _ = planned("INSERT INTO p (t, s) VALUES ($1, $2)", snapshot)
    statement = StatementSealer(plan, (), snapshot, UTF8)
    with pytest.raises(ValueRefused, match="there is no key for sealed column"):
        statement.parameters([b"x", b"y"], [0, 0], {})
    statement.parameters([b"x", None], [0, 0], {})


def rendered(sql: str, settings: Settings = UTF8) -> tuple[list[bytes], Sealed]:
    """The sealed literals of a statement in the order of the text, and the ids noted."""
    plan, stripped = planned(sql)
    sealed: Sealed = {}
    literals = StatementSealer(plan, (), SNAPSHOT, settings).literals(sealed)
    found: list[bytes] = []

    def seal(how: Seal, text: str) -> bytes:
        found.append(literals.literal(how, text))
        return found[-1]

    text = render(plan, stripped.literals, seal)
    assert all(value.hex() in text for value in found)
    return found, sealed


def test_literals_are_sealed_like_parameters() -> None:
    """Quoted ones in UTF-8 whatever client_encoding is, constants as their own type; minus signs belong to them."""
    sql = "INSERT INTO p (t, i, n, b) VALUES ('é', -7, 1.5, TRUE)"
    for settings in (UTF8, Settings(encoding="LATIN1")):
        values, sealed = rendered(sql, settings)
        logical = logical_type("numeric(6,2)")
        plaintexts = [found[2] for value in values if (found := opened(value)) is not None]
        assert plaintexts == [
            "é".encode(),
            struct.pack("!i", -7),
            logical.assign(logical.from_text(b"1.5", UTF8)),
            b"\x01",
        ]
        ids = [[cell_id(value)] for value in values]
        assert sealed == dict(zip(map(label, "tinb"), ids, strict=True))


def test_a_constant_is_taken_as_its_own_type_each_time() -> None:
    """One site, an integer first and a decimal then."""
    plan, _ = planned("INSERT INTO p (i) VALUES (1)")
    sites = (piece for piece in plan.pieces if isinstance(piece, LiteralSite))
    (seal,) = (site.seal for site in sites if site.seal is not None)
    literals = StatementSealer(plan, (), SNAPSHOT, UTF8).literals({})
    for text, value in (("1", 1), ("2.5", 3), ("99", 99)):
        assert opened(literals.literal(seal, text)) == (
            "i",
            term("i", struct.pack("!i", value)),
            struct.pack("!i", value),
        )


def test_equal_comparisons_are_the_same_text() -> None:
    """`GROUP BY t = 'x'` is the expression of the select list: one sealed value for both, another for another literal, and
    new ones at the next execution. Stored values are never repeated.
    """
    sql = "SELECT t = 'x', count(*) FROM p GROUP BY t = 'x' HAVING count(*) > 0 OR bool_or(t = 'y')"
    first, _ = rendered(sql)
    assert len(first) == 3
    assert first[0] == first[1] != first[2]
    assert not set(first) & set(rendered(sql)[0])
    stored, _ = rendered("INSERT INTO p (t) VALUES ('x'), ('x')")
    assert len({cell_id(value) for value in stored}) == 2


def test_sealers_are_kept_while_nothing_has_changed() -> None:
    """Plan, declared types, snapshot and settings: another of any of them is another sealer."""
    plan, _ = planned("INSERT INTO p (t) VALUES ($1)")
    other, _ = planned("INSERT INTO p (s) VALUES ($1)")
    known = Sealers()
    one = known.get(plan, (), SNAPSHOT, UTF8)
    assert known.get(plan, (), SNAPSHOT, UTF8) is one
    assert known.get(plan, (25,), SNAPSHOT, UTF8) is not one
    assert known.get(other, (), SNAPSHOT, UTF8) is not one
    assert known.get(plan, (), SNAPSHOT, UTF8) is one
    assert known.get(plan, (), Snapshot(POLICY, CATALOG, keyset()), UTF8) is not one
    assert known.get(plan, (), SNAPSHOT, UTF8) is not one


def test_another_client_encoding_is_read_at_once() -> None:
    """The same statement after SET client_encoding: bytes are read by the new one."""
    plan, _ = planned("INSERT INTO p (t) VALUES ($1)")
    known = Sealers()
    for settings, wire in ((UTF8, "é".encode()), (Settings(encoding="LATIN1"), b"\xe9")) * 2:
        values: list[bytes | None] = [wire]
        known.get(plan, (), SNAPSHOT, settings).parameters(values, [0], {})
        assert opened(values[0]) == ("t", term("t", "é".encode()), "é".encode())


def test_sealers_are_bounded() -> None:
    """Statements without number do not fill the memory."""
    known = Sealers()
    for i in range(600):
        plan, _ = planned(f"INSERT INTO p (t) VALUES ($1) -- {i}")
        known.get(plan, (), SNAPSHOT, UTF8)
        assert len(known) <= 256
    assert len(known) > 0


@pytest.mark.parametrize("seed", range(20))
def test_many_statements_of_one_session_do_not_mix(seed: int) -> None:
    """Random statements, formats and NULLs through one `Sealers`: every value opens to what was given for its column."""
    print(f"seed {seed}")
    draw, known = random.Random(seed), Sealers()
    plans: dict[str, StatementPlan] = {}
    for _ in range(60):
        names = draw.sample("ts", draw.randint(1, 2))
        marks = ", ".join(f"${i}" for i in range(1, len(names) + 1))
        sql = f"INSERT INTO p ({', '.join(names)}) VALUES ({marks})"
        plan = plans.setdefault(sql, planned(sql)[0])
        given = [draw.choice((None, b"ada", draw.randbytes(5).hex().encode())) for _ in names]
        values, sealed = list(given), Sealed()
        formats = [draw.choice((0, 1)) for _ in names]
        known.get(plan, (), SNAPSHOT, UTF8).parameters(values, formats, sealed)
        for name, plain, value in zip(names, given, values, strict=True):
            found = opened(value)
            assert (found[0], found[2]) == (name, plain) if found else plain is None
        stored = dict(zip(map(label, names), values, strict=True))
        assert sealed == {c: [cell_id(value)] for c, value in stored.items() if value is not None}
