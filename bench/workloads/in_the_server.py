"""The same loads by pgcrypto and by Sealgate, on the server that has pgcrypto."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from bench import wire
from bench.measure import Figures, Measured, interleave
from bench.pgcrypto import SIDES, decrypted, encrypted, hashed
from bench.servers import APPLICATION, DATABASE
from bench.settings import Scale
from bench.sides import Side
from bench.stage import Stage
from bench.workloads.copying import expect, lines_of, repeated
from bench.workloads.load import Load, reachable

PERSON = "\\set id random(1, {people})\n"
SEALED = "sealed_pgcrypto"
ROWS = 1000


def each(write: Callable[[str], str]) -> Mapping[str, str]:
    """Scripts for both ways to use pgcrypto, one of them through pgbouncer too. write: the script, given the schema."""
    return {
        "pgcrypto": write("pgcrypto"),
        "pgcrypto_pgbouncer": write("pgcrypto"),
        "pgcrypto_raw": write("pgcrypto_raw"),
    }


def loads(scale: Scale) -> list[Load]:
    return [
        _load(
            scale,
            "point_select",
            "point SELECT of one encrypted column",
            PERSON + "SELECT email FROM {s}.people WHERE id = :id;",
            each(
                lambda s: (
                    f"{PERSON}SELECT {decrypted(s, 'email')} FROM {{s}}.people WHERE id = :id;"
                )
            ),
            cells=1,
        ),
        _load(
            scale,
            "rows_1k_1",
            "1,000-row SELECT, one column of four encrypted",
            f"SELECT id, email, city, visits FROM {{s}}.people WHERE id <= {ROWS};",
            each(
                lambda s: (
                    f"SELECT id, {decrypted(s, 'email')}, city, visits FROM {{s}}.people WHERE id <= {ROWS};"
                )
            ),
            cells=ROWS,
            warm=1,
        ),
        _load(
            scale,
            "rows_1k_3",
            "1,000-row SELECT, three columns of four encrypted",
            f"SELECT id, email, phone, born FROM {{s}}.people WHERE id <= {ROWS};",
            each(
                lambda s: (
                    f"SELECT id, {decrypted(s, 'email')}, {decrypted(s, 'phone')}, {decrypted(s, 'born')}::date "
                    f"FROM {{s}}.people WHERE id <= {ROWS};"
                )
            ),
            cells=3 * ROWS,
            warm=1,
        ),
        _load(
            scale,
            "lookup",
            "look-up by e-mail",
            "SELECT city FROM {s}.people WHERE email = :email;",
            each(lambda _: f"SELECT city FROM {{s}}.people WHERE email_hash = {hashed(':email')};"),
        ),
        _load(
            scale,
            "insert",
            "INSERT of one row",
            "INSERT INTO {s}.sink (email, note) VALUES (:email, 'a note');",
            each(
                lambda s: (
                    f"INSERT INTO {{s}}.sink (email, note) VALUES ({encrypted(s, ':email')}, 'a note');"
                )
            ),
            cells=1,
            writes=True,
        ),
        _load(
            scale,
            "insert_100",
            "INSERT of 100 rows",
            "INSERT INTO {s}.sink (email, note) VALUES "
            + ", ".join(["(:email, 'a note')"] * 100)
            + ";",
            each(
                lambda s: (
                    "INSERT INTO {s}.sink (email, note) VALUES "
                    + ", ".join([f"({encrypted(s, ':email')}, 'a note')"] * 100)
                    + ";"
                )
            ),
            cells=100,
            warm=3,
            writes=True,
        ),
        _load(
            scale,
            "update",
            "UPDATE of one encrypted column",
            PERSON + "UPDATE {s}.accounts SET email = :email WHERE id = :id;",
            each(
                lambda s: (
                    f"{PERSON}UPDATE {{s}}.accounts SET email = {encrypted(s, ':email')} WHERE id = :id;"
                )
            ),
            cells=1,
        ),
        _load(
            scale,
            "shop",
            "a shop's transaction",
            _shop("email = :email", ":email", "email, phone, born"),
            each(_encrypted_shop),
            cells=4,
            warm=10,
            writes=True,
        ),
    ]


def _load(
    scale: Scale,
    name: str,
    title: str,
    script: str,
    scripts: Mapping[str, str],
    *,
    cells: int = 0,
    warm: int = 30,
    writes: bool = False,
) -> Load:
    return Load(
        name=f"pgcrypto_{name}",
        title=f"{title}, prepared",
        script=script,
        scripts=scripts,
        sides=SIDES,
        cells=cells,
        warm=warm,
        writes=writes,
        rows=scale.encrypted,
        clients=(4,),
    )


def _shop(condition: str, value: str, columns: str) -> str:
    return (
        PERSON + "BEGIN;\n"
        f"SELECT id, city FROM {{s}}.people WHERE {condition};\n"
        f"INSERT INTO {{s}}.orders (person, email, amount) VALUES (:id, {value}, 3);\n"
        "UPDATE {s}.accounts SET balance = balance - 3 WHERE id = :id;\n"
        f"SELECT {columns} FROM {{s}}.people WHERE id = :id;\n"
        "COMMIT;"
    )


def _encrypted_shop(schema: str) -> str:
    columns = ", ".join(decrypted(schema, column) for column in ("email", "phone", "born"))
    condition = f"email_hash = {hashed(':email')}"
    return _shop(condition, encrypted(schema, ":email"), columns)


@dataclass(frozen=True, slots=True)
class Copy:
    """COPY with encryption. pgcrypto cannot stand in the way of COPY FROM: rows go to a temporary table first."""

    name: str
    title: str

    def runs(self) -> list[tuple[str, Callable[[Stage], Measured]]]:
        return [(self.name, self._run)]

    def _run(self, stage: Stage) -> Measured:
        measured = Measured(self.name, self.title, "rows/s", 1, 3)
        available = reachable(stage, SIDES, measured)
        rows = stage.scale.encrypted
        blocks = lines_of(stage, rows)

        def once(name: str) -> Figures:
            side = stage.side(name)
            if self.name.endswith("in"):
                return repeated(stage, side, lambda: self._into(stage, side, blocks, rows), rows)
            return repeated(stage, side, lambda: self._out(side, rows), rows)

        interleave(measured, available, stage.scale.rounds, once)
        return measured

    def _into(self, stage: Stage, side: Side, blocks: list[bytes], rows: int) -> float:
        stage.empty(side)
        with wire.Connection(side.port, APPLICATION, DATABASE) as connection:
            if side.name == SEALED:
                began = time.perf_counter()
                expect(connection.copy_in("COPY sealed.intake FROM STDIN", blocks), f"COPY {rows}")
                return time.perf_counter() - began
            connection.query("CREATE TEMPORARY TABLE arrived (LIKE plain.people)")
            values = ", ".join(
                encrypted(side.schema, column) for column in ("email", "phone", "born")
            )
            began = time.perf_counter()
            expect(connection.copy_in("COPY arrived FROM STDIN", blocks), f"COPY {rows}")
            tag, _ = connection.query(
                f"INSERT INTO {side.schema}.intake "
                f"SELECT id, {values}, city, visits, {hashed('email')} FROM arrived"
            )
            expect(tag, f"INSERT 0 {rows}")
            return time.perf_counter() - began

    def _out(self, side: Side, rows: int) -> float:
        columns = "email, phone, born"
        if side.name != SEALED:
            columns = ", ".join(decrypted(side.schema, column) for column in columns.split(", "))
        sql = f"COPY (SELECT id, {columns}, city, visits FROM {side.schema}.people) TO STDOUT"
        with wire.Connection(side.port, APPLICATION, DATABASE) as connection:
            began = time.perf_counter()
            expect(connection.query(sql)[0], f"COPY {rows}")
            return time.perf_counter() - began


COPIES = (
    Copy("pgcrypto_copy_in", "COPY in, three of six columns encrypted"),
    Copy("pgcrypto_copy_out", "COPY out, three of six columns encrypted"),
)
