"""Rows tested by patterns: what `Matching.unseal_rows` shows and counts, against what the texts say."""

from __future__ import annotations

import random

import pytest

from proxy.cells import Settings, logical_type
from proxy.cells.like import read_pattern
from proxy.matching import Matching
from proxy.pattern import Matcher
from proxy.rows import BadCell, RowProgram
from proxy.shape import Column, Shape
from proxy.snapshot import Authority
from proxy.sql.plan import Test as RowTest
from proxy.tally import Tally
from proxy.wire.framing import BadMessage
from proxy.wire.messages import Field as Described
from tests.session.test_rows import data_row, written
from tests.session.transcript import BYTEA, CUSTOMERS, EMAIL, INT4, SSN, seal, snapshot

SEEDS = range(30)
TEXT = logical_type("text")
COLUMNS = (None, Column(CUSTOMERS, EMAIL, TEXT), Column(CUSTOMERS, SSN, TEXT))
BY_EMAIL, BY_SSN = RowTest(1, EMAIL, 1), RowTest(2, SSN, 2)
LARGE = 1 << 20


def shape(form: int, columns: tuple[Column | None, ...] = COLUMNS) -> Shape:
    oids = (INT4, BYTEA, BYTEA)
    fields = tuple(Described(b"f%d" % i, 0, 0, oid, -1, -1, form) for i, oid in enumerate(oids))
    return Shape(fields, columns)


def matcher(pattern: str) -> Matcher:
    return Matcher(read_pattern(pattern), "")


def matching(
    filters: tuple[tuple[RowTest, ...], ...],
    patterns: dict[int, str | None],
    *,
    form: int = 1,
    login: str = "shop_app",
    limit: int = 0,
    described: Shape | None = None,
) -> Matching:
    authority = Authority(snapshot(), frozenset({login}))
    result = described or shape(form)
    formats = (form,) * 3
    return Matching(
        RowProgram(result, formats, authority, Settings()),
        result,
        formats,
        filters,
        {n: matcher(p) if p is not None else None for n, p in patterns.items()},
        authority,
        limit,
    )


def row(number: int, email: str | None, ssn: str | None, form: int = 1) -> bytes:
    def cell(text: str | None, column: str) -> bytes | None:
        return None if text is None else written(seal(text, column), form, "hex")

    return data_row([str(number).encode(), cell(email, EMAIL), cell(ssn, SSN)])


def plain(number: int, email: str | None, ssn: str | None) -> bytes:
    return data_row(
        [str(number).encode(), *(None if t is None else t.encode() for t in (email, ssn))]
    )


def all_of(tested: Matching, data: bytes, tally: Tally, cuts: list[int], room: int) -> bytes:
    """What is shown of `data` as it comes in pieces that end at `cuts`."""
    position = 0
    out: list[bytes] = []
    for stop in (*cuts, len(data)):
        before = -1
        while position != before:
            before = position
            position, _, _ = tested.unseal_rows(data, position, stop, tally, out, room, LARGE)
    assert position == len(data)
    return b"".join(out)


@pytest.mark.parametrize("seed", SEEDS)
def test_rows_that_match_are_shown(seed: int) -> None:
    """Random rows and patterns, groups of alternatives, wherever the bytes are cut and however little may be held."""
    rng = random.Random(seed)
    form = rng.choice((0, 1))
    texts = ["".join(rng.choices("ab", k=rng.randint(0, 4))) for _ in range(40)]
    rows = [
        (n, *(None if rng.random() < 0.1 else rng.choice(texts) for _ in range(2)))
        for n in range(60)
    ]
    patterns = {n: rng.choice(("%a%", "a%", "%b", "a_%", "%ab%", "", "%")) for n in (1, 2)}
    patterns_given: dict[int, str | None] = dict(patterns)
    if rng.random() < 0.2:
        patterns_given[2] = None
    filters = rng.choice((((BY_EMAIL,),), ((BY_EMAIL,), (BY_SSN,)), ((BY_EMAIL, BY_SSN),)))

    def succeeds(test: RowTest, found: tuple[int, str | None, str | None]) -> bool:
        value, pattern = found[test.output], patterns_given[test.source]
        assert not isinstance(value, int)
        return value is not None and pattern is not None and read_pattern(pattern).matches(value)

    expected = [r for r in rows if all(any(succeeds(t, r) for t in group) for group in filters)]
    data = b"".join(row(n, email, ssn, form) for n, email, ssn in rows)
    tally = Tally()
    tested = matching(filters, patterns_given, form=form)
    cuts = sorted(rng.sample(range(len(data)), 5))
    shown = all_of(tested, data, tally, cuts, rng.choice((1, 200, LARGE)))
    assert shown == b"".join(plain(*found) for found in expected)
    assert tested.shown == len(expected)
    assert not tested.more
    told = {key: use.cells for key, use in tally.uses.items()}
    tests = {test.column for group in filters for test in group}
    assert tested.tested == sum(use.cells for key, use in tally.uses.items() if "compared" in key)
    for label, place in ((EMAIL, 1), (SSN, 2)):
        assert told.get((label, "clear"), 0) == sum(r[place] is not None for r in expected)
        tested_cells = sum(r[place] is not None for r in rows) if label in tests else 0
        assert told.get((label, "compared"), 0) == tested_cells


@pytest.mark.parametrize(
    ("limit", "shown", "more"), [(0, 3, False), (1, 1, True), (3, 3, False), (9, 3, False)]
)
def test_a_limit_counts_what_matches(limit: int, shown: int, more: bool) -> None:
    """Exactly as many as asked for, and whether there are more that match."""
    data = b"".join(row(n, "a" if n % 2 else "b", None) for n in range(6))
    tested = matching(((BY_EMAIL,),), {1: "a"}, limit=limit)
    out: list[bytes] = []
    position, _, rows = tested.unseal_rows(data, 0, len(data), Tally(), out, LARGE, LARGE)
    assert (position, rows, tested.shown, tested.more) == (len(data), shown, shown, more)
    assert b"".join(out).count(b"D\0") == shown


def test_a_masked_value_is_found_by_what_it_is() -> None:
    """The policy has said that the role may compare; what it is shown is masked as ever."""
    out: list[bytes] = []
    tested = matching(((BY_SSN,),), {2: "%-45%"}, login="support")
    data = row(1, None, "123-45-6789") + row(2, None, "123-54-6789")
    tested.unseal_rows(data, 0, len(data), Tally(), out, LARGE, LARGE)
    assert b"".join(out) == plain(1, None, "*******6789")


TAMPERED = seal("x")[:-1] + bytes((seal("x")[-1] ^ 1,))
FOREIGN = seal("x")[:4] + b"\x07\x07\x07\x07" + seal("x")[8:]


@pytest.mark.parametrize("login", ["shop_app", "support", "nobody"])
@pytest.mark.parametrize(
    "value",
    [TAMPERED, FOREIGN, seal("x", SSN), b"x", b"", seal("x")[:30]],
    ids=["tampered", "unknown key", "another column", "plain", "empty", "cut"],
)
def test_a_value_that_cannot_be_tested(value: bytes, login: str) -> None:
    """Whether it would be shown or not: neither dropped nor taken for a match."""
    data = data_row([b"1", value, None])
    tested = matching(((BY_EMAIL,),), {1: "%"}, login=login)
    out: list[bytes] = []
    with pytest.raises(BadCell) as bad:
        tested.unseal_rows(data, 0, len(data), Tally(), out, LARGE, LARGE)
    assert out == []
    assert bad.value.__context__ is None


@pytest.mark.parametrize(
    "columns",
    [(None, None, COLUMNS[2]), (None, COLUMNS[2], COLUMNS[1]), (None, None, None)],
)
def test_a_result_that_is_not_the_planned_one(columns: tuple[Column | None, ...]) -> None:
    """Where the column is not at its place, nothing of the result can be tested, and none of it is shown."""
    with pytest.raises(BadMessage):
        matching(((BY_EMAIL,),), {1: "%"}, described=shape(1, columns))


def test_rows_that_are_none() -> None:
    """Lengths that do not add up are no rows, wherever they are wrong; a row that is not whole is left."""
    whole = row(1, "a", "b")
    tested = matching(((BY_EMAIL,),), {1: "%"})
    for end in range(len(whole)):
        assert tested.unseal_rows(whole, 0, end, Tally(), [], LARGE, LARGE) == (0, 0, 0)
    for at, byte in ((4, 3), (6, 2), (8, 0x7F), (7, 0x7F)):
        broken = whole[:at] + bytes((byte,)) + whole[at + 1 :]
        with pytest.raises(BadMessage):
            tested.unseal_rows(broken, 0, len(broken), Tally(), [], LARGE, LARGE)
    with pytest.raises(BadMessage):
        tested.unseal_rows(whole, 0, len(whole), Tally(), [], LARGE, 20)
