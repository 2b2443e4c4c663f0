"""What the core asks of the shell. Order in a list is order in time.

The core never performs I/O: it returns effects, and `proxy.connection` performs them one after the other.
"Recorded before released" is therefore the order of `Record` and `ToClient` in one list, and a test reads
that list. If a `Record` cannot be written and the configuration says deny, the shell drops what stands behind
it and asks the session for `record_failed()` instead.

The three that every statement has are not frozen and have an `__init__` of their own, because a dataclass's is not
compiled; nobody changes one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import final

from proxy.audit.entry import Entry, encode
from proxy.audit.ocsf import Event
from proxy.detection.restraint import Containment


@final
@dataclass(slots=True, init=False)
class ToClient:
    """Send these bytes to the client."""

    data: bytes

    def __init__(self, data: bytes) -> None:
        self.data = data


@final
@dataclass(slots=True, init=False)
class ToServer:
    """Send these bytes to the server."""

    data: bytes

    def __init__(self, data: bytes) -> None:
        self.data = data


@final
@dataclass(slots=True, init=False)
class Record:
    """Write this event to the access log before anything behind it happens."""

    entry: Entry

    def __init__(self, event: Event | Entry) -> None:
        self.entry = event if isinstance(event, Entry) else encode(event)

    @property
    def event(self) -> Event:
        """For whoever wants to look into it; the shell does not."""
        return self.entry.event


@dataclass(frozen=True, slots=True)
class StartClientTLS:
    """Do the TLS handshake on the client's connection; then call `client_tls_started`.

    received: what the client has sent of it already (direct TLS); b"": it asked, and is told `S` first.
    """

    received: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class ConnectServer:
    """Connect to the server (and do TLS with it); then call `server_connected` or `server_unreachable`."""


@dataclass(frozen=True, slots=True)
class LookUpRoles:
    """Ask the catalog for the login's roles; then call `roles_known`."""

    login: str


@dataclass(frozen=True, slots=True)
class LookUpVerifier:
    """Ask the server for the login's SCRAM secret; then call `verifier_known` or `verifier_unknown`."""

    login: str


@dataclass(frozen=True, slots=True)
class RelayCancel:
    """Send this CancelRequest packet to the server on a connection of its own, then close both."""

    packet: bytes


@dataclass(frozen=True, slots=True)
class RefreshCatalog:
    """DDL completed: take a new picture of the catalog. `awaited`: then call `catalog_refreshed`."""

    awaited: bool = False


@dataclass(frozen=True, slots=True)
class Delay:
    """Do what stands behind this so many seconds later; until then the server is not read."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Contain:
    """Put it in force: for the sessions here at once, and for everybody else by the file of them."""

    containment: Containment


class Fault:
    """Something of ours failed: say where in the operations log. What an exception says may hold a value."""

    __slots__ = ("error",)
    __match_args__ = ("error",)

    def __init__(self, error: Exception) -> None:
        self.error = error


@dataclass(frozen=True, slots=True)
class Close:
    """End the session: flush what was sent to the client, close both connections."""

    reason: str


Effect = (
    ToClient
    | ToServer
    | Record
    | StartClientTLS
    | ConnectServer
    | LookUpRoles
    | LookUpVerifier
    | RelayCancel
    | RefreshCatalog
    | Delay
    | Contain
    | Fault
    | Close
)
