"""Runs of rows: what `RowProgram.unseal_rows` shows, counts and refuses, against rows made with known contents."""

from __future__ import annotations

import random
import struct
from collections import Counter
from dataclasses import dataclass, field

import pytest

from keystore import cell_id
from proxy.audit.values import CELL_IDS_INLINE
from proxy.cells import Settings, logical_type
from proxy.rows import BadCell, Field, RowProgram, UnshowableCell, Withheld
from proxy.shape import Column, Shape
from proxy.snapshot import Authority
from proxy.tally import Tally
from proxy.wire.framing import BadMessage
from proxy.wire.messages import Field as Described
from tests.session.transcript import BYTEA, CUSTOMERS, EMAIL, INT4, KEYS, SSN, seal, snapshot

SEEDS = range(40)
TEXT = logical_type("text")
DOMAIN = Column(0, None, TEXT)
UNTYPED = Column(0, None, None)
FOREIGN = seal("x")[:4] + b"\x07\x07\x07\x07" + seal("x")[8:]
"""Under a data key that nobody has."""
DECLARED = {EMAIL: Column(CUSTOMERS, EMAIL, TEXT), SSN: Column(CUSTOMERS, SSN, TEXT)}
LOGINS = {"shop_app": "clear", "support": "masked", "nobody": "withheld"}


@dataclass
class Made:
    """Rows as the server sends them, and what has to come of them."""

    sent: list[bytes] = field(default_factory=list)
    shown: list[bytes] = field(default_factory=list)
    cells: Counter[tuple[str, str]] = field(default_factory=Counter)
    ids: dict[tuple[str, str], list[bytes]] = field(default_factory=dict)
    untyped: set[tuple[str, str]] = field(default_factory=set)


def data_row(values: list[bytes | None]) -> bytes:
    body = struct.pack("!H", len(values))
    for value in values:
        body += struct.pack("!i", -1) if value is None else struct.pack("!i", len(value)) + value
    return b"D" + struct.pack("!I", len(body) + 4) + body


def escaped(value: bytes) -> bytes:
    """bytea_output = escape."""
    return b"".join(
        b"\\\\" if b == 0x5C else bytes((b,)) if 0x20 <= b <= 0x7E else b"\\%03o" % b for b in value
    )


def written(value: bytes, form: int, output: str) -> bytes:
    if form:
        return value
    return b"\\x" + value.hex().encode() if output == "hex" else escaped(value)


def masked(text: str, column: str) -> str:
    if column == SSN:
        return "*" * max(len(text) - 4, 0) + text[-4:] if len(text) > 4 else "*" * len(text)
    local, _, host = text.rpartition("@")
    return f"{local[0] if len(local) > 1 else ''}***@{host}"


class Rows:
    """One random result."""

    def __init__(self, seed: int, outcome: str) -> None:
        self.random = random.Random(seed)
        self.outcome = outcome
        self.form = self.random.choice((0, 1))
        width = self.random.randint(1, 6)
        kinds: list[Column | None] = [None, None, UNTYPED, DOMAIN, *DECLARED.values()]
        self.columns = [self.random.choice(kinds) for _ in range(width)]
        described = [
            Described(b"c", 0, 0, INT4 if column is None else BYTEA, -1, -1, self.form)
            for column in self.columns
        ]
        self.shape = Shape(tuple(described), tuple(self.columns))
        self.made = Made()
        for _ in range(self.random.randint(1, 30)):
            self.row()

    def row(self) -> None:
        pairs = [self.cell(column) for column in self.columns]
        self.made.sent.append(data_row([sent for sent, _ in pairs]))
        self.made.shown.append(data_row([shown for _, shown in pairs]))

    def cell(self, column: Column | None) -> tuple[bytes | None, bytes | None]:
        """(what the server sends, what the client is to see)."""
        draw = self.random
        if draw.random() < 0.2:
            return None, None
        output = draw.choice(("hex", "hex", "escape"))
        if column is None or (column is UNTYPED and draw.random() < 0.5):
            plain = written(draw.randbytes(draw.randint(0, 60)), self.form, output)
            if column is not None and draw.random() < 0.5:
                plain = written(draw.choice((FOREIGN, seal("x")[:40])), self.form, output)
            return plain, plain
        label = column.label or draw.choice((EMAIL, SSN))
        text = draw.choice(("ada@example.com", "grace.hopper@example.org", "x@ü.example"))
        plaintext = text.encode()
        value = KEYS.column(label).seal(plaintext, draw.choice((None, plaintext)))
        self.count(label, value, untyped=column is UNTYPED)
        sent = written(value, self.form, output)
        if self.outcome == "withheld":
            return sent, None
        shown = (text if self.outcome == "clear" else masked(text, label)).encode()
        return sent, written(shown, self.form, output) if column is UNTYPED else shown

    def count(self, label: str, value: bytes, *, untyped: bool) -> None:
        made, use = self.made, (label, self.outcome)
        made.cells[use] += 1
        made.ids.setdefault(use, []).append(cell_id(value))
        if untyped and self.outcome != "withheld":
            made.untyped.add(use)

    def program(self, login: str) -> RowProgram:
        authority = Authority(snapshot(), frozenset({login}))
        return RowProgram(self.shape, (self.form,), authority, Settings())


def told(tally: Tally) -> tuple[object, ...]:
    uses = tally.uses
    return (
        {use: uses[use].cells for use in uses},
        {use: sorted(uses[use].ids) for use in uses},
        {use for use in uses if uses[use].untyped},
        {(column, version) for column, _ in uses for version in tally.versions(column)},
    )


@pytest.mark.parametrize("login", LOGINS)
@pytest.mark.parametrize("seed", SEEDS)
def test_random_rows_in_one_piece(seed: int, login: str) -> None:
    """Every row comes out as it was made to; cells, their ids, versions and what was shown untyped are counted."""
    print(f"seed {seed}")
    rows = Rows(seed, LOGINS[login])
    made, tally, out = rows.made, Tally(), list[bytes]()
    sent, shown = b"".join(made.sent), b"".join(made.shown)
    taken = rows.program(login).unseal_rows(sent, 0, len(sent), tally, out, 1 << 30)
    assert b"".join(out) == shown
    assert taken == (len(sent), len(shown), len(made.sent))
    versions = {(column, 1) for column, how in made.cells if how != "withheld"}
    ids = {use: sorted(ids) for use, ids in made.ids.items()}
    assert told(tally) == (dict(made.cells), ids, made.untyped, versions)


@pytest.mark.parametrize("seed", SEEDS)
def test_random_rows_in_pieces(seed: int) -> None:
    """However a run is cut by what has arrived and by room, the pieces make the same rows and the same counts; one
    program serves them all.
    """
    print(f"seed {seed}")
    rows = Rows(seed, "clear")
    draw = random.Random(seed)
    sent, shown = b"".join(rows.made.sent), b"".join(rows.made.shown)
    before, behind = draw.randbytes(draw.randint(0, 9)), b"C\0\0\0\x0eSELECT 9\0"
    data = before + sent + behind
    program, tally, out = rows.program("shop_app"), Tally(), list[bytes]()
    position, limit, appended, number = len(before), len(before), 0, 0
    while position < len(before) + len(sent):
        limit = min(len(data), limit + draw.randint(1, 400))
        room = draw.choice((1, 50, 1000))
        taken = program.unseal_rows(data, position, limit, tally, out, room)
        assert position <= taken[0] <= limit
        assert data[taken[0] : taken[0] + 1] in (b"D", b"C")
        position = taken[0]
        appended += taken[1]
        number += taken[2]
    assert b"".join(out) == shown
    assert (appended, number) == (len(shown), len(rows.made.sent))
    assert program.unseal_rows(data, position, len(data), tally, out, 1 << 30) == (position, 0, 0)
    assert told(tally)[0] == dict(rows.made.cells)


def test_all_ids_of_a_long_run_are_known() -> None:
    """In the order of the rows, also where there are more than an event has room for."""
    program, tally, number = emails(0), Tally(), CELL_IDS_INLINE + 50
    values = [seal("ada") for _ in range(number)]
    data = b"".join(data_row([written(value, 0, "hex")]) for value in values)
    program.unseal_rows(data, 0, len(data), tally, [], 1 << 30)
    assert tally.uses[EMAIL, "clear"].cells == number
    assert tally.uses[EMAIL, "clear"].ids == [cell_id(value) for value in values]


def test_a_run_ends_where_there_is_no_room() -> None:
    """Rows are taken until `room` is reached, the last one whole; without room none is."""
    program, one = emails(0), data_row([written(seal("ada"), 0, "hex")])
    out: list[bytes] = []
    shown = len(data_row([b"ada"]))
    assert program.unseal_rows(one * 9, 0, len(one) * 9, Tally(), out, 2 * shown + 1) == (
        3 * len(one),
        3 * shown,
        3,
    )
    assert out == [data_row([b"ada"]) * 3]
    assert program.unseal_rows(one, 0, len(one), Tally(), out, 0) == (0, 0, 0)


def test_untouched_rows_are_relayed_as_one_slice() -> None:
    """Rows whose sealed fields are NULL stay the bytes that they were."""
    program, one = emails(0), data_row([None])
    out: list[bytes] = []
    program.unseal_rows(one * 50, 0, len(one) * 50, Tally(), out, 1 << 20)
    assert out == [one * 50]


def emails(form: int, login: str = "shop_app", denied_value: str = "null") -> RowProgram:
    """One column, declared."""
    described = (Described(b"email", CUSTOMERS, 2, BYTEA, -1, -1, form),)
    shape = Shape(described, (DECLARED[EMAIL],))
    authority = Authority(snapshot(denied_value=denied_value), frozenset({login}))
    return RowProgram(shape, (form,), authority, Settings())


GOOD = seal("ada")
BAD = {
    "the stored value failed authentication": [
        GOOD[:-1] + bytes((GOOD[-1] ^ 1,)),
        GOOD[:9] + bytes((GOOD[9] ^ 1,)) + GOOD[10:],
        GOOD + b"x",
    ],
    "the stored value is not a sealed value": [
        b"",
        b"ada@example.com",
        GOOD[:51],
        GOOD[:2] + b"\x02" + GOOD[3:],
        GOOD[:3] + b"\x81" + GOOD[4:],
    ],
    "the stored value belongs to another column": [seal("ada", SSN)],
    "the stored value names an unknown data key": [FOREIGN],
}


@pytest.mark.parametrize("output", ["binary", "hex", "escape"])
@pytest.mark.parametrize(("reason", "which"), [(r, i) for r in BAD for i in range(len(BAD[r]))])
def test_a_bad_value_among_good_ones(reason: str, which: int, output: str) -> None:
    """It is refused for the same reason as the first value and behind others of its key; the good ones before it are
    counted, once, and nothing of it is released.
    """
    form, bad = int(output == "binary"), BAD[reason][which]
    program = emails(form)
    for before in (0, 1, 7):
        rows = [data_row([written(GOOD, form, output)])] * before
        data = b"".join([*rows, data_row([written(bad, form, output)]), *rows])
        tally, out = Tally(), list[bytes]()
        with pytest.raises(BadCell) as caught:
            program.unseal_rows(data, 0, len(data), tally, out, 1 << 20)
        assert caught.value.reason == reason
        assert caught.value.column.label == EMAIL
        assert caught.value.__context__ is None
        assert out == []
        assert told(tally)[0] == ({(EMAIL, "clear"): before} if before else {})


def test_hexadecimal_that_is_none_is_no_sealed_value() -> None:
    """An odd number of digits, or something else than digits, behind the beginning of a value that is known."""
    program, good = emails(0), written(GOOD, 0, "hex")
    for bad in (good[:-1], good[:-2] + b"zz", good[:-1] + b"\n"):
        data = data_row([good]) + data_row([bad])
        with pytest.raises(BadCell, match="not a sealed value"):
            program.unseal_rows(data, 0, len(data), Tally(), [], 1 << 20)


def test_hexadecimal_in_capitals_is_the_same_value() -> None:
    """PostgreSQL writes small letters; a value is what its bytes are."""
    program = emails(0)
    good = b"\\x" + GOOD.hex().encode()
    for wire in (good, b"\\x5ea1" + good[6:].upper()):
        data, out = data_row([wire]), list[bytes]()
        program.unseal_rows(data, 0, len(data), Tally(), out, 1 << 20)
        assert out == [data_row([b"ada"])]


def test_a_short_field_is_not_taken_for_its_neighbours_beginning() -> None:
    """A field that ends within the header of a sealed value is judged by its own bytes."""
    described = tuple(Described(b"c", 0, 0, BYTEA, -1, -1, 1) for _ in range(2))
    authority = Authority(snapshot(), frozenset({"shop_app"}))
    program = RowProgram(Shape(described, (UNTYPED, UNTYPED)), (1,), authority, Settings())
    body = struct.pack("!Hi", 2, 4) + GOOD[:4] + struct.pack("!i", len(GOOD)) + GOOD
    data, out = data_row([GOOD, GOOD]) + data_row([GOOD[:4], GOOD]), list[bytes]()
    assert data.endswith(body)
    program.unseal_rows(data, 0, len(data), Tally(), out, 1 << 20)
    shown = b"ada"
    assert out == [data_row([shown, shown]) + data_row([GOOD[:4], shown])]


def test_a_refused_column_ends_the_run() -> None:
    """`denied_value = "error"`: the first value raises, and is not counted as withheld."""
    program = emails(0, "nobody", denied_value="error")
    data, tally = data_row([written(GOOD, 0, "hex")]), Tally()
    with pytest.raises(Withheld):
        program.unseal_rows(data, 0, len(data), tally, [], 1 << 20)
    assert not tally.uses


@pytest.mark.parametrize("encoding", ["LATIN1", "MULE_INTERNAL"])
def test_what_the_client_cannot_be_shown(encoding: str) -> None:
    """A character that its encoding has not, or an encoding that nobody converts to, is an error with the column's
    name and without the value.
    """
    shape = Shape((Described(b"email", CUSTOMERS, 2, BYTEA, -1, -1, 0),), (DECLARED[EMAIL],))
    authority = Authority(snapshot(), frozenset({"shop_app"}))
    program = RowProgram(shape, (0,), authority, Settings(encoding=encoding))
    data = data_row([written(seal("Ω"), 0, "hex")])
    with pytest.raises(UnshowableCell) as caught:
        program.unseal_rows(data, 0, len(data), Tally(), [], 1 << 20)
    assert caught.value.column == EMAIL
    assert "Ω" not in str(caught.value)


def test_rows_that_are_none() -> None:
    """Wrong lengths and counts are BadMessage before anything is read beyond the row."""
    program, good = emails(1), data_row([GOOD])
    for bad in (
        b"D\0\0\0\3",
        b"D\xff\xff\xff\xff",
        b"D\x7f\xff\xff\xff",
        b"D\0\0\0\4",
        b"D\0\0\0\6\0\2",
        b"D\0\0\0\6\0\1",
        b"D\0\0\0\x08\0\1\0\0",
        b"D\0\0\0\x0a\0\1\0\0\0\1",
        data_row([GOOD])[:1] + struct.pack("!I", len(GOOD) + 9) + data_row([GOOD])[5:],
    ):
        data = good + bad + good
        with pytest.raises(BadMessage):
            program.unseal_rows(data, 0, len(data), Tally(), [], 1 << 20)
    with pytest.raises(BadMessage, match="exceeds the limit"):
        program.unseal_rows(good, 0, len(good), Tally(), [], 1 << 20, len(good) - 2)
    assert program.unseal_rows(good, 0, len(good), Tally(), [], 1 << 20, len(good) - 1)[2] == 1


@pytest.mark.parametrize("form", [0, 1])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_column_of_values_is_shown_as_one_by_one(seed: int, form: int) -> None:
    """`Field.many` gives what `Field.show` gives for each value, mixed keys and plain values too."""
    print(f"seed {seed}")
    draw = random.Random(seed)
    authority = Authority(snapshot(), frozenset({draw.choice(list(LOGINS))}))
    column = draw.choice((DECLARED[EMAIL], DOMAIN, UNTYPED))
    labels = [EMAIL] if column.label or draw.random() < 0.5 else [EMAIL, SSN]
    wires = [
        written(seal(f"n{i}@example.com", draw.choice(labels)), form, draw.choice(("hex", "hex")))
        for i in range(draw.randint(0, 20))
    ]
    if column is UNTYPED and draw.random() < 0.5:
        wires.insert(draw.randint(0, len(wires)), b"\\x1234")
    fields = [Field(column, form, authority, Settings()) for _ in range(2)]
    tallies = [Tally(), Tally()]
    for _ in range(2):  # The second time the keys are known.
        one_by_one = [fields[0].show(wire) for wire in wires]
        assert fields[1].many(wires) == one_by_one
        draw.shuffle(wires)
    for each, tally in zip(fields, tallies, strict=True):
        each.count(tally)
    assert told(tallies[0]) == told(tallies[1])


@pytest.mark.parametrize("form", [0, 1])
@pytest.mark.parametrize(("reason", "which"), [(r, i) for r in BAD for i in range(len(BAD[r]))])
def test_a_bad_value_in_a_column_of_values(reason: str, which: int, form: int) -> None:
    """`Field.many` raises what the bad value raises by itself, also where its neighbours' key is known; those before it
    are counted.
    """
    good, bad = written(GOOD, form, "hex"), written(BAD[reason][which], form, "hex")
    authority = Authority(snapshot(), frozenset({"shop_app"}))
    for known in (0, 1):
        each, tally = Field(DECLARED[EMAIL], form, authority, Settings()), Tally()
        each.many([good] * known)
        with pytest.raises(BadCell) as caught:
            each.many([good, good, bad, good])
        assert caught.value.reason == reason
        each.count(tally)
        assert told(tally)[0] == {(EMAIL, "clear"): known + 2}
