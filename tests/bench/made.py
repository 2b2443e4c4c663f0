"""A small result as a run would write it, with figures that are easy to reckon with."""

from __future__ import annotations

from typing import Any


def entry(title: str, clients: int, cells: int, **rates: float) -> dict[str, Any]:
    """A measurement with one round. A proxy's transaction takes 1 ms of its CPU for each hundredth of `clients`."""
    rounds = {
        side: [{"rate": rate, "count": rate * 2, "p50_ms": 8.0, "p99_ms": 9.5, "cpu_s": 0.5}]
        for side, rate in rates.items()
    }
    return {
        "title": title,
        "unit": "transactions/s",
        "clients": clients,
        "cells": cells,
        "rounds": rounds,
        "medians": {side: one[0] for side, one in rounds.items()},
        "ratios": {},
        "missing": {},
        "failed": {},
    }


def result() -> dict[str, Any]:
    point = "point SELECT, nothing sealed, prepared"
    sealed = "point SELECT of one sealed column, prepared"
    measured = {
        **{
            f"point_select_prepared@{n}": entry(
                point, n, 0, direct=20_000.0, pgbouncer=10_000.0, sealgate=8_000.0
            )
            for n in (1, 8, 64)
        },
        **{
            f"point_select_sealed@{n}": entry(
                sealed, n, 1, direct=20_000.0, pgbouncer=10_000.0, sealed=6_499.0
            )
            for n in (1, 8, 64)
        },
        "rows_1k_0@8": entry(
            "1,000-row SELECT", 8, 0, direct=900.0, pgbouncer=800.0, sealgate=700.0
        ),
        "rows_1k_1@8": entry(
            "1,000-row SELECT", 8, 1000, direct=900.0, pgbouncer_sealed=400.0, sealed=100.0
        ),
        "lookup@8": entry("look-up", 8, 0, pgbouncer=9_000.0, sealed=6_000.0),
        "workers_rows@8": entry("rows, discarded", 8, 3, sealed=1_000.0, sealed_2=1_590.0),
        "workers_copy_out@8": entry("COPY, discarded", 8, 3, sealed=1_000.0, sealed_2=1_600.0),
        "copy_in": entry("COPY in", 1, 3, direct=500_000.0, sealed=160_000.0),
        "pgcrypto_insert@8": entry("INSERT", 8, 1, pgcrypto=500.0, sealed_pgcrypto=1_000.0),
        "pgcrypto_lookup@8": entry(
            "look-up", 8, 0, pgcrypto=4_000.0, pgcrypto_pgbouncer=800.0, sealed_pgcrypto=1_000.0
        ),
        "application_lookup": entry(
            "look-up", 1, 0, application_pgbouncer=1_000.0, sealed_application=1_000.0
        ),
    }
    observed: dict[str, Any] = {
        "plans": {"cases": {"sealed": {"index_scan": True, "plan": "Index Scan"}}},
        "idle": {
            "cases": {
                "sealgate": {
                    "connections": 500,
                    "before_mb": 44.0,
                    "per_connection_kb": 60.0,
                    "more_after_a_statement_kb": 3.0,
                }
            }
        },
        "streaming": {
            "cases": {
                "sealed": {
                    "rows": 5_000_000,
                    "answer_mb": 164.0,
                    "seconds": 3.0,
                    "before_mb": 65.0,
                    "peak_mb": 70.0,
                    "growth_mb": 4.0,
                    "samples": [[0.0, 65.0], [1.5, 70.0], [3.0, 69.0]],
                }
            }
        },
        "blocks": {
            "cases": {
                "nothing": _block(2.0),
                "a large value": _block(50.5),
            }
        },
    }
    for one in observed.values():
        one.update(title="", missing={}, failed={})
    return {
        "format": 1,
        "date": "2026-01-31T12:00:00+00:00",
        "machine": {
            "cores": 2,
            "cpu": "A CPU",
            "memory_gb": 8.0,
            "kernel": "6.1",
            "python": "3.11.7",
            "postgresql": "18.4",
            "pgbouncer": None,
            "libraries": {},
            "commit": "0123456789abcdef",
            "changed_since_commit": False,
            "sealgate": "sealgate 0.1.0 (interpreted)",
            "compiled": False,
        },
        "settings": {"name": "full", "rounds": 3, "seconds": 2.0, "copied": 100_000},
        "measured": measured,
        "observed": observed,
        "failed": {"storage": "OSError: no space left"},
        "missing": {"pgcrypto_raw": "no PostgreSQL with pgcrypto"},
        "seconds": 100,
    }


def _block(longest: float) -> dict[str, float]:
    return {
        "longest_ms": longest,
        "of_it_on_core_ms": 1.0,
        "over_10_ms": 1,
        "longest_with_waiting_for_a_core_ms": 80.0,
        "seconds": 1.0,
    }
