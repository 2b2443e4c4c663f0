"""The log read back: files in order, hostile lines bounded and counted, compressed files like plain ones."""

from __future__ import annotations

import gzip
import os
from collections.abc import Iterable
from pathlib import Path

import pytest

from proxy.audit import log_file, reading
from proxy.audit.reading import TOO_LONG, TORN, LogLine, events, in_order, lines, log_files

DAY = 86_400_000
NOON = 1_795_348_800_000  # 2026-11-22T12:00:00Z


def line(number: int, time: int = NOON) -> bytes:
    return b'{"metadata":{"sequence":%d},"time":%d}\n' % (number, time)


def sequences(found: Iterable[dict[str, object]]) -> list[int]:
    return [event["metadata"]["sequence"] for event in found]  # type: ignore[index]


def test_files_are_in_the_order_in_which_they_were_written(tmp_path: Path) -> None:
    """By the time in the name, then by number, not by the alphabet; the live one last; nothing else, and none twice."""
    path = tmp_path / "audit.jsonl"
    names = [
        "audit.jsonl.20261101T000000Z-5000.gz",
        "audit.jsonl.20261102T000000Z-9120",
        "audit.jsonl.20261102T000000Z-10001",
        "audit.jsonl.20261103T000000Z-10002",
        "audit.jsonl",
    ]
    others = [
        "audit.jsonl.20261103T000000Z-10002.gz",  # compressing was interrupted
        "audit.jsonl.20261103T000000Z-10002.cells",
        "audit.jsonl.20261103T000000Z-10002.gz.tmp",
        "audit.jsonl.1",
        "audit.jsonlx",
        "other.jsonl.20261102T000000Z-9120",
    ]
    for name in [*names, *others]:
        (tmp_path / name).touch()
    assert [file.name for file in log_files(path)] == names


def test_a_compressed_file_reads_like_a_plain_one(tmp_path: Path) -> None:
    """Numbers and offsets are those of the decompressed text."""
    data = line(1) + line(2)
    plain, compressed = tmp_path / "a", tmp_path / "b.gz"
    plain.write_bytes(data)
    compressed.write_bytes(gzip.compress(data))
    assert [found[1:] for found in lines([plain])] == [found[1:] for found in lines([compressed])]
    assert list(lines([compressed]))[1] == LogLine(compressed, 2, len(line(1)), line(2)[:-1])


def test_a_file_that_is_compressed_or_renamed_meanwhile_is_read(tmp_path: Path) -> None:
    """Rotation and compression go on while somebody reads."""
    path, old = tmp_path / "audit.jsonl", tmp_path / "audit.jsonl.20261101T000000Z-1"
    old.write_bytes(line(1))
    path.write_bytes(line(2))
    files = log_files(path)
    (tmp_path / (old.name + ".gz")).write_bytes(gzip.compress(old.read_bytes()))
    found = lines(files)
    old.unlink()
    first = next(found)
    path.rename(tmp_path / "audit.jsonl.20261102T000000Z-2")
    path.write_bytes(line(3))
    assert first.raw == line(1)[:-1]
    assert [rest.raw for rest in found] == [line(2)[:-1]]


@pytest.mark.parametrize("cut", range(1, 60, 3))
def test_a_compressed_file_that_is_cut_off_says_so(tmp_path: Path, cut: int) -> None:
    """What can be read comes first, then one line that says why there is no more; never an exception."""
    data = b"".join(line(number, NOON + number * 7919) for number in range(1, 40))
    whole = gzip.compress(data)
    file = tmp_path / "a.gz"
    file.write_bytes(whole[: max(0, len(whole) - cut)])
    *before, last = lines([file])
    assert last.damage
    assert not last.raw
    assert data.startswith(b"".join(found.raw + b"\n" for found in before))


def test_random_bytes_in_a_compressed_file_never_raise(tmp_path: Path) -> None:
    """Every single byte of a compressed file, changed: damage is said, or the text is the same."""
    data = line(1) + line(2)
    whole = bytearray(gzip.compress(data))
    file = tmp_path / "a.gz"
    for position in range(len(whole)):
        whole[position] ^= 0x55
        file.write_bytes(whole)
        found = list(lines([file]))
        assert any(one.damage for one in found) or [one.raw for one in found] == [
            line(1)[:-1],
            line(2)[:-1],
        ]
        whole[position] ^= 0x55


def test_a_torn_last_line_is_marked(tmp_path: Path) -> None:
    """A line is whole when it ends."""
    file = tmp_path / "a"
    file.write_bytes(line(1) + line(2)[:-1])
    assert [found.damage for found in lines([file])] == ["", TORN]


def test_lines_of_any_length_take_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is over the limit is not held; the lines behind it keep their numbers and offsets."""
    monkeypatch.setattr(reading, "LINE_LIMIT", 100)
    file = tmp_path / "a"
    file.write_bytes(b"x" * 5000 + b"\n" + line(2))
    first, second = lines([file])
    assert (first.damage, len(first.raw)) == (TOO_LONG, 100)
    assert second == LogLine(file, 2, 5001, line(2)[:-1])


def test_what_is_no_event_is_counted(tmp_path: Path) -> None:
    """NULs, invalid UTF-8, JSON that is no object, an event without a time, a torn line: none is skipped in silence."""
    bad = [b"\0" * 9, b'{"a":"\xff"}', b"[1]", b"", b'{"time":"1"}', b'{"time":true}', b"[" * 5000]
    path = tmp_path / "audit.jsonl"
    path.write_bytes(line(1) + b"\n".join(bad) + b"\n" + line(2) + line(3)[:-1])
    found = events(path)
    assert sequences(found) == [1, 2]
    assert found.unreadable == len(bad) + 1
    assert found.first_unreadable is not None
    assert found.first_unreadable.number == 2


def test_a_file_that_is_gone_or_not_a_file_is_said(tmp_path: Path) -> None:
    """A FIFO does not block, a directory and a missing file do not raise."""
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "folder").mkdir()
    for name in ("fifo", "folder", "missing"):
        (found,) = lines([tmp_path / name])
        assert found.damage
        assert not found.raw


def test_events_of_a_window(tmp_path: Path) -> None:
    """`since` is inclusive, `until` exclusive."""
    path = tmp_path / "audit.jsonl"
    path.write_bytes(b"".join(line(n, NOON + n) for n in range(1, 6)))
    assert sequences(events(path, since=NOON + 2, until=NOON + 4)) == [2, 3]
    assert sequences(events(path)) == [1, 2, 3, 4, 5]


def test_files_surely_outside_of_the_window_are_not_read(tmp_path: Path) -> None:
    """A file is left out only if its name says that it is more than a day away: clocks are set."""
    path = tmp_path / "audit.jsonl"
    stamps = ["20261101T120000Z", "20261110T120000Z", "20261122T000000Z"]
    for number, stamp in enumerate(stamps, 1):
        (tmp_path / f"{path.name}.{stamp}-{number}").write_bytes(b"unreadable\n" + line(number))
    path.write_bytes(line(4))
    recent = events(path, since=NOON)
    assert sequences(recent) == [3, 4]
    assert recent.unreadable == 1
    old = events(path, until=NOON - 25 * DAY)
    assert sequences(old) == []
    assert old.unreadable == 1  # the first file alone


def test_a_name_that_is_no_date_is_still_a_file_of_the_log(tmp_path: Path) -> None:
    """Month 13 is read, not an error."""
    path = tmp_path / "audit.jsonl"
    (tmp_path / "audit.jsonl.20261399T999999Z-1").write_bytes(line(1))
    path.write_bytes(line(2))
    assert sequences(events(path, since=NOON)) == [1, 2]


def test_whatever_the_writer_writes_is_read() -> None:
    """The longest event is not too long for the reader."""
    assert reading.LINE_LIMIT == log_file.LINE_LIMIT


def test_files_that_somebody_names_are_put_in_order(tmp_path: Path) -> None:
    """A shell's `audit.jsonl*` has the live file first; logrotate's numbers go the other way."""
    for name, uid in (("a", "03"), ("a.1", "02"), ("a.2.gz", "01"), ("a.3", "")):
        text = b'junk\n{"metadata":{"uid":"%b"}}\n' % uid.encode() if uid else b""
        (tmp_path / name).write_bytes(gzip.compress(text) if name.endswith("gz") else text)
    files = [tmp_path / name for name in ("a", "a.1", "a.2.gz", "a.3")]
    assert [file.name for file in in_order(files)] == ["a.2.gz", "a.3", "a.1", "a"]


def test_a_rotation_while_files_are_listed_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The live file gets another name before, and right after, the list is made: every event is read, once."""
    path = tmp_path / "audit.jsonl"
    listed = reading.log_files
    for after in (False, True):
        path.write_bytes(line(1) + line(2))
        rotated = path.with_name(f"audit.jsonl.20261123T00000{int(after)}Z-2")
        rotations = [rotated]

        def rotate(rotations: list[Path] = rotations) -> None:
            if rotations:
                path.rename(rotations.pop())
                path.write_bytes(line(3))

        def listing(at: Path, after: bool = after) -> list[Path]:
            if not after:
                rotate()
            files = listed(at)
            rotate()
            return files

        monkeypatch.setattr(reading, "log_files", listing)
        assert sequences(events(path)) == [1, 2, 3]
        monkeypatch.undo()
        rotated.unlink()


def test_a_log_that_is_no_file_is_said(tmp_path: Path) -> None:
    """A directory, a pipe, nothing: no traceback, nothing that hangs, no event."""
    path = tmp_path / "audit.jsonl"
    assert list(events(path)) == []
    path.mkdir()
    found = events(path)
    assert list(found) == []
    assert found.unreadable == 1
    path.rmdir()
    os.mkfifo(path)
    found = events(path)
    assert list(found) == []
    assert found.unreadable == 1
