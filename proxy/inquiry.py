"""A question of ours to the server, inside the client's own session.

Three things may be known to nobody else yet: the catalog as the session's open transaction has changed it, settings that
were changed in the same pipeline, which the server reports only when it is idle (ReportChangedGUCOptions,
src/backend/tcop/postgres.c), and settings of ours for the access log, which it never reports. All are asked by one hidden query in the extended protocol,
under names of our own so that the client's unnamed statement and portal live on. It changes nothing; should it fail,
the client is told as if its next statement had.
"""

from __future__ import annotations

from typing import Final

from proxy.audit.claims import CLAIM_CAP, Claims
from proxy.audit.claims import SETTINGS as CLAIMS
from proxy.catalog import SCHEMA
from proxy.inflight import Kind, Owed
from proxy.wire.framing import HEADER_SIZE, INT32, BadMessage
from proxy.wire.messages import (
    CLOSE,
    FLUSH,
    SYNC,
    Bind,
    Parse,
    message,
    write_bind,
    write_execute,
    write_parse,
    write_target,
)

CARRIER: Final = b"sealgate_inquiry"
SETTINGS: Final = (
    *("client_encoding", "DateStyle", "TimeZone", "standard_conforming_strings"),
    "search_path",
)
_TOLD: Final = (*SETTINGS, "current_user")
"""What is asked, in this order."""
_VALUES: Final = (*(f"pg_catalog.current_setting('{name}')" for name in SETTINGS), "current_user")
_CLAIMS: Final = tuple(
    f"pg_catalog.left(coalesce(pg_catalog.current_setting('{name}', true), ''), {CLAIM_CAP})"
    for name in CLAIMS
)
_UTF8: Final = "pg_catalog.convert_to({}, 'UTF8')"
_COLUMNS: Final = ", ".join(map(_UTF8.format, _VALUES))
_CLAIM_COLUMNS: Final = ", ".join(map(_UTF8.format, _CLAIMS))


class Inquiry:
    """One question and, once the row has come, its answer."""

    __slots__ = ("answer", "catalog", "claims")

    def __init__(self, *, catalog: bool, claims: bool = False) -> None:
        self.catalog = catalog
        """The catalog is asked for too."""
        self.claims = claims
        """So is who the client says asks, and why."""
        self.answer: list[bytes | None] = []

    def messages(self, *, sync: bool) -> tuple[bytes, list[Owed]]:
        """What to send, and what the server will owe. `sync`: no pipeline of the client's is open."""
        sql = f"SELECT {_COLUMNS}" + (f", {_CLAIM_COLUMNS}" if self.claims else "")
        sql += f", {SCHEMA}.catalog()" if self.catalog else ""
        sent = [
            write_target(CLOSE, "S", CARRIER),
            write_parse(Parse(CARRIER, sql.encode(), ())),
            write_bind(Bind(CARRIER, CARRIER, (), (), (1,))),
            write_execute(CARRIER),
            write_target(CLOSE, "P", CARRIER),
            write_target(CLOSE, "S", CARRIER),
        ]
        kinds = [Kind.CLOSE, Kind.PARSE, Kind.BIND, Kind.EXECUTE, Kind.CLOSE, Kind.CLOSE]
        if sync:
            sent.append(message(SYNC, b""))
            kinds.append(Kind.SYNC)
        else:
            sent.append(message(FLUSH, b""))
        owed = [Owed(kind, hidden=True) for kind in kinds]
        owed[3].inquiry = self
        return b"".join(sent), owed

    def row(self, data: bytes, position: int, end: int) -> None:
        """Its DataRow: one cell per column, none of them NULL."""
        at = position + HEADER_SIZE + 2
        cells: list[bytes | None] = []
        while at < end:
            (length,) = INT32.unpack_from(data, at)
            at += 4
            cells.append(data[at : at + length] if length >= 0 else None)
            at += max(length, 0)
        expected = len(_TOLD) + (len(CLAIMS) if self.claims else 0) + self.catalog
        if len(cells) != expected or None in cells:
            raise BadMessage("the catalog was not told as it was asked for")
        self.answer = cells

    def settings(self) -> dict[str, str]:
        """With current_user among them. Raises BadMessage if the server has not answered."""
        if not self.answer:
            raise BadMessage("the catalog was not told as it was asked for")
        # They were asked for in UTF-8.
        given = (cell.decode("utf-8", "replace") for cell in self.answer if cell is not None)
        return dict(zip(_TOLD, given, strict=False))

    def claimed(self) -> Claims:
        """By the names that events have for them; nothing if they were not asked for."""
        if not self.claims:
            return ()
        given = self.answer[len(_TOLD) : len(_TOLD) + len(CLAIMS)]
        told = zip(CLAIMS, given, strict=True)
        return tuple((n.partition(".")[2], c.decode("utf-8", "replace")) for n, c in told if c)

    @property
    def document(self) -> bytes | None:
        return self.answer[-1] if self.catalog and self.answer else None
