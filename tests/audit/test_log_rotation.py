"""Rotation by ourselves: a chain unbroken over files, side files with their log, compression that loses nothing."""

from __future__ import annotations

import gzip
import hashlib
import os
import threading
from pathlib import Path

import pytest

from proxy.audit import rotation
from proxy.audit.cells_file import SideFiles, record, side_file
from proxy.audit.entry import Entry, encode
from proxy.audit.log import AuditFailed, AuditLog, Keeping
from proxy.audit.reading import log_files
from tests.audit.chained import Chained, chained
from tests.audit.examples import READ, SUPPORT, executed
from tests.audit.test_log import file_size_limit, kinds, lines, said
from tests.audit.test_log_shared import ended_well, forked

EVENT = executed(SUPPORT, READ)
NOW = 1795364924120


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def rotated(path: Path) -> list[Path]:
    """Oldest first, without side files."""
    found = [p for p in path.parent.glob("audit.jsonl.2*") if ".cells" not in p.name]
    return sorted(found, key=lambda p: int(p.name.removesuffix(".gz").rpartition("-")[2]))


def whole(path: Path) -> Chained:
    return chained(path, *rotated(path))


def with_cells(payload: bytes) -> Entry:
    return Entry(encode(EVENT).pieces, payload)


def test_rotated_by_size(path: Path) -> None:
    """The file that has reached the size gets a name with the time and its last number; the new one begins by naming it."""
    log = AuditLog(path, keeping=Keeping(rotate_bytes=5000), clock=lambda: NOW)
    for _ in range(20):
        log.write(EVENT)
    found, old = whole(path), rotated(path)
    assert len(old) > 3
    assert found.sequences == list(range(1, len(found.events) + 1))
    assert [p.name for p in old] == [said(lines(p)[0])["file"] for p in [*old[1:], path]]
    for file in old:
        last = lines(file)[-1]["metadata"]["sequence"]
        assert file.name == f"audit.jsonl.20261122T162844Z-{last}"
        assert 5000 <= file.stat().st_size < 8000
    assert log_files(path) == [*old, path]


def test_rotated_by_age(path: Path) -> None:
    """Also if the clock has stepped back meanwhile; names stay in the order of the files."""
    now = [NOW]
    log = AuditLog(path, keeping=Keeping(rotate_seconds=60), clock=lambda: now[0])
    for step in (0, 59_000, 1000, -3_600_000, 59_000, 2_000):
        now[0] += step
        log.write(EVENT)
    old = rotated(path)
    assert [p.name for p in old] == ["audit.jsonl.20261122T162944Z-3", "audit.jsonl.20261122T162944Z-7"]  # fmt: skip
    assert log_files(path) == [*old, path]
    assert not whole(path).gaps


def test_all_writers_follow(path: Path) -> None:
    """Two workers under load, either of them rotates: nothing is lost, the order holds from file to file."""
    log = AuditLog(path, writers=3, keeping=Keeping(rotate_bytes=40_000))

    def write() -> None:
        for _ in range(300):
            log.write(EVENT)

    assert ended_well(*[forked(log, n, write) for n in (1, 2)])
    log.write(EVENT)
    found = whole(path)
    assert found.kinds.count("statement.read") == 601
    assert not found.gaps
    assert len(rotated(path)) > 10


def test_the_supervisor_leaves_it_to_its_workers(path: Path) -> None:
    """It has no thread when it forks; what it writes stands in the file that there is."""
    log = AuditLog(path, writers=2, keeping=Keeping(rotate_bytes=2000))
    for _ in range(5):
        log.write(EVENT)
    assert rotated(path) == []
    assert ended_well(forked(log, 1, lambda: log.write(EVENT)))
    assert len(rotated(path)) == 1
    log.write(EVENT)
    assert whole(path).kinds[-3:] == ["log.rotated", "statement.read", "statement.read"]


def test_a_side_file_goes_with_its_log(path: Path) -> None:
    """Every payload is found by its hash beside the file whose line needs it, also when both are compressed."""
    log = AuditLog(path, keeping=Keeping(rotate_bytes=6000))
    payloads = [os.urandom(8 * n) for n in range(257, 267)]
    for payload in payloads:
        log.write_entries((with_cells(payload),))
    old = rotated(path)
    assert old
    with SideFiles([*old, path]) as files:
        assert [files.payload(hashlib.sha256(p).digest()) for p in payloads] == payloads
        assert files.problems == []
    assert sum(side_file(p).stat().st_size for p in [*old, path]) == sum(
        len(record(p)) for p in payloads
    )
    for file in old:
        rotation.compress(file)
        rotation.compress(side_file(file))
    with SideFiles(log_files(path)) as files:
        assert [files.payload(hashlib.sha256(p).digest()) for p in payloads] == payloads


@pytest.mark.parametrize("cut", [1, 39, 40, 41, 2000])
def test_a_torn_record_is_cut_off_and_told_of(path: Path, cut: int) -> None:
    """Who is killed while it writes ids has not written the event: no event speaks of them. Whole ones stay."""
    log = AuditLog(path)
    log.write_entries((with_cells(b"12345678" * 257),))
    side = side_file(path)
    before = side.read_bytes()
    orphan = record(b"whole..." * 300)
    side.write_bytes(before + orphan + record(b"abcdefgh" * 300)[:cut])
    log.write_entries((with_cells(b"87654321" * 258),))
    assert side.read_bytes() == before + orphan + record(b"87654321" * 258)
    assert kinds(path) == ["statement.read", "log.repaired", "statement.read"]
    assert said(lines(path)[1]) == {
        "offset": len(before + orphan),
        "size": cut,
        "file": "audit.jsonl.cells",
    }


def test_ids_that_cannot_be_written_take_their_event_with_them(path: Path) -> None:
    """No line speaks of a record that is not there."""
    log = AuditLog(path)
    with file_size_limit(path.stat().st_size + 6000), pytest.raises(AuditFailed):
        log.write_entries((with_cells(b"12345678" * 1000),))
    assert kinds(path) == []
    log.write_entries((with_cells(b"12345678" * 1000),))
    assert kinds(path) == ["log.resumed", "statement.read"]
    assert side_file(path).read_bytes() == record(b"12345678" * 1000)


def test_compressed_in_the_background(path: Path) -> None:
    """Rotated files become .gz, whole, and the plain ones go; what was left over from before is compressed as well."""
    AuditLog(path, keeping=Keeping(rotate_bytes=3000)).write_all([EVENT] * 5)
    log = AuditLog(path, keeping=Keeping(rotate_bytes=3000, compress=True))
    for _ in range(10):
        log.write(EVENT)
    for thread in threading.enumerate():
        if thread.name == "compress":
            thread.join()
    rotation.compress_in_background(path)  # what a thread found to be another's just then
    for thread in threading.enumerate():
        if thread.name == "compress":
            thread.join()
    old = rotated(path)
    assert old
    assert all(p.suffix == ".gz" and p.stat().st_mode & 0o777 == 0o600 for p in old)
    for file in old:
        file.with_suffix("").write_bytes(gzip.decompress(file.read_bytes()))
        file.unlink()
    assert not whole(path).gaps
    assert not list(path.parent.glob("*.tmp"))


def test_compression_that_was_interrupted(path: Path) -> None:
    """A half-written .gz.tmp is begun anew; the plain file stays until the other is whole."""
    plain = path.with_name("audit.jsonl.20261123T090844Z-7")
    plain.write_bytes(b"line\n" * 100)
    unfinished = plain.with_name(plain.name + ".gz.tmp")
    unfinished.write_bytes(b"\x1f\x8b" + bytes(5000))
    rotation.compress(plain)
    assert not plain.exists()
    assert not unfinished.exists()
    assert gzip.decompress(Path(f"{plain}.gz").read_bytes()) == b"line\n" * 100
    rotation.compress(plain)  # nothing is left to do
    assert not unfinished.exists()


def test_killed_in_the_middle_of_a_rotation(path: Path) -> None:
    """At each of its steps: the next start mends it; nothing is lost, nothing is there twice."""

    for step in ("first link", "second link", "rename", "side file"):
        log = AuditLog(path)
        log.write_entries((with_cells(b"12345678" * 300),))
        log.close()
        old = path.with_name(f"audit.jsonl.20261123T0908{10 + len(step)}Z-{log.status.sequence}")
        # What the steps leave, in their order.
        os.link(path, old)
        if step != "first link":
            os.link(side_file(path), side_file(old))
        if step in ("rename", "side file"):
            new = path.with_name("audit.jsonl.new")
            new.touch(0o600)
            new.rename(path)
        if step == "side file":
            side_file(path).unlink()
        log = AuditLog(path)
        log.write_entries((with_cells(b"87654321" * 300),))
        log.close()
        files = log_files(path)
        assert len({(p.stat().st_dev, p.stat().st_ino) for p in files}) == len(files), step
        assert not whole(path).gaps, step
        assert "log.unclean" not in whole(path).kinds, step
        with SideFiles(files) as found:
            for payload in (b"12345678" * 300, b"87654321" * 300):
                assert found.payload(hashlib.sha256(payload).digest()) == payload, step


def test_a_rotation_that_fails_costs_nothing(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No second name to be had: events go on in the file that there is, and it is tried again a minute later."""
    now, tried = [NOW], []

    def link(*_: object) -> None:
        tried.append(now[0])
        raise PermissionError(1, "Operation not permitted")

    with monkeypatch.context() as patched:
        patched.setattr(os, "link", link)
        log = AuditLog(path, keeping=Keeping(rotate_bytes=2000), clock=lambda: now[0])
        for _ in range(10):
            log.write(EVENT)
        assert tried == [NOW]
        assert log.status.ok
    now[0] += 60_000
    log.write(EVENT)
    assert len(rotated(path)) == 1
    assert not whole(path).gaps
    assert not list(path.parent.glob("*.new"))


def test_rotated_by_somebody_else_without_a_word(path: Path) -> None:
    """Moved, a new file made, and no reopen: when the file is due it turns out; the new one says where the old one is."""
    log = AuditLog(path, keeping=Keeping(rotate_bytes=4000))
    log.write(EVENT)
    elsewhere = path.with_name("elsewhere.jsonl")
    path.rename(elsewhere)
    path.touch(0o600)
    for _ in range(6):
        log.write(EVENT)
    found = chained(path, elsewhere, *rotated(path))
    assert not found.gaps
    assert said(lines(elsewhere)[-1]) != {}
    assert "elsewhere.jsonl" in [said(e).get("file") for e in found.events]
