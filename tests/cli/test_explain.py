"""`sealgate explain`: what the proxy would do, and never the plaintext of what would be sealed."""

from __future__ import annotations

import io
import json

import pytest

from tests.cli.conftest import Project

EMAIL, SSN = "public.customers.email", "public.customers.ssn"


@pytest.fixture
def sealed(project: Project) -> Project:
    return project.sealed()


def test_a_read_names_columns_outcomes_and_rules(sealed: Project) -> None:
    """Which column, how it is seen, by which rule, and what the server receives."""
    assert sealed.run("explain", "--role", "cli_support", "SELECT email, ssn FROM customers") == 0
    assert "roles.cli_support.clear" in sealed.out
    assert "roles.cli_support.masked" in sealed.out
    assert "SELECT email, ssn FROM customers" in sealed.out
    assert "the masked value" in sealed.out


def test_plaintext_is_not_repeated(sealed: Project) -> None:
    """A literal that would be sealed stands as <sealed>; one that would not stands as it is."""
    sql = "SELECT id FROM customers WHERE email = 'secret@example.com' AND id < 4711"
    assert sealed.run("explain", "--role", "cli_app", sql) == 0
    assert "secret@example.com" not in sealed.out + sealed.err
    assert "sealgate.eq(email) = sealgate.eq('<sealed>'::bytea)" in sealed.out
    assert "4711" in sealed.out
    assert "literal 1" in sealed.out


def test_parameters_are_listed(sealed: Project) -> None:
    """Which $n is sealed as what."""
    sql = "INSERT INTO customers (id, name, email, ssn) VALUES ($1, $2, $3, $4)"
    assert sealed.run("explain", "--json", "--role", "cli_app", sql) == 0
    explanation = json.loads(sealed.out)
    (statement,) = explanation["statements"]
    assert statement["verdict"] == "allowed"
    assert [(s["what"], s["column"]) for s in statement["sealed"]] == [
        ("parameter $3", EMAIL),
        ("parameter $4", SSN),
    ]
    assert {(u["column"], u["access"], u["outcome"]) for u in statement["uses"]} == {
        (EMAIL, "write", "allowed"),
        (SSN, "write", "allowed"),
    }


@pytest.mark.parametrize(
    ("role", "sql", "sqlstate"),
    [
        ("cli_app", "SELECT lower(email) FROM customers", "0A000"),
        ("cli_app", "SELECT 1 FROM customers WHERE ssn = '900-11-0001'", "0A000"),
        ("cli_support", "UPDATE customers SET email = 'new@example.com'", "42501"),
        ("cli_stranger", "SELECT 1 FROM customers WHERE email = 'a@example.com'", "42501"),
    ],
)
def test_a_refusal_exits_1_with_the_clients_error(
    sealed: Project, role: str, sql: str, sqlstate: str
) -> None:
    """SQLSTATE, message and hint as the client would get them; no SQL is shown, as none is sent."""
    assert sealed.run("explain", "--json", "--role", role, sql) == 1
    (statement,) = json.loads(sealed.out)["statements"]
    assert statement["verdict"] == "refused"
    assert statement["refusal"]["sqlstate"] == sqlstate
    assert statement["refusal"]["hint"]
    assert statement["sql"] is None
    assert "example.com" not in sealed.out
    assert "900-11-0001" not in sealed.out


def test_withheld_is_no_refusal(sealed: Project) -> None:
    """A stranger's read is answered, with NULL; with denied_value = "error" it is refused."""
    sql = "SELECT email FROM customers"
    assert sealed.run("explain", "--role", "cli_stranger", sql) == 0
    assert "nothing (withheld)" in sealed.out
    assert "default.deny" in sealed.out
    sealed.configure('[policy]\ndenied_value = "error"\n')
    assert sealed.run("explain", "--role", "cli_stranger", sql) == 1
    assert "42501" in sealed.out


def test_what_touches_nothing_is_forwarded(sealed: Project) -> None:
    """Byte for byte, says the explanation."""
    assert sealed.run("explain", "--role", "cli_app", "SHOW server_version") == 0
    assert "byte for byte" in sealed.out


def test_several_statements_from_standard_input(
    sealed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`-` reads a file; each statement is explained, and one refusal makes the exit code 1."""
    text = "BEGIN; SELECT email FROM customers; SELECT max(email) FROM customers; COMMIT"
    monkeypatch.setattr("sys.stdin", io.StringIO(text))
    assert sealed.run("explain", "--json", "--role", "cli_app", "-") == 1
    verdicts = [s["verdict"] for s in json.loads(sealed.out)["statements"]]
    assert verdicts == ["forwarded", "allowed", "refused", "forwarded"]


def test_what_execute_runs_is_known_from_the_prepare_before_it(sealed: Project) -> None:
    """PREPARE and EXECUTE, DECLARE and FETCH in one text; EXECUTE alone says what is missing."""
    sql = (
        "PREPARE p AS SELECT ssn FROM customers WHERE email = $1; EXECUTE p('secret@example.com');"
        "DECLARE c CURSOR FOR SELECT email FROM customers; FETCH 5 FROM c"
    )
    assert sealed.run("explain", "--json", "--role", "cli_app", sql) == 0
    assert "secret@" not in sealed.out
    prepare, execute, _, fetch = json.loads(sealed.out)["statements"]
    assert [s["what"] for s in prepare["sealed"]] == ["parameter $1"]
    assert (
        prepare["sql"]
        == "PREPARE p (bytea) AS SELECT ssn FROM customers WHERE sealgate.eq(email) = sealgate.eq($1);"
    )
    assert (execute["verdict"], execute["sql"]) == ("allowed", "EXECUTE p('<sealed>'::bytea);")
    assert {(u["column"], u["access"]) for u in execute["uses"]} == {
        (EMAIL, "compare"),
        (SSN, "read"),
    }
    assert [u["column"] for u in fetch["uses"]] == [EMAIL]
    assert sealed.run("explain", "--role", "cli_app", "EXECUTE p('secret@example.com')") == 1
    assert "26000" in sealed.out
    assert "secret@" not in sealed.out


def test_groups_count(sealed: Project) -> None:
    """A login's explanation is made with the grants of the groups it is a member of."""
    sealed.database.postgres.create_role("cli_member", member_of=("cli_support",))
    sql = "SELECT email FROM customers"
    assert sealed.run("explain", "--role", "cli_member", sql) == 0
    assert "As cli_member, member of cli_support:" in sealed.out
    assert "roles.cli_support.clear" in sealed.out


def test_the_roles_own_search_path_is_used(sealed: Project) -> None:
    """ALTER ROLE ... SET search_path decides what a bare name means; --search-path overrides."""
    sealed.database.psql(
        f"CREATE SCHEMA other; CREATE TABLE other.customers (email text); "
        f"ALTER ROLE cli_app IN DATABASE {sealed.database.name} SET search_path = other"
    )
    sql = "SELECT email FROM customers"
    assert sealed.run("explain", "--json", "--role", "cli_app", sql) == 0
    assert json.loads(sealed.out)["statements"][0]["uses"] == []
    public = ("--search-path", "public")
    assert sealed.run("explain", "--json", "--role", "cli_app", *public, sql) == 0
    assert json.loads(sealed.out)["statements"][0]["uses"] != []


def test_an_unknown_role_is_named(sealed: Project) -> None:
    """Not silently treated as a role without grants."""
    assert sealed.run("explain", "--role", "no_such_role", "SELECT 1") == 1
    assert 'role "no_such_role" does not exist' in sealed.err
