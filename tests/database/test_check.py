"""What `sealgate check` finds, each finding once where it should and never where it should not."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest

from keystore import Keyset, generate
from policy import PolicyError, load
from proxy.cells.grams import grams
from proxy.database.check import check
from proxy.database.findings import Finding
from tests.database.conftest import Connect, Shop

TABLE = """
CREATE TABLE customers (id int PRIMARY KEY, email text UNIQUE, ssn text, kind text);
INSERT INTO customers SELECT i, 'canary' || i, 'canary', 'canary' || i % 3 FROM generate_series(1, 400) AS i;
"""
COLUMNS: dict[str, dict[str, Any]] = {
    "public.customers.email": {"type": "text", "search": ["equality"], "mask": "email"},
    "public.customers.ssn": {"type": "text"},
}


ALWAYS = ("SG036", "SG037", "SG050", "SG051", "SG062")


class Checked:
    """A shop with one application login, applied; `look` checks it again."""

    def __init__(self, shop: Shop, connect: Connect) -> None:
        self.shop = shop
        self.connect = connect
        self.app = f"{shop.database.name}_app"
        self.columns: dict[str, dict[str, Any]] = dict(COLUMNS)
        self.roles: dict[str, dict[str, Any]] = {self.app: {"clear": ["*"], "write": ["*"]}}
        self.keyset: Keyset | None = None

    async def prepare(self, apply: bool = True) -> None:
        self.shop.database.postgres.create_role(self.app)
        await self.run(TABLE + f"GRANT SELECT, INSERT, UPDATE ON customers TO {self.app}")
        if apply:
            await self.apply()

    async def apply(self) -> None:
        policy = load(self.columns, self.roles, {})
        self.shop.columns = dict(policy.columns)
        self.keyset = self.shop.keyset = generate(policy.columns)
        await self.shop.sealed()

    async def run(self, sql: str) -> None:
        await self.shop.connection.execute(sql)

    async def look(self) -> list[Finding]:
        """Everything but what is always so here: the server's superuser, the owner, what unique addresses tell, that nothing says whose rows they are."""
        return [f for f in await self.all() if f.code not in ALWAYS]

    async def all(self) -> list[Finding]:
        policy = load(self.columns, self.roles, {})
        found = await check(self.shop.connection, policy, self.keyset)
        assert "canary" not in "\n".join(map(str, found))
        return found

    async def codes(self) -> dict[str, str]:
        return {f.code: f.severity for f in await self.look()}

    async def only(self, code: str) -> Finding:
        found = await self.look()
        assert [f.code for f in found] == [code], found
        return found[0]


@pytest.fixture
async def checked(shop: Shop, connect: Connect) -> Checked:
    made = Checked(shop, connect)
    await made.prepare()
    return made


@pytest.fixture
async def unapplied(shop: Shop, connect: Connect) -> Checked:
    made = Checked(shop, connect)
    await made.prepare(apply=False)
    made.keyset = generate(made.columns)
    return made


async def test_all_in_order_finds_nothing(checked: Checked) -> None:
    """After apply, with a login that may use its grants: only who has power over the database is listed, as information."""
    assert await checked.look() == []
    policy = load(checked.columns, checked.roles, {})
    everything = await check(checked.shop.connection, policy, checked.keyset)
    assert {f.code for f in everything} <= set(ALWAYS)
    assert "postgres" in next(f.subject for f in everything if f.code == "SG050")


async def test_it_changes_nothing(checked: Checked) -> None:
    """A read-only transaction; not even with a damaged schema."""
    await checked.run("DROP FUNCTION sealgate.refuse")
    before = await checked.shop.definition("customers")
    await checked.look()
    assert await checked.shop.definition("customers") == before
    assert await checked.shop.connection.fetchval("SELECT to_regproc('sealgate.refuse')") is None


async def test_before_apply(unapplied: Checked) -> None:
    """SG010 the schema is missing; SG003 each column is plaintext; what apply will refuse is SG006 already now."""
    await unapplied.run("CREATE VIEW v AS SELECT ssn FROM customers")
    found = await unapplied.look()
    assert [(f.code, f.severity, f.subject) for f in found] == [
        ("SG003", "error", "public.customers.email"),
        ("SG003", "error", "public.customers.ssn"),
        ("SG006", "error", "public.customers.ssn"),
        ("SG010", "error", "schema sealgate"),
        ("SG054", "info", "public.customers.ssn"),
    ]
    assert "view public.v reads it" in found[2].message
    assert "sealgate apply" in found[0].fix


async def test_unknown_tables_and_columns(checked: Checked) -> None:
    """SG001, SG002, with SG020 for the keys they lack."""
    checked.columns |= {
        "public.nothing.x": {"type": "text"},
        "public.customers.nothing": {"type": "text"},
    }
    found = await checked.look()
    assert {(f.code, f.subject) for f in found} == {
        ("SG001", "public.nothing.x"),
        ("SG002", "public.customers.nothing"),
        ("SG020", "public.nothing.x"),
        ("SG020", "public.customers.nothing"),
    }


async def test_type_mismatch(checked: Checked) -> None:
    """SG004, of plain columns with the line to write, and of sealed ones."""
    checked.columns["public.customers.kind"] = {"type": "varchar(9)"}
    checked.columns["public.customers.ssn"] = {"type": "jsonb"}
    found = [f for f in await checked.look() if f.code == "SG004"]
    assert {f.subject for f in found} == {"public.customers.kind", "public.customers.ssn"}
    assert all('type = "text"' in f.fix for f in found)


async def test_a_declared_view(checked: Checked) -> None:
    """SG006: only tables hold data."""
    await checked.run("CREATE VIEW v AS SELECT id, ssn FROM customers")
    checked.columns["public.v.ssn"] = {"type": "text"}
    assert "SG006" in await checked.codes()


async def test_sealed_but_not_declared(checked: Checked) -> None:
    """SG005; not for partitions and children of declared tables, nor for views. (SG065: a child that apply has not seen.)"""
    await checked.run(
        "CREATE TABLE history AS SELECT id, ssn FROM customers; CREATE TABLE child () INHERITS (customers);"
        " CREATE VIEW v AS SELECT ssn FROM customers"
    )
    found = {f.code: f for f in await checked.look()}
    assert set(found) == {"SG005", "SG065"}
    assert "public.child" in found["SG065"].message
    assert (found["SG005"].subject, found["SG005"].severity) == ("public.history.ssn", "warning")


async def test_schema_out_of_date(checked: Checked) -> None:
    """SG011: something missing, replaced, or no longer for everybody."""
    for damage in (
        "DROP FUNCTION sealgate.refuse",
        "DROP DOMAIN sealgate.sealed_uuid",
        "REVOKE USAGE ON SCHEMA sealgate FROM PUBLIC",
        "CREATE OR REPLACE FUNCTION sealgate.eq(value bytea) RETURNS bytea LANGUAGE sql IMMUTABLE RETURN value",
        "CREATE OR REPLACE FUNCTION sealgate.version() RETURNS int LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN 0",
    ):
        await checked.run(damage)
        codes = await checked.codes()
        assert codes.get("SG011") == "error", damage
        await checked.shop.sealed()
        assert await checked.look() == []


async def test_a_newer_schema(checked: Checked) -> None:
    """SG011 says which release to use, and nothing else of the schema."""
    await checked.run(
        "CREATE OR REPLACE FUNCTION sealgate.version() RETURNS int LANGUAGE sql IMMUTABLE RETURN 7"
    )
    found = await checked.only("SG011")
    assert "version 7" in found.message


@pytest.mark.parametrize(
    "damage",
    [
        "ALTER DOMAIN sealgate.sealed_text DROP CONSTRAINT sealed",
        "ALTER DOMAIN sealgate.sealed_text DROP CONSTRAINT sealed;"
        " ALTER DOMAIN sealgate.sealed_text ADD CONSTRAINT sealed CHECK (octet_length(VALUE) > 0)",
        "ALTER DOMAIN sealgate.sealed_text DROP CONSTRAINT sealed;"
        " ALTER DOMAIN sealgate.sealed_text ADD CONSTRAINT sealed CHECK"
        " (octet_length(VALUE) >= 36 AND substring(VALUE, 1, 4) = '\\x5ea10100'::bytea"
        " OR octet_length(VALUE) >= 52 AND substring(VALUE, 1, 4) = '\\x5ea10101'::bytea) NOT VALID",
        "ALTER DOMAIN sealgate.sealed_text SET DEFAULT '\\x00'",
    ],
)
async def test_a_check_that_was_dropped_or_loosened(checked: Checked, damage: str) -> None:
    """SG012: plaintext could come in."""
    await checked.run(damage)
    found = await checked.only("SG012")
    assert (found.severity, found.subject) == ("error", "sealgate.sealed_text")


async def test_keys_that_are_missing(checked: Checked) -> None:
    """SG020 for declared columns without keys, SG021 for stored values whose key is gone."""
    await checked.run("UPDATE customers SET ssn = NULL WHERE id > 10")
    checked.keyset = generate(())
    found = {(f.code, f.subject): f.message for f in await checked.look()}
    assert found.keys() == {
        (c, f"public.customers.{n}") for c in ("SG020", "SG021") for n in ("email", "ssn")
    }
    assert "400 values of 400" in found["SG021", "public.customers.email"]
    assert "10 values of 10" in found["SG021", "public.customers.ssn"]
    checked.keyset = None
    assert await checked.look() == []


async def test_values_of_another_column(checked: Checked) -> None:
    """SG022: copied within the database; the other column's grants decide."""
    await checked.run("UPDATE customers SET ssn = email WHERE id <= 7")
    codes = {f.code: f for f in await checked.look()}
    assert "7 values of 400" in codes["SG022"].message
    assert "public.customers.email" in codes["SG022"].message
    assert codes.keys() == {"SG022", "SG032"}


async def test_values_that_were_tampered_with(checked: Checked) -> None:
    """SG023: a flipped byte is found by opening a sample."""
    await checked.run(
        "UPDATE customers SET ssn = set_byte(ssn, 40, get_byte(ssn, 40) # 1) WHERE id <= 3"
    )
    found = await checked.only("SG023")
    assert found.severity == "error"


async def test_terms_unlike_what_is_declared(checked: Checked) -> None:
    """SG031 where they lack, SG032 where they are too many; apply mends both."""
    checked.columns["public.customers.ssn"] = {"type": "text", "search": ["equality"]}
    codes = {f.code: f for f in await checked.look()}
    assert codes.keys() == {"SG030", "SG031", "SG038"}
    assert "400 values of 400 carry no equality term" in codes["SG031"].message
    checked.columns["public.customers.ssn"] = {"type": "text"}
    checked.columns["public.customers.email"] = {"type": "text", "mask": "email"}
    codes = {f.code: f for f in await checked.look()}
    assert codes.keys() == {"SG032", "SG035", "SG039"}


async def test_an_equality_column_without_its_index(checked: Checked) -> None:
    """SG030; an index that is invalid, partial or on something else does not serve, as EXPLAIN says."""
    await checked.run("DROP INDEX customers_email_key; SET enable_seqscan = off")
    query = "EXPLAIN SELECT id FROM customers WHERE sealgate.eq(email) = '\\x00'"
    assert (await checked.only("SG030")).severity == "warning"
    for predicate in ("id > 5", "email IS NOT NULL"):
        await checked.run(f"CREATE INDEX ON customers (sealgate.eq(email)) WHERE {predicate}")
        await checked.only("SG030")
        plan = await checked.shop.connection.fetch(query)
        assert "Seq Scan" in str(plan), predicate
    await checked.run("CREATE INDEX whole ON customers (sealgate.eq(email))")
    assert "whole" in str(await checked.shop.connection.fetch(query))
    assert await checked.look() == []


@pytest.mark.parametrize("search", ["equality", "equality:casefold", "order:C:12"])
async def test_search_on_an_enum_is_an_error(checked: Checked, search: str) -> None:
    """SG034 with the numbers: three kinds among 300 customers, whichever term compares them."""
    checked.columns["public.customers.kind"] = {"type": "text", "search": [search]}
    await checked.run("UPDATE customers SET kind = NULL WHERE id > 300")
    await _apply_more(checked)
    found = await checked.only("SG034")
    assert (found.subject, found.severity) == ("public.customers.kind", "error")
    assert "3 distinct among 300, the most frequent 0.33" in found.message


async def test_more_rows_a_term_than_the_square_root_leak(checked: Checked) -> None:
    """SG033: twenty values among 400 customers are no enum, but every one is shared by twenty."""
    await checked.run("UPDATE customers SET kind = 'canary' || id % 20")
    checked.columns["public.customers.kind"] = {"type": "text", "search": ["equality"]}
    await _apply_more(checked)
    found = await checked.only("SG033")
    assert "20.0 rows each (the rule of coincidences: fewer than 20)" in found.message


async def test_one_value_that_dominates_leaks(checked: Checked) -> None:
    """SG033: many values, but a third of the rows have the same one."""
    await checked.run(
        "ALTER TABLE customers ADD boss text; UPDATE customers SET boss = 'canary' || greatest(id, 150)"
    )
    checked.columns["public.customers.boss"] = {"type": "text", "search": ["equality"]}
    await _apply_more(checked)
    found = await checked.only("SG033")
    assert "251 distinct among 400, the most frequent 0.38" in found.message
    assert "are skewed" in found.message


@pytest.mark.parametrize("search", [["equality"]])
async def test_equality_on_a_boolean_is_an_error(checked: Checked, search: list[str]) -> None:
    """SG034 even without a row; order on one does not load."""
    await checked.run("CREATE TABLE flags (x bool)")
    await checked.run(f"GRANT SELECT, INSERT ON flags TO {checked.app}")
    checked.columns["public.flags.x"] = {"type": "bool", "search": search}
    await _apply_more(checked)
    found = await checked.only("SG034")
    assert found.severity == "error"
    assert "boolean" in found.message
    checked.columns["public.flags.x"] = {"type": "bool", "search": ["order"]}
    with pytest.raises(PolicyError):
        load(checked.columns, checked.roles, {})


async def test_what_a_copy_of_the_database_tells_is_measured(checked: Checked) -> None:
    """SG036, for each kind of term, with the numbers as `leakage` defines them of the values."""
    await checked.run(
        "ALTER TABLE customers ADD born date, ADD nick text, ADD doc jsonb;"
        " UPDATE customers SET born = date '1980-01-01' + id % 256, nick = 'canary' || id % 100,"
        " doc = jsonb_build_object('a', id % 40)"
    )
    checked.columns |= {
        "public.customers.born": {"type": "date", "search": ["order"]},
        "public.customers.nick": {"type": "text", "search": ["equality:casefold", "match"]},
        "public.customers.doc": {"type": "jsonb", "search": ["path:a"]},
    }
    await _apply_more(checked)
    told = {
        (f.subject.rpartition(".")[2], f.message.split("its ")[1].split(" terms")[0]): f.measured
        for f in await checked.all()
        if f.code == "SG036"
    }
    assert told.keys() == {
        *(("email", "equality"), ("born", "order"), ("doc", "path")),
        *(("nick", "case-insensitive equality"), ("nick", "match")),
    }
    email = told["email", "equality"]
    assert email is not None
    assert (email["values"], email["distinct"], email["named_by_frequency"]) == (400, 400, 1)
    assert email["entropy_bits"] == pytest.approx(math.log2(400), abs=0.001)
    born = told["born", "order"]
    assert born is not None
    # 256 neighbouring days, 144 of them twice: once the 8 bits that make the difference, and what the carry settles.
    assert (born["distinct"], born["named_by_frequency"]) == (256, 3)
    assert born["order_bits"] == 32
    assert 8 <= born["order_bits_settled"] <= 9
    assert born["share_of_most_frequent"] == pytest.approx(2 / 400)
    nick = told["nick", "match"]
    assert nick is not None
    texts = Counter(gram for i in range(1, 401) for gram in grams(b"canary%d" % (i % 100), 3))
    assert (nick["values"], nick["terms"], nick["distinct"]) == (400, texts.total(), len(texts))
    doc = told["doc", "path"]
    assert doc is not None
    # Each scalar has a term as text and one as JSON.
    assert (doc["values"], doc["terms"], doc["distinct"]) == (400, 800, 80)
    assert doc["min_entropy_bits"] == pytest.approx(math.log2(80), abs=0.001)


async def test_unique_values_are_told_with_the_terms_that_would_hide_them(checked: Checked) -> None:
    """SG037, for information: 400 addresses, one row a term; 5 to 7 bits would be shared by 2 to 20."""
    found = [f for f in await checked.all() if f.code == "SG037"]
    assert [(f.subject, f.severity) for f in found] == [("public.customers.email", "info")]
    assert "5 to 7 bits would be shared by 2 to 20 rows" in found[0].fix
    assert "none yet" in found[0].fix


async def test_few_rows_are_told_not_judged(checked: Checked) -> None:
    """SG037: below 50 rows no distribution is seen."""
    await checked.run("DELETE FROM customers WHERE id > 49")
    found = [f for f in await checked.all() if f.code == "SG037"]
    assert "49 equality terms are too few to judge by" in found[0].message


async def test_the_server_does_not_vouch_for_the_terms(checked: Checked) -> None:
    """SG038: the CHECK was dropped, or says something else under its name (SG039): apply mends it. Of another declaration: it does not."""
    name = await checked.shop.connection.fetchval(
        "SELECT conname FROM pg_constraint WHERE conname LIKE 'sealgate_terms_%'"
    )
    drop = f"ALTER TABLE customers DROP CONSTRAINT {name}"
    for damage, codes in (
        (drop, {"SG038": "error"}),
        (
            f"{drop}; ALTER TABLE customers ADD CONSTRAINT {name} CHECK (email IS NOT NULL)",
            {"SG038": "error", "SG039": "info"},
        ),
    ):
        await checked.run(damage)
        assert await checked.codes() == codes, damage
        await checked.shop.sealed()
        assert await checked.look() == []
    other = "sealgate_terms_eq_0123456789abcdef"
    await checked.run(f"ALTER TABLE customers RENAME CONSTRAINT {name} TO {other}")
    assert await checked.codes() == {"SG006": "error", "SG038": "error", "SG039": "info"}
    assert "could not be told from the new ones" in str(await checked.shop.apply())


async def _apply_more(checked: Checked) -> None:
    """Starts over from plaintext: `generate` draws new keys, which do not open what the old ones sealed."""
    await checked.run(
        "DROP SCHEMA sealgate CASCADE; ALTER TABLE customers ADD email text, ADD ssn text;"
        " UPDATE customers SET email = 'canary' || id, ssn = 'canary'"
    )
    await checked.apply()


async def test_roles(checked: Checked) -> None:
    """SG040 no such role; SG041 nobody has it; SG044 a grant that means nothing."""
    group = f"{checked.shop.database.name}_group"
    checked.shop.database.postgres.create_role(group, login=False)
    checked.roles |= {
        "nobody_at_all": {"clear": ["*"]},
        group: {"masked": ["public.customers.email"], "clear": ["sales.*"]},
    }
    found = {f.code: f for f in await checked.look()}
    assert found.keys() == {"SG040", "SG041", "SG044"}
    assert found["SG040"].subject == "roles.nobody_at_all"
    assert found["SG040"].severity == "error"
    assert found["SG041"].subject == f"roles.{group}"
    checked.shop.database.psql(f"GRANT {group} TO {checked.app}")
    assert "SG041" not in await checked.codes()


async def test_grants_that_postgresql_does_not_back(checked: Checked) -> None:
    """SG042: clear without SELECT, write without INSERT or UPDATE; column privileges and groups count."""
    await checked.run(f"REVOKE ALL ON customers FROM {checked.app}")
    found = await checked.look()
    assert [f.code for f in found] == ["SG042", "SG042"]
    assert "SELECT" in found[0].message
    assert "INSERT or UPDATE" in found[1].message
    await checked.run(
        f"GRANT SELECT (email, ssn) ON customers TO {checked.app}; GRANT UPDATE (ssn) ON customers TO {checked.app}"
    )
    found = await checked.look()
    assert [f.code for f in found] == ["SG042"]
    assert "public.customers.email" in found[0].message
    assert "ssn" not in found[0].message
    group = f"{checked.shop.database.name}_writers"
    checked.shop.database.postgres.create_role(group, login=False)
    await checked.run(f"GRANT INSERT ON customers TO {group}")
    checked.shop.database.psql(f"GRANT {group} TO {checked.app}")
    assert await checked.look() == []


async def test_logins_that_would_see_nothing(checked: Checked) -> None:
    """SG043, one line for those who may select the same columns."""
    for name in ("a", "b"):
        login = f"{checked.shop.database.name}_{name}"
        checked.shop.database.postgres.create_role(login)
        await checked.run(f"GRANT SELECT (id, ssn) ON customers TO {login}")
    found = await checked.only("SG043")
    assert found.severity == "info"
    assert found.subject.endswith("_b")
    assert "public.customers.ssn" in found.message
    assert "email" not in found.message


async def test_columns_that_nobody_may_read_or_write(checked: Checked) -> None:
    """SG045 and SG046."""
    checked.roles = {checked.app: {"clear": ["public.customers.email"]}}
    assert await checked.codes() == {"SG045": "warning", "SG046": "info"}


async def test_powers(checked: Checked) -> None:
    """SG050 superusers, SG051 predefined roles, SG052 an application that is superuser, SG053 one that owns its table."""
    postgres = checked.shop.database.postgres
    root, reader = (f"{checked.shop.database.name}_{n}" for n in ("root", "reader"))
    postgres.create_role(root, superuser=True)
    postgres.create_role(reader)
    postgres.psql(f"GRANT pg_read_all_data TO {reader}")
    checked.roles |= {root: {"clear": ["*"]}, checked.shop.owner: {"clear": ["*"]}}
    policy = load(checked.columns, checked.roles, {})
    found = {f.code: f for f in await check(checked.shop.connection, policy, checked.keyset)}
    assert "postgres" in found["SG050"].subject
    assert reader in found["SG051"].subject
    assert "pg_read_all_data" in found["SG051"].message
    assert found["SG052"].subject == root
    assert found["SG053"].severity == "info"
    assert checked.shop.owner in found["SG053"].message
    postgres.psql(f"DROP ROLE {root}, {reader}")


async def test_plaintext_elsewhere(checked: Checked) -> None:
    """SG054: the same name and a plain type, in tables, materialized views and foreign schemas; not other kinds of type."""
    await checked.run(
        """
        CREATE TABLE newsletter (email varchar(99)); CREATE TABLE counts (email int, ssn bytea);
        CREATE SCHEMA old; CREATE MATERIALIZED VIEW old.people AS SELECT 1 AS id, 'x'::text AS email;
        """
    )
    found = await checked.only("SG054")
    assert found.subject == "public.customers.email"
    assert "old.people.email (materialized view), public.newsletter.email" in found.message
    assert "counts" not in found.message


async def test_publications(checked: Checked) -> None:
    """SG055: subscribers get sealed values."""
    await checked.run("CREATE PUBLICATION pub FOR TABLE customers")
    assert "pub" in (await checked.only("SG055")).message


async def test_functions_that_name_a_column(checked: Checked) -> None:
    """SG056: by table and column, or by column in a trigger's function; whole words only."""
    await checked.run(
        """
        CREATE FUNCTION lowers() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.email := lower(NEW.email); RETURN NEW; END';
        CREATE TRIGGER g BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION lowers();
        CREATE FUNCTION mails() RETURNS SETOF text LANGUAGE sql AS 'SELECT name FROM (VALUES (1)) v(name)';
        CREATE FUNCTION reads() RETURNS bigint LANGUAGE plpgsql AS 'BEGIN RETURN (SELECT count(email) FROM customers); END';
        CREATE FUNCTION other() RETURNS int LANGUAGE plpgsql AS 'DECLARE email int; emails int; BEGIN RETURN 1; END';
        """
    )
    found = await checked.only("SG056")
    assert found.subject == "public.customers.email"
    assert "public.lowers, public.reads;" in found.message


async def test_a_control_login_without_the_schema(checked: Checked, connect: Connect) -> None:
    """USAGE was revoked: found as SG011; what is stored is looked at as far as that goes without the functions."""
    weak = f"{checked.shop.database.name}_control"
    checked.shop.database.psql(f"CREATE ROLE {weak} LOGIN; GRANT SELECT ON customers TO {weak}")
    await checked.run("REVOKE USAGE ON SCHEMA sealgate FROM PUBLIC")
    await checked.run("UPDATE customers SET ssn = email WHERE id = 1")
    checked.shop.connection = await connect(weak)
    found = {f.code for f in await checked.all()}
    assert {"SG011", "SG022"} <= found
    assert "SG036" not in found


async def test_without_select_what_is_stored_is_not_looked_at(
    checked: Checked, connect: Connect
) -> None:
    """SG090 instead: the control login needs no right to any table."""
    weak = f"{checked.shop.database.name}_control"
    checked.shop.database.postgres.create_role(weak)
    checked.shop.connection = await connect(weak)
    found = {f.code: f for f in await checked.look()}
    assert found.keys() == {"SG043", "SG090"}  # the owner has no role of the policy
    assert found["SG043"].subject == checked.shop.owner
    assert found["SG090"].subject == weak


async def test_large_tables_are_sampled(checked: Checked, monkeypatch: pytest.MonkeyPatch) -> None:
    """By TABLESAMPLE, from the planner's estimate on; the message says so."""
    monkeypatch.setattr("proxy.database.check.SAMPLE_ROWS", 100)
    checked.columns["public.customers.ssn"] = {"type": "text", "search": ["equality"]}
    await checked.run("ANALYZE customers")
    for _ in range(20):  # SYSTEM samples whole pages, and may take none of these few
        found = {f.code: f for f in await checked.look()}
        if "SG031" in found:
            assert "sampled" in found["SG031"].message
            return
    pytest.fail("no page was ever sampled")


async def test_findings_are_ordered_and_told_in_one_line(checked: Checked) -> None:
    """Errors first, then by code; code, severity, subject, message, fix."""
    checked.roles |= {"nobody_at_all": {"clear": ["*"]}}
    await checked.run("DROP INDEX customers_email_key; CREATE TABLE o (email text)")
    found = await checked.look()
    assert [f.code for f in found] == ["SG040", "SG030", "SG054"]
    line = str(found[1])
    assert line.startswith("SG030 warning public.customers.email: it declares equality")
    assert "\n" not in line
