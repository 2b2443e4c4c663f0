"""The log followed as it grows: every line once, in order, over rotation, compression and restarts of either side.

`FOLLOW_SEED=n` repeats a run; the seed is printed.
"""

from __future__ import annotations

import gzip
import json
import os
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from proxy.audit.lifecycle import worker_started
from proxy.audit.log import AuditLog, Keeping
from proxy.audit.log_file import LINE_LIMIT
from proxy.audit.reading import lines, log_files
from proxy.auditor import follow as follow_module
from proxy.auditor.cursor import Cursor, Damaged, as_cursor, as_json, load, save
from proxy.auditor.follow import End, Follower

SEED = int(os.environ.get("FOLLOW_SEED", random.SystemRandom().randrange(10**6)))


@dataclass(slots=True)
class Written:
    """A real log in a directory of its own."""

    path: Path
    keeping: Keeping = field(default_factory=lambda: Keeping(compress=False))
    log: AuditLog = field(init=False)
    count: int = 0
    followers: list[Follower] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.log = AuditLog(self.path, keeping=self.keeping)

    def write(self, number: int = 1) -> None:
        for _ in range(number):
            self.count += 1
            self.log.write(worker_started(self.count, 1))

    def end(self) -> End:
        return End(*self.log.committed, self.log.chain, self.log.status.sequence)

    def follower(self, cursor: Cursor | None = None, *, history: bool = True) -> Follower:
        made = Follower(self.path, self.end, cursor, history=history)
        self.followers.append(made)
        return made

    def close(self) -> None:
        for follower in self.followers:
            follower.close()
        self.log.close()

    def stop(self) -> None:
        self.log.close()

    def start(self) -> None:
        self.log = AuditLog(self.path, keeping=self.keeping)

    @property
    def all(self) -> list[bytes]:
        return [line.raw for line in lines(log_files(self.path))]


@pytest.fixture
def written(tmp_path: Path) -> Iterator[Written]:
    made = Written(tmp_path / "audit.jsonl")
    yield made
    made.close()


def rest(follower: Follower, events: int = 1000) -> list[bytes]:
    found: list[bytes] = []
    while (batch := follower.read(events, 1 << 20)).moved:
        found += [line.raw for line in batch.lines]
    return found


def squeeze(path: Path) -> None:
    """Rotated files compressed, as the log itself does it behind a rotation."""
    for file in log_files(path)[:-1]:
        if file.suffix != ".gz":
            target = file.with_name(file.name + ".gz")
            target.write_bytes(gzip.compress(file.read_bytes()))
            file.unlink()


@pytest.mark.parametrize(
    "round_", [0, 1, *(pytest.param(n, marks=pytest.mark.long) for n in range(2, 12))]
)
def test_every_line_once_and_in_order(written: Written, round_: int) -> None:
    """Whatever happens between two reads: events, rotation, compression, a move by somebody else, restarts of both."""
    seed = SEED + round_
    print(f"FOLLOW_SEED={SEED} round {round_}")
    rng = random.Random(seed)
    size = rng.choice([1, 3000, 20_000])
    written.stop()
    written.keeping = Keeping(rotate_bytes=size, compress=False)
    written.start()
    follower = written.follower()
    found: list[bytes] = []

    def move() -> None:
        """Rotation by somebody else, who then sends SIGHUP: its name is none of ours."""
        if size > 10_000 and not rest_of(follower, found):
            written.path.rename(written.path.parent / f"elsewhere-{rng.random()}")
            written.log.reopen()

    def restart() -> None:
        nonlocal follower
        cursor = as_cursor(json.loads(json.dumps(as_json(follower.cursor))))
        follower.close()
        follower = written.follower(cursor)

    def stop_and_start() -> None:
        written.stop()
        written.start()

    actions: list[Callable[[], None]] = [
        lambda: written.write(rng.randrange(1, 30)),
        lambda: written.write(rng.randrange(1, 30)),
        lambda: squeeze(written.path),
        restart,
        stop_and_start,
        move,
    ]
    for _ in range(60):
        rng.choice(actions)()
        batch = follower.read(rng.randrange(1, 40), rng.choice([1, 500, 100_000]))
        assert (batch.missing, batch.unreadable) == (0, 0)
        found += [line.raw for line in batch.lines]
    rest_of(follower, found)
    numbers = [json.loads(raw)["metadata"]["sequence"] for raw in found]
    assert numbers == list(range(1, written.log.status.sequence + 1))
    total = written.all  # without what was moved elsewhere
    assert [raw for raw in found if raw in set(total)] == total


def rest_of(follower: Follower, found: list[bytes]) -> bool:
    """Reads to the end, into `found`; whether there was nothing."""
    more = rest(follower)
    found += more
    return not more


def test_nothing_that_may_be_cut_off_again_is_read(written: Written) -> None:
    """A write that has put whole lines on the disk and then fails is undone: nobody may have seen them."""
    written.write(3)
    follower = written.follower()
    before = rest(follower)
    with written.path.open("ab") as file:
        file.write(written.all[-1] + b"\n")
    assert rest(follower) == []
    os.truncate(written.path, written.log.committed[2])
    written.write()
    assert rest(follower) == written.all[len(before) :]


def test_it_is_far_behind(written: Written) -> None:
    """Several rotations happen while nobody reads: the file that was live is read to its end, then the others."""
    written.stop()
    written.keeping = Keeping(rotate_bytes=2000, compress=False)
    written.start()
    written.write(2)
    follower = written.follower()
    first = [line.raw for line in follower.read(1, 1 << 20).lines]
    written.write(40)
    assert len(log_files(written.path)) > 5
    squeeze(written.path)
    assert first + rest(follower) == written.all


def test_a_file_that_was_taken_away_is_counted(written: Written) -> None:
    """Nothing that is still there is left out, and what is missing is known by number."""
    written.stop()
    written.keeping = Keeping(rotate_bytes=2000, compress=False)
    written.start()
    written.write(3)
    follower = written.follower()
    rest(follower)
    cursor = follower.cursor
    follower.close()
    written.write(30)
    files = log_files(written.path)
    for file in files[:-2]:
        file.unlink()
    follower = written.follower(cursor)
    batch = follower.read(1000, 1 << 20)
    found = [line.raw for line in batch.lines]
    missing = batch.missing
    while (batch := follower.read(1000, 1 << 20)).moved:
        found += [line.raw for line in batch.lines]
        missing += batch.missing
    assert found == written.all
    first = json.loads(found[0])["metadata"]["sequence"]
    assert missing == first - cursor.sequence - 1 > 0


def test_damage_is_counted_and_passed(written: Written) -> None:
    """Lines that are no event, too long, not text; the events behind them come."""
    written.write(2)
    follower = written.follower()
    assert len(rest(follower)) == written.log.status.sequence
    written.stop()
    damage = [
        b"\0" * 5,
        b"{",
        b'"text"',
        b"[1]",
        b"\xff\xfe",
        b"x" * (LINE_LIMIT + 10),
        b"{}" * 3,
        b"",
    ]
    with written.path.open("ab") as file:
        file.write(b"\n".join(damage) + b"\n")
    written.start()
    written.write(2)
    found, unreadable = [], 0
    while (batch := follower.read(100, 1 << 20)).moved:
        found += batch.lines
        unreadable += batch.unreadable
    assert unreadable == len(damage)
    codes = [line.code for line in found]
    assert codes[-2:] == ["worker.started", "worker.started"]
    follower.close()


def test_a_file_that_was_cut(written: Written) -> None:
    """Somebody has shortened the live file: what is written behind comes, and is not torn."""
    written.write(5)
    follower = written.follower()
    rest(follower)
    whole = written.path.read_bytes()
    written.stop()
    os.truncate(written.path, whole[:-1].rfind(b"\n") + 1)
    written.start()
    written.write(3)
    found = rest(follower)
    assert [json.loads(raw)["metadata"]["event_code"] for raw in found][-3:] == [
        "worker.started"
    ] * 3


def test_a_damaged_compressed_file(written: Written) -> None:
    """It is read as far as it goes; the next files come, and what is missing is counted."""
    written.stop()
    written.keeping = Keeping(rotate_bytes=3000, compress=False)
    written.start()
    written.write(30)
    squeeze(written.path)
    files = log_files(written.path)
    content = files[1].read_bytes()
    files[1].write_bytes(content[: len(content) // 2])
    follower = written.follower()
    found, missing, unreadable = [], 0, 0
    while (batch := follower.read(7, 1 << 20)).moved:
        found += [line.raw for line in batch.lines]
        missing += batch.missing
        unreadable += batch.unreadable
    assert unreadable >= 1
    assert missing + len(found) == written.log.status.sequence
    assert found[-1] == written.all[-1]


def test_a_log_that_is_not_there_yet(tmp_path: Path) -> None:
    """No file, no state: nothing to read, and no error; then everything."""
    follower = Follower(tmp_path / "audit.jsonl", lambda: None)
    assert not follower.read(10, 1000).moved
    written = Written(tmp_path / "audit.jsonl")
    written.write(2)
    assert rest(follower) == written.all
    follower.close()
    written.close()


def test_without_history(written: Written) -> None:
    """Only what comes from now on; and after a restart, from where it was."""
    written.write(4)
    follower = written.follower(history=False)
    cursor = follower.cursor
    assert rest(follower) == []
    written.write(2)
    assert rest(follower) == written.all[-2:]
    assert rest(written.follower(cursor)) == written.all[-2:]


def test_a_new_chain(written: Written) -> None:
    """The state was taken away: the log goes on with another chain, in the same file."""
    written.write(3)
    follower = written.follower()
    rest(follower)
    before = len(written.all)
    written.stop()
    state = written.path.with_name("audit.jsonl.state")
    state.rename(state.with_name("elsewhere"))
    written.start()
    written.write(2)
    assert rest(follower) == written.all[before:]
    batch = written.follower(follower.cursor).read(10, 1000)
    assert not batch.lines


def test_how_far_behind(written: Written) -> None:
    """In bytes of the files, also where it has not begun."""
    written.write(10)
    total = sum(file.stat().st_size for file in log_files(written.path))
    follower = written.follower()
    assert follower.behind() == total
    follower.read(3, 1 << 20)
    assert 0 < follower.behind() < total
    rest(follower)
    assert follower.behind() == 0


def test_how_far_behind_it_is_costs_no_look_into_old_files(
    written: Written, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A log of years has thousands of files, and every sink asks every second; the sum over files is the same."""
    written.stop()
    written.keeping = Keeping(rotate_bytes=2000, compress=False)
    written.start()
    written.write(20)
    follower = written.follower()
    follower.read(1, 1)
    files = log_files(written.path)
    assert len(files) > 5
    read = len(written.all[0]) + 1
    assert follower.behind() == sum(file.stat().st_size for file in files) - read
    rest(follower)
    squeeze(written.path)
    opened: list[Path] = []
    monkeypatch.setattr(follow_module, "_fingerprint_of", lambda file: opened.append(file) or "")
    assert follower.behind() == 0
    assert not opened


@pytest.mark.parametrize(
    "content",
    [
        b"", b"{", b"[]", b"\0\0", b'{"file":1}', b'{"offset":-1}', b'{"offset":true,"file":""}',
        b'{"sequence":1.5}', b'{"other":1}',
    ],
)  # fmt: skip
def test_a_damaged_cursor(tmp_path: Path, content: bytes) -> None:
    """It is said to be damaged; nothing else is raised."""
    file = tmp_path / "x.cursor"
    file.write_bytes(content)
    with pytest.raises(Damaged):
        as_cursor(load(file))


def test_a_cursor_is_replaced_whole(tmp_path: Path) -> None:
    """What was kept is read back; a file that another process has not finished changes nothing."""
    file = tmp_path / "x.cursor"
    assert load(file) is None
    cursor = Cursor("ab" * 16, 77, "cd" * 16, 5, 1795364924120)
    save(file, as_json(cursor))
    file.with_name("x.cursor.new").write_bytes(b"{")
    assert as_cursor(load(file)) == cursor
    assert file.stat().st_mode & 0o077 == 0
