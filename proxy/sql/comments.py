"""The comment behind a statement: what changes from one execution to the next (a trace, a person) and means nothing to SQL.

Plans are kept under the text in front of it. That text and the whole one have the same tokens: a block comment that is
last in a text can be left out wherever it begins outside of a literal or a name. Where it begins inside of one, what is left
ends in the middle of it, and no scanner reads that; so whoever cuts (`proxy.sql.planner`) reads the whole text then.
"""

from __future__ import annotations

from typing import Final

LONGEST: Final = 4096
"""Characters. A longer one is read as part of the statement."""


def comment_start(sql: str) -> int:
    """Where a block comment begins that ends the text (a semicolon may follow it); -1 if there is none for certain."""
    end = len(sql) - 1 if sql.endswith(";") else len(sql)
    if not sql.endswith("*/", 0, end):
        return -1
    start = sql.rfind("/*", max(end - LONGEST, 0), end - 1)
    # One that nests, or ends before, is none that can be told from here.
    if start < 0 or sql.find("*/", start + 2, end) != end - 2:
        return -1
    # Where it begins in a line comment, a new line would end that, and what follows be no comment.
    if sql.find("\n", start, end) >= 0 or sql.find("\r", start, end) >= 0:
        return -1
    return start
