"""Loads of single statements and one transaction, by pgbench."""

from __future__ import annotations

from bench.workloads.load import Load

PLAIN = ("direct", "pgbouncer", "sealgate")
SEALED = ("direct", "pgbouncer", "pgbouncer_sealed", "sealed")
BOTH = ("direct", "pgbouncer", "sealgate", "sealed")
ANY_PERSON = "\\set id random(1, {people})\n"
ANY_ACCOUNT = "\\set id random(1, {accounts})\n"
HUNDRED = ", ".join(["(:email, 'a note')"] * 100)

LOADS = (
    Load(
        name="point_select_prepared",
        title="point SELECT, nothing sealed, prepared",
        script=ANY_PERSON + "SELECT city FROM {s}.people WHERE id = :id;",
        sides=(*PLAIN, "sealgate_2"),
        clients=(1, 8, 64),
    ),
    Load(
        name="point_select_extended",
        title="point SELECT, nothing sealed, extended, parsed every time",
        script=ANY_PERSON + "SELECT city FROM {s}.people WHERE id = :id;",
        sides=PLAIN,
        protocol="extended",
    ),
    Load(
        name="point_select_simple",
        title="point SELECT, nothing sealed, simple protocol with literals",
        script=ANY_PERSON + "SELECT city FROM {s}.people WHERE id = :id;",
        sides=PLAIN,
        protocol="simple",
    ),
    Load(
        name="point_select_sealed",
        title="point SELECT of one sealed column, prepared",
        script=ANY_PERSON + "SELECT email FROM {s}.people WHERE id = :id;",
        sides=(*SEALED, "sealed_2"),
        clients=(1, 8, 64),
        cells=1,
    ),
    Load(
        name="point_select_sealed_extended",
        title="point SELECT of one sealed column, extended, parsed every time",
        script=ANY_PERSON + "SELECT email FROM {s}.people WHERE id = :id;",
        sides=SEALED,
        protocol="extended",
        cells=1,
    ),
    Load(
        name="point_select_sealed_simple",
        title="point SELECT of one sealed column, simple protocol with literals",
        script=ANY_PERSON + "SELECT email FROM {s}.people WHERE id = :id;",
        sides=SEALED,
        protocol="simple",
        cells=1,
    ),
    Load(
        name="lookup",
        title="look-up by e-mail, prepared",
        script="SELECT city FROM {s}.people WHERE email = :email;",
        sides=BOTH,
    ),
    Load(
        name="insert",
        title="INSERT of one row, one sealed column, prepared",
        script="INSERT INTO {s}.sink (email, note) VALUES (:email, 'a note');",
        sides=BOTH,
        cells=1,
        writes=True,
    ),
    Load(
        name="insert_100",
        title="INSERT of 100 rows, one sealed column, prepared",
        script=f"INSERT INTO {{s}}.sink (email, note) VALUES {HUNDRED};",
        sides=BOTH,
        cells=100,
        warm=3,
        writes=True,
    ),
    Load(
        name="update",
        title="UPDATE of one sealed column, prepared",
        script=ANY_ACCOUNT + "UPDATE {s}.accounts SET email = :email WHERE id = :id;",
        sides=BOTH,
        cells=1,
    ),
    Load(
        name="shop",
        title="a shop's transaction: look-up, INSERT, UPDATE, SELECT",
        script=ANY_ACCOUNT + "BEGIN;\n"
        "SELECT id, city FROM {s}.people WHERE email = :email;\n"
        "INSERT INTO {s}.orders (person, email, amount) VALUES (:id, :email, 3);\n"
        "UPDATE {s}.accounts SET balance = balance - 3 WHERE id = :id;\n"
        "SELECT email, phone, born FROM {s}.people WHERE id = :id;\n"
        "COMMIT;",
        sides=BOTH,
        cells=4,
        warm=10,
        writes=True,
    ),
    Load(
        name="connect",
        title="connect, one SELECT, disconnect",
        script="SELECT 1;",
        sides=PLAIN,
        protocol="simple",
        clients=(1, 8),
        warm=3,
        reconnect=True,
    ),
    Load(
        name="connect_sealed",
        title="connect, one SELECT of one sealed column, disconnect",
        script="SELECT email FROM {s}.people WHERE id = 7;",
        sides=("direct", "pgbouncer", "sealed"),
        protocol="simple",
        cells=1,
        warm=3,
        reconnect=True,
    ),
)
