"""How many of a corpus's queries and writes the two parsers read, and read alike."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from proxy.sql.commands import QUERY_WORDS
from proxy.sql.crosscheck import Disagreement, Statement, crosscheck, raw_statements
from proxy.sql.lexer import UnreadableSql, split_statements, tokenize
from proxy.sql.parse import UnparsedSql, parse
from tests.oracle.corpora import Sample
from tests.oracle.seen import first_word

CONFIRMED, UNPARSED, DIFFERENT = "confirmed", "not parsed", "read differently"


def readings(samples: Iterable[Sample]) -> Counter[tuple[str, str]]:
    """(first word, what became of it) of every query and write that PostgreSQL's grammar reads."""
    found: Counter[tuple[str, str]] = Counter()
    for sample in samples:
        outcome = reading(sample.sql)
        if outcome is not None:
            found[first_word(sample.sql), outcome] += 1
    return found


def reading(sql: str) -> str | None:
    """None for what is no single query or write, or no SQL."""
    if first_word(sql) not in QUERY_WORDS:
        return None
    try:
        statements = split_statements(tokenize(sql))
        raw_statements(sql)
    except (UnreadableSql, Disagreement):
        return None
    if len(statements) != 1:
        return None
    try:
        crosscheck(sql, [Statement(statements[0], parse(statements[0]))])
    except UnparsedSql:
        return UNPARSED
    except Disagreement:
        return DIFFERENT
    return CONFIRMED
