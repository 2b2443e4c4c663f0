"""Instructions that the proxy executes for one statement, counted by callgrind: the same on a busy machine. [io]

    python -m bench.instructions      needs valgrind (Debian and Ubuntu: apt install valgrind); run `make compile` before

What is counted is all between two transports: the two ends of eight sessions (`proxy.connection`), their cores and the access
log, in user space. What the kernel does for sockets and the log is not, nor is TLS, nor what uvloop does to read and write. A
statement is Bind, Describe, Execute and Sync, or a Query, and the server's answer to it, which is made beforehand; the sessions
are served in turn, so eight share one write to the log. Some 3,000 instructions are the measurement's own: rounds of the event
loop, transports that only keep what they are given. Python's hashes are not random here, so a count repeats almost exactly.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any, cast

from proxy.audit.log import AuditLog
from proxy.compiled import mode
from proxy.connection import Client, Server
from proxy.detection.budget import Budgets
from proxy.detection.guard import Guards
from proxy.detection.settings import Detection
from proxy.group_commit import GroupCommit
from proxy.listener import Listener
from proxy.turns import Turns
from proxy.wire.messages import (
    DESCRIBE,
    SYNC_MESSAGE,
    Bind,
    Parse,
    write_bind,
    write_execute,
    write_parse,
    write_target,
)
from proxy.workers.process import loop_factory, settle
from tests.detection.guarded import Guarded
from tests.session.transcript import PLAIN, done, fields, query, ready, reply, row, seal

SESSIONS = 8
ROUNDS = 400
WARM = 20
PREPARED = b"statement"
EXECUTE = write_target(DESCRIBE, "P", b"") + write_execute(b"") + SYNC_MESSAGE


@dataclass(frozen=True, slots=True)
class Statement:
    """sql: prepared first, "" if it is asked by a Query. asked, answered: what client and server send each time."""

    sql: str
    asked: bytes
    answered: bytes


def _executed(value: bytes) -> bytes:
    return write_bind(Bind(b"", PREPARED, (), (value,), ())) + EXECUTE


def statements() -> dict[str, Statement]:
    """By name. Those of one kind differ in what is sealed."""
    plain = fields("note", table=PLAIN) + row("x") + done("SELECT 1") + ready()
    sealed = fields("email") + row(seal("ada")) + done("SELECT 1") + ready()
    return {
        "SELECT, nothing sealed, prepared": Statement(
            "SELECT note FROM plain WHERE id = $1", _executed(b"1"), reply("2") + plain
        ),
        "SELECT, nothing sealed, simple protocol": Statement(
            "", query("SELECT note FROM plain WHERE id = 17"), plain
        ),
        "SELECT of one sealed column, prepared": Statement(
            "SELECT email FROM customers WHERE id = $1", _executed(b"1"), reply("2") + sealed
        ),
        "INSERT of one sealed, searchable value, prepared": Statement(
            "INSERT INTO customers (email) VALUES ($1)",
            _executed(b"ada"),
            reply("2n") + done("INSERT 0 1") + ready(),
        ),
    }


class Transport:
    """Keeps what was written last."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written = data

    def is_closing(self) -> bool:
        return False

    def set_write_buffer_limits(self, high: int) -> None:
        """There is no buffer."""

    def get_extra_info(self, name: str) -> Any:
        """It is not encrypted."""
        return None

    def pause_reading(self) -> None:
        """Nothing is read."""

    def resume_reading(self) -> None:
        """Nothing is read."""

    def get_write_buffer_size(self) -> int:
        return 0

    def abort(self) -> None:
        """`run` finds out."""
        self.written = b""


class Shell:
    """What of a listener its sessions ask for."""

    def __init__(self, log: AuditLog) -> None:
        self.commits = GroupCommit(log)
        self.turns = Turns()
        self.release_unrecorded = False


class Stage:
    """Sessions at their transports, with one access log."""

    def __init__(self, statement: Statement, log: Path) -> None:
        self.statement = statement
        self.log = AuditLog(log)
        shell = cast(Listener, Shell(self.log))
        judged = Guards(Detection(), Budgets(1, Detection(), monotonic), lambda: 0)
        self.near = [Transport() for _ in range(SESSIONS)]
        self.far = [Transport() for _ in range(SESSIONS)]
        self.clients: list[Client] = []
        self.servers: list[Server] = []
        for number, (near, far) in enumerate(zip(self.near, self.far, strict=True)):
            core = Guarded(guards=judged).session
            if statement.sql:
                core.client_data(
                    write_parse(Parse(PREPARED, statement.sql.encode(), ())) + SYNC_MESSAGE
                )
                core.server_data(reply("1") + ready())
            client = Client(shell, str(number))
            server = Server(client, shell.turns)
            client._session, client._server = core, server  # noqa: SLF001 - what a login leaves
            client._speak_through(cast(asyncio.Transport, near))  # noqa: SLF001
            server.connection_made(cast(asyncio.Transport, far))
            self.clients.append(client)
            self.servers.append(server)

    async def run(self, rounds: int) -> None:
        """So many statements of each session. Raises RuntimeError if the last one was not answered."""
        asked, answered = self.statement.asked, self.statement.answered
        for _ in range(rounds):
            for client in self.clients:
                client.data_received(asked)
            for server in self.servers:
                server.data_received(answered)
            await asyncio.sleep(0)
        if not all(near.written.endswith(ready()) for near in self.near):
            raise RuntimeError("the sessions failed")


async def counted(statement: Statement, log: Path, switch: Callable[[str], object]) -> None:
    """Runs it between switch("on") and switch("off"), once everything is warm."""
    stage = Stage(statement, log)
    await stage.run(WARM)
    settle()
    switch("on")
    await stage.run(ROUNDS)
    switch("off")


def _child(name: str) -> None:
    def switch(state: str) -> None:
        control = ["callgrind_control", "-i", state, str(os.getpid())]
        subprocess.run(control, check=True, capture_output=True)

    with (
        tempfile.TemporaryDirectory() as home,
        asyncio.Runner(loop_factory=loop_factory()) as runner,
    ):
        runner.run(counted(statements()[name], Path(home) / "log", switch))


def count(name: str) -> int:
    """Instructions of one statement, of this name. Raises subprocess.CalledProcessError."""
    with tempfile.TemporaryDirectory() as home:
        out = Path(home) / "out"
        valgrind = ["valgrind", "-q", "--tool=callgrind", "--instr-atstart=no"]
        valgrind += [f"--callgrind-out-file={out}", sys.executable, "-m", "bench.instructions"]
        always = {**os.environ, "PYTHONHASHSEED": "0"}
        subprocess.run([*valgrind, "--child", name], check=True, env=always)
        totals = [line for line in out.read_text().splitlines() if line.startswith("totals:")]
        return int(totals[-1].split()[1]) // (SESSIONS * ROUNDS)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.instructions", description=__doc__)
    parser.add_argument("--child", choices=statements(), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _child(options.child)
        return 0
    if shutil.which("valgrind") is None:
        print("There is no valgrind (Debian and Ubuntu: apt install valgrind).", file=sys.stderr)
        return 1
    print(f"Sealgate {mode()}, Python {sys.version.split()[0]}; instructions of one statement:")
    for name in statements():
        print(f"{count(name):>10,}  {name}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
