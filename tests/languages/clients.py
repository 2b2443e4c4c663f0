"""Clients in other languages: how each is built, how it is run, and the steps that it reports.

A client is a program that walks one driver, in one of its modes, through a shop's statements. It prints a line of
JSON for each step: {"step": ..., "ok": ..., "detail": ...}. The same programs pass on a database where nothing is
sealed (but for the steps that expect a refusal or a mask): what fails here fails because of the proxy.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE / ".cache"

SHARED = (
    "insert", "read", "lookup", "upsert", "copy in", "copy out", "paginate", "transaction", "savepoint",
    "error in a transaction", "cancel", "notifications", "values", "roles", "delete",
)  # fmt: skip
NODE = (*SHARED, "bulk load", "cursor", "stream", "pool", "many at once")
STEPS: Mapping[str, tuple[str, ...]] = {
    "pg": (*NODE, "binary"),
    "postgres.js": (*NODE, "describe"),
    "pgx": (*SHARED, "prepare", "modes", "batch", "error in a batch", "cursor", "large objects", "pool", "pipeline"),
    "pgjdbc": (
        *SHARED, "metadata of results", "metadata of the database", "prepared often", "batch", "error in a batch",
        "generated keys", "fetch size", "scrollable and updatable", "autosave", "large objects", "several statements",
    ),
}  # fmt: skip


class Unavailable(Exception):
    """A toolchain or a registry is missing here; the text says which."""


@dataclass(frozen=True, slots=True)
class Client:
    """One driver in one mode. `language` says how it is built."""

    driver: str
    mode: str
    language: str
    command: tuple[str, ...]
    """The program with its arguments; `{base}` becomes the first id that this client may use."""
    without: frozenset[str] = frozenset()
    """Steps that this mode does not have."""

    @property
    def name(self) -> str:
        return f"{self.driver} {self.mode}"

    @property
    def steps(self) -> tuple[str, ...]:
        return tuple(step for step in STEPS[self.driver] if step not in self.without)


def _node(driver: str, program: str, mode: str) -> Client:
    return Client(driver, mode, "node", ("node", str(HERE / "node" / program), "{base}", mode))


def _pgx(mode: str) -> Client:
    return Client("pgx", mode, "go", (str(CACHE / "pgx"), "{base}", mode))


def _pgjdbc(mode: str, *properties: str) -> Client:
    source = str(HERE / "java" / "Steps.java")
    command = ("java", "-cp", f"{CACHE / 'java'}/*", source, "{base}", mode, *properties)
    undescribed = frozenset({"metadata of results"} if mode == "simple" else ())
    return Client("pgjdbc", mode, "java", command, undescribed)


CLIENTS = (
    *(_node("pg", "pg.mjs", mode) for mode in ("unnamed", "named", "pipeline")),
    *(_node("postgres.js", "postgresjs.mjs", mode) for mode in ("prepared", "unprepared")),
    *map(_pgx, ("cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol")),
    _pgjdbc("simple", "preferQueryMode=simple"),
    _pgjdbc("extended"),
    _pgjdbc("prepared", "preferQueryMode=extendedForPrepared"),
    _pgjdbc("everything", "preferQueryMode=extendedCacheEverything"),
    _pgjdbc("binary", "prepareThreshold=-1"),
    _pgjdbc("rewritten", "reWriteBatchedInserts=true"),
    _pgjdbc("autosave", "autosave=always", "prepareThreshold=1"),
)


# Builds: what downloads may fail for want of a registry (Unavailable); what compiles may not.


def _build_node() -> None:
    _need("node", "npm")
    # A lock file that does not fit package.json is a mistake, and no missing registry.
    _download(
        "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", at="node", mistake="EUSAGE"
    )


def _build_go() -> None:
    _need("go")
    _download("go", "mod", "download", at="go", mistake="checksum mismatch")
    _run("go", "build", "-mod=readonly", "-o", str(CACHE / "pgx"), ".", at="go").check_returncode()


def _build_java() -> None:
    _need("javac", "mvn")  # Steps.java is run from its source, which takes a compiler.
    shutil.rmtree(
        CACHE / "java", ignore_errors=True
    )  # Of another version, it would be on the class path too.
    copy = ("dependency:copy-dependencies", f"-DoutputDirectory={CACHE / 'java'}")
    _download("mvn", "-q", "-B", *copy, at="java", mistake="Non-parseable POM")


BUILDS: Mapping[str, Callable[[], None]] = {
    "node": _build_node,
    "go": _build_go,
    "java": _build_java,
}


def _need(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            raise Unavailable(f"{program} is not installed")


def _download(*command: str, at: str, mistake: str) -> None:
    done = _run(*command, at=at)
    if done.returncode and mistake not in done.stderr + done.stdout:
        raise Unavailable(f"{' '.join(command[:3])}: the packages cannot be had here")
    assert done.returncode == 0, done.stderr + done.stdout


def _run(*command: str, at: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=HERE / at, capture_output=True, text=True, check=False, timeout=600
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a client reported: each step's detail, empty where it held."""

    steps: Mapping[str, str]
    code: int
    errors: str


@dataclass(slots=True)
class Runs:
    """Builds each language once and runs each client once, when first asked."""

    port: int
    database: str
    _built: dict[str, Unavailable | None] = field(default_factory=dict)
    _outcomes: dict[str, Outcome] = field(default_factory=dict)

    def outcome(self, client: Client) -> Outcome:
        """Raises Unavailable."""
        if client.language not in self._built:
            self._built[client.language] = None
            try:
                BUILDS[client.language]()
            except Unavailable as unavailable:
                self._built[client.language] = unavailable
        missing = self._built[client.language]
        if missing is not None:
            raise missing
        if client.name not in self._outcomes:
            self._outcomes[client.name] = self._walk(client)
        return self._outcomes[client.name]

    def _walk(self, client: Client) -> Outcome:
        base = str(1_000_000 * (1 + CLIENTS.index(client)))
        done = subprocess.run(
            [argument.replace("{base}", base) for argument in client.command],
            capture_output=True,
            text=True,
            check=False,
            timeout=180,
            env={
                **os.environ,
                "PGHOST": "127.0.0.1",
                "PGPORT": str(self.port),
                "PGDATABASE": self.database,
                "PGUSER": "shop_app",
                "NODE_NO_WARNINGS": "1",
            },
        )
        lines = [json.loads(line) for line in done.stdout.splitlines()]
        steps = {line["step"]: "" if line["ok"] else line["detail"] or "?" for line in lines}
        return Outcome(steps, done.returncode, done.stderr)
