"""A question of ours to the server, inside the client's own session.

Two things that statements are planned by may be known to nobody else yet: the catalog as the session's open transaction
has changed it, and settings that were changed in the same pipeline, which the server reports only when it is idle
(ReportChangedGUCOptions, src/backend/tcop/postgres.c). Both are asked by one hidden query in the extended protocol,
under names of our own so that the client's unnamed statement and portal live on. It changes nothing; should it fail,
the client is told as if its next statement had.
"""

from __future__ import annotations

from typing import Final

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
_COLUMNS: Final = ", ".join(f"pg_catalog.convert_to({value}, 'UTF8')" for value in _VALUES)


class Inquiry:
    """One question and, once the row has come, its answer."""

    __slots__ = ("answer", "catalog")

    def __init__(self, *, catalog: bool) -> None:
        self.catalog = catalog
        """The catalog is asked for too."""
        self.answer: list[bytes | None] = []

    def messages(self, *, sync: bool) -> tuple[bytes, list[Owed]]:
        """What to send, and what the server will owe. `sync`: no pipeline of the client's is open."""
        sql = f"SELECT {_COLUMNS}" + (f", {SCHEMA}.catalog()" if self.catalog else "")
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
        if len(cells) != len(_TOLD) + self.catalog or None in cells:
            raise BadMessage("the catalog was not told as it was asked for")
        self.answer = cells

    def settings(self) -> dict[str, str]:
        """With current_user among them. Raises BadMessage if the server has not answered."""
        if not self.answer:
            raise BadMessage("the catalog was not told as it was asked for")
        # They were asked for in UTF-8.
        given = (cell.decode("utf-8", "replace") for cell in self.answer if cell is not None)
        return dict(zip(_TOLD, given, strict=False))

    @property
    def document(self) -> bytes | None:
        return self.answer[-1] if self.catalog and self.answer else None
