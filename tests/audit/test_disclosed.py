"""What is read of events and side files: all that was disclosed, or that it is not known."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
from pathlib import Path
from typing import Any

import pytest

from proxy.audit.cells_file import LONGEST, MAGIC, SideFiles, record, side_file
from proxy.audit.disclosed import UNREADABLE, Disclosed, disclosed

SEED = int(os.environ.get("DISCLOSED_SEED", "20261123"))


def event(columns: Any, code: str = "statement.read", **fields: Any) -> dict[str, Any]:
    return {
        "metadata": {"event_code": code},
        "unmapped": {"sealgate": {"columns": columns, **fields}},
    }


def column(ids: list[bytes], outcome: str = "clear", name: str = "public.c.e") -> dict[str, Any]:
    found = [i.hex() for i in ids]
    return {"name": name, "outcome": outcome, "cells": len(ids), "cell_ids": found, "rule": "r"}


def counted(ids: list[bytes], outcome: str = "clear") -> dict[str, Any]:
    of = column(ids, outcome)
    del of["cell_ids"]
    return {**of, "cell_id_count": len(ids)}


def filed(*columns: list[bytes]) -> tuple[dict[str, Any], bytes]:
    payload = b"".join(i for ids in columns for i in ids)
    named = {"count": len(payload) // 8, "sha256": hashlib.sha256(payload).hexdigest()}
    return event([counted(ids) for ids in columns], cell_ids_file=named), payload


def draw(choice: random.Random, count: int) -> list[bytes]:
    return [choice.randbytes(8) for _ in range(count)]


def no_files() -> SideFiles:
    return SideFiles(())


def test_ids_in_place() -> None:
    """Per column and outcome, in the order of the event; an update may have fewer ids than cells."""
    choice = random.Random(SEED)
    read, written = draw(choice, 3), draw(choice, 1)
    many = {**column(written, "written"), "cells": 7}
    found = disclosed(event([column(read), column([], "compared"), many]), no_files())
    assert found == [
        Disclosed("public.c.e", "clear", 3, read),
        Disclosed("public.c.e", "compared", 0, []),
        Disclosed("public.c.e", "written", 7, written),
    ]


@pytest.mark.parametrize("compressed", [False, True])
def test_ids_in_side_files(tmp_path: Path, compressed: bool) -> None:
    """Of several files, plain and compressed, in the order of the log and in any other."""
    choice = random.Random(SEED)
    log = tmp_path / "audit.jsonl"
    rotated = tmp_path / ("audit.jsonl.20261101T000000Z-5.gz" if compressed else "audit.jsonl.1")
    told = [(filed(draw(choice, 300), draw(choice, choice.randrange(900)))) for _ in range(20)]
    half = b"".join(record(payload) for _, payload in told[:10])
    if compressed:
        (tmp_path / "audit.jsonl.20261101T000000Z-5.cells.gz").write_bytes(gzip.compress(half))
    else:
        side_file(rotated).write_bytes(half)
    side_file(log).write_bytes(b"".join(record(payload) for _, payload in told[10:]))
    for order in (told, choice.sample(told, len(told))):
        with SideFiles([rotated, log]) as files:
            for one, payload in order:
                found = disclosed(one, files)
                assert b"".join(i for d in found for i in d.ids or ()) == payload
                assert [d.cells for d in found] == [len(d.ids or ()) for d in found]
            assert not files.problems


def test_what_is_not_known_is_not_a_shorter_list(tmp_path: Path) -> None:
    """Any byte of a side file altered, the file cut anywhere, a record left out: None, or all of the ids."""
    choice = random.Random(SEED)
    log = tmp_path / "audit.jsonl"
    told = [filed(draw(choice, 2), draw(choice, choice.randrange(3))) for _ in range(3)]
    whole = b"".join(record(payload) for _, payload in told)
    for at in range(len(whole)):
        cut = whole[:at]
        altered = bytearray(whole)
        altered[at] ^= 1 << choice.randrange(8)
        for damaged in (cut, bytes(altered)):
            side_file(log).write_bytes(damaged)
            lost = 0
            with SideFiles([log]) as files:
                for one, payload in told:
                    found = disclosed(one, files)
                    if any(d.ids is None for d in found):
                        assert all(d.ids is None for d in found)
                        lost += 1
                    else:
                        assert b"".join(i for d in found for i in d.ids or ()) == payload
                at_the_end_of_a_record = len(damaged) < len(whole) and not files.problems
                assert lost
                assert files.problems or at_the_end_of_a_record
                if len(damaged) == len(whole):
                    assert lost == 1  # The search goes on behind what is no record.


def test_a_file_that_grows_is_read_on(tmp_path: Path) -> None:
    """The live file's later records are found by who has been at its end already."""
    log = tmp_path / "audit.jsonl"
    choice = random.Random(SEED)
    first, second = (filed(draw(choice, 9)) for _ in range(2))
    side_file(log).write_bytes(record(first[1]))
    with SideFiles([log]) as files:
        assert disclosed(second[0], files)[0].ids is None
        with side_file(log).open("ab") as file:
            file.write(record(second[1]))
        assert b"".join(disclosed(second[0], files)[0].ids or ()) == second[1]


@pytest.mark.parametrize(
    "content",
    [b"\x1f\x8b", gzip.compress(b"SGC1" * 99, mtime=0)[:-9], b"no"],
    ids=["magic alone", "cut", "not compressed"],
)
def test_a_compressed_file_that_is_none(tmp_path: Path, content: bytes) -> None:
    """It is said, and what is asked of it is not known."""
    log = tmp_path / "audit.jsonl.20261101T000000Z-5.gz"
    (tmp_path / "audit.jsonl.20261101T000000Z-5.cells.gz").write_bytes(content)
    with SideFiles([log]) as files:
        assert disclosed(filed([bytes(8)])[0], files)[0].ids is None
        assert len(files.problems) == 1
        assert ".cells.gz: " in files.problems[0]


def test_a_length_without_bounds_is_not_believed(tmp_path: Path) -> None:
    """What claims to be longer than any payload is no record; the next one is found."""
    log = tmp_path / "audit.jsonl"
    one, payload = filed([bytes(8)])
    huge = MAGIC + (LONGEST + 1).to_bytes(4, "big") + bytes(32)
    side_file(log).write_bytes(huge + record(payload))
    with SideFiles([log]) as files:
        assert disclosed(one, files)[0].ids == [bytes(8)]
        assert "40 bytes" in files.problems[0]


def test_an_id_too_few_is_none() -> None:
    """Of what was shown there are as many ids as cells, and `cell_ids_complete` false is believed."""
    ids = draw(random.Random(SEED), 3)
    for change in ({"cells": 4}, {"cells": 2}, {"cell_ids_complete": False}, {"cell_ids": None}):
        (found,) = disclosed(event([{**column(ids), **change}]), no_files())
        assert found.ids is None
    old = {"name": "public.c.e", "outcome": "clear", "cells": 3, "rule": "r"}
    (found,) = disclosed(event([old], cell_ids=[i.hex() for i in ids]), no_files())
    assert found == Disclosed("public.c.e", "clear", 3, None)


@pytest.mark.parametrize("code", ["statement.refused", "session.opened", "finding", None, 7, []])
def test_other_events_disclose_nothing(code: Any) -> None:
    """A refusal's columns are what was asked for, not what was given."""
    assert disclosed(event([column([bytes(8)])], code), no_files()) == []


JUNK: list[Any] = [None, True, -1, 1 << 60, 1.5, "", "x", "\ud800", [], [None], {}, {"sha256": 1}]


@pytest.mark.parametrize("seed", range(40))
def test_events_that_are_not_ours(seed: int, tmp_path: Path) -> None:
    """Whatever stands in them: no error, and nothing that was altered is taken for the whole truth by its count."""
    print(f"seed {SEED + seed}")
    choice = random.Random(SEED + seed)
    one, payload = filed(draw(choice, 2), draw(choice, 1))
    log = tmp_path / "audit.jsonl"
    side_file(log).write_bytes(record(payload))
    with SideFiles([log]) as files:
        for _ in range(50):
            key = choice.choice(list(one))
            broken = {**one, key: _broken(one[key], choice)}
            for found in disclosed(broken, files):
                assert found.outcome == UNREADABLE or found.cells >= 0
                if found.ids is not None and found.outcome != "written":
                    assert len(found.ids) == found.cells
    assert disclosed({}, no_files()) == []
    assert disclosed({"metadata": 1}, no_files()) == []


def _broken(value: Any, choice: random.Random) -> Any:
    """The event with one thing in it replaced."""
    if isinstance(value, dict) and value and choice.random() < 0.95:
        key = choice.choice(list(value))
        return {**value, key: _broken(value[key], choice)}
    if isinstance(value, list) and value and choice.random() < 0.9:
        at = choice.randrange(len(value))
        return [*value[:at], _broken(value[at], choice), *value[at + 1 :]]
    return choice.choice(JUNK) if not isinstance(value, dict) or value else value


def test_ids_of_a_file_that_was_rotated_meanwhile(tmp_path: Path) -> None:
    """Whoever reads an old event finds its ids where they are now: the live side file has another name, or is compressed."""
    choice = random.Random(SEED)
    for compressed in (False, True):
        log = tmp_path / str(compressed) / "audit.jsonl"
        log.parent.mkdir()
        told = [draw(choice, 300) for _ in range(3)]
        events = [filed(ids) for ids in told]
        log.touch()
        side_file(log).write_bytes(record(events[0][1]) + record(events[1][1]))
        with SideFiles([log], log) as files, SideFiles([log]) as unaware:
            rotated = log.with_name("audit.jsonl.20261123T000000Z-2")
            log.rename(rotated)
            if compressed:
                packed = side_file(rotated).with_name(side_file(rotated).name + ".gz")
                packed.write_bytes(gzip.compress(side_file(log).read_bytes()))
            else:
                side_file(log).rename(side_file(rotated))
            log.touch()
            side_file(log).write_bytes(record(events[2][1]))
            for ids, (one, _) in zip(told, events, strict=True):
                assert disclosed(one, files)[0].ids == ids
            assert disclosed(filed(draw(choice, 300))[0], files)[0].ids is None
            assert disclosed(events[0][0], unaware)[0].ids is None
            assert not files.problems
