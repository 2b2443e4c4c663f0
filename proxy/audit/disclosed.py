"""Which cells an event of the access log speaks of: one reading of it for all who ask.

`columns` of a statement's event name, per column and outcome, the cells and their ids: in place, or in the side file
(`proxy.audit.cells_file`), in the order of the columns. What may not be taken for the whole truth is None, never a shorter
list: ids that are in no side file any more, ids that were never known (`cell_ids_complete` false), an event that somebody has
altered.

An id names a stored value, not a row: an UPDATE with one value for many rows stores it in all of them. Ids of written cells
are those of the values that were sent: one that the server did not store (no row was found, a conflict, a transaction that was
rolled back) is in no row.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from proxy.audit.cells_file import SideFiles
from proxy.audit.ocsf import Event

ID_BYTES: Final = 8
UNREADABLE: Final = "unreadable"
"""The outcome of an entry of `columns` that does not say what it is: the event was altered, or is not ours."""
_OUTCOMES: Final = frozenset({"clear", "masked", "withheld", "written", "compared"})
_EVENTS: Final = frozenset({"statement.read", "statement.write", "statement.compare"})


class Disclosed(NamedTuple):
    """Cells of one column that had one outcome. `ids`: 8 bytes each; None: they are not known, or not all of them.

    `cells` of what was written counts rows as the server did: there may be fewer ids (one value in many rows, NULL).
    Of every other outcome there are as many ids as cells.
    """

    column: str
    outcome: str
    cells: int
    ids: list[bytes] | None


def disclosed(event: Event, side_files: SideFiles) -> list[Disclosed]:
    """One for each entry of `columns`, in their order; none for events that are not of an execution. Never raises."""
    if _code(event) not in _EVENTS:
        return []
    unmapped = event.get("unmapped")
    ours = unmapped.get("sealgate") if isinstance(unmapped, dict) else None
    columns = ours.get("columns") if isinstance(ours, dict) else None
    if not isinstance(ours, dict) or not isinstance(columns, list):
        return [Disclosed("", UNREADABLE, 0, None)]
    elsewhere = _elsewhere(columns, ours.get("cell_ids_file"), side_files)
    found = []
    at = 0
    for entry in columns:
        if not isinstance(entry, dict):
            found.append(Disclosed("", UNREADABLE, 0, None))
            continue
        count = entry.get("cell_id_count")
        ids: list[bytes] | None
        if "cell_id_count" in entry:
            ids = None
            if elsewhere is not None and type(count) is int:
                ids = _cut(elsewhere[at : at + ID_BYTES * count])
                at += ID_BYTES * count
        else:
            ids = _listed(entry.get("cell_ids"))
        found.append(_disclosed(entry, ids))
    return found


def _disclosed(entry: dict[str, Any], ids: list[bytes] | None) -> Disclosed:
    column, outcome, cells = entry.get("name"), entry.get("outcome"), entry.get("cells")
    if (
        not isinstance(column, str)
        or not isinstance(outcome, str)
        or outcome not in _OUTCOMES
        or type(cells) is not int
        or cells < 0
    ):
        return Disclosed(column if isinstance(column, str) else "", UNREADABLE, 0, None)
    whole = ids is not None and (outcome == "written" or len(ids) == cells)
    if not whole or entry.get("cell_ids_complete", True) is not True:
        ids = None
    return Disclosed(column, outcome, cells, ids)


def _elsewhere(columns: list[Any], named: object, side_files: SideFiles) -> bytes | None:
    """The payload that the event names, if it is what the event says."""
    if not isinstance(named, dict):
        return None
    count, digest = named.get("count"), named.get("sha256")
    counts = [c["cell_id_count"] for c in columns if isinstance(c, dict) and "cell_id_count" in c]
    if any(type(one) is not int or one < 0 for one in counts) or sum(counts) != count:
        return None
    sha256 = _hexadecimal(digest, 32)
    payload = side_files.payload(sha256) if sha256 is not None else None
    return payload if payload is not None and len(payload) == ID_BYTES * count else None


def _listed(ids: object) -> list[bytes] | None:
    if not isinstance(ids, list):
        return None
    found = []
    for one in ids:
        cell = _hexadecimal(one, ID_BYTES)
        if cell is None:
            return None
        found.append(cell)
    return found


def _hexadecimal(text: object, size: int) -> bytes | None:
    if not isinstance(text, str) or len(text) != 2 * size or not text.isascii():
        return None
    try:
        found = bytes.fromhex(text)
    except ValueError:
        return None
    return found if len(found) == size else None


def _cut(payload: bytes) -> list[bytes]:
    return [payload[at : at + ID_BYTES] for at in range(0, len(payload), ID_BYTES)]


def _code(event: Event) -> object:
    metadata = event.get("metadata")
    code = metadata.get("event_code") if isinstance(metadata, dict) else None
    return code if isinstance(code, str) else None
