"""A refusal is an error that the server itself raises, so that its state stays the truth.

In place of a refused statement the server receives `SELECT sealgate.refuse(code, message, hint)` by the same
protocol. It raises; transaction status, skipping to Sync and ReadyForQuery are then PostgreSQL's own. Replies to
messages that the client did not send are hidden (`Owed.hidden`). Should the function return instead of raising
(someone replaced it), the session is closed: the refused statement has not been executed in any case.
"""

from __future__ import annotations

from typing import Final

from proxy.inflight import Kind, Owed
from proxy.sql.plan import Refusal
from proxy.wire.messages import (
    CLOSE,
    Bind,
    Parse,
    write_bind,
    write_execute,
    write_parse,
    write_target,
)

CARRIER: Final = b"sealgate_refusal"
"""Statement and portal that carry a refusal where the client's own unnamed ones must survive it."""


def refuse_sql(refusal: Refusal) -> str:
    """The statement that raises the refusal. ASCII quoting that holds whatever standard_conforming_strings is."""
    arguments = ", ".join(map(_literal, (refusal.sqlstate, refusal.message, refusal.hint)))
    return f"SELECT sealgate.refuse({arguments})"


def refuse_extended(refusal: Refusal, *, unnamed: bool) -> tuple[bytes, list[Owed]]:
    """Messages that raise the refusal in an extended-query sequence, and what the server will owe for them.

    `unnamed`: in place of a Parse of the unnamed statement, which the client expects to lose its old one.
    """
    name = b"" if unnamed else CARRIER
    sql = refuse_sql(refusal).encode()
    messages = [
        write_parse(Parse(name, sql, ())),
        write_bind(Bind(name, name, (), (), ())),
        write_execute(name),
    ]
    owed = [Owed(kind, hidden=True) for kind in (Kind.PARSE, Kind.BIND, Kind.EXECUTE)]
    if not unnamed:
        messages[:0] = [write_target(CLOSE, "S", name), write_target(CLOSE, "P", name)]
        owed[:0] = [Owed(Kind.CLOSE, hidden=True), Owed(Kind.CLOSE, hidden=True)]
    return b"".join(messages), owed


def _literal(text: str) -> str:
    """An E'' constant in ASCII: the same in every client_encoding."""
    escaped = text.replace("\\", "\\\\").replace("'", "''").replace("\x00", "")
    return "E'" + "".join(c if c.isascii() else f"\\U{ord(c):08X}" for c in escaped) + "'"
