"""Executions and their events against the plain way of making them (`tests.audit.plain`)."""

from __future__ import annotations

import gc
import hashlib
import random
import re
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings

import policy
from policy import Access
from proxy.audit.entry import AS_CONFIGURED, Entry, encode
from proxy.audit.event import Origin, Outcome, Protocol
from proxy.audit.log import AuditLog
from proxy.audit.values import ACK, ASYNC, CELL_IDS_INLINE, DURABLE
from proxy.execution import Execution, recorded
from proxy.outline import Outlines
from proxy.snapshot import Authority, Snapshot
from proxy.sql.lexer import Stripped
from proxy.sql.plan import Action, Run, StatementPlan, Touch
from proxy.tally import Tally
from tests.audit.examples import READ, SHOP, SUPPORT, entry_of, executed
from tests.audit.plain import Executed, Plain, plainly
from tests.audit.test_event import EXECUTIONS, ORIGINS
from tests.session.transcript import CATALOG, EMAIL, KEYS, SSN

CARD, IBAN = '"Till"."Order Lines"."Card No"', "shop.invoices.iban"
TABLES = {
    EMAIL: "public.customers",
    SSN: "public.customers",
    CARD: '"Till"."Order Lines"',
    IBAN: "shop.invoices",
}
ROLES = {
    "shop_app": {"clear": ["*"], "write": ["*"]},
    "support": {"masked": ["public.*"], "search": [EMAIL]},
    "clerk": {"clear": ["shop.*"], "write": [SSN]},
}
Cell = tuple[str, Outcome, bytes, int | None]


def snapshot(**options: Any) -> Snapshot:
    columns = {
        column: {"type": "text", "search": ["equality"], "mask": "null"} for column in TABLES
    }
    return Snapshot(policy.load(columns, ROLES, options), CATALOG, KEYS)


def plan(*touches: Touch, command: str = "SELECT", run: Run = Run.NOW) -> StatementPlan:
    return StatementPlan(Action.APPLY, ("-",), command, touches=touches, run=run)


def touch(column: str, access: Access) -> Touch:
    return Touch(TABLES[column], column, access)


SELECT = plan(touch(EMAIL, Access.READ), touch(SSN, Access.READ))
FIND = plan(touch(EMAIL, Access.READ), touch(EMAIL, Access.COMPARE))
JOIN = plan(touch(EMAIL, Access.READ), touch(IBAN, Access.READ), touch(CARD, Access.READ))
INSERT = plan(touch(EMAIL, Access.WRITE), touch(SSN, Access.WRITE), command="INSERT")
NOTHING = plan()


def text(words: str) -> Stripped:
    return Stripped(words, ())


def same(entries: list[Entry], origin: Origin, plain: list[Executed]) -> None:
    """Equal byte by byte, as the log writes them, and so in the canonical form."""
    assert [entry.pieces for entry in entries] == [
        encode(plainly(origin, done)).pieces for done in plain
    ]
    assert [entry.cells for entry in entries] == [done.beside for done in plain]


@settings(max_examples=400, deadline=None)
@given(origin=ORIGINS, done=EXECUTIONS)
def test_a_filled_template_is_the_event_written_down_plainly(origin: Origin, done: Any) -> None:
    """Byte by byte, whatever strings it is made of."""
    same([entry_of(origin, done)], origin, [done])


@pytest.mark.parametrize("seed", range(8))
def test_executions_tell_what_they_told_plainly(seed: int) -> None:
    """Any plan, principal, session, kind of end and number of parts: the same events as by a plain reckoning,
    although what is constant in them is made once and shared.
    """
    print(f"seed {seed}")
    world = World(random.Random(seed))
    told = sum(world.execution(number) for number in range(400))
    assert told > 300


class World:
    """A few plans, principals and sessions, met again and again."""

    def __init__(self, choice: random.Random) -> None:
        self.choice = choice
        snapshots = [snapshot(), snapshot(denied_value="error")]
        self.authorities = [
            Authority(choice.choice(snapshots), frozenset(roles))
            for roles in (["shop_app"], ["support"], ["support", "staff"], ["clerk"], []) * 2
        ]
        claims = (("actor", "u42"), ("purpose", 'a "reason"'))
        self.origins = [
            SUPPORT,
            replace(SHOP, claimed=claims),
            replace(SHOP, login="cl\u202eerk", session="s9", tls=False),
        ]
        self.plans = [None, NOTHING, SELECT, FIND, JOIN, INSERT, *(self.plan() for _ in range(20))]
        self.texts = [None, text(""), text("SELECT \x00s"), text("SELECT 'x'"), text("SELECT a")]

    def plan(self) -> StatementPlan:
        choice = self.choice
        touches = [
            touch(choice.choice(list(TABLES)), choice.choice(list(Access)))
            for _ in range(choice.randint(0, 5))
        ]
        command = choice.choice(["SELECT", "INSERT", "UPDATE", "DELETE", "COPY", "EXPLAIN"])
        found = plan(*touches, command=command, run=choice.choice([*Run, Run.NOW]))
        copied = frozenset(column for column in TABLES if choice.random() < 0.1)
        recorded_as = choice.choice([None, None, "FETCH FROM c", "WITH x AS (INSERT) INSERT"])
        return replace(found, recorded_as=recorded_as, copied=copied)

    def execution(self, number: int) -> int:
        """Run both ways; the number of events."""
        choice = self.choice
        chosen = choice.choice(self.plans)
        words = choice.choice(self.texts)
        protocol: Protocol = choice.choice(["simple", "extended"])
        authority = choice.choice(self.authorities)
        sealed = {
            c: [choice.randbytes(8) for _ in range(choice.choice([0, 1, 9, 200]))]
            for c in TABLES
            if choice.random() < 0.3
        }
        fast = Execution(f"s-{number}", chosen, words, authority, protocol, sealed)
        as_told = words.text if words is not None else None
        if chosen is not None and chosen.recorded_as is not None:
            as_told = chosen.recorded_as
        plain = Plain(f"s-{number}", chosen, as_told, authority, protocol, sealed)
        events = 0
        origin = choice.choice(self.origins)
        for part in range(parts := choice.choice([1, 1, 1, 2, 4])):
            final = part == parts - 1
            self.rows(fast, plain)
            sqlstate = choice.choice([None, None, None, "23505", ""]) if final else None
            affected = choice.choice([None, 0, 1, 7]) if final else None
            end: dict[str, Any] = {"final": final, "sqlstate": sqlstate, "affected": affected}
            end["undone"] = sqlstate is not None and choice.random() < 0.7
            told = fast.events(origin, **end)
            same(told, origin, list(plain.events(origin, **end)))
            events += len(told)
            fast.release()
            plain.released()
        return events

    def rows(self, fast: Execution, plain: Plain) -> None:
        choice = self.choice
        columns = choice.sample(list(TABLES), choice.choice([0, 0, 1, 1, 2, 4]))
        outcomes: list[Outcome] = ["clear", "masked", "withheld", "compared"]
        carried = [(column, choice.choice(outcomes)) for column in columns]
        rows = choice.choice([0, 1, 1, 2, 90, 300])
        for _ in range(rows):
            fast.hold(b"row", 1)
            plain.rows += 1
            for column, outcome in carried:
                if choice.random() < 0.9:
                    version = None if outcome == "withheld" else choice.choice([1, 1, 1, 2, 11])
                    plain.cells.append((column, outcome, choice.randbytes(8), version))
        shown = {key for key in carried if choice.random() < 0.2}
        plain.untyped |= {(c, o) for c, o, _, _ in plain.cells if (c, o) in shown}
        self.count(fast.tally, plain)

    def count(self, tally: Tally, plain: Plain) -> None:
        """In batches, as rows do it."""
        for (column, outcome, version), run in groupby(plain.cells, lambda c: (c[0], c[1], c[3])):
            ids = [cell_id for _, _, cell_id, _ in run]
            use = tally.use(column, outcome)
            use.add(ids, version)
            use.untyped = (column, outcome) in plain.untyped


@pytest.mark.parametrize("cells", [0, 1, 256, 257, 100_000])
def test_every_id_is_told(cells: int) -> None:
    """In the event while they fit, else in the side file, by the hash that the event names: each column's own."""
    authority = Authority(snapshot(), frozenset(["shop_app"]))
    execution = Execution("s-1", JOIN, text("SELECT a"), authority, "extended")
    ids = [n.to_bytes(8, "big") for n in range(cells)]
    for column in (CARD, IBAN, EMAIL):
        execution.tally.use(column, "clear").add(ids[: cells // 2], 1)
        execution.tally.use(column, "clear").add(ids[cells // 2 :], 2)
    if cells:
        execution.tally.use(EMAIL, "masked").add(ids[:1], 1)
    entries = execution.events(SHOP, final=True)
    assert len(entries) == 3
    for entry in entries:
        fields = entry.event["unmapped"]["sealgate"]
        told = [(c["name"], c["outcome"], c["cells"]) for c in fields["columns"]]
        expected = [ids, ids[:1]] if told[0][0] == EMAIL and cells else [ids]
        assert [count for _, _, count in told] == [len(of) for of in expected]
        if sum(map(len, expected)) <= CELL_IDS_INLINE:
            assert not entry.cells
            hexadecimal = [[i.hex() for i in of] for of in expected]
            assert [c["cell_ids"] for c in fields["columns"]] == hexadecimal
            assert "cell_ids_file" not in fields
        else:
            assert entry.cells == b"".join(i for of in expected for i in of)
            digest = hashlib.sha256(entry.cells).hexdigest()
            assert fields["cell_ids_file"] == {"count": len(entry.cells) // 8, "sha256": digest}
            assert [c["cell_id_count"] for c in fields["columns"]] == [len(of) for of in expected]
            assert not any("cell_ids" in c for c in fields["columns"])


def test_a_copy_tells_what_it_sealed_in_parts() -> None:
    """Each id once: in the part before which it is sent, or in the last event."""
    authority = Authority(snapshot(), frozenset(["shop_app"]))
    copy = replace(INSERT, command="COPY")
    ids = [n.to_bytes(8, "big") for n in range(9)]
    sealed: dict[str, list[bytes]] = {EMAIL: ids[:4], SSN: ids[4:5]}
    execution = Execution("s-1", copy, text("COPY a FROM STDIN"), authority, "simple", sealed)
    (part,) = execution.sealed_part(SHOP)
    sealed[EMAIL].extend(ids[5:7])
    (last,) = execution.events(SHOP, final=True, affected=6)
    told = [columns_of(entry) for entry in (part, last)]
    assert told == [
        {EMAIL: (4, ids[:4]), SSN: (1, ids[4:5])},
        {EMAIL: (2, ids[5:7]), SSN: (0, [])},
    ]
    assert [entry.event["unmapped"]["sealgate"]["part"] for entry in (part, last)] == [1, 2]
    assert [entry.event["unmapped"]["sealgate"]["final"] for entry in (part, last)] == [False, True]


def columns_of(entry: Entry) -> dict[str, tuple[int, list[bytes]]]:
    columns = entry.event["unmapped"]["sealgate"]["columns"]
    return {c["name"]: (c["cells"], [bytes.fromhex(i) for i in c["cell_ids"]]) for c in columns}


@pytest.mark.parametrize(
    ("touched", "roles", "mode"),
    [
        ([IBAN], ["clerk"], AS_CONFIGURED),
        ([EMAIL], ["clerk"], ASYNC),
        ([SSN], ["clerk"], DURABLE),
        ([EMAIL, SSN], ["clerk"], DURABLE),
        ([EMAIL, IBAN], ["clerk"], ASYNC),
        ([IBAN], ["support"], ACK),
        ([EMAIL], ["support", "clerk"], ACK),
        ([SSN], ["support"], DURABLE),
        ([IBAN], ["batch", "clerk"], ASYNC),
        ([IBAN], ["batch", "support"], ACK),
        ([], ["clerk"], AS_CONFIGURED),
    ],
)
def test_the_strongest_mode_that_is_said(touched: list[str], roles: list[str], mode: int) -> None:
    """Of the columns that are touched and of the login's roles; if none says anything, as the log is configured."""
    columns = {column: {"type": "text", "mask": "null"} for column in TABLES}
    columns[EMAIL]["audit"] = "async"
    columns[SSN]["audit"] = "durable"
    said = {
        "support": {"clear": ["*"], "audit": "ack"},
        "clerk": {"clear": ["*"]},
        "batch": {"clear": ["*"], "audit": "async"},
    }
    authority = Authority(Snapshot(policy.load(columns, said, {}), CATALOG, KEYS), frozenset(roles))
    read = plan(*(touch(column, Access.READ) for column in touched))
    execution = Execution("s-1", read, text("SELECT a"), authority, "extended")
    if not touched:
        execution.tally.use(IBAN, "clear").add([bytes(8)], 1)
    entries = execution.events(SHOP, final=True)
    assert entries
    assert {entry.mode for entry in entries} == {mode}
    if not touched:  # A value that the plan did not tell of counts as well.
        execution.tally.use(SSN, "clear").add([bytes(8)], 1)
        assert {entry.mode for entry in execution.events(SHOP, final=True)} == {DURABLE}


HOSTILE = ("\0", '"\\u0000"', '"metadata":{', "\\", '"', "\n", "\u202e", "\ud800", "{}", '",')


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_look_like_a_place_to_fill_in(name: str) -> None:
    """A login, a column, a table or a statement cannot stand where a number belongs, nor end a string."""
    origin = replace(SUPPORT, login=name, application_name=name, database=name)
    uses = tuple(replace(use, column=f"public.{name}.{name}", rule=name) for use in READ.columns)
    done = replace(READ, table=f"public.{name}", columns=uses, statement=name, command=name)
    same([entry_of(origin, done)], origin, [done])


def test_the_log_writes_an_entry_as_the_event_it_is(tmp_path: Path) -> None:
    """The same line but for its number, whether it comes as JSON or as a dict."""
    log = AuditLog(tmp_path / "audit.jsonl", clock=lambda: 1_700_000_000_000)
    run = Execution("s-1", SELECT, text("SELECT a"), Authority(snapshot(), frozenset()), "simple")
    run.tally.use(SSN, "withheld").add([bytes(8)], None)
    entries = run.events(SUPPORT, final=True, sqlstate="23505", affected=1)
    log.write_entries(entries)
    log.write_all([entry.event for entry in entries])
    *_, first, second = (tmp_path / "audit.jsonl").read_bytes().splitlines()
    assert _unstamped(first) == _unstamped(second)
    sequences = [orjson.loads(line)["metadata"]["sequence"] for line in (first, second)]
    assert sequences[1] == sequences[0] + 1


def _unstamped(line: bytes) -> bytes:
    """Without what every event has of its own."""
    return re.sub(rb'"(?:uid|hash|prev)":"[0-9A-Za-z]{20,}"|"sequence":[0-9]+', b"", line)


def test_outlines_go_with_their_snapshot() -> None:
    """Sessions of the same roles share what is known of a statement; who goes on under another snapshot keeps nothing."""
    old = snapshot()
    first, second = (Authority(old, frozenset(["shop_app"])) for _ in range(2))
    one = old.outlines.get(SELECT, first, "SELECT a", "simple")
    assert old.outlines.get(SELECT, second, "SELECT a", "simple") is one
    other = Authority(old, frozenset(["support"]))
    assert old.outlines.get(SELECT, other, "SELECT a", "simple") is not one
    origin = replace(SUPPORT)
    Execution("s-1", SELECT, text("SELECT a"), first, "simple").events(origin, final=True)
    place = id(old)
    del old, first, second, one, other
    gc.collect()
    assert not [o for o in gc.get_objects() if isinstance(o, Snapshot) and id(o) == place]


def test_outlines_are_bounded() -> None:
    """Statements without number, and statements that are long or wide, do not fill the memory."""
    shop = snapshot()
    authority = Authority(shop, frozenset(["shop_app"]))
    known = Outlines()
    largest = 0
    for number in range(3000):
        known.get(SELECT, authority, f"SELECT {number} a", "simple")
        largest = max(largest, known.size)
    assert 1 << 20 < largest <= 4 << 20
    before = known.size
    known.get(SELECT, authority, "SELECT " + "a, " * 10_000, "simple")
    assert known.size == before


@pytest.mark.parametrize(
    ("accesses", "run", "answer"),
    [
        ((), Run.NOW, False),
        ((Access.PRESENCE,), Run.NOW, False),
        ((Access.PRESENCE, Access.READ), Run.NOW, True),
        ((Access.WRITE,), Run.NOW, True),
        ((Access.READ, Access.WRITE), Run.PLANNED, False),
        ((Access.READ, Access.COMPARE), Run.PLANNED, True),
        ((Access.READ, Access.COMPARE), Run.LATER, False),
    ],
)
def test_which_statements_are_recorded_whatever_they_give(
    accesses: tuple[Access, ...], run: Run, answer: bool
) -> None:
    """Those that read, compare or write when they run; comparing alone, where only an estimate is shown."""
    assert recorded(plan(*(touch(EMAIL, access) for access in accesses), run=run)) is answer


def test_the_judge_is_awake() -> None:
    """The plain way differs where the execution does."""
    for change in ({"rows": 4}, {"final": False}, {"sqlstate": "23505"}, {"command": "UPDATE"}):
        assert plainly(SUPPORT, replace(READ, **change)) != executed(SUPPORT, READ)
