"""A session's core fed with bytes, its effects told in words: `-> PBES`, `<- TDCZ`, `record statement.read`.

No sockets, no server: a test says what either side sends and compares the list of effects, so "recorded before
released" is the order of lines (mitmproxy's tutils is the model).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import policy
from keystore import Keyset, generate
from policy import read_search
from proxy.audit.event import Origin
from proxy.catalog import Attribute, Catalog, Relation, SealedColumn
from proxy.cells import logical_type
from proxy.effects import Close, Effect, Record, ToClient, ToServer
from proxy.handshake import Terms
from proxy.session import Session
from proxy.snapshot import Snapshot, SnapshotSource
from proxy.wire.messages import (
    COMMAND_COMPLETE,
    DATA_ROW,
    ERROR_RESPONSE,
    PARAMETER_STATUS,
    READY_FOR_QUERY,
    Field,
    message,
    write_fields,
    write_row_description,
)

EMAIL, SSN = "public.customers.email", "public.customers.ssn"
CUSTOMERS, VIEW, PLAIN = 16384, 16390, 16395
TEXT, INT4, BYTEA = 25, 23, 17


def sealed_column(name: str, *search: str) -> SealedColumn:
    label = f"public.customers.{name}"
    return SealedColumn(
        label, "public.customers", name, logical_type("text"), read_search(search, "search")
    )


CATALOG = Catalog(
    "shop",
    180004,
    (
        Relation(
            CUSTOMERS,
            "public",
            "customers",
            "r",
            (
                Attribute(1, "id", INT4, -1),
                Attribute(2, "email", BYTEA, -1, "text", carries_sealed=True),
                Attribute(3, "ssn", BYTEA, -1, "text", carries_sealed=True),
            ),
        ),
        Relation(
            VIEW,
            "public",
            "customer_view",
            "v",
            (Attribute(1, "email", BYTEA, -1, "text", carries_sealed=True),),
        ),
        Relation(
            PLAIN,
            "public",
            "plain",
            "r",
            (Attribute(1, "id", INT4, -1), Attribute(2, "note", TEXT, -1)),
        ),
    ),
    {EMAIL: sealed_column("email", "equality"), SSN: sealed_column("ssn")},
)

COLUMNS = {
    EMAIL: {"type": "text", "search": ["equality"], "mask": "email"},
    SSN: {"type": "text", "mask": "keep_last:4"},
}
ROLES: Mapping[str, Mapping[str, list[str]]] = {
    "shop_app": {"clear": ["public.customers.*"], "write": ["public.customers.*"]},
    "support": {"masked": ["public.customers.*"]},
}
KEYS = generate((EMAIL, SSN))


def snapshot(
    roles: Mapping[str, Mapping[str, list[str]]] = ROLES,
    denied_value: str = "null",
    keys: Keyset = KEYS,
) -> Snapshot:
    return Snapshot(policy.load(COLUMNS, roles, {"denied_value": denied_value}), CATALOG, keys)


def seal(text: str, column: str = EMAIL) -> bytes:
    """A stored value, as the server has it."""
    plain = text.encode()
    return KEYS.column(column).seal(plain, plain if column == EMAIL else None)


# What the server says.


def fields(*names: str, table: int = CUSTOMERS, form: int = 0) -> bytes:
    """RowDescription of columns of one table; any other name is an integer expression."""
    numbers = {a.name: a for r in CATALOG.relations if r.oid == table for a in r.attributes}
    described = []
    for name in names:
        attribute = numbers.get(name)
        if attribute is None:
            described.append(Field(name.encode(), 0, 0, INT4, 4, -1, form))
        else:
            oid = attribute.type_oid
            length = 4 if oid == INT4 else -1
            described.append(Field(name.encode(), table, attribute.number, oid, length, -1, form))
    return write_row_description(tuple(described))


def row(*values: bytes | str | None, form: int = 0) -> bytes:
    """DataRow; bytes are a bytea's, in text form unless `form` is 1."""
    parts = [struct.pack("!H", len(values))]
    for value in values:
        if value is None:
            parts.append(b"\xff\xff\xff\xff")
            continue
        if isinstance(value, str):
            wire = value.encode()
        else:
            wire = value if form else b"\\x" + value.hex().encode()
        parts.append(struct.pack("!I", len(wire)) + wire)
    return message(DATA_ROW, b"".join(parts))


def done(tag: str) -> bytes:
    return message(COMMAND_COMPLETE, tag.encode() + b"\0")


def ready(status: str = "I") -> bytes:
    return message(READY_FOR_QUERY, status.encode())


def error(sqlstate: str, **more: str) -> bytes:
    text = {"S": "ERROR", "V": "ERROR", "C": sqlstate, "M": "no", **more}
    return write_fields(ERROR_RESPONSE, {k: v.encode() for k, v in text.items()})


def setting(name: str, value: str) -> bytes:
    return message(PARAMETER_STATUS, f"{name}\0{value}\0".encode())


def reply(kinds: str) -> bytes:
    """Replies without a body: `12n3s`."""
    return b"".join(message(ord(kind), b"") for kind in kinds)


AUTHENTICATION_OK = message(ord("R"), struct.pack("!I", 0))
KEY_DATA = message(ord("K"), struct.pack("!II", 4711, 815))
WELCOME = AUTHENTICATION_OK + setting("search_path", '"$user", public') + KEY_DATA + ready()


# What the client says.


def startup(**parameters: str) -> bytes:
    body = struct.pack("!I", 196608)
    body += b"".join(f"{k}\0{v}\0".encode() for k, v in parameters.items()) + b"\0"
    return struct.pack("!I", len(body) + 4) + body


def query(sql: str) -> bytes:
    return message(ord("Q"), sql.encode() + b"\0")


# The talk.


def split(data: bytes) -> list[tuple[str, bytes]]:
    """Messages with a type byte, as (type, body)."""
    found = []
    while data:
        (length,) = struct.unpack_from("!I", data, 1)
        found.append((chr(data[0]), data[5 : length + 1]))
        data = data[length + 1 :]
    return found


def told(effects: Iterable[Effect]) -> list[str]:
    """Effects in words; a run of messages is a word of their types."""
    words = []
    for effect in effects:
        match effect:
            case ToClient(data):
                words.append("<- " + "".join(kind for kind, _ in split(data)))
            case ToServer(data):
                words.append("-> " + "".join(kind for kind, _ in split(data)))
            case Record():
                event = effect.event
                code = event.get("status_code")
                words.append(
                    f"record {event['metadata']['event_code']}"
                    + (f" {code}" if code not in (None, "00000") else "")
                )
            case Close():
                words.append("close")
            case other:
                words.append(type(other).__name__)
    return words


@dataclass
class Talk:
    """One session past its login. `client` and `server` return what follows, in words."""

    login: str = "shop_app"
    source: SnapshotSource = field(default_factory=lambda: SnapshotSource(snapshot()))
    database: str = "shop"
    parameters: Mapping[str, str] = field(default_factory=dict)
    welcome: bytes = WELCOME
    effects: list[Effect] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.session = session(self.source)
        packet = startup(user=self.login, database=self.database, **self.parameters)
        assert told(self.session.client_data(packet)) == ["ConnectServer"]
        self.session.server_connected()
        self.session.server_data(self.welcome)
        self.session.roles_known(frozenset({self.login}))

    def client(self, *messages: bytes) -> list[str]:
        return self._did(self.session.client_data(b"".join(messages)))

    def server(self, *messages: bytes) -> list[str]:
        return self._did(self.session.server_data(b"".join(messages)))

    def _did(self, effects: list[Effect]) -> list[str]:
        self.effects = effects
        return told(effects)

    # What the last effects held.

    @property
    def to_client(self) -> list[tuple[str, bytes]]:
        return split(b"".join(e.data for e in self.effects if isinstance(e, ToClient)))

    @property
    def to_server(self) -> list[tuple[str, bytes]]:
        return split(b"".join(e.data for e in self.effects if isinstance(e, ToServer)))

    @property
    def events(self) -> list[dict[str, Any]]:
        """The product's own fields of each event."""
        return [e.event["unmapped"]["sealgate"] for e in self.effects if isinstance(e, Record)]

    @property
    def policies(self) -> list[str]:
        """The policy version each event names."""
        return [e.event["policy"]["version"] for e in self.effects if isinstance(e, Record)]


def session(source: SnapshotSource, terms: Terms | None = None) -> Session:
    origin = Origin("", (), "192.0.2.7", 50000, "", "s", "", tls=False)
    return Session(terms or Terms("shop"), source, origin, 1 << 20)
