"""What is left of the access log after a crash, and what the next start makes of it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import orjson
import pytest

from proxy.audit.log import AuditLog
from tests.audit.examples import READ, SUPPORT, executed
from tests.audit.published import problems

EVENT = executed(SUPPORT, READ)


def test_killed_at_any_byte(tmp_path: Path) -> None:
    """Cut anywhere in its second line, the log starts again: the first event untouched, the torn line
    ended, an event that says where it is, and numbers that go on.
    """
    path = tmp_path / "whole.jsonl"
    log = AuditLog(path)
    log.write(EVENT)
    first = path.stat().st_size
    log.write(EVENT)
    log.close()
    whole = path.read_bytes()
    for cut in range(first, len(whole) + 1):
        torn = tmp_path / "torn.jsonl"
        torn.write_bytes(whole[:cut])
        again = AuditLog(torn)
        again.write(EVENT)
        again.close()
        left = torn.read_bytes().split(b"\n")
        assert left[0] + b"\n" == whole[:first]
        assert left.pop() == b""
        if cut in (first, len(whole)):
            sequences = [orjson.loads(line)["metadata"]["sequence"] for line in left]
            assert sequences == list(range(1, len(left) + 1))
            continue
        assert left[1] == whole[first:cut].rstrip(b"\n")
        repaired, event = (orjson.loads(line) for line in left[2:])
        assert problems(repaired) == []
        assert repaired["unmapped"]["sealgate"] == {"offset": first, "size": cut - first}
        # a line that only lost its newline was an event, and has its number
        last = 2 if cut == len(whole) - 1 else 1
        assert repaired["metadata"]["sequence"] == last + 1
        assert event["metadata"]["sequence"] == last + 2


@pytest.mark.parametrize(
    ("content", "sequence"),
    [
        (b"", 1),
        (b"\n\n", 1),
        (b"garbage\n", 1),
        (b"\xff\xfe\x00\n", 1),
        (b"[]\n1\nnull\n", 1),
        (b'{"metadata":{"sequence":"7"}}\n', 1),
        (b'{"metadata":{"sequence":7}}\ngarbage\n', 8),
        (b'{"metadata":{"sequence":-7}}\n', 1),
        (b'{"metadata":7}\n', 1),
    ],
)
def test_a_file_with_other_things_in_it(tmp_path: Path, content: bytes, sequence: int) -> None:
    """Whatever is in the file stays; the sequence follows the last event that can be read."""
    path = tmp_path / "audit.jsonl"
    path.write_bytes(content)
    AuditLog(path).write(EVENT)
    left = path.read_bytes()
    assert left.startswith(content)
    assert orjson.loads(left.splitlines()[-1])["metadata"]["sequence"] == sequence


WRITER = """
import sys
from pathlib import Path
from proxy.audit.log import AuditLog
from tests.audit.examples import READ, SUPPORT, executed
log = AuditLog(Path(sys.argv[1]))
print("up", flush=True)
while True:
    log.write(executed(SUPPORT, READ))
    sys.stdout.write(f"{log.status.sequence}\\n")
    sys.stdout.flush()
"""


def test_kill_nine_loses_nothing_that_was_written(tmp_path: Path) -> None:
    """Killed at a random moment, several times: every event whose write had returned is in the file,
    every line is an event but the one that a kill tore (the next start closes it), and the numbers have no gap.
    """
    path = tmp_path / "audit.jsonl"
    torn: set[bytes] = set()
    seed = random.randrange(2**32)
    draw = random.Random(seed)
    for _ in range(4):
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == "up\n"
            acknowledged = writer.stdout.readline()
            time.sleep(draw.random() / 20)
            os.kill(writer.pid, signal.SIGKILL)
            for line in writer.stdout:
                if line.endswith("\n"):
                    acknowledged = line
        content = path.read_bytes()
        if not content.endswith(b"\n"):
            torn.add(content.splitlines()[-1])
        events = [orjson.loads(line) for line in content.splitlines() if line not in torn]
        sequences = [event["metadata"]["sequence"] for event in events]
        assert sequences == list(range(1, len(sequences) + 1)), f"seed {seed}"
        assert sequences[-1] >= int(acknowledged), f"seed {seed}"
