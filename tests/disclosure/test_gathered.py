"""Cells and rows put together, by hand: what one sees at a glance, and what somebody else wrote into the log or the database."""

from __future__ import annotations

from proxy.audit.cells_file import SideFiles
from proxy.commands.audit_affected import _row, _title
from proxy.disclosure.gathered import Gathered, Person
from proxy.disclosure.question import Missing, Question, Reader

ADA, BOB = '["1"]', '["2"]'


def test_a_value_in_two_peoples_rows_is_told_of_both() -> None:
    """Shared, and gone for one of them; a cell that nobody has is nowhere."""
    with Gathered() as gathered:
        gathered.add("t.c", "clear", [b"a", b"a", b"b"], 5)
        gathered.add("t.c", "clear", [b"a"], 9)
        gathered.hold(
            [
                (b"a", "t", ADA, True, "t", '{"id": 1}', True),
                (b"a", "t", BOB, True, "t", '{"id": 2}', False),
            ]
        )
        ada, bob = gathered.people()
        assert (ada.key, ada.seen[0][4:]) == (("1",), (1, 3, 5, 9, 0, 1))
        assert (bob.key, bob.seen[0][4:]) == (("2",), (1, 3, 5, 9, 1, 1))
        (total,) = gathered.totals()
        assert (total.cells, total.times, total.nowhere, total.shared) == (2, 4, 1, 1)
        assert (total.people, total.rows, gathered.people_count) == (2, 2, 2)


def test_live_wins_over_gone_whichever_comes_first() -> None:
    """The same value in the same row, put back after it was deleted."""
    for first in (True, False):
        with Gathered() as gathered:
            gathered.add("t.c", "clear", [b"a"], 5)
            for now in (first, not first):
                gathered.hold([(b"a", "t", ADA, True, "t", '{"id": 1}', now)])
            (ada,) = gathered.people()
            assert ada.seen[0].gone == 0


def test_ids_come_in_batches_each_once() -> None:
    """Whatever columns and outcomes they have."""
    ids = [bytes([n]) * 8 for n in range(25)]
    with Gathered() as gathered:
        for column in ("t.a", "t.b"):
            gathered.add(column, "clear", ids[::-1], 1)
        assert [len(batch) for batch in gathered.batches(10)] == [10, 10, 5]
        assert sorted(cell for batch in gathered.batches(10) for cell in batch) == ids


def test_what_others_wrote_does_not_reach_the_terminal() -> None:
    """A column's name in an altered log, a key in the database: control characters stand as what they are."""
    missing, found = Missing(), []
    event = {
        "time": 5,
        "metadata": {"event_code": "statement.read", "sequence": 1},
        "unmapped": {
            "sealgate": {
                "columns": [
                    {"name": "t.\x1b[2J", "outcome": "clear", "cells": 1, "cell_ids": ["00" * 8]},
                    {"name": "t.\x1b[3J", "outcome": "clear", "cells": 2, "cell_ids": []},
                ]
            }
        },
    }
    with SideFiles([]) as side_files:
        Reader(
            Question(0, 10), side_files, missing, lambda _, told, ids: found.append(told.column)
        ).read(event)
    shown = [*found, *missing, _row({"id": "\x1b[2J"}), _title(Person("t", ("\x1b[2J",), True, ()))]
    assert len(shown) == 4
    assert "\x1b" not in "".join(shown)
