"""Executions and their events against the plain way of making them (`tests.audit.plain`)."""

from __future__ import annotations

import gc
import random
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings

import policy
from policy import Access
from proxy.audit.event import Event, Origin, Outcome, Protocol
from proxy.audit.log import AuditLog
from proxy.audit.values import CELL_IDS_INLINE
from proxy.execution import Execution, recorded
from proxy.outline import Outlines
from proxy.snapshot import Authority, Snapshot
from proxy.sql.lexer import Stripped
from proxy.sql.plan import Action, Run, StatementPlan, Touch
from proxy.tally import Tally
from tests.audit.examples import READ, SHOP, SUPPORT, executed
from tests.audit.plain import Plain, plainly
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


def same(events: list[Event], plain: list[Event]) -> None:
    """Equal, also as JSON text: the same fields in the same order."""
    assert [orjson.dumps(event) for event in events] == [orjson.dumps(event) for event in plain]


@settings(max_examples=400, deadline=None)
@given(origin=ORIGINS, done=EXECUTIONS)
def test_a_filled_template_is_the_event_written_down_plainly(origin: Origin, done: Any) -> None:
    """Byte by byte, whatever strings it is made of."""
    same([executed(origin, done)], [plainly(origin, done)])


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
        self.origins = [SUPPORT, SHOP, replace(SHOP, login="cl\u202eerk", session="s9", tls=False)]
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
        return replace(found, recorded_as=choice.choice([None, None, "FETCH FROM c"]))

    def execution(self, number: int) -> int:
        """Run both ways; the number of events."""
        choice = self.choice
        chosen = choice.choice(self.plans)
        words = choice.choice(self.texts)
        protocol: Protocol = choice.choice(["simple", "extended"])
        authority = choice.choice(self.authorities)
        sealed = {c: choice.randint(0, 9) for c in TABLES if choice.random() < 0.3}
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
            told = [
                entry.event
                for entry in fast.events(origin, final=final, sqlstate=sqlstate, affected=affected)
            ]
            same(
                told, list(plain.events(origin, final=final, sqlstate=sqlstate, affected=affected))
            )
            events += len(told)
            fast.release()
            plain.released()
        return events

    def rows(self, fast: Execution, plain: Plain) -> None:
        choice = self.choice
        columns = choice.sample(list(TABLES), choice.choice([0, 0, 1, 1, 2, 4]))
        outcomes: list[Outcome] = ["clear", "masked", "withheld"]
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
            use.add(len(ids), ids[:CELL_IDS_INLINE], version)
            use.untyped = (column, outcome) in plain.untyped


def test_a_tally_keeps_no_more_ids_than_an_event_shows() -> None:
    """All cells count; the event names the first 256 and says that there were more."""
    authority = Authority(snapshot(), frozenset(["shop_app"]))
    for cells, complete in ((256, True), (257, False), (100_000, False)):
        execution = Execution("s-1", SELECT, text("SELECT a"), authority, "extended")
        ids = [n.to_bytes(8, "big") for n in range(200)]
        execution.tally.use(EMAIL, "clear").add(200, ids, 1)
        execution.tally.use(EMAIL, "clear").add(cells - 200, ids[:100], 1)
        assert len(execution.tally.ids[EMAIL]) == CELL_IDS_INLINE
        (entry,) = execution.events(SHOP, final=True)
        fields = entry.event["unmapped"]["sealgate"]
        assert fields["cells"] == cells
        assert fields["cell_ids"] == [i.hex() for i in (ids + ids)[:CELL_IDS_INLINE]]
        assert fields["cell_ids_complete"] is complete


HOSTILE = ("\0", '"\\u0000"', '"metadata":{', "\\", '"', "\n", "\u202e", "\ud800", "{}", '",')


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_look_like_a_place_to_fill_in(name: str) -> None:
    """A login, a column, a table or a statement cannot stand where a number belongs, nor end a string."""
    origin = replace(SUPPORT, login=name, application_name=name, database=name)
    uses = tuple(replace(use, column=f"public.{name}.{name}", rule=name) for use in READ.columns)
    done = replace(READ, table=f"public.{name}", columns=uses, statement=name, command=name)
    same([executed(origin, done)], [plainly(origin, done)])


def test_the_log_writes_an_entry_as_the_event_it_is(tmp_path: Path) -> None:
    """The same line but for its number, whether it comes as JSON or as a dict."""
    log = AuditLog(tmp_path / "audit.jsonl", clock=lambda: 1_700_000_000_000)
    run = Execution("s-1", SELECT, text("SELECT a"), Authority(snapshot(), frozenset()), "simple")
    run.tally.use(SSN, "withheld").add(1, [bytes(8)], None)
    entries = run.events(SUPPORT, final=True, sqlstate="23505", affected=1)
    log.write_entries(entries)
    log.write_all([entry.event for entry in entries])
    first, second = (tmp_path / "audit.jsonl").read_bytes().splitlines()
    uid = orjson.loads(second)["metadata"]["uid"].encode()
    assert orjson.loads(first)["metadata"]["uid"].encode()[:-1] == uid[:-1]
    assert first[: first.index(b'"uid"')] == second[: second.index(b'"uid"')]
    assert first[first.index(b'"log_source"') :] == second[second.index(b'"log_source"') :]
    assert [orjson.loads(line)["metadata"]["sequence"] for line in (first, second)] == [1, 2]


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
