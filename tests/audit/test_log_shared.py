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

from proxy.audit import head as heads
from proxy.audit.event import Event
from proxy.audit.lifecycle import stopped
from proxy.audit.log import AuditFailed, AuditLog
from proxy.audit.log_file import lock, open_log, unlock
from tests.audit.chained import chained
from tests.audit.examples import READ, SUPPORT, executed
from tests.audit.test_log import file_size_limit, kinds, lines, said

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


def told(pid: int) -> Event:
    return stopped("", pid)


def test_writers_of_one_service_share_one_sequence(path: Path) -> None:
    """Three processes at once, by ones and by several: no gap, no number twice, uids in order, one log_source."""
    log = AuditLog(path, writers=4)

    def write() -> None:
        for n in range(600):
            log.write_all([told(os.getpid())] * (n % 4 + 1))

    pids = [forked(log, n, write) for n in (1, 2, 3)]
    log.write(EVENT)
    assert ended_well(*pids)
    log.write(EVENT)
    events = lines(path)
    found = chained(path)
    assert found.checkpoints == 4
    assert found.sequences == list(range(1, 3 * 600 * 5 // 2 + 3 + 1 + 4))
    assert log.status.sequence == len(found.events)
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
            log.write_all([told(os.getpid())] * 5)

    assert ended_well(*[forked(log, n, write) for n in (1, 2)])
    by = [e["unmapped"]["sealgate"]["pid"] for e in lines(path) if "pid" in said(e)]
    assert len(by) == 3000
    assert all(len(set(by[at : at + 5])) == 1 for at in range(0, 3000, 5))


@pytest.mark.parametrize("count", [1, 3])
def test_written_together_is_all_or_nothing(path: Path, count: int) -> None:
    """Stopped at any point of the write, nothing of it is in the file, and all of it counts as lost."""
    AuditLog(path).write_all([EVENT] * count)
    whole = path.read_bytes()
    for room in range(0, len(b"".join(whole.splitlines()[1:])), 197):
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
    assert kinds(path) == []
    assert log.status.lost == 3
    log.write_all([])
    assert kinds(path) == ["log.resumed"]


def slots(before: bytes, after: bytes) -> dict[str, bytes]:
    """Heads as a process leaves them that is killed in a write: before and after are those around it."""
    a, b, size = heads._A, heads._B, heads._BYTES
    intended = after[b : b + size]

    def head(first: bytes, second: bytes) -> bytes:
        whole = bytearray(before)
        whole[a : a + size], whole[b : b + size] = first, second
        return bytes(whole)

    certain = before[a : a + size]
    return {
        "nothing": before,
        "half of B": head(certain, intended[:50] + certain[50:]),
        "B": head(certain, intended),
        "B and half of A": head(intended[:50] + certain[50:], intended),
    }


def put(head: Path, content: bytes) -> None:
    """Into the file that is mapped."""
    with head.open("r+b") as file:
        file.write(content)


@pytest.mark.parametrize("moment", ["nothing", "half of B", "B", "B and half of A"])
@pytest.mark.parametrize("count", [1, 3])
def test_killed_between_the_write_and_the_head(path: Path, moment: str, count: int) -> None:
    """The file is longer than the head says for certain: what is there is the chain's own, and is sealed.

    Where the head has not even said that it was to come, the log tells of that.
    """
    log = AuditLog(path, writers=2)
    log.write(EVENT)
    head = path.with_name("audit.jsonl.state") / "head"
    before = head.read_bytes()
    log.write_all([EVENT] * count)
    put(head, slots(before, head.read_bytes())[moment])
    log.write(EVENT)
    unexpected = ["log.unclean"] if moment in ("nothing", "half of B") else []
    found = chained(path)
    assert found.kinds[1:] == ["statement.read"] * (count + 1) + unexpected + ["statement.read"]
    assert not found.gaps


@pytest.mark.parametrize("moment", ["half of B", "B"])
def test_killed_before_the_write(path: Path, moment: str) -> None:
    """The head says what was to come and nothing of it is there: the chain goes on from what is certain."""
    log = AuditLog(path, writers=2)
    log.write(EVENT)
    head = path.with_name("audit.jsonl.state") / "head"
    before, size = head.read_bytes(), path.stat().st_size
    log.write_all([EVENT] * 2)
    os.truncate(path, size)
    put(head, slots(before, head.read_bytes())[moment])
    log.write(EVENT)
    assert chained(path).kinds[1:] == ["statement.read"] * 2


def test_killed_in_the_middle_of_the_write(path: Path) -> None:
    """Whatever part of it is there, the next writer ends the torn line, says so and goes on without a gap."""
    log = AuditLog(path, writers=2)
    log.write(EVENT)
    first = path.read_bytes()
    head = path.with_name("audit.jsonl.state") / "head"
    before = head.read_bytes()
    log.write_all([EVENT] * 2)
    whole, killed = path.read_bytes(), slots(before, head.read_bytes())["B"]
    for cut in range(len(first) + 1, len(whole), 61):
        path.write_bytes(whole[:cut])
        put(head, killed)
        log.write(EVENT)
        found = chained(path)
        begun = whole.rfind(b"\n", 0, cut) + 1
        assert found.torn == [whole[begun:cut]]
        assert not found.gaps
        assert found.kinds[-2:] == ["log.repaired", "statement.read"]
        assert said(found.events[-2]) == {"offset": begun, "size": cut - begun}


def test_killed_while_repairing(path: Path) -> None:
    """Cut anywhere in what the repair writes: every torn line is ended and told of once, numbers have no gap."""
    log = AuditLog(path, writers=2)
    log.write(EVENT)
    first = path.read_bytes()
    head = path.with_name("audit.jsonl.state") / "head"
    before = head.read_bytes()
    log.write(EVENT)
    killed = slots(before, head.read_bytes())["B"]
    torn = path.read_bytes()[: len(first) + 900]
    path.write_bytes(torn)
    put(head, killed)
    log.write_all(())
    repaired, after = path.read_bytes(), slots(killed, head.read_bytes())["B"]
    assert kinds_of(repaired)[1:] == ["statement.read", "", "log.repaired"]
    for cut in range(len(torn), len(repaired) + 1):
        path.write_bytes(repaired[:cut])
        put(head, after)
        log.write(EVENT)
        kinds = kinds_of(path.read_bytes())
        only_its_newline = cut == len(repaired) - 1  # is torn as well, and an event with its number
        assert kinds.count("log.repaired") == kinds.count("") + only_its_newline, cut
        assert kinds[-1] == "statement.read"
        assert not chained(path).gaps


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
    found = chained(path)
    assert not found.gaps, f"seed {seed}"
    assert "log.unclean" not in found.kinds, f"seed {seed}"
    assert found.kinds.count("log.repaired") == len(found.torn), f"seed {seed}"


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
    assert chained(path).sequences == [1, 2, 3]


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
    assert said(lines(path)[1]) == {"lost": 16, "since": NOW, "reason": "File too large"}
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
    found = chained(path, old)
    assert found.kinds.count("statement.read") == 6000
    assert kinds(path)[0] == "log.rotated"
    assert log.status.ok


def test_a_file_that_was_moved_twice_is_not_guessed_at(path: Path) -> None:
    """A writer that finds neither file fails, and goes on with the next reopen: nothing is out of order."""
    log = AuditLog(path, writers=2)
    log.write(EVENT)
    first, second = path.with_suffix(".1"), path.parent / "elsewhere" / "audit.jsonl"
    second.parent.mkdir()

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
    assert chained(path, first, second).kinds.count("statement.read") == 3
    assert kinds(second)[-1] == "log.resumed"
    assert kinds(path) == ["log.rotated", "statement.read"]


def test_a_file_that_was_moved_twice_is_followed_by_what_it_is(path: Path) -> None:
    """Another process went on in a new file, and that was moved as well: the writer finds it, and may reopen."""
    log = AuditLog(path)
    log.write(EVENT)
    first, second = path.with_suffix(".1"), path.with_suffix(".2")
    path.rename(first)
    guest = AuditLog.join(path)
    guest.write(EVENT)
    path.rename(second)
    log.write(EVENT)
    log.reopen()
    log.write(EVENT)
    guest.write(EVENT)
    for one in (guest, log):
        one.close()
    found = chained(path, first, second)
    assert found.kinds.count("statement.read") == 5
    assert kinds(second)[-1] == "statement.read"
    assert not found.gaps
    assert not path.read_bytes().count(b"log.unclean")


def test_who_joins_a_log_that_was_moved_waits_for_its_writers(path: Path) -> None:
    """Moved and not told: the service goes on in the moved file while commands come and make a new one. One chain all the same."""
    log = AuditLog(path, writers=2)
    moved: list[Path] = []
    done, end = os.pipe()

    def write() -> None:
        for _ in range(6000):
            log.write(EVENT)
        os.write(end, b"x")

    pid = forked(log, 1, write)
    os.set_blocking(done, False)
    while True:
        try:
            os.read(done, 1)
            break
        except BlockingIOError:
            pass
        if len(moved) < 100:
            moved.append(path.with_suffix(f".{len(moved)}"))
            path.rename(moved[-1])
        guest = AuditLog.join(path)
        guest.write(EVENT)
        guest.close()
    assert ended_well(pid)
    log.close()
    found = chained(path, *moved)
    assert found.kinds.count("statement.read") > 6000
    assert not found.gaps


def test_a_file_that_is_cut_keeps_the_numbers_going(path: Path) -> None:
    """logrotate's copytruncate: no number comes twice, and the log says how many events are gone."""
    log = AuditLog(path)
    log.write_all([EVENT] * 5)
    os.truncate(path, 0)
    log.write(EVENT)
    assert sequences(path) == [7, 8]
    unclean = lines(path)[0]
    assert unclean["metadata"]["event_code"] == "log.unclean"
    assert said(unclean) == {
        "last_sequence": 6,
        "found_sequence": 0,
        "lost": 6,
        "reason": "the file is shorter than what was written",
    }


def test_what_others_append_does_not_disturb(path: Path) -> None:
    """Another program's lines, even with numbers of their own or our name in a string, move no number; and they are told of."""
    log = AuditLog(path)
    log.write(EVENT)
    source = lines(path)[0]["metadata"]["log_source"]
    foreign = [
        {"metadata": {"sequence": 900, "log_source": "OTHER"}},
        {"message": f'"{source}"', "metadata": {"sequence": 901, "log_source": source}},
        {"metadata": {"sequence": 3, "log_source": {"x": source}}},
    ]
    with path.open("ab") as file:
        file.writelines(orjson.dumps(line) + b"\n" for line in foreign)
    log.write(EVENT)
    ours = [e for e in lines(path) if "event_code" in e["metadata"]]
    assert [e["metadata"]["sequence"] for e in ours] == [2, 3, 4]
    assert [e["metadata"]["event_code"] for e in ours[1:]] == ["log.unclean", "statement.read"]
    assert said(ours[1])["reason"] == "3 lines are not the chain's"


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
    assert sequences(old) == [2, 3]
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
