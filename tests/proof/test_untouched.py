"""Untouched means untouched: what names no sealed column reaches the server, and its replies the client, byte for byte.

Two equal servers, one of them behind a real `sealgate serve` (`twins`). Each session is played to both, and everything is compared
that either side received: what is normalised, and which additions of the proxy's are stepped over, is in `streams`, all of it.
What is known to be different is in `test_differences`.
"""

from __future__ import annotations

import os
import random
import struct

import pytest

from tests.proof.generate import session
from tests.proof.sessions import all_scripts
from tests.proof.streams import compare, messages, without_startup
from tests.proof.talk import COPIED, READY, Script, Until, copy_data, query, simple
from tests.proof.twins import Twins

SIZE = int(os.environ.get("PROOF_SIZE", "0"))


@pytest.mark.parametrize("script", all_scripts(), ids=lambda script: script.name)
def test_a_session(pair: Twins, script: Script) -> None:
    """By hand, a family of the protocol or of SQL each."""
    compare(*pair.play(script))


def play_random(pair: Twins, sessions: int) -> None:
    first = int(os.environ.get("PROOF_SEED", random.randrange(1 << 32)))
    for seed in range(first, first + sessions):
        try:
            compare(*pair.play(session(seed)))
        except AssertionError as found:
            raise AssertionError(f"PROOF_SEED={seed} PROOF_SIZE=1: {found}") from None


def test_random_sessions(pair: Twins) -> None:
    """Statements, formats, names, limits, pipelines and errors as they come; the seed is in the failure."""
    play_random(pair, SIZE or 25)


@pytest.mark.long
def test_many_random_sessions(pair: Twins) -> None:
    """The same, for minutes."""
    play_random(pair, SIZE or 3000)


STANDBY_STATUS = b"r" + struct.pack("!QQQQB", 0, 0, 0, 0, 0)
REPLICATION = Script(
    "replication",
    (
        *simple(
            "IDENTIFY_SYSTEM",
            "SHOW server_version",
            "SELECT 'customers'",
            "NO_SUCH_COMMAND",
            "CREATE_REPLICATION_SLOT s TEMPORARY LOGICAL pgoutput (SNAPSHOT 'nothing')",
        ),
        query("START_REPLICATION SLOT s LOGICAL 0/0 (proto_version '1', publication_names 'p')"),
        Until("W"),
        copy_data(STANDBY_STATUS) + COPIED,
        READY,
        *simple("DROP_REPLICATION_SLOT s", "SELECT 1"),
    ),
    options=(("replication", "database"),),
)


def test_replication(pair: Twins) -> None:
    """A walsender, CopyBoth included: positions in the log differ from server to server, so what the client heard is
    compared with what this very server said.
    """
    _, through = pair.play(REPLICATION)
    assert through.heard == through.said
    startup, sent = without_startup(through.sent)
    assert startup == REPLICATION.startup(pair.database)
    asked = b"".join(step for step in REPLICATION.steps if isinstance(step, bytes))
    assert sent[:-1] == messages(asked)
    assert any(kind == "W" for kind, _ in messages(through.heard))


# What is different, and must be.

DIFFERENCES = {
    "unreadable and named": ("\\d customers", b"42601"),
    "EXECUTE of a name nobody prepared": ("EXECUTE never('x')", b"26000"),
    "a column called like a sealed table, of no table": (
        "SELECT nothing.customers FROM typed",
        b"42P01",
    ),
}


@pytest.mark.parametrize("name", sorted(DIFFERENCES))
def test_differences(pair: Twins, name: str) -> None:
    """Statements in error that name something sealed, or might: the SQLSTATE is the server's, the words are Sealgate's. Sent on, a
    literal in them would be in the server's log.
    """
    sql, sqlstate = DIFFERENCES[name]
    direct, through = pair.play(Script("difference", simple(sql, "SELECT 1")))
    for heard in (direct.heard, through.heard):
        (error,) = [body for kind, body in messages(heard) if kind == "E"]
        assert b"\0C" + sqlstate + b"\0" in error
    kinds = [
        "".join(kind for kind, _ in messages(heard)) for heard in (direct.heard, through.heard)
    ]
    assert kinds[0] == kinds[1]


def test_a_path_that_changes_within_a_message(pair: Twins) -> None:
    """`customers` means another table behind a SET in the same Query message: refused, by the documented SQLSTATE."""
    sql = "SET search_path = other; SELECT * FROM customers"
    _, through = pair.play(Script("difference", simple(sql, "SELECT 1")))
    (error,) = [body for kind, body in messages(through.heard) if kind == "E"]
    assert b"\0C0A000\0" in error
