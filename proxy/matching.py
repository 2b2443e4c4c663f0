"""Rows that the server found by the grams of a pattern, tested: those that do not match are not shown.

The tests are asked of the values themselves, whatever of these the principal may see: a masked value is found by what it
is, if the policy lets the role compare it at all. All that was unsealed for a test is on record as compared, whether its row
is shown or not; as read, what is shown. A row that may not be tested for certain (its value is no sealed one of the column, or was
altered) ends the session, as it would if it were shown.
"""

from __future__ import annotations

from typing import Final, final

from librt.strings import read_i32_be

from keystore import TamperedValue, cell_id, key_id, looks_sealed
from proxy.pattern import Matcher, Matchers
from proxy.rows import BadCell, RowProgram, bytea_from_text
from proxy.shape import Column, Shape
from proxy.snapshot import Authority
from proxy.sql.plan import Test
from proxy.tally import Tally
from proxy.wire.framing import BadMessage
from proxy.wire.messages import DATA_ROW, format_of

MOST_TESTED: Final = 32 * 1024
"""Cells that are tested for one event, about: their ids are as large as the rows that are held for one."""
_HEADER: Final = 5
_FIELDS_AT: Final = 7
"""Behind kind, length and number of fields."""


@final
class Sought:
    """One field's values, opened to be tested."""

    __slots__ = ("_authority", "_binary", "_column", "_ids", "_label", "_versions", "index")

    def __init__(
        self, index: int, label: str, column: Column, format_code: int, authority: Authority
    ) -> None:
        self.index = index
        self._label = label
        self._column = column
        self._binary = format_code == 1
        self._authority = authority
        self._ids: list[bytes] = []
        """Of what was opened since it was last put on record."""
        self._versions: list[int] = []
        """Of the keys that opened it."""

    def plaintext(self, wire: bytes) -> bytes:
        """Raises BadCell for what is no value of the column."""
        value = wire if self._binary else bytea_from_text(wire)
        if value is None or not looks_sealed(value):
            raise BadCell(
                self._column, value or b"", None, "the stored value is not a sealed value"
            )
        key = self._authority.snapshot.keyset.data_keys.get(key_id(value))
        if key is None:
            raise BadCell(self._column, value, None, "the stored value names an unknown data key")
        if key.column != self._label:
            raise BadCell(self._column, value, key, "the stored value belongs to another column")
        plaintext: bytes | None
        try:
            plaintext = key.open(value)
        except TamperedValue:
            plaintext = None  # It is raised below, where no cause is chained to it.
        if plaintext is None:
            raise BadCell(self._column, value, key, "the stored value failed authentication")
        self._ids.append(cell_id(value))
        if key.version not in self._versions:
            self._versions.append(key.version)
        return plaintext

    def count(self, tally: Tally) -> int:
        """Put on record what was opened since the last time; how many that were."""
        opened = len(self._ids)
        if opened:
            use = tally.use(self._label, "compared")
            for version in self._versions:
                use.add([], version)
            use.add(self._ids, None)
            self._ids = []
            self._versions = []
        return opened


@final
class Matching:
    """The rows of one execution, those that match shown by a `RowProgram`.

    `limit`: as many as the client asked for, 0 for all; the server was asked for all of them.
    """

    __slots__ = (
        "_count",
        "_groups",
        "_last",
        "_limit",
        "_program",
        "_sought",
        "more",
        "shown",
        "tested",
    )

    def __init__(
        self,
        program: RowProgram,
        shape: Shape,
        formats: tuple[int, ...],
        filters: tuple[tuple[Test, ...], ...],
        matchers: Matchers,
        authority: Authority,
        limit: int,
    ) -> None:
        """Raises BadMessage where the result is not the one that was planned: then nothing of it can be tested."""
        self._program = program
        self._limit = limit
        self._count = len(shape.fields).to_bytes(2, "big")
        columns: dict[int, Sought] = {}
        groups: list[tuple[tuple[int, Matcher | None], ...]] = []
        for tests in filters:
            for test in tests:
                column = shape.columns[test.output] if test.output < len(shape.columns) else None
                if column is None or column.label not in (None, test.column):
                    raise BadMessage("a result that cannot be searched is not the one described")
                format_code = format_of(formats, test.output)
                columns[test.output] = Sought(
                    test.output, test.column, column, format_code, authority
                )
            groups.append(tuple([(test.output, matchers[test.source]) for test in tests]))
        self._sought = columns
        self._last = max(columns, default=-1)
        self._groups = groups
        self.shown = 0
        self.more = False
        """A row that matches was not shown, because of the limit."""
        self.tested = 0
        """Cells that were opened since the last event."""

    def unseal_rows(
        self,
        data: bytes,
        position: int,
        limit: int,
        tally: Tally,
        out: list[bytes],
        room: int,
        longest: int,
    ) -> tuple[int, int, int]:
        """As `RowProgram.unseal_rows`, for the rows that match; those that do not are stepped over."""
        try:
            return self._tested_rows(data, position, limit, tally, out, room, longest)
        finally:
            for sought in self._sought.values():
                self.tested += sought.count(tally)

    def _tested_rows(
        self,
        data: bytes,
        position: int,
        limit: int,
        tally: Tally,
        out: list[bytes],
        room: int,
        longest: int,
    ) -> tuple[int, int, int]:
        appended = rows = 0
        while appended < room and position + _HEADER <= limit and data[position] == DATA_ROW:
            length: int = read_i32_be(data, position + 1)
            if length < 4 or length > longest:
                raise BadMessage("invalid message length")
            end = position + 1 + length
            if end > limit:
                break
            if not self.more and self._matches(data, position, end):
                if self._limit and self.shown >= self._limit:
                    self.more = True
                else:
                    _, added, taken = self._program.unseal_rows(
                        data, position, end, tally, out, room, longest
                    )
                    appended += added
                    rows += taken
                    self.shown += taken
            position = end
        return position, appended, rows

    def _matches(self, data: bytes, position: int, end: int) -> bool:
        values = self._values(data, position, end)
        for group in self._groups:
            found = False
            for place, matcher in group:
                value = values[place]
                if value is not None and matcher is not None and matcher.matches(value):
                    found = True
                    break
            if not found:
                return False
        return True

    def _values(self, data: bytes, position: int, end: int) -> dict[int, bytes | None]:
        """By field, the plaintext of those that are tested; None: NULL."""
        at = position + _FIELDS_AT
        if end < at or data[position + _HEADER : at] != self._count:
            raise BadMessage("DataRow does not fit its RowDescription")
        found: dict[int, bytes | None] = {}
        for place in range(self._last + 1):
            if at + 4 > end:
                raise BadMessage("DataRow is cut off")
            size: int = read_i32_be(data, at)
            at += 4
            stop = at + size if size > 0 else at
            if stop > end:
                raise BadMessage("DataRow is cut off")
            sought = self._sought.get(place)
            if sought is not None:
                found[place] = sought.plaintext(data[at:stop]) if size >= 0 else None
            at = stop
        return found
