"""What the access log is told about a session: plain values.

Nothing here can hold a plaintext, a parameter or a key: counts, names, rules and cell ids are all
there is room for. Strings that a client chose come as they are; the builders cap and escape them.

`statement` fields take `Stripped.text` (proxy.sql: literals are markers), or None where there is none
because the text could not be read.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["clear", "masked", "withheld", "written", "compared"]
Access = Literal["read", "compare", "write", "presence"]
Protocol = Literal["simple", "extended"]


@dataclass(frozen=True, slots=True)
class Origin:
    """Who speaks, and from where. One per session; replace it when roles or application name change.

    Before the startup packet is read `login` and `database` are empty strings.
    """

    login: str
    roles: tuple[str, ...]
    client_host: str
    client_port: int
    application_name: str
    session: str
    database: str
    tls: bool


@dataclass(frozen=True, slots=True)
class ColumnUse:
    """What happened to the cells of one sealed column in one execution (or one part of it)."""

    column: str
    outcome: Outcome
    cells: int
    rule: str
    key_versions: tuple[int, ...] = ()
    shown_as: str = ""
    """The type the client saw where nothing told the column's own: `bytea`."""


@dataclass(frozen=True, slots=True)
class Execution:
    """One statement execution on one sealed table; `part` counts from 1 when rows go out in parts.

    `rows` and the cells of `columns` are those of this part. `status_ok` is False when the server
    refused the statement (`sqlstate` says how); what Sealgate itself refuses is a `Refused`.
    `cell_ids` may hold more than the event takes: the cap then clears `cell_ids_complete`.
    """

    table: str
    columns: tuple[ColumnUse, ...]
    statement: str | None
    command: str
    rows: int
    cell_ids: tuple[bytes, ...]
    cell_ids_complete: bool
    execution: str
    part: int
    final: bool
    protocol: Protocol
    status_ok: bool
    sqlstate: str | None
    policy_version: str


@dataclass(frozen=True, slots=True)
class Attempt:
    """One access that a refused statement asked for. `denied`: this is what it was refused for."""

    column: str
    access: Access
    rule: str
    denied: bool


@dataclass(frozen=True, slots=True)
class Refused:
    """A statement that Sealgate refused. `table` is None when it could not be told which.

    `reason` is the refusal's message, which names columns and never quotes a value.
    """

    table: str | None
    attempts: tuple[Attempt, ...]
    statement: str | None
    command: str
    execution: str
    protocol: Protocol
    sqlstate: str
    reason: str
    policy_version: str


@dataclass(frozen=True, slots=True)
class Tampered:
    """A stored value that did not authenticate; ids are None where the value is too broken to name them.

    `column` is where it was found, "" when the server does not say (an expression); `key_column` is
    the column its key id belongs to, None for an unknown key: a copied value has two different ones.
    """

    table: str
    column: str
    key_column: str | None
    key_id: int | None
    cell_id: bytes | None
    execution: str
    statement: str | None
