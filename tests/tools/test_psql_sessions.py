"""psql's ways of running: -c, -f in one transaction, Ctrl-C, a changed password, and who sees what."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.tools.programs import Stage, Tools


def test_commands_on_the_command_line(stage: Stage) -> None:
    """-c with several statements is one simple query, several -c are several; both streams as on plain tables."""
    commands = (
        "-c", "SELECT email FROM customers WHERE id = 1; SELECT 2; UPDATE customers SET note = note WHERE id = 1",
        "-c", "\\echo between",
        "-c", "INSERT INTO customers (id, name, email) VALUES (100, 'c', 'c@example.com'); SELECT 1 / 0",
        "-c", "SELECT count(*) FROM customers WHERE email = 'c@example.com'",
    )  # fmt: skip
    said = [tools.psql("", *commands) for tools in (stage.proxied(), stage.unsealed())]
    assert said[0] == said[1]
    assert "ada@example.com" in said[0].out
    assert said[0].err == "ERROR:  division by zero\n"


def test_a_file_in_a_single_transaction(stage: Stage, tmp_path: Path) -> None:
    """-1 -f: the second file's error takes the first one's sealed row with it, and the exit status says so."""
    (tmp_path / "good.sql").write_text(
        "INSERT INTO customers (id, name, email) VALUES (110, 'f', 'f@example.com');\n"
    )
    (tmp_path / "bad.sql").write_text(
        "SELECT email FROM customers WHERE id = 110;\nSELECT 1 / 0;\n"
    )
    files = ("-1", "-v", "ON_ERROR_STOP=1", "-f", "good.sql", "-f", "bad.sql")
    said = [t.psql("", *files, cwd=tmp_path) for t in (stage.proxied(), stage.unsealed())]
    assert said[0] == said[1]
    assert (said[0].code, said[0].err) == (3, "psql:bad.sql:2: ERROR:  division by zero\n")
    assert "f@example.com" in said[0].out
    count = "SELECT count(*) FROM customers WHERE id = 110"
    assert stage.proxied().done("psql", "-XAtc", count) == "0\n"
    undone = ("-c", "DELETE FROM customers WHERE email = 'f@example.com'")
    assert (
        stage.proxied()
        .done("psql", "-X1f", "good.sql", *undone, cwd=tmp_path)
        .endswith("DELETE 1\n")
    )


def test_control_c_cancels_the_statement_and_not_the_session(stage: Stage) -> None:
    """SIGINT: psql sends CancelRequest to the address it is connected to, the proxy's; the session goes on."""
    ours, its = (
        pty.openpty()
    )  # At a terminal: a psql that reads a file ends with its cancelled statement.
    with subprocess.Popen(
        ["psql", "-X", "-n"],
        stdin=its,
        stdout=its,
        stderr=its,
        env=stage.proxied().environment(),
        start_new_session=True,
    ) as psql:
        os.close(its)
        os.write(ours, b"SELECT email, pg_sleep(60) FROM customers WHERE id = 1;\n")
        while not sleeping(stage):
            assert psql.poll() is None
        os.kill(psql.pid, signal.SIGINT)
        assert b"canceling statement due to user request" in until(ours, b"canceling .* request")
        os.write(ours, b"SELECT ssn FROM customers WHERE id = 1;\n\\q\n")
        assert b" 123-45-6789" in until(ours, b"1 row")
    os.close(ours)


def until(terminal: int, pattern: bytes) -> bytes:
    """What the terminal shows, up to the pattern."""
    shown = b""
    while not re.search(pattern, shown):
        assert select.select([terminal], [], [], 20)[0], shown
        shown += os.read(terminal, 65536)
    return shown


def sleeping(stage: Stage) -> bool:
    database = stage.shop.database.name
    with stage.shop.direct() as direct:
        found = direct.execute(
            "SELECT FROM pg_stat_activity WHERE datname = %s AND wait_event = 'PgSleep'", [database]
        )
        return found.rowcount == 1


@pytest.fixture
def newcomer(stage: Stage) -> Iterator[Tools]:
    """A login of its own, whose password may change."""
    stage.shop.database.psql("CREATE ROLE newcomer LOGIN; GRANT shop_app TO newcomer")
    yield stage.proxied("newcomer")
    stage.shop.database.psql("DROP ROLE newcomer")


def test_the_password_is_changed_as_a_hash(stage: Stage, newcomer: Tools) -> None:
    r"""\password: libpq hashes, the proxy relays; neither the server's log nor the proxy's holds the password."""
    said = newcomer.psql("\\password\nhush-hush\nhush-hush\nSELECT email FROM customers WHERE id = 1;\n")  # fmt: skip
    assert "ERROR" not in said.err
    assert "ada@example.com" in said.out
    stored = stage.shop.database.psql(
        "SELECT rolpassword FROM pg_authid WHERE rolname = 'newcomer'"
    )
    assert stored.startswith("SCRAM-SHA-256$")
    for log in (
        stage.shop.database.postgres.log_path,
        stage.shop.output_path,
        stage.shop.audit_path,
    ):
        assert "hush" not in log.read_text(errors="replace")


def test_psql_shows_each_role_what_it_may_see(stage: Stage) -> None:
    """Masked and withheld values keep their type, and so their place in the table that psql draws."""
    query = "SELECT email, ssn, birth_date, balance FROM customers WHERE id = 1"
    support = stage.proxied("support_login").psql(query + " \\gdesc\n" + query + ";\n")
    analyst = stage.proxied("analyst").psql("\\pset null NULL\n" + query + ";\n")
    assert "birth_date | date" in support.out
    assert " ada@example.com | *******6789 | 1985-01-01 |        \n" in support.out
    assert " NULL  | NULL | NULL       |    NULL\n" in analyst.out
    assert support.err == analyst.err == ""


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (
            "UPDATE customers SET birth_date = '2021-02-30' WHERE id = 1",
            "date/time field value out of range",
        ),
        ("UPDATE customers SET balance = 'ten' WHERE id = 1", "invalid input syntax for type numeric"),
        ("UPDATE customers SET balance = $1 \\bind 99999999999 \\g", "numeric field overflow"),
    ],
)  # fmt: skip
def test_a_value_of_the_wrong_type_is_the_servers_error_without_the_value(
    stage: Stage, statement: str, said: str
) -> None:
    """The one difference in an error's text: the column is named, and the value is not quoted."""
    proxied, plain = (t.psql(statement + "\n;\n") for t in (stage.proxied(), stage.unsealed()))
    assert plain.err.startswith(f"ERROR:  {said}")
    column = "birth_date" if "date" in said else "balance"
    assert proxied.err == f"ERROR:  {said} (sealed column public.customers.{column})\n"
    assert proxied.out == plain.out == ""


@pytest.mark.parametrize(
    ("statement", "code"),
    [
        ("SELECT 1 + FROM customers", "42601"),
        ("SELEC email FROM customers", "42601"),
        ("SELECT FROM plain WHERE", "42601"),
        ("SELECT nothing FROM customers", "42703"),
    ],
)
def test_a_mistyped_statement_is_an_error_and_the_session_goes_on(
    stage: Stage, statement: str, code: str
) -> None:
    """A statement that names a sealed table and that nobody can read does not reach the server's log."""
    script = f"\\set VERBOSITY sqlstate\n{statement};\nSELECT email FROM customers WHERE id = 1;\n"
    proxied, plain = (t.psql(script) for t in (stage.proxied(), stage.unsealed()))
    assert (proxied.err, plain.err) == (f"ERROR:  {code}\n",) * 2
    assert proxied.out == plain.out
    assert "ada@example.com" in proxied.out
