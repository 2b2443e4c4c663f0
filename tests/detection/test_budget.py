"""What a login was shown lately: never counted too low, by any worker, at any moment, whatever the clock."""

from __future__ import annotations

import os
import random
import secrets
from typing import Any

import pytest

from proxy.detection.budget import Account, Budgets, Over
from proxy.detection.shared import Counts, Directory
from proxy.detection.subjects import Subjects, most
from proxy.tally import Tally
from tests.detection.guarded import Clock, detection

SEED = int(os.environ.get("BUDGET_SEED") or random.randrange(1 << 32))
EMAIL, SSN, TOTAL = "public.customers.email", "public.customers.ssn", "public.orders.total"


def tally(cells: int = 0, column: str = EMAIL, outcome: Any = "clear", ids: Any = None) -> Tally:
    made = Tally()
    made.use(column, outcome).add(ids or [secrets.token_bytes(8) for _ in range(cells)], None)
    return made


def test_no_window_holds_more_than_the_limit() -> None:
    """Whatever is asked for, at whatever moments: in every stretch of one window, what was allowed is within the limit.

    And a login that asks for less than two thirds of it per window is never over.
    """
    print(f"BUDGET_SEED={SEED}")
    draw = random.Random(SEED)
    for _ in range(30):
        limit, window = draw.randint(5, 200), draw.choice([10, 60, 300])
        clock = Clock(draw.uniform(0, 10_000))
        account = Budgets(1, detection("kill", limit, seconds=window), clock).account("a")
        allowed: list[tuple[float, int]] = []
        for _ in range(300):
            clock.now += draw.choice([0, 0.001, window / 10, window / 3, draw.uniform(0, window)])
            asked = draw.randint(1, max(1, limit // 4))
            if cells(account, tally(asked)) is None:
                allowed.append((clock.now, asked))
        assert allowed
        for begin, _ in allowed:
            within = sum(n for at, n in allowed if begin <= at < begin + window)
            assert within <= limit
    clock = Clock()
    account = Budgets(1, detection("kill", 300, seconds=300), clock).account("a")
    for _ in range(500):
        clock.now += 1.5
        assert cells(account, tally(1)) is None


def test_clear_and_masked_count_withheld_and_compared_do_not() -> None:
    """What the login was shown something of."""
    account = Budgets(1, detection("kill", cells=3), Clock()).account("a")
    assert cells(account, tally(100, outcome="withheld")) is None
    assert cells(account, tally(100, outcome="compared")) is None
    assert cells(account, tally(2)) is None
    assert cells(account, tally(1, outcome="masked")) is None
    over = cells(account, tally(1))
    assert over is not None
    assert (over.number, over.limit, over.first) == (4, 3, True)


def test_logins_are_apart_and_names_cannot_run_together() -> None:
    """Also where the name of one and a column are the name of another."""
    budgets = Budgets(1, detection("kill", cells=1, subjects=1), Clock())
    for login in ("a", "b", "a\0public", "", "é", "a" * 5000):
        assert budgets.account(login).charge(tally(1)) is None
        both = budgets.account(login).charge(tally(1)) or []
        assert [one.detector for one in both] == ["budget_cells", "budget_subjects"]


def cells(account: Account, shown: Tally) -> Over | None:
    """Over the budget of cells."""
    return next((o for o in account.charge(shown) or [] if o.detector == "budget_cells"), None)


def subjects_of(account: Account, shown: Tally) -> Over | None:
    """Over the budget of subjects."""
    return next((o for o in account.charge(shown) or [] if o.detector == "budget_subjects"), None)


def taken_by(subjects: Subjects, place: int, time: int, ids: list[bytes]) -> int:
    """How many places are taken once these were seen."""
    subjects.counts.add(place, time, subjects.mark(place, time, ids))
    return subjects.counts.total(place, time)


def worker(budgets: Budgets, number: int, want: int, start: int, done: int) -> None:
    """In a forked process: releases one cell after the other while it may, and writes down how many."""
    budgets.in_worker(number)
    os.read(start, 1)
    account = budgets.account("shared")
    released = 0
    for _ in range(want):
        if cells(account, tally(1)) is None:
            released += 1
    os.write(done, released.to_bytes(8, "big"))


@pytest.mark.parametrize("workers", [2, 5])
def test_workers_together_never_release_more_than_the_limit(workers: int) -> None:
    """Forked processes that release at full speed, each on its own: the sum is the limit at most; one finding."""
    limit = 3000
    for _ in range(3):
        budgets = Budgets(workers, detection("kill", limit, seconds=86_400), Clock())
        gates = [os.pipe() for _ in range(workers)]
        answers = [os.pipe() for _ in range(workers)]
        pids = []
        for number in range(workers):
            pid = os.fork()
            if not pid:
                try:
                    worker(budgets, number, limit, gates[number][0], answers[number][1])
                finally:
                    os._exit(0)
            pids.append(pid)
        for _, gate in gates:
            os.write(gate, b"x")
        released = [int.from_bytes(os.read(answer, 8), "big") for answer, _ in answers]
        for pid in pids:
            os.waitpid(pid, 0)
        for ends in (*gates, *answers):
            for end in ends:
                os.close(end)
        print(f"{workers} workers released {released}")
        # What is left in reserves, and what several published and none released: less than the limit, never more.
        assert limit - workers * (1 + limit // 64) < sum(released) <= limit
        assert sum(n > 0 for n in released) > 1, "they did not run at the same time"


def test_one_worker_says_that_a_budget_is_spent() -> None:
    """Until a window is over; then again, once."""
    clock = Clock()
    budgets = Budgets(3, detection("alert", cells=1), clock)
    account = budgets.account("a")
    said = []
    for step in range(40):
        budgets.in_worker(step % 3)
        over = cells(account, tally(2))
        assert over is not None
        said.append(over.first)
        clock.now += 50
    assert said.count(True) == 5  # every 450 s of 2,000
    assert said[0]


@pytest.mark.parametrize("limit", [1, 10, 100, 2000, 50_000])
def test_different_subjects_within_the_error_that_is_documented(limit: int) -> None:
    """So many different cells may be shown as is said, one in twenty less at most; more than that nearly never."""
    print(f"BUDGET_SEED={SEED}")
    draw = random.Random(SEED)
    beyond = 0
    for _ in range(3 if limit > 10_000 else 20):
        subjects = Subjects(1, limit)
        place = subjects.map_of("a", EMAIL)
        spent = most(limit, subjects.size)
        shown = 0
        while taken_by(subjects, place, 10, [draw.randbytes(8)]) <= spent:
            shown += 1
        beyond += shown > limit
        assert shown <= limit + 3
        assert shown >= limit - max(2, 0.05 * limit), (shown, limit)
    assert beyond <= 1  # one in 10,000


def test_the_same_subject_is_counted_once_while_it_is_in_the_window() -> None:
    """Over bins, workers and statements; and again when the window is over."""
    subjects = Subjects(2, 1000)
    place = subjects.map_of("a", EMAIL)
    ids = [secrets.token_bytes(8) for _ in range(50)]
    for time in range(10, 30):
        subjects.in_worker(time % 2)
        taken = taken_by(subjects, place, time, ids)
        assert 49 <= taken <= 50
    assert taken_by(subjects, place, 40, ids[:1]) == 1


def test_of_a_table_its_fullest_column_counts() -> None:
    """Two columns of the same rows are the rows once; other tables have their own count."""
    settings = detection("kill", subjects=100)
    account = Budgets(1, settings, Clock()).account("a")
    for column in (EMAIL, SSN, TOTAL):
        for _ in range(9):
            assert subjects_of(account, tally(10, column)) is None
    over = subjects_of(account, tally(30, SSN))
    assert over is not None
    assert over.table == "public.customers"
    assert over.number == pytest.approx(120, abs=4)


def test_a_login_that_is_over_stays_over_until_the_window_is() -> None:
    """Also for subjects that it saw before: nothing more is released, and nothing is counted twice."""
    clock = Clock()
    account = Budgets(1, detection("kill", subjects=10), clock).account("a")
    subjects_of(account, tally(30))
    assert subjects_of(account, tally(1)) is not None
    clock.now += 300
    assert subjects_of(account, tally(1)) is not None
    clock.now += 151
    assert subjects_of(account, tally(1)) is None


def test_too_many_names_share_one_count() -> None:
    """Nobody goes uncounted because the memory is full of others: those who come too late are counted together."""
    directory = Directory(8)
    places = [directory.place(str(number)) for number in range(20)]
    assert sorted(places[:7]) == list(range(1, 8))
    assert set(places[7:]) == {0}
    assert [directory.place(str(number)) for number in range(7)] == places[:7]


def test_released_a_login_begins_anew() -> None:
    """Cells and subjects, of this login only."""
    budgets = Budgets(1, detection("kill", cells=5, subjects=5), Clock())
    one, other = budgets.account("a"), budgets.account("b")
    for account in (one, other):
        assert len(account.charge(tally(20)) or []) == 2
    one.forget()
    assert one.charge(tally(4)) is None
    assert len(other.charge(tally(1)) or []) == 2


def test_a_worker_that_was_lost_leaves_its_counts() -> None:
    """Whoever takes its place goes on from them."""
    counts = Counts(2, 2)
    counts.in_worker(0)
    counts.add(1, 10, 7)
    counts.in_worker(1)
    counts.add(1, 11, 5)
    assert counts.total(1, 11) == 12
    counts.in_worker(0)
    counts.add(1, 10, 1)
    assert counts.total(1, 12) == 13
    assert counts.total(1, 13) == 5
    assert counts.total(1, 14) == 0


def test_limits_change_while_it_runs() -> None:
    """A lower limit holds at once, with what was counted before."""
    budgets = Budgets(1, detection("kill", cells=100, subjects=100), Clock())
    account = budgets.account("a")
    assert account.charge(tally(50)) is None
    budgets.limited(detection("kill", cells=20, subjects=20))
    assert len(account.charge(tally(1)) or []) == 2


@pytest.mark.parametrize(("before", "after"), [(10, 600), (600, 10)])
def test_a_window_of_another_length_hides_no_finding(before: int, after: int) -> None:
    """What was told under the old length does not count as told under the new one, be it longer or shorter."""
    clock = Clock(100_000.0)
    budgets = Budgets(1, detection("observe", cells=3, seconds=before), clock)
    account = budgets.account("a")
    spent = cells(account, tally(5))
    assert spent is not None
    assert spent.first
    budgets.limited(detection("observe", cells=3, seconds=after))
    clock.now += 2 * max(before, after)
    told = [cells(account, tally(5)) for _ in range(3)]
    assert [one is not None and one.first for one in told] == [True, False, False]
