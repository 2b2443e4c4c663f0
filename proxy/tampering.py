"""What the access log says of a stored value that must not be shown."""

from __future__ import annotations

from proxy.audit.event import Event, Origin, Tampered, tampered
from proxy.catalog import Catalog
from proxy.execution import Execution
from proxy.rows import BadCell
from proxy.snapshot import Authority


def tampered_event(
    origin: Origin, execution: Execution, bad: BadCell, authority: Authority
) -> Event:
    """A Detection Finding that names where the value stands and whose key it claims."""
    return tampered(
        origin,
        Tampered(
            table=_relation(authority.snapshot.catalog, bad.column.table),
            column=bad.column.label or "",
            key_column=bad.key_column,
            key_id=bad.key_id,
            cell_id=bad.cell_id,
            execution=execution.uid,
            statement=execution.stripped.text if execution.stripped is not None else None,
        ),
    )


def _relation(catalog: Catalog, oid: int) -> str:
    return next((r.label for r in catalog.relations if r.oid == oid), "")
