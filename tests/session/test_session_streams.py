"""Properties of the byte streams: any split is the same session, and junk never raises anything but its end."""

from __future__ import annotations

import random
import re
import struct

import pytest

from proxy.effects import Close, Effect, Fault, Record, ToClient, ToServer
from proxy.snapshot import SnapshotSource
from proxy.wire.messages import (
    SYNC_MESSAGE,
    Bind,
    Parse,
    message,
    write_bind,
    write_execute,
    write_parameter_description,
    write_parse,
    write_target,
)
from tests.session.transcript import (
    BYTEA,
    WELCOME,
    Talk,
    done,
    error,
    fields,
    query,
    ready,
    reply,
    row,
    seal,
    session,
    setting,
    snapshot,
    startup,
)

INSERT = b"INSERT INTO customers (email) VALUES ($1) RETURNING email, id"
CLIENT = [
    query("SELECT email FROM customers; SELECT 1"),
    write_parse(Parse(b"s", INSERT, (25,))),
    write_target(ord("D"), "S", b"s"),
    write_bind(Bind(b"p", b"s", (1,), (b"x@example.com",), (1, 0))),
    write_execute(b"p"),
    write_target(ord("C"), "P", b"p"),
    SYNC_MESSAGE,
    query("COPY plain FROM STDIN"),
    message(ord("d"), b"1\tx\n" * 50),
    message(ord("c"), b""),
    query("SELECT lower(email) FROM customers"),
    query("SELECT email FROM customers WHERE email = 'ada@example.com'"),
]
SERVER = [
    fields("email"),
    row(seal("ada")),
    message(ord("N"), b"SNOTICE\0\0"),
    row(seal("bob")),
    done("SELECT 2"),
    fields("?"),
    row("1"),
    done("SELECT 1"),
    ready(),
    reply("1"),
    write_parameter_description((BYTEA,)),
    fields("email", "?"),
    reply("2"),
    row(seal("x@example.com"), "7", form=1),
    done("INSERT 0 1"),
    reply("3"),
    setting("TimeZone", "UTC"),
    ready("T"),
    message(ord("G"), b"\0\0\0"),
    done("COPY 50"),
    ready("T"),
    error("0A000"),
    ready("E"),
    fields("email"),
    row(seal("ada@example.com")),
    done("SELECT 1"),
    ready("T"),
]


def pieces(rng: random.Random, data: bytes, most: int) -> list[bytes]:
    found = []
    while data:
        size = rng.randint(1, most)
        found.append(data[:size])
        data = data[size:]
    return found


def recorded(effects: list[Effect]) -> list[object]:
    """All that is not sent: events, in their order, but for the ids of what each session sealed by itself."""
    return [_without_written(e) for e in effects if not isinstance(e, ToClient)]


def _without_written(effect: Effect) -> object:
    if not isinstance(effect, Record):
        return effect
    event = effect.entry.event
    for column in event["unmapped"]["sealgate"]["columns"]:
        if column["outcome"] == "written":
            column["cell_ids"] = len(column["cell_ids"])
    return event


def released(effects: list[Effect]) -> bytes:
    return b"".join(e.data for e in effects if isinstance(e, ToClient))


def released_before_events(effects: list[Effect]) -> list[int]:
    """Bytes that the client has when each event is written."""
    found, size = [], 0
    for effect in effects:
        if isinstance(effect, ToClient):
            size += len(effect.data)
        elif isinstance(effect, Record):
            found.append(size)
    return found


SEALED = re.compile(rb"(\\x)?5ea1[0-9a-f]+|\x5e\xa1.{67}", re.DOTALL)


def sent(effects: list[Effect]) -> bytes:
    """What went to the server, but for the nonces and what depends on them."""
    data = b"".join(e.data for e in effects if isinstance(e, ToServer))
    return SEALED.sub(lambda m: b"*" * len(m[0]), data)


@pytest.fixture
def rng() -> random.Random:
    seed = random.randrange(1 << 32)
    print(f"seed {seed}")
    return random.Random(seed)


def test_any_split_of_either_stream_is_the_same_session(rng: random.Random) -> None:
    """Byte by byte, in random pieces, whole: the same bytes to either side, the same events in the same order. Byte by byte
    nothing but the rows that an event speaks of is held back until it is written: in larger pieces as much at least.
    """
    whole = Talk()
    to_server = whole.session.client_data(b"".join(CLIENT))
    to_client = whole.session.server_data(b"".join(SERVER))
    assert not any(isinstance(e, Close) for e in to_server + to_client)
    assert sum(isinstance(e, Record) for e in to_client) == 3
    latest: list[int] = []
    for most in (1, 2, 7, 40, 300, 1 << 30):
        talk = Talk()
        client = [
            e for p in pieces(rng, b"".join(CLIENT), most) for e in talk.session.client_data(p)
        ]
        server = [
            e for p in pieces(rng, b"".join(SERVER), most) for e in talk.session.server_data(p)
        ]
        assert sent(client) == sent(to_server)
        records = [e for e in client if isinstance(e, Record)]
        assert records == [e for e in to_server if isinstance(e, Record)]
        assert released(server) == released(to_client)
        assert recorded(server) == recorded(to_client)
        before = released_before_events(server)
        latest = latest or before
        assert all(b <= a for b, a in zip(before, latest, strict=True))
        assert talk.session.idle is False  # the transaction is open


def mutated(rng: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(rng.randint(1, 5)):
        at = rng.randrange(len(changed))
        match rng.randrange(4):
            case 0:
                changed[at] = rng.randrange(256)
            case 1:
                del changed[at : at + rng.randint(1, 9)]
            case 2:
                changed[at:at] = changed[at : at + rng.randint(1, 60)]
            case _:
                changed[at:at] = rng.randbytes(rng.randint(1, 9))
        if not changed:
            break
    return bytes(changed)


@pytest.mark.parametrize("side", ["client", "server"])
def test_junk_from_either_side_ends_the_session_and_nothing_else(
    rng: random.Random, side: str
) -> None:
    """Mutated streams: BadMessage is the only way out, never a fault of ours, and plaintext never goes unrecorded."""
    source = SnapshotSource(snapshot())
    for _ in range(400):
        talk = Talk(source=source)
        client, server = b"".join(CLIENT), b"".join(SERVER)
        if side == "client":
            client = mutated(rng, client)
        else:
            server = mutated(rng, server)
        effects = talk.session.client_data(client) + talk.session.server_data(server)
        assert not any(isinstance(e, Fault) for e in effects), effects
        released = False
        for effect in effects:
            released |= isinstance(effect, Record)
            if isinstance(effect, ToClient) and b"ada@example.com" in effect.data:
                assert released


def test_pure_noise(rng: random.Random) -> None:
    """Plausible headers over random bodies, at every stage."""
    kinds = b"123ACDEGHIKNRSTVWZcdnst" + b"BCDEFHPQSXcdfp"
    source = SnapshotSource(snapshot())
    for _ in range(600):
        talk = Talk(source=source)
        talk.session.client_data(b"".join(rng.sample(CLIENT, 4)))
        for _ in range(6):
            body = rng.randbytes(rng.randrange(40))
            noise = bytes([rng.choice(kinds)]) + struct.pack("!I", len(body) + 4) + body
            receive = rng.choice([talk.session.client_data, talk.session.server_data])
            assert not any(isinstance(e, Fault) for e in receive(noise))


def test_noise_before_the_login(rng: random.Random) -> None:
    """The handshake, either side, in pieces."""
    source = SnapshotSource(snapshot())
    for _ in range(300):
        one = session(source)
        effects: list[Effect] = []
        packet = startup(user="shop_app", database="shop")
        data = mutated(rng, packet) if rng.random() < 0.5 else packet
        for part in pieces(rng, data, 30):
            effects += one.client_data(part)
        effects += one.server_connected()
        for part in pieces(rng, mutated(rng, WELCOME), 30):
            effects += one.server_data(part)
        assert not any(isinstance(e, Fault) for e in effects)
