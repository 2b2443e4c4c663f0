"""What is left of the access log after a crash, and what the next start makes of it."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path

import pytest

from proxy.audit.log import AuditLog
from tests.audit.chained import chained
from tests.audit.examples import READ, SUPPORT, executed
from tests.audit.published import problems
from tests.audit.test_log import said
from tests.audit.test_log_shared import put, slots

EVENT = executed(SUPPORT, READ)


def test_killed_at_any_byte(tmp_path: Path) -> None:
    """Cut anywhere in its last line, the service starts again: what stood before is untouched, the torn line is ended and
    told of, that the end was not in order is told of, and the chain goes on.
    """
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    log.write(EVENT)
    state = tmp_path / "audit.jsonl.state"
    before, first = (state / "head").read_bytes(), path.stat().st_size
    log.write(EVENT)
    killed = slots(before, (state / "head").read_bytes())["B"]
    whole = path.read_bytes()
    log.close()
    os.truncate(path, first)
    cuts = {*range(first, first + 12), *range(first, len(whole), 41), len(whole) - 1, len(whole)}
    for cut in sorted(cuts):
        path.write_bytes(whole[:cut])
        put(state / "head", killed)
        again = AuditLog(path)
        again.write(EVENT)
        again.close()
        assert path.read_bytes().startswith(whole[:cut])
        found = chained(path)
        assert not found.gaps
        unended = cut == len(whole) - 1  # only its newline: it was an event, and has its number
        events = 2 + (cut >= len(whole) - 1)
        assert found.kinds[events] == "log.unclean"
        assert said(found.events[events])["reason"] == "the last service did not stop in order"
        torn = first < cut < len(whole) - 1
        assert found.torn == ([whole[first:cut]] if torn else [])
        repaired = found.events[events + 1 : -1]
        assert [said(event) for event in repaired] == (
            [{"offset": first, "size": cut - first}] if torn or unended else []
        )
        assert [problem for event in found.events[1:] for problem in problems(event)] == []


@pytest.mark.parametrize(
    ("content", "existed"),
    [
        (b"", False),
        (b"\n\n", True),
        (b"garbage\n", True),
        (b"\xff\xfe\x00\n", True),
        (b"[]\n1\nnull\n", True),
        (b'{"metadata":{"sequence":7}}\n', True),
    ],
)
def test_a_file_with_other_things_in_it(tmp_path: Path, content: bytes, existed: bool) -> None:
    """Whatever is in the file stays; a chain begins behind it, and says that something was there."""
    path = tmp_path / "audit.jsonl"
    path.write_bytes(content)
    AuditLog(path).write(EVENT)
    left = path.read_bytes()
    assert left.startswith(content)
    path.write_bytes(left[len(content) :])
    found = chained(path, at_rest=False)
    assert found.sequences == [1, 2]
    assert said(found.events[0]) == {"log_existed": existed}


WRITER = """
import sys
import time
from pathlib import Path
from proxy.audit.log import AuditLog, Keeping
from proxy.audit.entry import Entry, encode
from tests.audit.examples import READ, SUPPORT, executed
keeping = Keeping(rotate_bytes=int(sys.argv[2]), checkpoint_events=50, compress=False)
log = AuditLog(Path(sys.argv[1]), keeping=keeping)
entry = encode(executed(SUPPORT, READ))
print("up", flush=True)
while True:
    log.write_entries((entry,))
    sys.stdout.write(f"{log.status.sequence}\\n")
    sys.stdout.flush()
    time.sleep(0.0003)
"""


@pytest.mark.parametrize("rotate", [0, 20_000])
@pytest.mark.parametrize("times", [2, pytest.param(3, marks=pytest.mark.long)])
def test_kill_nine_loses_nothing_that_was_written(tmp_path: Path, rotate: int, times: int) -> None:
    """Two services at once, killed at random moments, several times, with and without rotation: every event whose write had
    returned is in the files, the chain and its seal hold over all of them, and every torn line is told of.
    """
    path = tmp_path / "audit.jsonl"
    seed = int(os.environ.get("LOG_CRASH_SEED") or random.randrange(2**32))
    print(f"LOG_CRASH_SEED={seed}")
    draw = random.Random(seed)
    acknowledged = 0
    command = [sys.executable, "-c", WRITER, str(path), str(rotate)]
    for _ in range(times):
        with ExitStack() as stack:
            writers = [
                stack.enter_context(subprocess.Popen(command, stdout=subprocess.PIPE, text=True))
                for _ in range(2)
            ]
            for writer in writers:
                assert writer.stdout is not None
                assert writer.stdout.readline() == "up\n"
            for writer in writers:
                time.sleep(draw.random() / 10)
                os.kill(writer.pid, signal.SIGKILL)
            for writer in writers:
                assert writer.stdout is not None
                whole = [line for line in writer.stdout if line.endswith("\n")]
                acknowledged = max([acknowledged, *map(int, whole[-1:])])
    AuditLog(path).close()
    old = sorted(
        (p for p in tmp_path.glob("audit.jsonl.2*")), key=lambda p: int(p.name.rpartition("-")[2])
    )
    found = chained(path, *old)
    assert not found.gaps, f"seed {seed}"
    assert found.sequences[-1] >= acknowledged > 0, f"seed {seed}"
    assert bool(old) == bool(rotate)
    repaired = [e for e in found.events if e["metadata"]["event_code"] == "log.repaired"]
    assert len(repaired) >= len(found.torn), f"seed {seed}"
    reasons = {said(e)["reason"] for e in found.events if "unclean" in e["metadata"]["event_code"]}
    assert reasons == {"the last service did not stop in order"}, f"seed {seed}"


def test_a_power_failure_that_kept_an_old_head(tmp_path: Path) -> None:
    """The file is ahead of its state: its events are the chain's own and sealed anew; that it was so is told of."""
    path, head = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.state" / "head"
    log = AuditLog(path)
    log.write(EVENT)
    earlier = head.read_bytes()
    log.write_all([EVENT] * 1500)
    log.close()
    put(head, earlier)
    AuditLog(path).close()
    found = chained(path)
    assert (found.kinds[-1], not found.gaps) == ("log.unclean", True)
    assert said(found.events[-1])["last_sequence"] == 2
    assert "the state was behind the file" in said(found.events[-1])["reason"]


def test_a_power_failure_that_kept_a_shorter_file(tmp_path: Path) -> None:
    """The state is ahead of the file: the chain goes on from the state, and the log says what is missing."""
    path = tmp_path / "audit.jsonl"
    log = AuditLog(path)
    log.write_all([EVENT] * 9)
    log.close()
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:7]) + lines[7][:100])
    log = AuditLog(path)
    log.write(EVENT)
    log.close()
    found = chained(path)
    assert found.gaps == [(7, 11)]
    assert found.kinds[7:] == ["log.unclean", "log.repaired", "statement.read"]
    assert said(found.events[7]) == {
        "last_sequence": 10,
        "found_sequence": 7,
        "lost": 3,
        "reason": "the file is shorter than what was written",
    }


def test_a_restart_in_order_says_nothing(tmp_path: Path) -> None:
    """No word of an unclean end where there was none; a copy of file and state elsewhere goes on as well."""
    path = tmp_path / "audit.jsonl"
    for _ in range(3):
        log = AuditLog(path)
        log.write(EVENT)
        log.close()
    other = tmp_path / "other"
    other.mkdir()
    shutil.copytree(tmp_path / "audit.jsonl.state", other / "audit.jsonl.state")
    path.rename(other / "audit.jsonl")
    log = AuditLog(other / "audit.jsonl")
    log.write(EVENT)
    log.close()
    assert chained(other / "audit.jsonl").kinds == ["log.begun"] + ["statement.read"] * 4
