"""The session's core against whatever a client or a server may send, thousands of cases a second.

The server of these tests (`toy_server`) keeps to the protocol whatever it is sent, so three things can be asked of the
proxy that replayed streams cannot show: that it never takes a true server for a liar, that a session whose client goes
on properly is answered, and that nobody waits for ever. `PROOF_SEED` and `PROOF_SIZE` choose the run.
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator

import pytest

from proxy.effects import Close
from tests.proof.bottle import Bottle, check, cutter, whole
from tests.proof.corpus import SESSIONS
from tests.proof.mutations import LOGINS, ON_BYTES, Case, case, on_bytes, operation, shrunk
from tests.proof.streams import kinds, messages
from tests.proof.talk import SYNC, copy_fail, query

SIZE = int(os.environ.get("PROOF_SIZE", "0"))


@pytest.fixture
def rng() -> random.Random:
    seed = int(os.environ.get("PROOF_SEED", random.randrange(1 << 32)))
    print(f"PROOF_SEED={seed}")
    return random.Random(seed)


def pieces(sent: list[bytes], how: str, rng: random.Random) -> Iterator[bytes]:
    if how in ("messages", "late"):
        yield from sent
    elif how == "whole":
        yield b"".join(sent)
    else:
        yield from cutter(rng, int(how))(b"".join(sent))


def run(one: Case) -> None:
    """The case, and then what a client does that wants its session back."""
    fixed = random.Random(str(one))
    bottle = Bottle(one.login, late=fixed if one.how == "late" else None)
    for piece in pieces(one.messages(SESSIONS[one.session]), one.how, fixed):
        if not bottle.over:
            bottle.client(piece)
    bottle.settle()
    check(bottle, sealed_text=one.intact)
    accused = [
        e.reason for e in bottle.effects if isinstance(e, Close) and "by the server" in e.reason
    ]
    assert not accused, f"the server kept to the protocol: {accused[0]}"
    if one.intact:
        assert bottle.over or recovers(bottle), "the session hangs"
    bottle.leave()
    check(bottle, sealed_text=one.intact)
    assert bottle.over


def recovers(bottle: Bottle) -> bool:
    """Whatever it was in the middle of: end a copy, Sync, ask."""
    bottle.late = None
    bottle.client(copy_fail("over") + SYNC)
    before = len(bottle.heard)
    bottle.client(query("ROLLBACK") + query("SELECT 1"))
    return bottle.over or kinds(messages(bottle.heard[before:])).endswith("TDDDCZ")


def fails(one: Case) -> bool:
    try:
        run(one)
    except AssertionError:
        return True
    return False


def search(rng: random.Random, count: int) -> None:
    for _ in range(count):
        one = case(rng, SESSIONS)
        if fails(one):
            small = shrunk(one, fails)
            print(small)
            run(small)


def test_mutated_clients(rng: random.Random) -> None:
    """Messages dropped, repeated, reordered; bytes flipped, cut, inserted; lengths and types falsified; in any pieces."""
    search(rng, SIZE or 2500)


def test_any_split_of_either_stream_is_the_same_session(rng: random.Random) -> None:
    """Byte by byte and in random pieces, both directions: the same bytes to the client, the same events, and none of them
    behind more bytes than byte by byte, when nothing but the rows that it speaks of waits for it.
    """
    for name, sent in SESSIONS.items():
        for login in LOGINS:
            expected = held(sent, login, whole)
            latest = held(sent, login, cutter(rng, 1)).heard_before_events
            for most in (1, 3, 20, 200, 1 << 30):
                found = held(sent, login, cutter(rng, most))
                assert found.story == expected.story, (name, login, most)
                before = found.heard_before_events
                assert all(b <= a for b, a in zip(before, latest, strict=True)), (name, login, most)


def held(sent: tuple[bytes, ...], login: str, cut: Callable[[bytes], list[bytes]]) -> Bottle:
    """The client waits for the server after each message, as the pieces of a message do not."""
    bottle = Bottle(login, cut)
    for one in sent:
        bottle.client(one)
    check(bottle)
    return bottle


def test_mutated_servers(rng: random.Random) -> None:
    """What the server says, changed in its bytes: no fault of ours, no value to whom it is not for, nothing unrecorded, and
    the session ends when the client goes.
    """
    for _ in range(SIZE or 1200):
        name, login = rng.choice(sorted(SESSIONS)), rng.choice(LOGINS)
        seed = rng.randrange(1 << 32)
        tampered(name, login, seed)


def tampered(name: str, login: str, seed: int) -> None:
    rng = random.Random(seed)
    login_over = [False]

    def tamper(answer: bytes) -> bytes:
        if not login_over[0]:
            login_over[0] = True
            return answer
        if rng.random() < 0.7:
            return answer
        data = bytearray(answer)
        for _ in range(rng.randint(1, 2)):
            on_bytes(data, *operation(rng, ON_BYTES))
        return bytes(data)

    bottle = Bottle(login, cutter(rng, 50) if rng.random() < 0.3 else whole, tamper)
    for piece in SESSIONS[name]:
        if not bottle.over:
            bottle.client(piece)
    bottle.leave()
    try:
        check(bottle)
        assert bottle.over
    except AssertionError as failed:
        raise AssertionError(f"tampered({name!r}, {login!r}, {seed}): {failed}") from None


def test_a_session_cut_after_every_byte(rng: random.Random) -> None:
    """The client goes, or the server does, after each byte of the client's stream: the session ends, and every statement that was
    sent and is to be recorded has its event.
    """
    name = rng.choice(sorted(SESSIONS))
    data = b"".join(SESSIONS[name])
    print(name)
    for end in range(0, len(data), 1 if SIZE else 3):
        for goes in ("client_gone", "server_gone"):
            bottle = Bottle()
            bottle.client(data[:end])
            bottle._perform(getattr(bottle.session, goes)())
            check(bottle)
            assert bottle.over
            assert bottle.session.client_data(data) == []
            assert bottle.session.server_data(b"Z\0\0\0\5I") == []


@pytest.mark.long
def test_many_mutated_clients_and_servers(rng: random.Random) -> None:
    """The same for minutes, each case of its own seed."""
    search(rng, SIZE or 60_000)
    for _ in range(SIZE or 30_000):
        tampered(rng.choice(sorted(SESSIONS)), rng.choice(LOGINS), rng.randrange(1 << 32))
