"""What a run ran on: the machine, the versions, the commit. [io]"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from bench.servers import pgbouncer_version

LIBRARIES = (
    "asyncpg",
    "cryptography",
    "orjson",
    "pgparse",
    "psycopg",
    "sqlalchemy",
    "sqlglot",
    "uvloop",
)


def describe(tree: Path, postgres: str) -> dict[str, object]:
    """JSON. tree: whose `proxy` is measured. postgres: the server's version. No names of hosts or paths."""
    said = _sealgate(tree)
    return {
        "cores": os.cpu_count(),
        "cpu": _cpu_model(),
        "memory_gb": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "postgresql": postgres,
        "pgbouncer": pgbouncer_version(),
        "libraries": {name: _version(name) for name in LIBRARIES},
        "commit": _git(tree, "rev-parse", "HEAD"),
        "changed_since_commit": bool(
            _git(tree, "status", "--porcelain", "--", "proxy", "policy", "keystore")
        ),
        "sealgate": said,
        "compiled": "compiled" in said,
    }


def _sealgate(tree: Path) -> str:
    """What this tree says of its version, and whether its hot modules run compiled."""
    said = subprocess.run(
        [sys.executable, "-m", "proxy", "--version"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
        check=False,
    )
    return said.stdout.strip() or said.stderr.strip()[-200:]


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or sys.platform
    return next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), ""
    )


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git(tree: Path, *arguments: str) -> str | None:
    said = subprocess.run(
        ["git", "-C", str(tree), *arguments], capture_output=True, text=True, check=False
    )
    return said.stdout.strip() if said.returncode == 0 else None
