"""What the access log is told about a session: plain values.

Nothing here can hold a plaintext, a parameter or a key: counts, names, rules and cell ids are all
there is room for. Strings that a client chose come as they are; the builders cap and escape them.

`statement` fields take `Stripped.text` (proxy.sql: literals are markers), or None where there is none
because the text could not be read.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from proxy.audit.claims import Claims
    from proxy.audit.origin import Who

Outcome = Literal["clear", "masked", "withheld", "written", "compared"]
Access = Literal["read", "compare", "write", "presence"]
Protocol = Literal["simple", "extended"]

ASYNC: Final = 0
"""Rows are released at once; the event is written within the round."""
ACK: Final = 1
"""Rows are released when the system has the event: it survives the proxy's end."""
DURABLE: Final = 2
"""Rows are released when the disk has the event: it survives the machine's end."""

MODES: Final = {"async": ASYNC, "ack": ACK, "durable": DURABLE}
"""As the configuration names them."""

CELL_IDS_INLINE: Final = 256
"""Cell ids an event holds at most; if there are more, all of them are in the side file (`proxy.audit.cells_file`)."""


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
    claimed: Claims = ()
    """What the session's settings say of the person and the reason behind it."""
    told: Who | None = field(init=False, repr=False, compare=False, default=None)
    """What `proxy.audit.origin.who` made of it, once."""


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
    comment: str = ""
    """The comment behind the statement: see `proxy.audit.claims`."""


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
