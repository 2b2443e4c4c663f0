"""COPY FROM STDIN into sealed columns: the client's data in, messages for the server out.

A row that the server would refuse is not sent to it: its error would quote the line. The copy is ended with CopyFail
instead; the server answers 57014 and rolls back, and `explained` gives that answer the code and words that the server
has for such a row. The rows in front of it have been sent, so errors come in the server's own order.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from keystore import KeystoreError
from proxy.cells import CellError, Settings
from proxy.cells.encoding import from_utf8
from proxy.copying.sealed_rows import Failure, SealedRows, sealed_rows
from proxy.snapshot import Snapshot
from proxy.sql.copy_plan import CopyPlan
from proxy.tally import Sealed
from proxy.wire.messages import COPY_DATA, COPY_FAIL, message

if TYPE_CHECKING:
    from proxy.execution import Execution

MOST_SEALED: Final = 32 * 1024
"""Cells that are sealed for one event, about: their ids are as large as the rows that are held for one."""
COPY_FAILED: Final = b"57014"
"""query_canceled: what the server makes of CopyFail."""


class CopyIn:
    """The copy that a session is in. `data` and `finish` return messages for the server."""

    def __init__(
        self,
        plan: CopyPlan,
        snapshot: Snapshot,
        settings: Settings,
        server_encoding: str,
        limit: int,
    ) -> None:
        self.plan = plan
        self.sealed: Sealed = {}
        self.execution: Execution | None = None
        """The run of the statement."""
        self.over = False
        """The server takes no more: what the client still sends is dropped."""
        self.failure: Failure | None = None
        self._encoding = settings.encoding
        self._rows: SealedRows | None = None
        try:
            self._rows = sealed_rows(plan, snapshot, settings, server_encoding, limit, self.sealed)
        except CellError as error:
            self.failure = Failure(error.sqlstate, error.message, "", 1, "")
        except KeystoreError:
            text = "there is no key for a sealed column of this table"
            self.failure = Failure("0A000", text, "Run sealgate apply.", 1, "")

    @property
    def full(self) -> bool:
        """So much was sealed that it has to be on record before more is."""
        return sum(map(len, self.sealed.values())) >= MOST_SEALED

    def data(self, body: bytes) -> bytes:
        """The body of a CopyData, or a part of one."""
        return self._send(self._rows.convert(body) if self._rows and not self.failure else b"")

    def finish(self) -> bytes:
        """The client sent CopyDone. Behind it `over` says whether the server is to get one."""
        return self._send(self._rows.finish() if self._rows and not self.failure else b"")

    def _send(self, data: bytes) -> bytes:
        sent = message(COPY_DATA, data) if data else b""
        if self._rows is not None and self._rows.failure is not None:
            self.failure = self._rows.failure
        if self.failure is None:
            return sent
        self.over = True
        return sent + message(COPY_FAIL, self.failure.told + b"\0")

    def explained(self, fields: dict[str, bytes]) -> dict[str, bytes] | None:
        """The server's error as the client is to see it; None: as it is."""
        failure = self.failure
        if failure is None or fields.get("C") != COPY_FAILED or failure.told not in fields["M"]:
            context = fields.get("W", b"")
            found = _QUOTED.search(context)
            return {**fields, "W": context[: found.start()]} if found is not None else None
        shown = {code: value for code, value in fields.items() if code not in "DHW"}
        shown["C"] = failure.sqlstate.encode()
        shown["M"] = self._written(failure.message)
        if failure.hint:
            shown["H"] = self._written(failure.hint)
        column = f", column {failure.column}" if failure.column else ""
        shown["W"] = self._written(f"COPY {self.plan.relation}, line {failure.line}{column}")
        return shown

    def _written(self, text: str) -> bytes:
        try:
            convert = from_utf8(self._encoding)
            return text.encode() if convert is None else convert(text.encode())
        except CellError:
            return text.encode("ascii", "backslashreplace")


# The line or value that CONTEXT quotes, where it is not what the client sent.
_QUOTED: Final = re.compile(rb': "[^\n]*5ea1.*', re.DOTALL)
