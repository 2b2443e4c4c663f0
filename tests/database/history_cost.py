"""What keeping the history costs the server: `python -m tests.database.history_cost`.

CPU time of the backend, not elapsed time, so that a busy machine matters little; the least of three rounds, with the triggers and without.
"""

from __future__ import annotations

import asyncio
from pathlib import Path

import asyncpg

from keystore import generate
from policy import ColumnRule, Search
from proxy.database.apply import apply
from proxy.embedded import EmbeddedPostgres

ROWS = 50_000
SINGLE = 5_000
COLUMNS = {name: ColumnRule(name, "text", Search()) for name in ("public.t.a", "public.t.b")}
ONE = {
    "UPDATE of another column": "UPDATE t SET n = n + 1 WHERE id = i",
    "UPDATE of a sealed column": "UPDATE t SET a = b WHERE id = i",
    "DELETE": "DELETE FROM t WHERE id = i",
}
MANY = {
    "UPDATE of another column": "UPDATE t SET n = n + 1",
    "UPDATE of a sealed column": "UPDATE t SET a = NULL",
    "DELETE": "DELETE FROM t",
}


async def measured(connection: asyncpg.Connection) -> dict[tuple[str, str], float]:
    """(statement, "one row" or "each of many") -> microseconds a row."""
    stat = Path(f"/proc/{await connection.fetchval('SELECT pg_backend_pid()')}/stat")

    async def spent(statement: str, rows: int) -> float:
        before = _ticks(stat)
        await connection.execute(statement)
        return (_ticks(stat) - before) * 10_000 / rows

    found = {}
    for name, statement in ONE.items():
        loop = f"DO $$BEGIN FOR i IN 1..{SINGLE} LOOP {statement}; END LOOP; END$$"
        found[name, "one row"] = await spent(loop, SINGLE)
    for name, statement in MANY.items():
        found[name, "each of many"] = await spent(statement, ROWS - SINGLE)
    return found


def _ticks(stat: Path) -> int:
    """Hundredths of a second that the process has had."""
    fields = stat.read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])


async def main() -> None:
    keys = generate(COLUMNS)
    a, b = (keys.column(name) for name in COLUMNS)
    rows = [(n, a.seal(b"%d@example.com" % n), b.seal(b"%d" % n), 0) for n in range(ROWS)]
    best: dict[tuple[str, str, str], float] = {}
    with EmbeddedPostgres() as server:
        connection = await asyncpg.connect(server.dsn("postgres", "postgres"))
        await connection.execute("CREATE TABLE t (id int PRIMARY KEY, a text, b text, n int)")
        await apply(connection, COLUMNS, keys)
        for _ in range(3):
            for mode in ("without", "with"):
                await connection.execute("ALTER TABLE t DISABLE TRIGGER USER; TRUNCATE t")
                await connection.copy_records_to_table("t", records=rows)
                await connection.execute("TRUNCATE sealgate.cell_history")
                await connection.execute("VACUUM ANALYZE t")
                if mode == "with":
                    await apply(connection, COLUMNS, keys)
                for (name, how), cost in (await measured(connection)).items():
                    at = (name, how, mode)
                    best[at] = min(cost, best.get(at, cost))
        await connection.close()
    print("us of the server's CPU a row, two sealed columns    without   with")
    for name, how, mode in best:
        if mode == "without":
            print(
                f"{name + ', ' + how:48} {best[name, how, mode]:10.1f} {best[name, how, 'with']:6.1f}"
            )


if __name__ == "__main__":
    asyncio.run(main())
