"""The events of a statement, all but the numbers: worked out once for a plan and a principal.

Which lines the events have, by which rules, in which order and on which tables depends on what the plan
touches, on the policy's decisions, and on sealed values that rows carried although the plan did not say so
(`found`). An `Outline` holds that, with a template per table. The outlines of a snapshot are kept in it, for all
sessions: they go when it goes, and no session keeps an old one.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final, final

from policy import Access
from policy import Outcome as Decided
from proxy.audit.entry import AS_CONFIGURED
from proxy.audit.event import Line, Outcome, Protocol, Spoken, Template
from proxy.audit.values import MODES
from proxy.catalog import column_parts, label
from proxy.sql.plan import Run, StatementPlan, Touch

if TYPE_CHECKING:
    from proxy.snapshot import Authority

Found = tuple[tuple[str, Outcome], ...]
"""Columns and outcomes of cells, beside what the plan says of itself."""

_RELEASED: Final[dict[Decided, Outcome]] = {
    Decided.CLEAR: "clear",
    Decided.MASKED: "masked",
    Decided.WITHHELD: "withheld",
}
_READ: Final = Access.READ
_ACCESS: Final[dict[Outcome, Access]] = {"compared": Access.COMPARE}
_NOW: Final = Run.NOW
_NOTHING: Final[tuple[Touch, ...]] = ()
_KEPT: Final = 4 << 20
"""Bytes of outlines that a snapshot keeps, about."""
_LONGEST: Final = 8192
"""Characters of a statement whose outline is kept."""
_TEMPLATE_BYTES: Final = 2048
_LINE_BYTES: Final = 384

_Key = tuple[int, frozenset[str], str | None, str, Protocol, bool, Found]


@final
class Outline:
    """`templates`: one per sealed table, in the order of their events; none: there is nothing to say."""

    __slots__ = ("command", "executes", "keys", "protocol", "templates", "text", "touches")

    def __init__(
        self,
        touches: tuple[Touch, ...],
        authority: Authority,
        spoken: Spoken,
        found: Found,
        *,
        executes: bool,
    ) -> None:
        self.touches = touches
        """The key of this outline is their identity, so they have to stay."""
        self.text = spoken.statement
        self.command = spoken.command
        self.protocol: Protocol = spoken.protocol
        self.executes = executes
        rules = _rules(touches, authority, found, executes=executes)
        self.keys = frozenset(rules)
        by_table: dict[str, list[Line]] = {}
        for (column, outcome), rule in sorted(rules.items()):
            by_table.setdefault(_table(column), []).append(Line(column, outcome, rule))
        mode = _mode(touches, authority, found)
        self.templates = tuple(
            [Template(table, lines, spoken, mode) for table, lines in by_table.items()]
        )

    @property
    def size(self) -> int:
        """Bytes in memory, about."""
        return 1024 + _TEMPLATE_BYTES * len(self.templates) + _LINE_BYTES * len(self.keys)


@final
class Outlines:
    """Those of one snapshot, bounded."""

    __slots__ = ("_known", "size")

    def __init__(self) -> None:
        self._known: dict[_Key, Outline] = {}
        self.size = 0
        """Bytes in memory, about."""

    def get(
        self,
        plan: StatementPlan | None,
        authority: Authority,
        text: str | None,
        protocol: Protocol,
        found: Found = (),
    ) -> Outline:
        """`text`: the statement without literals."""
        touches = _NOTHING
        command = "OTHER"
        executes = True
        if plan is not None:
            touches = plan.touches
            command = plan.command
            executes = plan.run is _NOW
        last = authority.outline
        if (
            last is not None
            and not found
            and last.touches is touches
            and last.text is text
            and last.command is command
            and last.executes == executes
            and last.protocol == protocol
        ):
            return last
        key = (id(touches), authority.standing, text, command, protocol, executes, found)
        known = self._known.get(key)
        kept = True
        if known is None:
            spoken = Spoken(text, command, protocol, authority.snapshot.policy.version)
            known = Outline(touches, authority, spoken, found, executes=executes)
            kept = self._keep(key, known, text)
        if kept and not found:
            authority.outline = known
        return known

    def _keep(self, key: _Key, outline: Outline, text: str | None) -> bool:
        length = len(text) if text is not None else 0
        size = outline.size + 4 * length
        if length > _LONGEST or size > _KEPT // 4:
            return False
        if self.size + size > _KEPT:
            self._known.clear()
            self.size = 0
        self._known[key] = outline
        self.size += size
        return True


def _rules(
    touches: tuple[Touch, ...], authority: Authority, found: Found, *, executes: bool
) -> dict[tuple[str, Outcome], str]:
    """The rule that each column's outcome rests on."""
    rules = {key: authority.decide(key[0], _ACCESS.get(key[1], _READ)).rule for key in found}
    for touch in touches:
        decision = authority.decide(touch.column, touch.access)
        if touch.access is Access.WRITE:
            if executes:
                rules[touch.column, "written"] = decision.rule
        elif touch.access is Access.COMPARE:
            rules.setdefault((touch.column, "compared"), decision.rule)
        elif touch.access is Access.READ:
            rules.setdefault((touch.column, _RELEASED[decision.outcome]), decision.rule)
    return rules


def _mode(touches: tuple[Touch, ...], authority: Authority, found: Found) -> int:
    """`Entry.mode`: the strongest that is said of a column that is touched, or of a role."""
    policy = authority.snapshot.policy
    columns = {touch.column for touch in touches} | {column for column, _ in found}
    said = [rule.audit for rule in map(policy.columns.get, columns) if rule is not None]
    said += [grants.audit for role in authority.roles if (grants := policy.roles.get(role))]
    return max([MODES[mode] for mode in said if mode is not None], default=AS_CONFIGURED)


@lru_cache(maxsize=1024)
def _table(column: str) -> str:
    schema, table, _ = column_parts(column)
    return label(schema, table)
