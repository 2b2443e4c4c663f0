"""One access log, several processes of one service: one sequence, without a gap, in the order of the file."""

from __future__ import annotations

import os
import random
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from proxy.audit.event import Event
from proxy.audit.lifecycle import stopped
from proxy.audit.log import AuditFailed, AuditLog
from proxy.audit.log_file import lock, open_log, unlock
from proxy.audit.log_state import OFFSET, SEQUENCE
from tests.audit.examples import READ, SUPPORT, executed
from tests.audit.test_log import file_size_limit, kinds, lines

EVENT = executed(SUPPORT, READ)
NOW = 1795364924120


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def forked(log: AuditLog, writer: int, work: Callable[[], object]) -> int:
    """The pid of a process that is this writer of the log and does `work`; its exit code is 0 if that went well."""
    with warnings.catch_warnings():
        # Python 3.12 warns of threads, which pytest-xdist has; the child writes its events and ends.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        log.forked(writer)
        work()
        code = 0
    except BaseException:
        traceback.print_exc(file=sys.__stderr__)
    finally:
        os._exit(code)


def ended_well(*pids: int) -> bool:
    return [os.waitpid(pid, 0)[1] for pid in pids] == [0] * len(pids)


def sequences(path: Path) -> list[int]:
    return [event["metadata"]["sequence"] for event in lines(path)]


def said(pid: int) -> Event:
    return stopped("", pid)


def test_writers_of_one_service_share_one_sequence(path: Path) -> None:
    """Three processes at once, by ones and by several: no gap, no number twice, uids in order, one log_source."""
    log = AuditLog(path, writers=4)

    def write() -> None:
        for n in range(600):
            log.write_all([said(os.getpid())] * (n % 4 + 1))

    pids = [forked(log, n, write) for n in (1, 2, 3)]
    log.write(EVENT)
    assert ended_well(*pids)
    log.write(EVENT)
    events = lines(path)
    assert sequences(path) == list(range(1, 3 * 600 * 5 // 2 + 3))
    assert log.status.sequence == len(events)
    assert len({event["metadata"]["log_source"] for event in events}) == 1
    uids = [event["metadata"]["uid"] for event in events]
    assert uids == sorted(set(uids))
    by = [event["unmapped"]["sealgate"].get("pid") for event in events]
    assert {by.count(pid) for pid in pids} == {1500}


def test_events_written_together_stand_together(path: Path) -> None:
    """What one call of write_all appends is not interrupted by another writer."""
    log = AuditLog(path, writers=3)

    def write() -> None:
        for _ in range(300):
            log.write_all([said(os.getpid())] * 5)

    assert ended_well(*[forked(log, n, write) for n in (1, 2)])
    by = [event["unmapped"]["sealgate"]["pid"] for event in lines(path)]
    assert len(by) == 3000
    assert all(len(set(by[at : at + 5])) == 1 for at in range(0, 3000, 5))


@pytest.mark.parametrize("count", [1, 3])
def test_written_together_is_all_or_nothing(path: Path, count: int) -> None:
    """Stopped at any point of the write, nothing of it is in the file, and all of it counts as lost."""
    AuditLog(path).write_all([EVENT] * count)
    whole = path.read_bytes()
    for room in range(0, len(whole) - 10, 197):
        log = AuditLog(path)
        with file_size_limit(len(whole) + room), pytest.raises(AuditFailed, match="File too large"):
            log.write_all([EVENT] * count)
        assert path.read_bytes() == whole
        assert log.status.lost == count
        log.close()


def test_one_bad_event_and_none_is_written(path: Path) -> None:
    """An event that is no JSON takes those with it that were to be written together."""
    log = AuditLog(path)
    with pytest.raises(AuditFailed, match="not JSON"):
        log.write_all([EVENT, EVENT | {"message": object()}, EVENT])
    assert path.read_bytes() == b""
    assert log.status.lost == 3
    log.write_all([])
    assert kinds(path) == ["log.resumed"]


@pytest.mark.parametrize("forgotten", [(OFFSET,), (OFFSET, SEQUENCE)])
@pytest.mark.parametrize("count", [1, 3])
def test_killed_between_the_write_and_the_state(
    path: Path, forgotten: tuple[int, ...], count: int
) -> None:
    """The file is longer than the state says: numbers go on behind what is there, none twice."""
    log = AuditLog(path, writers=2)
    log.write(EVENT)
    numbers = log._numbers
    before = {field: numbers[field] for field in forgotten}
    log.write_all([EVENT] * count)
    for field, value in before.items():
        numbers[field] = value
    log.write(EVENT)
    assert sequences(path) == list(range(1, count + 3))
    assert kinds(path) == ["statement.read"] * (count + 2)


def test_killed_in_the_middle_of_the_write(path: Path) -> None:
    """Whatever part of it is there, the next writer ends the torn line, says so and goes on without a gap."""
    log = AuditLog(path, writers=2)
    log.write(EVENT)
    first = path.read_bytes()
    numbers = log._numbers
    state = {field: numbers[field] for field in (OFFSET, SEQUENCE)}
    log.write_all([EVENT] * 2)
    whole = path.read_bytes()
    for cut in range(len(first) + 1, len(whole), 61):
        path.write_bytes(whole[:cut])
        for field, value in state.items():
            numbers[field] = value
        log.write(EVENT)
        left = path.read_bytes().split(b"\n")
        assert left.pop() == b""
        begun = whole.rfind(b"\n", 0, cut) + 1
        torn = [n for n, line in enumerate(left) if line == whole[begun:cut]]
        assert len(torn) == 1
        events = [orjson.loads(line) for n, line in enumerate(left) if n != torn[0]]
        assert [e["metadata"]["sequence"] for e in events] == list(range(1, len(events) + 1))
        assert [e["metadata"]["event_code"] for e in events[-2:]] == [
            "log.repaired",
            "statement.read",
        ]
        assert events[-2]["unmapped"]["sealgate"] == {"offset": begun, "size": cut - begun}


def test_killed_while_repairing(path: Path) -> None:
    """Cut anywhere in what the repair writes: every torn line is ended and told of once, numbers have no gap."""
    log = AuditLog(path, writers=2)
    log.write(EVENT)
    first = path.read_bytes()
    numbers = log._numbers
    state = {field: numbers[field] for field in (OFFSET, SEQUENCE)}
    log.write(EVENT)
    torn = path.read_bytes()[: len(first) + 900]
    path.write_bytes(torn)
    for field, value in state.items():
        numbers[field] = value
    log.write_all(())
    repaired = path.read_bytes()
    assert kinds_of(repaired) == ["statement.read", "", "log.repaired"]
    for cut in range(len(torn), len(repaired) + 1):
        path.write_bytes(repaired[:cut])
        for field, value in state.items():
            numbers[field] = value
        log.write(EVENT)
        left = path.read_bytes()
        kinds = kinds_of(left)
        only_its_newline = cut == len(repaired) - 1  # is torn as well, and an event with its number
        assert kinds.count("log.repaired") == kinds.count("") + only_its_newline, cut
        assert kinds[-1] == "statement.read"
        events = [
            orjson.loads(line) for line, kind in zip(left.splitlines(), kinds, strict=True) if kind
        ]
        assert [e["metadata"]["sequence"] for e in events] == list(range(1, len(events) + 1))


def kinds_of(content: bytes) -> list[str]:
    """Of every line; "" for a torn one."""
    kinds = []
    for line in content.splitlines():
        try:
            kinds.append(orjson.loads(line)["metadata"]["event_code"])
        except orjson.JSONDecodeError:
            kinds.append("")
    return kinds


def test_killed_at_random(path: Path) -> None:
    """Writers killed one after the other while others go on: no gap, no number twice, no line that is no event but
    those that were torn, and of each of these an event tells.
    """
    seed = random.randrange(2**32)
    draw = random.Random(seed)
    log = AuditLog(path, writers=3)

    def write() -> None:
        while True:
            log.write_all([EVENT] * draw.randint(1, 40))

    pids = {n: forked(log, n, write) for n in (1, 2)}
    for _ in range(8):
        writer = draw.choice((1, 2))
        time.sleep(draw.random() / 50)
        os.kill(pids[writer], signal.SIGKILL)
        os.waitpid(pids[writer], 0)
        pids[writer] = forked(log, writer, write)
    for pid in pids.values():
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    log.write(EVENT)
    events, torn = [], 0
    for line in path.read_bytes().splitlines():
        try:
            events.append(orjson.loads(line))
        except orjson.JSONDecodeError:
            torn += 1
    numbers = [event["metadata"]["sequence"] for event in events]
    assert numbers == list(range(1, len(numbers) + 1)), f"seed {seed}"
    repaired = [e for e in events if e["metadata"]["event_code"] == "log.repaired"]
    assert len(repaired) == torn, f"seed {seed}"


def test_a_stopped_writer_with_the_lock_does_not_stop_the_others(path: Path) -> None:
    """They fail after their patience, count what is lost, and go on when it does."""
    log = AuditLog(path, writers=2)
    ready, go = os.pipe()

    def hold() -> None:
        log._lock()
        os.write(go, b"x")
        os.kill(os.getpid(), signal.SIGSTOP)
        unlock(log._fd)

    pid = forked(log, 1, hold)
    assert os.read(ready, 1) == b"x"
    os.waitpid(pid, os.WUNTRACED)
    for _ in range(3):
        with pytest.raises(AuditFailed):
            log.write(EVENT)
    os.kill(pid, signal.SIGCONT)
    assert ended_well(pid)
    log.write(EVENT)
    assert kinds(path) == ["log.resumed", "statement.read"]
    assert lines(path)[0]["unmapped"]["sealgate"]["lost"] == 3
    assert sequences(path) == [1, 2]


def test_what_a_writer_has_lost_another_tells(path: Path) -> None:
    """Losses are counted for the service: also of a process that has ended since."""
    log = AuditLog(path, writers=3, clock=lambda: NOW)
    log.write(EVENT)

    def lose() -> None:
        with file_size_limit(path.stat().st_size + 10):
            for _ in range(4):
                with pytest.raises(AuditFailed):
                    log.write_all([EVENT] * 2)

    assert ended_well(forked(log, 1, lose), forked(log, 2, lose))
    assert (log.status.lost, log.status.problem) == (16, "File too large")
    log.write(EVENT)
    assert kinds(path) == ["statement.read", "log.resumed", "statement.read"]
    notice = lines(path)[1]["unmapped"]["sealgate"]
    assert notice == {"lost": 16, "since": NOW, "reason": "File too large"}
    assert log.status.ok
    assert ended_well(forked(log, 1, lambda: log.write(EVENT)))
    assert kinds(path)[3:] == ["statement.read"]


def test_all_writers_follow_to_the_new_file(path: Path) -> None:
    """After rotation one process reopens: from then on nobody writes to the old file, and numbers go on."""
    log = AuditLog(path, writers=3)
    ready, go = os.pipe()

    def write() -> None:
        for n in range(3000):
            log.write(EVENT)
            if n == 500:
                os.write(go, b"x")

    pids = [forked(log, n, write) for n in (1, 2)]
    assert os.read(ready, 1) == b"x"
    old = path.with_suffix(".1")
    path.rename(old)
    log.reopen()
    size = old.stat().st_size
    assert ended_well(*pids)
    assert old.stat().st_size == size
    assert sequences(old) + sequences(path) == list(range(1, 6001))
    assert sequences(path)
    assert log.status.ok


def test_a_file_that_was_moved_twice_is_not_guessed_at(path: Path) -> None:
    """A writer that finds neither file fails, and goes on with the next reopen: nothing is out of order."""
    log = AuditLog(path, writers=2)
    log.write(EVENT)
    first, second = path.with_suffix(".1"), path.with_suffix(".2")

    (heard, say), (told, tell) = os.pipe(), os.pipe()

    def turn() -> None:
        os.write(say, b"x")
        assert os.read(told, 1) == b"x"

    def write() -> None:
        turn()  # the first file is open
        with pytest.raises(AuditFailed, match="No such file"):
            log.write(EVENT)
        path.touch(0o600)
        with pytest.raises(AuditFailed, match="moved again"):
            log.write(EVENT)
        turn()
        log.write(EVENT)

    pid = forked(log, 1, write)
    assert os.read(heard, 1) == b"x"
    path.rename(first)
    log.reopen()
    log.write(EVENT)
    path.rename(second)
    os.write(tell, b"x")
    assert os.read(heard, 1) == b"x"
    log.reopen()
    os.write(tell, b"x")
    assert ended_well(pid)
    assert sequences(first) + sequences(second) + sequences(path) == [1, 2, 3, 4]
    assert kinds(path) == ["log.resumed", "statement.read"]


def test_a_file_that_is_cut_keeps_the_numbers_going(path: Path) -> None:
    """logrotate's copytruncate: no number comes twice."""
    log = AuditLog(path)
    log.write_all([EVENT] * 5)
    os.truncate(path, 0)
    log.write(EVENT)
    assert sequences(path) == [6]


def test_what_others_append_does_not_disturb(path: Path) -> None:
    """Another program's lines, even with numbers of their own or our name in a string, change nothing."""
    log = AuditLog(path)
    log.write(EVENT)
    source = lines(path)[0]["metadata"]["log_source"]
    foreign = [
        {"metadata": {"sequence": 900, "log_source": "OTHER"}},
        {"message": f'"{source}"', "metadata": {"sequence": 901}},
        {"metadata": {"sequence": 902, "log_source": {"x": source}}},
        [source],
    ]
    with path.open("ab") as file:
        file.writelines(orjson.dumps(line) + b"\n" for line in foreign)
    log.write(EVENT)
    ours = [e for e in lines(path) if isinstance(e, dict)]
    assert [e["metadata"]["sequence"] for e in ours if e["metadata"].get("log_source") == source] == [1, 2]  # fmt: skip


def test_a_forked_process_locks_for_itself(path: Path) -> None:
    """flock belongs to an open file: inherited, it would exclude nobody."""
    log = AuditLog(path, writers=2)
    fd = open_log(path, create=False)
    lock(fd, 0)

    def fails() -> None:
        with pytest.raises(AuditFailed):
            log.write(EVENT)

    assert ended_well(forked(log, 1, fails))
    unlock(fd)
    os.close(fd)


def test_a_process_that_is_forked_after_the_file_was_moved(path: Path) -> None:
    """Between rotation and reopen it goes on in the old file, as the others do."""
    log = AuditLog(path, writers=2)
    log.write(EVENT)
    old = path.with_suffix(".1")
    path.rename(old)
    assert ended_well(forked(log, 1, lambda: log.write(EVENT)))
    assert sequences(old) == [1, 2]
    assert not path.exists()


def test_no_descriptor_is_left_behind_by_following(path: Path) -> None:
    """Nor by forking, nor where there is nothing to follow."""
    log = AuditLog(path, writers=2)

    def descriptors() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    before = descriptors()

    def follows() -> None:
        assert descriptors() == before
        for n in range(3):
            path.rename(path.with_suffix(f".{n}"))
            log.reopen()
            log.follow()
            log.write(EVENT)
        assert descriptors() == before

    assert ended_well(forked(log, 1, follows))
