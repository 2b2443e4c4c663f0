"""`sealgate apply` and `sealgate check` as commands; what they do in the database is tested in tests/database."""

from __future__ import annotations

import json

import keystore
from tests.cli.conftest import Project


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
