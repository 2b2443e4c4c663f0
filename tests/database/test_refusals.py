"""What apply refuses: it says why and what to do, and changes nothing at all."""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg
import pytest

from keystore import generate
from tests.database.conftest import Connect, Shop

TABLE = """
CREATE TABLE t (id int, email text, name varchar(40), age int);
INSERT INTO t VALUES (1, 'canary@example.com', 'canary', 40);
"""


@dataclass(frozen=True, slots=True)
class Case:
    """DDL after TABLE, what is declared of t, and what the refusal must say: problem, fix."""

    name: str
    ddl: str
    declared: dict[str, str]
    problem: str
    fix: str


def case(name: str, ddl: str, problem: str, fix: str, /, **declared: str) -> Case:
    columns = {f"t__{c}": spec for c, spec in declared.items()} or {"t__email": "text ="}
    return Case(name, ddl, columns, problem, fix)


CASES = (
    case("unknown table", "DROP TABLE t", "table public.t does not exist", "Create it"),
    case("unknown column", "", "has no column nothing", "Add it", nothing="text"),
    case(
        "view",
        "ALTER TABLE t RENAME TO x; CREATE VIEW t AS SELECT * FROM x",
        "it is a view",
        "Declare the column of the table",
    ),
    case(
        "materialized view",
        "ALTER TABLE t RENAME TO x; CREATE MATERIALIZED VIEW t AS SELECT * FROM x",
        "it is a materialized view",
        "Declare the column of the table",
    ),
    case(
        "other type",
        "",
        "its type is text",
        'Write type = "text" in [columns."public.t.email"]',
        email="jsonb",
    ),
    case(
        "modifier missing",
        "",
        "its type is character varying(40)",
        'Write type = "varchar(40)" in [columns."public.t.name"]',
        name="varchar",
    ),
    case(
        "modifier differs",
        "",
        "its type is character varying(40)",
        'Write type = "varchar(40)"',
        name="varchar(41)",
    ),
    case(
        "precision",
        "ALTER TABLE t ADD p numeric(10,2)",
        "its type is numeric(10,2)",
        'Write type = "numeric(10,2)"',
        p="numeric",
    ),
    case(
        "char",
        "ALTER TABLE t ADD p char(3)",
        "its type is character(3)",
        'Write type = "char(3)"',
        p="text",
    ),
    case(
        "timestamp",
        "ALTER TABLE t ADD p timestamp",
        "its type is timestamp without time zone",
        'Write type = "timestamp"',
        p="timestamptz",
    ),
    case(
        "unsealable type",
        "ALTER TABLE t ADD p point",
        "its type is point, which Sealgate does not seal",
        "first",
        p="text",
    ),
    case("array", "ALTER TABLE t ADD p text[]", "its type is text[]", "first", p="text"),
    case(
        "enum",
        "CREATE TYPE mood AS ENUM ('ok'); ALTER TABLE t ADD p mood",
        "its type is public.mood",
        "first",
        p="text",
    ),
    case(
        "domain",
        "CREATE DOMAIN mail AS text; ALTER TABLE t ADD p mail",
        "its type is public.mail",
        "first",
        p="text",
    ),
    case("equality of json", "ALTER TABLE t ADD p json", "no equality", "jsonb", p="json ="),
    case(
        "primary key",
        "ALTER TABLE t ADD PRIMARY KEY (email)",
        "part of the primary key (constraint t_pkey",
        "need not be secret",
    ),
    case(
        "foreign key to",
        "ALTER TABLE t ADD UNIQUE (email); CREATE TABLE o (e text REFERENCES t (email))",
        "foreign key (constraint o_e_fkey on table public.o)",
        "Drop the foreign key",
    ),
    case(
        "foreign key from",
        "CREATE TABLE o (e text PRIMARY KEY); INSERT INTO o SELECT email FROM t; ALTER TABLE t ADD FOREIGN KEY (email) REFERENCES o",
        "foreign key (constraint t_email_fkey",
        "Drop the foreign key",
    ),
    case(
        "check",
        "ALTER TABLE t ADD CONSTRAINT has_at CHECK (email LIKE '%@%')",
        "a CHECK reads it (constraint has_at",
        "application must check",
    ),
    case(
        "check of two columns",
        "ALTER TABLE t ADD CHECK (age > 3 OR email <> '')",
        "a CHECK reads it",
        "Drop it",
    ),
    case(
        "exclusion",
        "ALTER TABLE t ADD CONSTRAINT ex EXCLUDE USING hash (email WITH =)",
        "exclusion constraint",
        "Drop the constraint",
    ),
    case(
        "default", "ALTER TABLE t ALTER email SET DEFAULT 'nobody'", "has a DEFAULT", "DROP DEFAULT"
    ),
    case(
        "default of a function",
        "ALTER TABLE t ADD p timestamptz DEFAULT now()",
        "has a DEFAULT",
        "DROP DEFAULT",
        p="timestamptz",
    ),
    case("serial", "ALTER TABLE t ADD p serial", "has a DEFAULT", "DROP DEFAULT", p="integer"),
    case(
        "identity",
        "ALTER TABLE t ADD p int GENERATED ALWAYS AS IDENTITY",
        "identity column",
        "DROP IDENTITY",
        p="integer",
    ),
    case(
        "generated",
        "ALTER TABLE t ADD p text GENERATED ALWAYS AS (lower(email)) STORED",
        "generated column",
        "drop it",
        p="text",
    ),
    case(
        "generated from it",
        "ALTER TABLE t ADD p text GENERATED ALWAYS AS (lower(email)) STORED",
        "p of table public.t is computed from it",
        "Drop the generated column",
    ),
    case(
        "virtual generated from it",
        "ALTER TABLE t ADD p text GENERATED ALWAYS AS (lower(email)) VIRTUAL",
        "is computed from it",
        "Drop the generated column",
    ),
    case(
        "read by a view",
        "CREATE VIEW mails AS SELECT email FROM t",
        "view public.mails reads it",
        "pg_get_viewdef('public.mails')",
    ),
    case(
        "read in a view's WHERE",
        "CREATE VIEW a_few AS SELECT id FROM t WHERE email <> ''",
        "view public.a_few reads it",
        "drop it, run apply",
    ),
    case(
        "read by a materialized view",
        "CREATE MATERIALIZED VIEW kept AS SELECT email FROM t",
        "materialized view public.kept reads it",
        "drop it, run apply",
    ),
    case(
        "rule",
        "CREATE RULE quiet AS ON INSERT TO t WHERE NEW.email = '' DO INSTEAD NOTHING",
        "rule quiet on table public.t reads it",
        "Drop the rule",
    ),
    case(
        "policy",
        "CREATE POLICY own ON t USING (email = current_user)",
        "policy own on table public.t reads it",
        "Drop the policy",
    ),
    case(
        "trigger with columns",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER g BEFORE UPDATE OF email ON t FOR EACH ROW EXECUTE FUNCTION f()",
        "trigger g on table public.t names it",
        "without naming",
    ),
    case(
        "trigger with WHEN",
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER g BEFORE UPDATE ON t FOR EACH ROW WHEN (NEW.email <> '') EXECUTE FUNCTION f()",
        "trigger g on table public.t names it",
        "without naming",
    ),
    case(
        "statistics",
        "CREATE STATISTICS st ON email, name FROM t",
        "statistics object",
        "DROP STATISTICS",
    ),
    case(
        "function body",
        "CREATE FUNCTION mail(int) RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT email FROM t WHERE id = $1; END",
        "function public.mail(integer) reads it",
        "create it again",
    ),
    case(
        "publication columns",
        "CREATE PUBLICATION pub FOR TABLE t (id, email)",
        "publication of table public.t in publication pub names it",
        "add it again",
    ),
    case(
        "index without search",
        "CREATE INDEX t_age ON t (age)",
        "index t_age orders or compares its values",
        'DROP INDEX public.t_age, or declare search = ["equality"]',
        age="integer",
    ),
    case(
        "unique without search",
        "ALTER TABLE t ADD UNIQUE (age)",
        "UNIQUE constraint t_age_key",
        "DROP CONSTRAINT t_age_key, or declare",
        age="integer",
    ),
    case(
        "index on two columns",
        "CREATE INDEX two ON t (age, email)",
        "index two has further columns",
        "DROP INDEX public.two",
    ),
    case(
        "included column",
        "CREATE INDEX inc ON t (age) INCLUDE (email)",
        "index inc has further columns",
        "DROP INDEX",
    ),
    case(
        "unique on two columns",
        "ALTER TABLE t ADD CONSTRAINT both_ UNIQUE (email, age)",
        "UNIQUE constraint both_ has further columns",
        "DROP CONSTRAINT both_",
    ),
    case(
        "expression index",
        "CREATE INDEX low ON t (lower(email))",
        "index low computes with it",
        "DROP INDEX public.low",
    ),
    case(
        "pattern index",
        "CREATE INDEX pat ON t (email text_pattern_ops)",
        "index pat is for other operators",
        "DROP INDEX",
    ),
    case(
        "brin index",
        "CREATE INDEX br ON t USING brin (email)",
        "index br is for other operators",
        "DROP INDEX",
    ),
    case(
        "gin index",
        "ALTER TABLE t ADD p jsonb; CREATE INDEX g ON t USING gin (p)",
        "index g is for other operators",
        "DROP INDEX",
        p="jsonb =",
    ),
    case(
        "index WHERE",
        "CREATE INDEX w ON t (id) WHERE email <> ''",
        "index w compares it in its WHERE",
        "DROP INDEX",
    ),
    case(
        "its own index's WHERE",
        "CREATE INDEX w ON t (email) WHERE email <> ''",
        "index w compares it in its WHERE",
        "DROP INDEX",
    ),
    case(
        "deferrable",
        "ALTER TABLE t ADD CONSTRAINT later UNIQUE (email) DEFERRABLE",
        "later is deferrable",
        "NOT DEFERRABLE",
    ),
    case(
        "clustered",
        "CREATE INDEX c ON t (email); CLUSTER t USING c",
        "clustered on",
        "SET WITHOUT CLUSTER",
    ),
    case(
        "replica identity",
        "ALTER TABLE t ALTER email SET NOT NULL; CREATE UNIQUE INDEX ri ON t (email); ALTER TABLE t REPLICA IDENTITY USING INDEX ri",
        "replica identity",
        "REPLICA IDENTITY",
    ),
    case(
        "partition key",
        "DROP TABLE t; CREATE TABLE t (id int, email text) PARTITION BY HASH (email)",
        "partition key",
        "Partition by",
    ),
    case(
        "partition key expression",
        "DROP TABLE t; CREATE TABLE t (id int, email text) PARTITION BY LIST (lower(email))",
        "partition key",
        "Partition by",
    ),
    case(
        "a partition's key",
        "DROP TABLE t; CREATE TABLE t (id int, email text) PARTITION BY LIST (id); CREATE TABLE t1 PARTITION OF t DEFAULT PARTITION BY HASH (email)",
        "partition key",
        "Partition by",
    ),
    case(
        "a child's CHECK",
        "CREATE TABLE child (CHECK (email <> '')) INHERITS (t)",
        "a CHECK reads it (constraint child_email_check on table public.child)",
        "Drop it",
    ),
    case(
        "a child's index",
        "CREATE TABLE child () INHERITS (t); CREATE INDEX low ON child (lower(email))",
        "index low computes with it",
        "DROP INDEX",
    ),
    case(
        "inherited",
        "ALTER TABLE t RENAME TO parent; CREATE TABLE t () INHERITS (parent)",
        "inherited from a parent",
        "Declare the parent's column",
    ),
    case(
        "row type elsewhere",
        "CREATE TABLE log (before t)",
        "column public.log.before has its row type",
        "Change or drop public.log.before first",
    ),
    case(
        "row type in an array",
        "CREATE TABLE log (before t[])",
        "column public.log.before has its row type",
        "first",
    ),
    case(
        "typed table",
        "CREATE TYPE kind AS (id int, email text); DROP TABLE t; CREATE TABLE t OF kind",
        "typed table",
        "NOT OF",
    ),
    case(
        "forced row security",
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY; ALTER TABLE t FORCE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (id = 1)",
        "row security is forced on its owner",
        "NO FORCE",
    ),
)


@pytest.mark.parametrize("case", CASES, ids=[c.name for c in CASES])
async def test_refused(shop: Shop, case: Case) -> None:
    """The table, its rows and the whole database are as before; the reason names the object; no value is in it."""
    await shop.connection.execute(TABLE + case.ddl)
    shop.declare(**case.declared)
    exists = await shop.connection.fetchval("SELECT to_regclass('t')")
    before = await shop.definition("t") if exists else None
    for report in (await shop.apply(dry_run=True), await shop.apply()):
        assert not report.ok
        assert not report.changed
        said = [(o.problem, o.fix) for o in report.obstacles]
        assert any(case.problem in p and case.fix in f for p, f in said), said
        assert "canary" not in str(report)
        assert "because:" in "\n".join(report.lines())
    assert await shop.connection.fetchval("SELECT to_regnamespace('sealgate')") is None
    if before is not None:
        assert await shop.definition("t") == before


ABOUT_THE_COLUMN = (
    *("primary key", "foreign key to", "check", "default", "generated from it", "statistics"),
    *("read by a view", "read by a materialized view", "rule", "policy", "trigger with WHEN"),
    *("function body", "index on two columns", "expression index", "partition key", "clustered"),
)


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.name in ABOUT_THE_COLUMN], ids=lambda c: c.name
)
async def test_what_is_refused_is_no_more_than_needed(shop: Shop, case: Case) -> None:
    """Another column of the same table is sealed all the same, and what hung on the first one is kept."""
    await shop.connection.execute(TABLE + case.ddl)
    await shop.connection.execute("ALTER TABLE t ADD other text; UPDATE t SET other = 'o'")
    shop.declare(t__other="text =")
    await shop.sealed()
    assert await shop.type_of("t", "other") == "sealgate.sealed_text"


async def test_one_refusal_refuses_all(shop: Shop) -> None:
    """All reasons are listed at once, over all tables, and not even the schema is made."""
    await shop.connection.execute(
        TABLE
        + "CREATE VIEW v AS SELECT email FROM t; ALTER TABLE t ADD CHECK (email <> ''); CREATE TABLE fine (x text)"
    )
    shop.declare(t__email="text", t__age="bigint", fine__x="text", none__x="text")
    report = await shop.apply()
    assert len(report.obstacles) == 4
    assert await shop.type_of("fine", "x") == "text"
    assert await shop.connection.fetchval("SELECT to_regnamespace('sealgate')") is None


async def test_only_the_owner_can(shop: Shop, connect: Connect) -> None:
    """A login with every privilege on the table but not its ownership is told of --dsn; a member of the owner may."""
    await shop.connection.execute(TABLE)
    clerk = f"{shop.database.name}_clerk"
    shop.database.postgres.create_role(clerk)
    shop.database.psql(
        f"GRANT ALL ON TABLE t TO {clerk}; GRANT CREATE ON DATABASE {shop.database.name} TO {clerk};"
        f" GRANT CREATE ON SCHEMA public TO {clerk}"
    )
    shop.declare(t__email="text =")
    owner, shop.connection = shop.connection, await connect(clerk)
    report = await shop.apply()
    assert [o.subject for o in report.obstacles] == ["public.t"]
    assert f"it belongs to {shop.owner}" in report.obstacles[0].problem
    assert "--dsn" in report.obstacles[0].fix
    assert await owner.fetchval("SELECT to_regnamespace('sealgate')") is None
    shop.database.psql(f"GRANT {shop.owner} TO {clerk}")
    await shop.sealed()


async def test_missing_keys_are_refused(shop: Shop) -> None:
    """Nothing is sealed under a key that is not in the keystore."""
    await shop.connection.execute(TABLE)
    shop.declare(t__email="text =")
    shop.keyset = generate(["public.t.name"])
    report = await shop.apply()
    assert "no active keys" in report.obstacles[0].problem
    assert await shop.type_of("t", "email") == "text"


async def test_temporary_tables_are_needed(shop: Shop) -> None:
    """Where the right to make them was revoked, apply says so beforehand."""
    await shop.connection.execute(TABLE)
    shop.database.psql(
        f"REVOKE TEMPORARY ON DATABASE {shop.database.name} FROM PUBLIC, {shop.owner}"
    )
    shop.declare(t__email="text =")
    report = await shop.apply()
    assert "GRANT TEMPORARY ON DATABASE" in report.obstacles[0].fix


async def test_create_on_the_tables_schema_is_needed_for_its_index(shop: Shop) -> None:
    """PostgreSQL asks for it even of the table's owner."""
    await shop.connection.execute(
        f"CREATE SCHEMA s; CREATE TABLE s.t (x text); REVOKE CREATE ON SCHEMA s FROM {shop.owner}"
    )
    from policy import ColumnRule, Search

    shop.columns = {"s.t.x": ColumnRule("s.t.x", "text", Search(equality=True))}
    shop.declare()
    shop.database.psql("ALTER SCHEMA s OWNER TO postgres")
    shop.database.psql(f"GRANT USAGE ON SCHEMA s TO {shop.owner}")
    report = await shop.apply()
    assert "may not create indexes in schema s" in report.obstacles[0].problem


async def test_a_sealed_column_is_not_resealed_as_another_type(shop: Shop) -> None:
    """What was sealed as text stays text until it is unsealed."""
    await shop.connection.execute(TABLE)
    shop.declare(t__email="text")
    await shop.sealed()
    keyset = shop.keyset
    shop.declare(t__email="jsonb")
    shop.keyset = keyset
    report = await shop.apply()
    assert "sealed already, as text, but declared as jsonb" in report.obstacles[0].problem
    assert 'type = "text"' in report.obstacles[0].fix


async def test_values_that_collide_only_when_sealed_leave_the_table_as_it_was(shop: Shop) -> None:
    """float8: to a unique index 0.0 and -0.0 are one value already, so nothing can collide; NaN neither."""
    await shop.connection.execute("CREATE TABLE f (x float8 UNIQUE)")
    await shop.connection.execute("INSERT INTO f VALUES ('-0'), ('NaN'), (1)")
    with pytest.raises(asyncpg.UniqueViolationError):
        await shop.connection.execute("INSERT INTO f VALUES (0)")
    shop.declare(f__x="double precision =")
    await shop.sealed()
    with pytest.raises(asyncpg.UniqueViolationError):
        await shop.connection.execute("INSERT INTO f VALUES ($1)", shop.seal("public.f.x", "0"))


async def test_a_childs_column_is_its_parents_also_when_sealed(shop: Shop) -> None:
    """Declared of a partition whose parent is sealed already: its values are under the parent's key."""
    await shop.connection.execute(
        "CREATE TABLE p (id int, x text) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p DEFAULT"
    )
    shop.declare(p__x="text")
    await shop.sealed()
    shop.columns.clear()
    shop.declare(p1__x="text")
    report = await shop.apply()
    assert "belongs to a partition" in report.obstacles[0].problem


async def test_equality_needs_a_deterministic_collation(shop: Shop) -> None:
    """Terms tell apart what such a collation calls equal. Without equality the column is sealed."""
    try:
        await shop.connection.execute(
            "CREATE COLLATION ci (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
            " CREATE TABLE c (x text COLLATE ci)"
        )
    except asyncpg.FeatureNotSupportedError:
        pytest.skip("this server is built without ICU; see test_obstacles")
    shop.declare(c__x="text =")
    report = await shop.apply()
    assert "collation is not deterministic" in report.obstacles[0].problem
    shop.columns.clear()
    shop.declare(c__x="text")
    await shop.sealed()


async def test_dead_objects_do_not_count(shop: Shop) -> None:
    """DEFAULT NULL::varchar, as pg_dump writes it, is no default: it is dropped."""
    await shop.connection.execute(
        "CREATE TABLE d (x varchar(9) DEFAULT NULL::varchar, y text); INSERT INTO d VALUES (DEFAULT, 'y')"
    )
    shop.declare(d__x="varchar(9)", d__y="text")
    await shop.sealed()
    assert (
        await shop.connection.fetchval(
            "SELECT count(*) FROM pg_attrdef WHERE adrelid = 'd'::regclass"
        )
        == 0
    )
    await shop.connection.execute("INSERT INTO d (y) VALUES (NULL)")
