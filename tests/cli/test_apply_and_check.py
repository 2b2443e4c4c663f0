"""`sealgate apply` and `sealgate check` as commands; what they do in the database is tested in tests/database."""

from __future__ import annotations

import json

import keystore
from tests.cli.conftest import Project

SEARCHED = '[columns."public.customers.ssn"]\ntype = "text"\nsearch = ["equality", "match"]'


def test_a_dry_run_changes_nothing(project: Project) -> None:
    """It says what would be done, and neither database nor keystore is touched."""
    assert project.run("init") == 0
    before = (project.directory / "keystore.json").read_bytes()
    assert project.run("apply", "--dry-run", "--dsn", project.database.dsn()) == 0
    assert "public.customers.email: would seal as text with equality terms" in project.out
    assert project.database.psql("SELECT email FROM customers") == "amina@example.com"
    assert (project.directory / "keystore.json").read_bytes() == before


def test_apply_seals_and_is_idempotent(project: Project) -> None:
    """The first run seals, the second finds nothing to do."""
    project.sealed()
    assert "public.customers.ssn: sealed as text" in project.out
    stored = project.database.psql("SELECT email, ssn FROM customers")
    assert stored.startswith("\\x5ea10101")
    assert project.run("apply", "--dsn", project.database.dsn()) == 0
    assert "nothing to do" in project.out
    assert project.database.psql("SELECT email, ssn FROM customers") == stored


def test_a_new_column_gets_keys(project: Project) -> None:
    """Declared after init: apply adds its keys to the keystore, a dry run only says so."""
    project.sealed()
    project.configure('[columns."public.customers.name"]\ntype = "text"\n')
    dsn = project.database.dsn()
    assert project.run("apply", "--dry-run", "--dsn", dsn) == 0
    assert "would add keys for public.customers.name" in project.out
    assert project.run("apply", "--dsn", dsn) == 0
    assert "added keys for public.customers.name" in project.out
    source = keystore.RootKeySource("file", project.directory / "root.key")
    keyset = keystore.load(project.directory / "keystore.json", keystore.load_root_key(source))
    assert keyset.missing(["public.customers.name"]) == ()


def test_apply_says_what_it_refuses_and_exits_1(project: Project) -> None:
    """A column that does not exist: nothing is changed, the report says why, also as JSON."""
    project.configure('[columns."public.customers.phone"]\ntype = "text"\n')
    assert project.run("init") == 0
    assert project.run("apply", "--dsn", project.database.dsn()) == 1
    assert "refused: public.customers.phone" in project.out
    assert project.run("apply", "--json", "--dsn", project.database.dsn()) == 1
    report = json.loads(project.out)
    assert report["ok"] is False
    assert report["changed"] is False


def test_a_new_search_is_forecast_and_then_made(project: Project) -> None:
    """What each kind of term costs is said before; afterwards how many rows were given them, with the indexes."""
    project.sealed()
    project.configure(change=('[columns."public.customers.ssn"]\ntype = "text"', SEARCHED))
    dsn = project.database.dsn()
    assert project.run("apply", "--dry-run", "--dsn", dsn) == 0
    assert "public.customers.ssn: would be given equality and match terms" in project.out
    assert "equality terms take 16.0 bytes a value, their index" in project.out
    assert "about 1 row would be given other terms in about 1 s" in project.out
    assert project.run("apply", "--dsn", dsn) == 0
    assert "public.customers.ssn: given equality and match terms" in project.out
    assert "given other terms in" in project.out
    assert (
        '"customers_ssn_match" ON "public"."customers" USING gin (sealgate.match(ssn))'
        in project.out
    )
    assert project.run("apply", "--dsn", dsn) == 0
    assert "nothing to do" in project.out


def test_triggers_act_only_where_that_is_said(project: Project) -> None:
    """The table's owner is refused; --fire-triggers is the way that the message names."""
    project.sealed()
    project.database.postgres.create_role("cli_owner")
    project.database.psql(
        "GRANT ALL ON SCHEMA public TO cli_owner; ALTER TABLE customers OWNER TO cli_owner;"
        "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';"
        "CREATE TRIGGER keep BEFORE UPDATE ON customers FOR EACH ROW EXECUTE FUNCTION keep()"
    )
    project.configure(change=('[columns."public.customers.ssn"]\ntype = "text"', SEARCHED))
    dsn = project.database.dsn("cli_owner")
    assert project.run("apply", "--dsn", dsn) == 1
    assert "trigger keep would act on every row" in project.out
    assert "--fire-triggers" in project.out
    assert project.run("apply", "--fire-triggers", "--dsn", dsn) == 0


def test_check_measures_what_terms_tell(project: Project) -> None:
    """As lines for people, as numbers in JSON; other findings have none."""
    project.sealed()
    dsn = project.database.dsn()
    project.run("check", "--dsn", dsn)
    assert "whoever has a copy of the database learns from its equality terms" in project.out
    project.run("check", "--json", "--dsn", dsn)
    measured = {f["code"]: f["measured"] for f in json.loads(project.out)}
    assert measured["SG036"]["distinct"] >= 1
    assert measured["SG036"]["min_entropy_bits"] >= 0
    assert all(numbers is None for code, numbers in measured.items() if code != "SG036")


def test_apply_as_a_login_that_owns_nothing_is_refused(project: Project) -> None:
    """The control login has no rights; the report says which login to use."""
    assert project.run("init") == 0
    assert project.run("apply") == 1
    assert "refused" in project.out
    assert "--dsn" in project.out


def test_check_finds_what_apply_mends(project: Project) -> None:
    """Before apply columns are plain: errors, exit 1. Afterwards nothing serious is left."""
    assert project.run("init") == 0
    assert project.run("check", "--json", "--dsn", project.database.dsn()) == 1
    errors = [f for f in json.loads(project.out) if f["severity"] == "error"]
    assert {f["subject"] for f in errors} >= {"public.customers.email", "public.customers.ssn"}
    assert all(f["fix"] for f in errors)
    assert project.run("apply", "--dsn", project.database.dsn()) == 0
    project.run("check", "--json", "--dsn", project.database.dsn())
    assert not [f for f in json.loads(project.out) if f["severity"] == "error"]


def test_check_for_people_names_code_severity_and_fix(project: Project) -> None:
    """One line what, one line what to do, a count at the end."""
    assert project.run("init") == 0
    assert project.run("check") == 1
    assert "error: public.customers.email" in project.out
    assert project.out.rstrip().splitlines()[-1].endswith(("error", "warning", "info"))


def test_a_server_that_is_not_there_is_one_line(project: Project) -> None:
    """Which server, which key of the configuration, and no password."""
    dsn = "postgresql://cli_control:hunter2@127.0.0.1:1/shop"
    project.configure(change=(project.database.dsn("cli_control"), dsn))
    assert project.run("init") == 0
    assert project.run("check") == 1
    assert "cannot connect to postgresql://cli_control@127.0.0.1:1/shop" in project.err
    assert "hunter2" not in project.err
    assert len(project.err.strip().splitlines()) == 1


def test_a_login_that_does_not_exist_is_one_line(project: Project) -> None:
    """The server's own words, with the SQLSTATE."""
    assert project.run("init") == 0
    assert project.run("apply", "--dsn", project.database.dsn("nobody_of_that_name")) == 1
    assert 'role "nobody_of_that_name" does not exist' in project.err
    assert "28000" in project.err
