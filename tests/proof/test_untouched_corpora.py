"""PostgreSQL's own SQL through the proxy: what the client hears is what the server said, byte for byte, and what the server hears is what the
client sent.

Statement by statement by the simple protocol, in one session after the other. Here nothing is normalised: both ends of
the same connection are compared. (But for the proxy's own questions, in transactions that may have changed the catalog.)
"""

from __future__ import annotations

import os
import random
import socket
from collections.abc import Iterator, Sequence
from itertools import groupby

import pytest

from tests.oracle.corpora import NoCorpus, Sample, catalog, installed, regression
from tests.proof.relay import Tape
from tests.proof.streams import INQUIRY, Message, messages, shown, without_startup
from tests.proof.talk import BYE, copy_fail, query, startup_packet, whole_until
from tests.proof.twins import Twins

SIZE = int(os.environ.get("PROOF_SIZE", "0"))


class Conversation:
    """One session through the proxy, a statement at a time."""

    def __init__(self, pair: Twins) -> None:
        before = len(pair.through.tapes)
        self.heard = bytearray()
        self._position = 0
        self._socket = socket.create_connection(("127.0.0.1", pair.shop.port), 60)
        options = "-c statement_timeout=3000 -c lock_timeout=1000 -c client_min_messages=notice"
        given = {"user": "postgres", "database": pair.database, "options": options}
        self.sent = bytearray(startup_packet(given))
        self._socket.sendall(self.sent)
        assert self._until_ready()
        self.tape: Tape = pair.through.tapes[before]

    def ask(self, sql: str) -> bool:
        """False: the server has ended the session."""
        self._send(query(sql.replace("\0", "")))
        return self._until_ready()

    def close(self) -> None:
        self._send(BYE)
        while received := self._socket.recv(1 << 16):
            self.heard += received
        self._socket.close()
        assert self.tape.ended.wait(10)

    def _send(self, data: bytes) -> None:
        self.sent += data
        self._socket.sendall(data)

    def _until_ready(self) -> bool:
        while True:
            while (end := whole_until(self.heard, self._position)) is None:
                received = self._socket.recv(1 << 16)
                if not received:
                    return False
                self.heard += received
            kind = self.heard[self._position]
            self._position = end
            if kind == ord("Z"):
                return True
            if kind == ord("G"):
                self._send(copy_fail("no data"))


def converse(pair: Twins, statements: Sequence[str]) -> None:
    waiting = list(reversed(statements))
    while waiting:
        session = Conversation(pair)
        while waiting and session.ask(waiting.pop()):
            pass
        session.close()
        heard, said = messages(bytes(session.heard)), messages(bytes(session.tape.server))
        _same(without_answers(said), heard, "the client heard")
        asked, passed = (
            without_startup(bytes(session.sent)),
            without_startup(bytes(session.tape.client)),
        )
        assert asked[0] == passed[0]
        _same(asked[1], without_questions(passed[1]), "the server heard")


def _same(expected: list[Message], found: list[Message], who: str) -> None:
    for one, other in zip(expected, found, strict=False):
        assert one == other or _documented(other), f"{who} {shown(other)} for {shown(one)}"
    assert len(expected) == len(found), f"{who}: {len(found)} messages of {len(expected)}"


DOCUMENTED = (
    b"Sealgate has not seen it being prepared",
    b"UESCAPE is not supported",
    b"invalid Unicode escape",
)
"""Refusals in docs/untouched.md that the corpora meet: EXECUTE with values of what was never prepared, and U&"..." names in an escape
of their own or a wrong one, which may spell any name.
"""


def _documented(found: Message) -> bool:
    return found[0] in "EQ" and any(text in found[1] for text in DOCUMENTED)


def without_questions(found: list[Message]) -> list[Message]:
    """What the proxy asks for itself: messages under a name of its own, and their Sync."""
    kept: list[Message] = []
    asking = False
    for one in found:
        asking = INQUIRY in one[1] or (asking and one[0] == "S")
        if not asking:
            kept.append(one)
    return kept


ANSWER = "312DC33Z"


def without_answers(found: list[Message]) -> list[Message]:
    """The answers to these: the simple protocol has no CloseComplete."""
    kept: list[Message] = []
    left = ""
    for one in found:
        if one[0] == "T" and one[1].startswith(b"\0\1refuse\0"):
            continue  # Of a documented refusal.
        if one[0] == "3" and not left:
            left = ANSWER
        if left and one[0] == "E":  # The transaction had failed already.
            left = "Z"
            continue
        if left and one[0] == left[0]:
            left = left[1:]
            continue
        left = ""
        kept.append(one)
    return kept


def sampled(found: Sequence[Sample], most: int) -> Iterator[str]:
    seed = int(os.environ.get("PROOF_SEED", random.randrange(1 << 32)))
    print(f"PROOF_SEED={seed}")
    chosen = random.Random(seed).sample(range(len(found)), min(most, len(found)))
    return (found[i].sql for i in sorted(chosen))


def test_a_sample_of_the_servers_own_scripts_and_catalog(pair: Twins) -> None:
    """System views, information_schema, extensions' scripts, and the catalog's objects as the server deparses them."""
    postgres = pair.shop.database.postgres
    found = installed(postgres.bin) + [
        sample for sample in catalog(postgres.dsn("postgres")) if "sealed" not in sample.sql
    ]
    assert len(found) > 2000
    converse(pair, list(sampled(found, SIZE or 500)))


@pytest.mark.long
def test_the_servers_own_scripts_and_catalog(pair: Twins) -> None:
    """All of them."""
    postgres = pair.shop.database.postgres
    converse(pair, [s.sql for s in installed(postgres.bin) + catalog(postgres.dsn("postgres"))])


@pytest.mark.long
def test_the_regression_tests(pair: Twins) -> None:
    """PostgreSQL 18's own, file by file, a session each; what they need of psql they do not have, and fail alike."""
    try:
        found = regression()
    except NoCorpus as absent:
        pytest.skip(str(absent))
    files = [(n, [s.sql for s in samples]) for n, samples in groupby(found, lambda s: s.source)]
    different = []
    for name, statements in files[: SIZE or None]:
        try:
            converse(pair, statements)
        except AssertionError as difference:
            different.append(f"{name}: {difference}")
    print(f"{sum(len(statements) for _, statements in files)} statements of {len(files)} files")
    assert not different, "\n".join(different)
