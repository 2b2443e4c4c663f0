"""Loads of results with many rows, by pgbench: nothing, one or three of four columns sealed."""

from __future__ import annotations

from bench.workloads.load import Load

ONE = "id, email, city, visits"
THREE = "id, email, phone, born"
COLUMNS = {0: ONE, 1: ONE, 3: THREE}
SEVERAL = (4,)  # clients, so that two workers have something to do
WORDS = {0: "nothing sealed", 1: "one column of four sealed", 3: "three columns of four sealed"}


def _load(rows: str, sealed: int, count: int, clients: tuple[int, ...]) -> Load:
    sides = (
        ("direct", "pgbouncer", "sealgate")
        if sealed == 0
        else ("direct", "pgbouncer", "pgbouncer_sealed", "sealed")
    )
    if clients == SEVERAL:
        sides = ("direct", "pgbouncer_sealed", "sealed", "sealed_2")
    return Load(
        name=f"rows_{rows}_{sealed}",
        title=f"{count:,}-row SELECT, {WORDS[sealed]}",
        script=f"SELECT {COLUMNS[sealed]} FROM {{s}}.people WHERE id <= {count};",
        sides=sides,
        clients=clients,
        cells=sealed * count,
        warm=3 if count <= 1000 else 1,
    )


def loads(big: int) -> list[Load]:
    """big: how many rows the big result has; it is called 100k, as in a full run."""
    few = [_load("1k", sealed, 1000, (8,)) for sealed in (0, 1, 3)]
    many = [_load("100k", sealed, big, (1,)) for sealed in (0, 1, 3)]
    return [*few, *many, _load("100k", 3, big, SEVERAL)]
