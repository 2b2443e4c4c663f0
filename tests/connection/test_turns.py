"""Long work of several sessions: by turns, in pieces, and in threads."""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from time import monotonic

from proxy.turns import ROUND_SECONDS, Turns


def spend_a_round() -> None:
    end = monotonic() + 2 * ROUND_SECONDS
    while monotonic() < end:
        pass


class Work:
    """So many pieces, each as long as a round."""

    def __init__(self, name: str, pieces: int, done: list[str]) -> None:
        self._name = name
        self._pieces = pieces
        self._done = done

    def piece(self) -> bool:
        spend_a_round()
        self._done.append(self._name)
        self._pieces -= 1
        return self._pieces > 0


async def until(done: list[str], size: int) -> None:
    for _ in range(10_000):
        if len(done) >= size:
            return
        await asyncio.sleep(0)


async def test_sessions_take_turns_and_the_loop_comes_between() -> None:
    """The first piece is worked off at once; then one of each session, with a round of the loop between any two."""
    turns, done = Turns(), list[str]()
    turns.queue(Work("a", 3, done).piece)
    assert done == ["a"]
    turns.queue(Work("b", 2, done).piece)
    assert done == ["a"]

    def round_of_the_loop() -> None:
        done.append("-")
        if done.count("-") < 8:
            asyncio.get_running_loop().call_soon(round_of_the_loop)

    asyncio.get_running_loop().call_soon(round_of_the_loop)
    await until(done, 5 + 8)
    worked = [name for name in done if name != "-"]
    assert worked == ["a", "a", "b", "a", "b"]
    assert all("-" in done[i : i + 2] for i in range(1, done.index("b", done.index("b") + 1)))


async def test_short_pieces_are_worked_off_at_once() -> None:
    """No round is spent on what takes no time."""
    turns, done = Turns(), list[int]()

    def piece() -> bool:
        done.append(len(done))
        return len(done) < 3

    turns.queue(piece)
    assert done == [0, 1, 2]


async def test_a_piece_may_queue_another() -> None:
    """Work that comes up while a piece is worked off waits for its turn, and gets it."""
    turns, done = Turns(), list[str]()

    def second() -> bool:
        done.append("second")
        return False

    def first() -> bool:
        turns.queue(second)
        done.append("first")
        return False

    turns.queue(first)
    await until(done, 2)
    assert done == ["first", "second"]


async def test_a_piece_that_fails_does_not_stop_the_line() -> None:
    """Whoever queued it hears of it; the others' work goes on."""
    turns, done = Turns(), list[str]()
    long = Work("long", 2, done)
    turns.queue(long.piece)

    def fails() -> bool:
        raise ValueError

    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(
        lambda _, said: failures.append(said["exception"])
    )
    turns.queue(fails)
    turns.queue(Work("behind", 1, done).piece)
    await until(done, 3)
    asyncio.get_running_loop().set_exception_handler(None)
    assert sorted(done) == ["behind", "long", "long"]
    assert [type(failure) for failure in failures] == [ValueError]


async def test_long_work_is_done_in_another_thread_and_told_in_the_loop() -> None:
    """What it gives, or how it failed, comes back to the loop's own thread."""
    turns = Turns()
    told: asyncio.Queue[tuple[int, Future[bytes]]] = asyncio.Queue()

    def done(future: Future[bytes]) -> None:
        told.put_nowait((threading.get_ident(), future))

    def work(data: bytes) -> bytes:
        if not data:
            raise ValueError
        return b"%d" % threading.get_ident()

    turns.in_thread(work, b"x", done)
    thread, future = await told.get()
    assert thread == threading.get_ident()
    assert future.result() != b"%d" % threading.get_ident()
    turns.in_thread(work, b"", done)
    _, future = await told.get()
    assert isinstance(future.exception(), ValueError)
