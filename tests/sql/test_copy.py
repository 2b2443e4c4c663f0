"""COPY statements: read as PostgreSQL's own parser reads them, and planned."""

from __future__ import annotations

import random

import pytest

from proxy.sql.copy_options import read_options
from proxy.sql.copy_plan import CopyFormat, Header
from proxy.sql.copy_statement import confirm, read_copy
from proxy.sql.lexer import UnreadableSql, tokenize
from proxy.sql.refusals import Refused

STATEMENTS = (
    "COPY t FROM STDIN",
    'copy public.t (a, "B c") to stdout;',
    "COPY d.s.t FROM STDOUT",
    "COPY BINARY t TO STDIN",
    "COPY t FROM '/tmp/x' WITH CSV HEADER",
    "COPY t TO PROGRAM E'cat\\n' (FORMAT binary)",
    "COPY t FROM STDIN USING DELIMITERS '|' WITH NULL AS 'x'",
    "COPY t FROM STDIN DELIMITERS $$|$$ NULL 'x' BINARY",
    "COPY t FROM STDIN WITH DELIMITER AS ';' CSV QUOTE '|' ESCAPE AS 'e' FORCE NOT NULL a, \"B\"",
    "COPY t TO STDOUT CSV FORCE QUOTE *",
    "COPY t FROM STDIN CSV FORCE NULL * ENCODING 'LATIN1' FREEZE",
    "COPY t FROM STDIN (FORMAT csv, DELIMITER ';', NULL '', HEADER match, FORCE_NULL *, DEFAULT '\\D')",
    "COPY t FROM STDIN WITH (FORMAT 'csv', FORCE_NOT_NULL (a, \"b\", 'c'), HEADER 1, QUOTE U&'\\0027')",
    "COPY t FROM STDIN (ON_ERROR ignore, REJECT_LIMIT 5, LOG_VERBOSITY verbose, FREEZE, HEADER off)",
    'COPY t FROM STDIN (x +1.5, y -7, z default, w (true, on), "V" word)',
    "COPY t (a) FROM STDIN (FORMAT text) WHERE a > 5 AND b IN ('x', 'y')",
    "COPY t FROM STDIN /* , */ ( -- comment\n FORMAT csv )",
    "COPY csv FROM STDIN csv",
    "COPY t FROM STDIN WITH",
)
NOT_COPY = (
    "COPY t TO STDOUT WHERE a > 5",
    "COPY t () FROM STDIN",
    "COPY t FROM STDIN ()",
    "COPY t FROM PROGRAM STDIN",
    "COPY t AS x FROM STDIN",
    "COPY ONLY t FROM STDIN",
    "COPY t FROM STDIN CSV CSV HEADER TRUE",
)


def read(sql: str) -> bool:
    """Whether both readers have it, alike; False: at least one says that it is no COPY."""
    statement = read_copy(tokenize(sql))
    if statement is None:
        return False
    try:
        confirm(sql, statement)
    except Refused as refused:
        if refused.refusal.sqlstate != "42601":
            pytest.fail(f"two readings of {sql}")
        return False
    return True


def test_both_readers_say_the_same() -> None:
    """Every statement that is one is read alike, every other is left."""
    assert [sql for sql in STATEMENTS if not read(sql)] == []
    assert [sql for sql in NOT_COPY if read(sql)] == []


def test_whatever_is_changed_in_them() -> None:
    """Tokens taken away, doubled and swapped: never read in another way than PostgreSQL reads it."""
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    pool = [token.text for sql in STATEMENTS for token in tokenize(sql)]
    both = 0
    for _ in range(3000):
        words = [token.text for token in tokenize(rng.choice(STATEMENTS))]
        for _ in range(rng.randint(1, 3)):
            at = rng.randrange(1, len(words)) if len(words) > 1 else 0
            words[at : at + rng.choice([0, 1])] = rng.choice([[], [words[at]], [rng.choice(pool)]])
            if not words:
                words = ["COPY"]
        try:
            both += read(" ".join(words))
        except UnreadableSql:
            continue
    assert both > 100


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ("", (CopyFormat.TEXT, "\t", "\\N", Header.ABSENT)),
        ("CSV HEADER", (CopyFormat.CSV, ",", "", Header.PRESENT)),
        ("(FORMAT csv, HEADER match, NULL 'x')", (CopyFormat.CSV, ",", "x", Header.MATCHED)),
        ("(DELIMITER '|', HEADER 0)", (CopyFormat.TEXT, "|", "\\N", Header.ABSENT)),
        ("(FORMAT json)", None),
        ("(FORMAT csv, FORMAT csv)", None),
        ("(HEADER maybe)", None),
        ("(DELIMITER 'ab')", None),
        ("(DELIMITER 'é')", None),
        ("(SPEED 'high')", None),
    ],
)
def test_options(options: str, expected: object) -> None:
    """With the defaults of their format; what the server refuses, or may come to mean, is no options."""
    statement = read_copy(tokenize(f"COPY t FROM STDIN {options}"))
    assert statement is not None
    found = read_options(statement.options)
    assert (found and (found.format, found.delimiter, found.null, found.header)) == expected
