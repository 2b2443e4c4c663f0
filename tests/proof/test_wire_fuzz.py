"""A real `sealgate serve` before a real PostgreSQL, and clients and servers that do not keep to the protocol.

The core's fuzz (`test_fuzz`) has the volume; here are sockets, timers, back-pressure and what a process may leak: after
each run file descriptors, connections to the server and memory are back where they were, and the next client is served.
"""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import socket
import struct
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.integration.shop import Shop
from tests.proof.bottle import cutter
from tests.proof.corpus import SESSIONS
from tests.proof.mutations import ON_BYTES, Case, case, on_bytes, operation
from tests.proof.relay import RecordingRelay, Tamper
from tests.proof.talk import (
    BYE,
    READY,
    SECONDS,
    SYNC,
    Heard,
    Step,
    Until,
    copy_fail,
    play_steps,
    query,
    startup_packet,
)
from tests.proof.toy_server import CANARY
from tests.proof.twins import Twins

SIZE = int(os.environ.get("PROOF_SIZE", "0"))
LOGINS = {"shop_app": "shop_app", "support": "support_login", "analyst": "analyst"}


@pytest.fixture
def rng() -> random.Random:
    seed = int(os.environ.get("PROOF_SEED", random.randrange(1 << 32)))
    print(f"PROOF_SEED={seed}")
    return random.Random(seed)


class Level:
    """What a proxy's process holds at a moment when nobody is connected."""

    def __init__(self, shop: Shop) -> None:
        assert shop.process is not None
        self._shop = shop
        self._process = Path(f"/proc/{shop.process.pid}")
        served(shop)
        time.sleep(0.1)
        self.files = self._files()
        self.kilobytes = self._resident()

    def restored(self, growth: int = 40_000) -> None:
        """Waits for what is on its way out, and looks. `growth` in kB: caches of plans may have filled."""
        served(self._shop)
        deadline = time.monotonic() + 10
        while (files := self._files()) > self.files and time.monotonic() < deadline:
            time.sleep(0.05)
        assert files <= self.files, f"{files} file descriptors, {self.files} before"
        with self._shop.direct() as direct:
            sessions = direct.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' "
                "AND application_name NOT IN ('sealgate', '') AND pid <> pg_backend_pid()"
            ).fetchone()
        assert sessions == (0,), "sessions are left on the server"
        assert self._resident() < self.kilobytes + growth

    def _files(self) -> int:
        return len(list((self._process / "fd").iterdir()))

    def _resident(self) -> int:
        status = (self._process / "status").read_text()
        return int(status.split("VmRSS:")[1].split()[0])


def served(shop: Shop) -> None:
    with shop.connect() as app:
        assert app.execute("SELECT email FROM customers WHERE id = 1").fetchone() == (
            "ada@example.com",
        )


def login(shop: Shop, role: str) -> bytes:
    given = {"user": LOGINS[role], "database": shop.database.name, "application_name": "fuzz"}
    return startup_packet(given)


def enter(client: socket.socket, shop: Shop, role: str, heard: Heard) -> None:
    """Log in, and wait for the first ReadyForQuery or the end."""
    client.sendall(login(shop, role))
    while not heard.data.endswith(b"Z\0\0\0\5I"):
        received = client.recv(1 << 16)
        if not received:
            return
        heard.data += received


def silent(shop: Shop) -> None:
    """No canary and no fault in what the proxy writes."""
    for path in (shop.output_path, shop.audit_path):
        content = path.read_bytes()
        assert CANARY.encode() not in content, path.name
    log = shop.output_path.read_bytes()
    assert b"Traceback" not in log, log.decode()[-3000:]
    assert b"session failed" not in log, log.decode()[-3000:]


def plan(shop: Shop, one: Case) -> list[Step]:
    """The case's bytes; where they are whole messages, what a client does that wants its session back."""
    fixed = random.Random(str(one))
    sent = one.messages(SESSIONS[one.session])
    pieces = sent if one.how in ("messages", "late") else [b"".join(sent)]
    if one.how in ("7", "60"):
        pieces = cutter(fixed, int(one.how))(pieces[0]) if pieces[0] else []
    steps: list[Step] = [login(shop, one.login), READY, *pieces]
    if one.intact:
        steps += [copy_fail("over") + SYNC + query("ROLLBACK") + query("SELECT 'the end'")]
        steps += [Until("D", 1), BYE]
    return steps


def test_mutated_clients(pair: Twins, rng: random.Random) -> None:
    """Messages dropped, repeated, reordered, bytes changed: every session ends or is answered in bounded time."""
    shop = pair.shop
    level = Level(shop)
    mark = shop.database.postgres.log_path.stat().st_size
    for _ in range(SIZE or 80):
        one = case(rng, SESSIONS)
        heard = play_steps(plan(shop, one), shop.port, SECONDS)
        assert not heard.timed_out, f"hangs: {one}"
        if one.login == "analyst":
            assert CANARY.encode() not in heard.data, one
        if one.intact:
            said = shop.database.postgres.log_path.read_bytes()[mark:]
            assert CANARY.encode() not in said, f"in the server's log: {one}"
        mark = shop.database.postgres.log_path.stat().st_size
    level.restored()
    silent(shop)


@pytest.mark.parametrize("farewell", ["end", "reset"])
def test_clients_that_leave_anywhere(pair: Twins, rng: random.Random, farewell: str) -> None:
    """Cut after any byte, the connection closed in order or reset: nothing is left of the session."""
    shop = pair.shop
    level = Level(shop)
    name = rng.choice(sorted(SESSIONS))
    data = b"".join(SESSIONS[name])
    print(name)
    for end in rng.sample(range(len(data)), min(len(data), SIZE or 50)):
        with socket.create_connection(("127.0.0.1", shop.port), SECONDS) as client:
            if rng.random() < 0.9:
                enter(client, shop, "shop_app", Heard())
            else:
                client.sendall(login(shop, "shop_app"))
            client.sendall(data[:end])
            if farewell == "reset":
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    level.restored()
    silent(shop)


def test_every_split_of_a_login(pair: Twins, rng: random.Random) -> None:
    """SSLRequest and startup packet in two pieces, cut at every byte, and then gone or going on."""
    shop = pair.shop
    level = Level(shop)
    packet = login(shop, "shop_app")
    for cut in range(1, len(packet), 1 if SIZE else 3):
        with socket.create_connection(("127.0.0.1", shop.port), SECONDS) as client:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.sendall(struct.pack("!II", 8, 80877103))
            assert client.recv(1) == b"N"
            client.sendall(packet[:cut])
            if cut % 2:
                client.sendall(packet[cut:])
                assert client.recv(1) == b"R"
    level.restored()


# A server that lies.


@pytest.fixture(scope="module")
def liars(pair: Twins, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Liars]:
    made = Liars(pair, tmp_path_factory.mktemp("liars"))
    with made.relay:
        made.shop.serve()
        yield made
        made.shop.stop()


class Liars:
    """A second proxy whose server speaks through a relay that changes what it says, if `how` says so."""

    def __init__(self, pair: Twins, directory: Path) -> None:
        for name in ("keystore.json", "root.key"):
            shutil.copy2(pair.shop.directory / name, directory / name)
        self.how: Callable[[], Tamper] | None = None
        self.relay = RecordingRelay(pair.shop.database.postgres.port, self._tamper)
        self.shop = Shop(pair.shop.database, directory, upstream_port=self.relay.port)
        self.shop.write_config()

    def _tamper(self) -> Tamper:
        return self.how() if self.how is not None else lambda data: [data]


def lie(rng: random.Random) -> Callable[[], Tamper]:
    """The login is true; then, at some message, bytes change, pieces are small, or the connection is cut."""
    seed = rng.randrange(1 << 32)
    kind = rng.choice(("bytes", "bytes", "bytes", "cut", "pieces", "repeat", "silence"))

    def made() -> Tamper:
        fixed = random.Random(seed)
        seen = 0

        def tamper(data: bytes) -> list[bytes] | None:
            nonlocal seen
            seen += 1
            if seen == 1 or (kind != "pieces" and fixed.random() < 0.5):
                return [data]
            if kind == "pieces":
                return cutter(fixed, 3)(data)
            if kind == "cut":
                return None
            if kind == "repeat":
                return [data, data]
            if kind == "silence":
                return []
            changed = bytearray(data)
            on_bytes(changed, *operation(fixed, ON_BYTES))
            return [bytes(changed)]

        return tamper

    return made


def test_servers_that_lie(liars: Liars, rng: random.Random) -> None:
    """Bytes changed, answers repeated, cut off or withheld: no value to whom it is not for, no fault of ours, and what the client
    leaves behind when it gives up is freed.
    """
    shop = liars.shop
    with shop.connect() as app:
        app.execute("INSERT INTO customers (email, ssn) VALUES (%s, %s)", (f"{CANARY}-stored",) * 2)
    level = Level(shop)
    liars.how = None
    honest = [patient(shop, name, "shop_app", 0.1).data for name in ("simple", "pipeline")]
    assert any(CANARY.encode() in data for data in honest), "nobody would be shown anything"
    for _ in range(SIZE or 50):
        name, role = rng.choice(sorted(SESSIONS)), rng.choice(sorted(LOGINS))
        liars.how = lie(rng)
        heard = patient(shop, name, role)
        if role == "analyst":
            assert CANARY.encode() not in heard.data, name
    liars.how = None
    level.restored()
    silent(shop)


def patient(shop: Shop, name: str, role: str, moment: float = 0.005) -> Heard:
    """A client that sends a session's messages and waits a moment for each; nobody knows what it will get."""
    heard = Heard()
    with (
        socket.create_connection(("127.0.0.1", shop.port), SECONDS) as client,
        contextlib.suppress(OSError),
    ):
        enter(client, shop, role, heard)
        for one in SESSIONS[name]:
            client.sendall(one)
            client.settimeout(moment)
            with contextlib.suppress(TimeoutError):
                while received := client.recv(1 << 16):
                    heard.data += received
            client.settimeout(SECONDS)
    return heard
