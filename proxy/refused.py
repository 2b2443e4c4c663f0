"""What the access log says of a statement that Sealgate refused."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from policy import Access, Outcome
from proxy.audit.event import Access as AccessName
from proxy.audit.event import Attempt, Event, Origin, Refused, refused
from proxy.audit.statement import without_strange_names
from proxy.execution import Execution
from proxy.sql.plan import Refusal, Touch

_NAMES: Final[dict[Access, AccessName]] = {
    Access.READ: "read",
    Access.COMPARE: "compare",
    Access.WRITE: "write",
    Access.PRESENCE: "presence",
}


def refused_events(origin: Origin, execution: Execution, refusal: Refusal) -> Iterator[Event]:
    """One event per sealed table the statement would have touched; one without a table if that is unknown."""
    touches = execution.plan.touches if execution.plan is not None else ()
    statement = None
    if execution.stripped is not None:
        names = execution.authority.snapshot.catalog.names
        statement = without_strange_names(execution.stripped.text, names)
    tables: list[str | None] = [*sorted({touch.table for touch in touches})] or [None]
    for table in tables:
        yield refused(
            origin,
            Refused(
                table=table,
                attempts=tuple(_attempt(execution, t) for t in touches if t.table == table),
                statement=statement,
                command=execution.plan.command if execution.plan is not None else "OTHER",
                execution=execution.uid,
                protocol=execution.protocol,
                sqlstate=refusal.sqlstate,
                reason=refusal.message,
                policy_version=execution.authority.snapshot.policy.version,
                comment=execution.stripped.comment if execution.stripped is not None else "",
            ),
        )


def _attempt(execution: Execution, touch: Touch) -> Attempt:
    decision = execution.authority.decide(touch.column, touch.access)
    denied = decision.outcome in (Outcome.DENIED, Outcome.WITHHELD)
    return Attempt(touch.column, _NAMES[touch.access], decision.rule, denied)
