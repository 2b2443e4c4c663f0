"""Where PostgreSQL's own SQL is to be had.

- `installed`: the server package's share directory: system views, information_schema, extensions.
- `catalog`: views, rules, functions, constraints, indexes and defaults of a running server's catalog,
  as its own deparser (ruleutils.c) writes them.
- `clients`: what psql's `\\d` commands and pg_dump ask the catalog, out of the server's log.
- `regression`: PostgreSQL 18's regression tests, 50,000 statements, in libpg_query's source, which
  the source distribution of the test dependency `postgast` carries. `python -m tests.oracle fetch`
  downloads it into a directory that git ignores; without it, what needs it is skipped and says so.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import psycopg

from proxy.embedded import EmbeddedPostgres
from tests.oracle.scripts import statements

CACHE: Final = Path(__file__).parents[2] / ".cache" / "oracle"
SOURCE: Final = "postgast==0.2.0"
_SCRIPTS: Final = re.compile(r"/libpg_query/test/sql/([a-z_]+)/(?:[^/]+/)*([^/]+\.sql)\Z")


class Sample(NamedTuple):
    """One statement and where it is from."""

    source: str
    sql: str


class NoCorpus(Exception):
    """The regression tests are not here; the text says what to do."""


def fetch() -> Path:
    """Downloads the source distribution once. Raises NoCorpus."""
    found = _archive()
    if found is not None:
        return found
    CACHE.mkdir(parents=True, exist_ok=True)
    command = (sys.executable, "-m", "pip", "download", "--quiet", "--no-deps")
    done = subprocess.run(
        [*command, "--no-binary", SOURCE.partition("=")[0], "--dest", str(CACHE), SOURCE],
        capture_output=True,
        text=True,
        check=False,
    )
    found = _archive()
    if found is None:
        raise NoCorpus(f"pip could not download the source of {SOURCE} (exit {done.returncode})")
    return found


def _archive() -> Path | None:
    return next(iter(sorted(CACHE.glob("postgast-*.tar.gz"))), None)


@cache
def regression() -> tuple[Sample, ...]:
    """Every statement of the regression tests, in order. Raises NoCorpus."""
    archive = _archive()
    if archive is None:
        raise NoCorpus("python -m tests.oracle fetch brings PostgreSQL's regression tests")
    return tuple(
        Sample(name, sql) for name, script in _scripts(archive) for sql in statements(script)
    )


def _scripts(archive: Path) -> list[tuple[str, str]]:
    found = []
    with tarfile.open(archive) as source:
        for member in source.getmembers():
            match = _SCRIPTS.search(member.name)
            content = source.extractfile(member) if match is not None else None
            if match is not None and content is not None:
                name = f"{match[1]}/{match[2]}"
                found.append((name, content.read().decode(errors="replace")))
    return sorted(found)


def installed(programs: Path) -> list[Sample]:
    """Every statement of the SQL files that came with the server's programs."""
    return [
        Sample(f"share/{file.name}", sql)
        for file in sorted((programs.parent / "share").rglob("*.sql"))
        for sql in statements(file.read_text(errors="replace"))
    ]


# Each gives one column of SQL texts.
_DEPARSED: Final = {
    "viewdef": "SELECT pg_get_viewdef(oid) FROM pg_class WHERE relkind IN ('v', 'm')",
    "create view": """SELECT format('CREATE VIEW %s AS %s', oid::regclass, pg_get_viewdef(oid, true))
        FROM pg_class WHERE relkind IN ('v', 'm')""",
    "ruledef": "SELECT pg_get_ruledef(oid) FROM pg_rewrite",
    "functiondef": """SELECT pg_get_functiondef(oid) FROM pg_proc
        WHERE prokind IN ('f', 'p', 'w') AND (prosqlbody IS NOT NULL OR prolang > 13 OR oid::int8 % 8 = 0)""",
    "function body": "SELECT prosrc FROM pg_proc WHERE prolang = 14 AND prosrc <> ''",
    "constraintdef": """SELECT format('ALTER TABLE %s ADD %s', conrelid::regclass,
        pg_get_constraintdef(oid)) FROM pg_constraint WHERE conrelid <> 0""",
    "indexdef": "SELECT pg_get_indexdef(indexrelid) FROM pg_index",
    "default": """SELECT format('ALTER TABLE %s ALTER COLUMN %I SET DEFAULT %s', adrelid::regclass,
        attname, pg_get_expr(adbin, adrelid)) FROM pg_attrdef JOIN pg_attribute
        ON attrelid = adrelid AND attnum = adnum""",
    "triggerdef": "SELECT pg_get_triggerdef(oid) FROM pg_trigger",
    "call": """SELECT format('SELECT %s(%s)', oid::regproc, pg_get_function_arguments(oid))
        FROM pg_proc WHERE pronargs = 0""",
}  # fmt: skip


def catalog(dsn: str) -> list[Sample]:
    """What the deparser makes of everything in a database's catalog."""
    found = []
    with psycopg.connect(dsn, autocommit=True) as connection:
        for name, query in _DEPARSED.items():
            for (text,) in connection.execute(query.encode(), prepare=False):
                found += [Sample(f"catalog/{name}", sql) for sql in statements(text or "")]
    return found


_DESCRIBE: Final = [
    r"\d",
    r"\d+",
    r"\dS+",
    r"\da",
    r"\dA+",
    r"\db+",
    r"\dc",
    r"\dC",
    r"\dd",
    r"\dD+",
    r"\ddp",
    r"\dE",
    r"\dew+",
    r"\des+",
    r"\det+",
    r"\deu+",
    r"\df+",
    r"\dfS",
    r"\dF+",
    r"\dFd",
    r"\dFp",
    r"\dFt",
    r"\dg+",
    r"\di+",
    r"\dl",
    r"\dL+",
    r"\dm+",
    r"\dn+",
    r"\do",
    r"\dO",
    r"\dp",
    r"\dP+",
    r"\drds",
    r"\drg",
    r"\dRp+",
    r"\dRs+",
    r"\ds+",
    r"\dt+",
    r"\dT+",
    r"\du+",
    r"\dv+",
    r"\dx+",
    r"\dX",
    r"\dy+",
    r"\l+",
    r"\z",
    r"\sf",
]


def clients(postgres: EmbeddedPostgres, database: str, tables: tuple[str, ...]) -> list[Sample]:
    """What psql and pg_dump ask of the server, out of its log."""
    begin = postgres.log_path.stat().st_size
    describe = [*_DESCRIBE, *(rf"\d+ {table}" for table in tables)]
    dsn = postgres.dsn(database)
    _run(postgres.bin / "psql", "-X", "-q", dsn, stdin="\n".join(describe))
    _run(postgres.bin / "pg_dump", "--inserts", dsn)
    _run(postgres.bin / "pg_dumpall", "--globals-only", "-d", dsn)
    with postgres.log_path.open("rb") as log:
        log.seek(begin)
        text = log.read().decode(errors="replace")
    return [Sample("clients", sql) for logged in _logged(text) for sql in statements(logged)]


def _run(program: Path, *arguments: str, stdin: str = "") -> None:
    subprocess.run([program, *arguments], input=stdin, text=True, capture_output=True, check=False)


def _logged(text: str) -> Iterator[str]:
    """The statements in a stretch of the log; a line that continues one begins with a tab."""
    for match in re.finditer(r"LOG:  [0-9]{5}: (?:statement|execute [^:]*): (.*(?:\n\t.*)*)", text):
        yield match[1].replace("\n\t", "\n")
