"""The tour, one function a step. Each shows what happened and asserts it; `StepFailed` ends the tour.

The order is a reader's: what there was, what three commands changed, what the application, the support desk and an
analyst see, what was logged, and what becomes of five ways around.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import asyncpg
import psycopg

from proxy.demo.page import Page
from proxy.demo.shop import ANALYST, APPLICATION, OWNER, SUPPORT, Customer, Shop

Row = Sequence[Any]

GRACE = Customer("Grace Okafor", "grace@example.com", "900-22-7001", date(1988, 12, 9))
GRACE_MOVED = "g.okafor@example.org"
HUGO = Customer("Hugo Brandt", "hugo@example.net", "900-22-7002", date(1969, 5, 30))
HUGO_UPSERTED = "900-22-7099"
SECRETS = (GRACE.email, GRACE.ssn, GRACE_MOVED, HUGO.email, HUGO.ssn, HUGO_UPSERTED)

READ = "SELECT name, email, ssn, birth_date FROM customers WHERE id = 4"
HEADING = ("customer 4", "name", "email", "ssn", "birth_date")


class StepFailed(Exception):
    """What was seen is not what the step promises."""


def expect(holds: object, otherwise: str) -> None:
    if not holds:
        raise StepFailed(otherwise)


def start_postgres(shop: Shop, page: Page) -> None:
    shop.create()
    rows = direct(shop, OWNER, "SELECT count(*), min(email) FROM customers")
    expect(rows == [(3, "amina@example.com")], "the shop does not hold its three customers")
    page.fact(f"server {shop.postgres.host}:{shop.postgres.port}, 3 customers in plaintext")


def init(shop: Shop, page: Page) -> None:
    shop.write_configuration()
    shop.sealgate("init")
    for name in ("root.key", "keystore.json"):
        mode = (shop.directory / name).stat().st_mode & 0o777
        expect(mode == 0o600, f"{name} has mode {mode:04o}, not 0600")
    page.fact("root.key and keystore.json, readable by their owner only")


def apply(shop: Shop, page: Page) -> None:
    owner = shop.passwords[OWNER]
    dsn = shop.direct(OWNER, with_password=False)
    shop.sealgate("apply", "--dsn", dsn, password=owner)
    types = direct(
        shop,
        OWNER,
        "SELECT string_agg(format_type(atttypid, atttypmod), ', ' ORDER BY attnum) FROM pg_attribute "
        "WHERE attrelid = 'customers'::regclass AND attname IN ('email', 'ssn', 'birth_date')",
    )[0][0]
    expect(
        types == "sealgate.sealed_text, sealgate.sealed_text, sealgate.sealed_date",
        f"the columns have the types {types}",
    )
    expect(stored_sealed(shop), "a column holds something that is not sealed")
    page.fact(f"the 3 rows that were there are sealed; types {types}")


def serve(shop: Shop, page: Page) -> None:
    proxy = shop.serve()
    shop.new_events()
    page.fact(f"clients connect to {proxy.host}:{proxy.port}")


def write(shop: Shop, page: Page) -> None:
    with psycopg.connect(shop.through(APPLICATION), autocommit=True) as connection:
        for customer in (GRACE, HUGO):
            connection.execute(
                "INSERT INTO customers (name, email, ssn, birth_date) VALUES (%s, %s, %s, %s)",
                (customer.name, customer.email, customer.ssn, customer.birth_date),
            )
        updated = connection.execute(
            "UPDATE customers SET email = %s WHERE email = %s", (GRACE_MOVED, GRACE.email)
        )
        expect(updated.rowcount == 1, f"the update by e-mail changed {updated.rowcount} rows")
        upserted = connection.execute(
            "INSERT INTO customers (name, email, ssn) VALUES (%s, %s, %s) "
            "ON CONFLICT (email) DO UPDATE SET ssn = EXCLUDED.ssn RETURNING id, ssn",
            (HUGO.name, HUGO.email, HUGO_UPSERTED),
        ).fetchall()
        expect(upserted == [(5, HUGO_UPSERTED)], "the upsert did not find Hugo's row")
    page.fact("psycopg 3: 2 inserts, an update and an upsert by e-mail")
    found = asyncio.run(
        ask(shop, APPLICATION, "SELECT id, name FROM customers WHERE email = $1", "mei@example.org")
    )
    expect(found == [(3, "Chen Mei")], "the look-up by e-mail did not find a row sealed by apply")
    page.fact("asyncpg: look-up by e-mail finds a customer that was there before")


def stored(shop: Shop, page: Page) -> None:
    expect(stored_sealed(shop), "a column holds something that is not sealed")
    count = direct(shop, OWNER, "SELECT count(*) FROM customers")[0][0]
    expect(count == 5, f"the shop has {count} customers, not 5")
    page.fact("e-mail, SSN and birth date of 5 customers; one of them is shown below")


def roles(shop: Shop, page: Page) -> None:
    shop.new_events()
    name = GRACE.name
    with psycopg.connect(shop.through(APPLICATION)) as connection:
        application = connection.execute(READ).fetchall()
    support = asyncio.run(ask(shop, SUPPORT, READ))
    with psycopg.connect(shop.through(ANALYST)) as connection:
        analyst = connection.execute(READ).fetchall()
    page.table(
        [
            HEADING,
            ("as stored", *map(shown, direct(shop, OWNER, READ)[0])),
            ("shop_app", *map(shown, application[0])),
            ("support", *map(shown, support[0])),
            ("analyst", *map(shown, analyst[0])),
        ]
    )
    expect(application == [(name, GRACE_MOVED, GRACE.ssn, GRACE.birth_date)], "shop_app sees less")
    expect(
        support == [(name, GRACE_MOVED, "*******7001", date(1988, 1, 1))],
        "support does not see e-mail clear, SSN and birth date masked",
    )
    expect(analyst == [(name, None, None, None)], "the analyst sees more than nothing")


def events(shop: Shop, page: Page) -> None:
    seen = [event for event in shop.new_events() if event["class_uid"] == 6005 and "table" in event]
    outcomes = {event["actor"]["user"]["name"]: outcome_by_column(event) for event in seen}
    for event in seen:
        page.fact(event["message"])
    expected = {
        APPLICATION: {"email": "clear", "ssn": "clear", "birth_date": "clear"},
        SUPPORT: {"email": "clear", "ssn": "masked", "birth_date": "masked"},
        ANALYST: {"email": "withheld", "ssn": "withheld", "birth_date": "withheld"},
    }
    expect(outcomes == expected, f"the access log tells of {outcomes}")
    expect(all(event["type_uid"] == 600510 for event in seen), "a read is not logged as Decrypt")


def evidence(shop: Shop, page: Page) -> None:
    verdict = json.loads(shop.sealgate("audit", "verify", "--json"))
    expect(verdict["verdict"] == "ok", f"the access log is {verdict['verdict']}")
    page.fact(f"sealgate audit verify: ok, {verdict['events']} events in one chain, sealed")
    question = ("audit", "affected", "--login", SUPPORT, "--from", "1970-01-01", "--json")
    dsn = shop.direct(OWNER, with_password=False)
    answer = json.loads(shop.sealgate(*question, "--dsn", dsn, password=shop.passwords[OWNER]))
    people = [person["key"] for person in answer["people"]]
    expect(people == [["4"]], f"support saw {people}")
    page.fact(f"sealgate audit affected --login {SUPPORT}: customer 4 and nobody else")
    forged = shop.directory / "forged.jsonl"
    log = shop.audit_log.read_bytes()
    forged.write_bytes(log.replace(b'"name":"support_login"', b'"name":"somebody_else"'))
    said = shop.sealgate("audit", "verify", str(forged), "--json", code=10)
    event = json.loads(said)["first"]["sequence"]
    page.fact(f"in a copy with another name in place of support's: altered, from event {event} on")


def plaintext(shop: Shop, page: Page) -> None:
    sql = "UPDATE customers SET ssn = '900-33-0000' WHERE id = 1"
    error = refused(shop.direct(OWNER), sql)
    expect(
        (error is not None and error[0] == "42804") or (error and error[0] == "23514"), f"{error}"
    )
    page.fact(f"the table's owner, directly: {told(error)}")


def copied(shop: Shop, page: Page) -> None:
    kept = direct(shop, OWNER, "SELECT encode(email, 'hex') FROM customers WHERE id = 4")[0][0]
    run_direct(shop, OWNER, "UPDATE customers SET email = ssn WHERE id = 4")
    shop.new_events()
    error = refused(shop.through(SUPPORT), "SELECT name, email FROM customers WHERE id = 4")
    page.fact("an insider copies an SSN into the e-mail column, which support may read in clear")
    expect(error is not None, "support was given a value that had been copied")
    expect(error is not None and error[0] == "XX001", f"the answer was {told(error)}")
    page.fact(f"support reads it: {told(error)}")
    findings = [event for event in shop.new_events() if event["class_uid"] == 2004]
    expect(len(findings) == 1, "no finding in the access log tells of it")
    page.fact(f"the access log: {findings[0]['message']}")
    run_direct(shop, OWNER, f"UPDATE customers SET email = decode('{kept}', 'hex') WHERE id = 4")  # noqa: S608


def around(shop: Shop, page: Page) -> None:
    run_direct(
        shop,
        OWNER,
        "CREATE VIEW contacts AS SELECT id, email AS contact FROM customers; "
        "GRANT SELECT ON contacts TO analyst, support",
    )
    sql = "SELECT contact FROM contacts WHERE id = 4"
    seen = {login: known_by_now(shop, login, sql) for login in (ANALYST, SUPPORT)}
    expect(seen[ANALYST] == [(None,)], "the view showed the analyst an e-mail")
    expect(seen[SUPPORT] == [(GRACE_MOVED,)], f"the view shows support {seen[SUPPORT]}")
    page.fact("a view over the column: the analyst gets NULL, support the e-mail, as before")
    for sql in (
        "SELECT lower(email) FROM customers",
        "SELECT name FROM customers UNION ALL SELECT email FROM customers",
    ):
        error = refused(shop.through(ANALYST), sql)
        expect(error is not None, f"{sql} gave the analyst an answer")
        expect(error is not None and error[0] in ("0A000", "42501"), f"{sql}: {told(error)}")
        page.fact(f"{sql}")
        page.fact(f"  {told(error)}")


def search(shop: Shop, page: Page) -> None:
    """Last: nothing that the proxy was told in plaintext is anywhere but in it."""
    proxy = shop.proxy
    expect(proxy is not None and proxy.stop() == 0, "serve did not end in order on SIGTERM")
    shop.postgres.stop()  # a checkpoint: everything is in the files now
    searched = 0
    expect(shop.postgres.home.is_relative_to(shop.directory), "the database is elsewhere")
    for path in files(shop.directory):
        content = path.read_bytes()
        searched += len(content)
        for secret in SECRETS:
            expect(secret.encode() not in content, f"{path} holds a plaintext")
    size = searched / 2**20
    page.fact(
        f"{len(SECRETS)} secrets searched in {size:.0f} MiB of data files, WAL and logs: none found"
    )


STEPS: tuple[tuple[str, Callable[[Shop, Page], None]], ...] = (
    ("PostgreSQL 18 with a shop, everything in plaintext", start_postgres),
    ("sealgate init: a root key and a keystore", init),
    ("sealgate apply: seal the rows that exist", apply),
    ("sealgate serve: the proxy", serve),
    ("The shop writes and looks up by e-mail, as ever", write),
    ("The database holds sealed values only", stored),
    ("Each role sees what its policy says", roles),
    ("Every touch is in the access log", events),
    ("The log is whole, and says whose data was seen", evidence),
    ("Attack: plaintext straight to the database", plaintext),
    ("Attack: a value copied to another column", copied),
    ("Attack: a view, lower(email), a union", around),
    ("No plaintext in data files, WAL and logs", search),
)


def direct(shop: Shop, login: str, sql: str) -> list[Row]:
    """Rows, straight from the database."""
    with psycopg.connect(shop.direct(login)) as connection:
        return list(connection.execute(sql.encode()).fetchall())


def run_direct(shop: Shop, login: str, sql: str) -> None:
    with psycopg.connect(shop.direct(login), autocommit=True) as connection:
        connection.execute(sql.encode())


async def ask(shop: Shop, login: str, sql: str, *parameters: object) -> list[Row]:
    """Rows, through the proxy with asyncpg."""
    connection = await asyncpg.connect(shop.through(login), timeout=10)
    try:
        return [tuple(row) for row in await connection.fetch(sql, *parameters)]
    finally:
        await connection.close(timeout=10)


def known_by_now(shop: Shop, login: str, sql: str) -> list[Row]:
    """Rows of a view that was created past the proxy, which looks at the catalog every second.

    Until it has, it unseals the same values for the same roles, but shows them as bytea.
    """
    deadline = time.monotonic() + 10
    while True:
        rows = asyncio.run(ask(shop, login, sql))
        if time.monotonic() > deadline or not isinstance(rows[0][0], bytes):
            return rows
        time.sleep(0.1)


def refused(dsn: str, sql: str) -> tuple[str, str] | None:
    """SQLSTATE and message of the error that the statement gets; None if it gets none."""
    try:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute(sql.encode())
    except psycopg.Error as error:
        return error.sqlstate or "?????", str(error.diag.message_primary or error)
    return None


def outcome_by_column(event: dict[str, Any]) -> dict[str, str]:
    columns = event["unmapped"]["sealgate"]["columns"]
    return {column["name"].rpartition(".")[2]: column["outcome"] for column in columns}


def told(error: tuple[str, str] | None) -> str:
    return "no error" if error is None else f"{error[0]} {error[1]}"


def stored_sealed(shop: Shop) -> bool:
    """Every value of the three columns begins with the magic of the sealed format."""
    rows = direct(shop, OWNER, "SELECT email::bytea, ssn::bytea, birth_date::bytea FROM customers")
    return all(cell is None or bytes(cell).startswith(b"\x5e\xa1") for row in rows for cell in row)


def shown(cell: object) -> str:
    if isinstance(cell, bytes):
        return f"\\x{cell[:6].hex()}.. ({len(cell)} bytes)"
    return "NULL" if cell is None else str(cell)


def files(place: Path) -> Iterable[Path]:
    return (path for path in place.rglob("*") if path.is_file())
