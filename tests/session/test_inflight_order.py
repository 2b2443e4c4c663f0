"""The queue of what the server owes against a plain list that is kept by the same rules."""

from __future__ import annotations

import random

from proxy.execution import SimpleQuery
from proxy.inflight import Inflight, Kind, Owed
from proxy.inquiry import Inquiry
from proxy.sql.lexer import Stripped
from proxy.sql.plan import Action, StatementPlan

KINDS = (Kind.BIND, Kind.EXECUTE, Kind.SYNC, Kind.QUERY, Kind.COPY_END)


SELECT = StatementPlan(Action.FORWARD, ("SELECT 1;",), "SELECT")
RELAYED = StatementPlan(Action.FORWARD, ("COPY plain FROM STDIN;",), "COPY")
WITHHELD = StatementPlan(Action.REFUSE, ("COPY customers FROM STDIN;",), "COPY")


def a_query(chance: random.Random) -> SimpleQuery:
    plans = tuple(
        chance.choices([SELECT, SELECT, RELAYED, WITHHELD], k=chance.choice([0, 1, 1, 2]))
    )
    return SimpleQuery(plans, Stripped("".join(str(plan.pieces[0]) for plan in plans), ()))


class Model:
    """What is owed, COPY_ENDs among it."""

    def __init__(self) -> None:
        self.owed: list[Owed] = []

    def settle(self) -> None:
        """A COPY_END is passed over once it comes to the front."""
        while self.owed and self.owed[0].kind == Kind.COPY_END:
            del self.owed[0]

    def fail(self) -> None:
        if self.owed and not self.owed[0].kind & (Kind.SYNC | Kind.QUERY):
            ends = [i for i, owed in enumerate(self.owed) if owed.kind == Kind.SYNC]
            self.owed = self.owed[ends[0] :] if ends else []

    def begin_copy_in(self) -> None:
        kinds = [owed.kind for owed in self.owed]
        end = kinds.index(Kind.COPY_END) if Kind.COPY_END in kinds else len(kinds)
        kept = [owed for owed in self.owed[:end] if owed.kind != Kind.SYNC]
        self.owed = kept + self.owed[end:]


def test_the_queue_is_what_a_list_by_the_same_rules_is() -> None:
    """Entries come out in their order and none twice, whatever of them an error or a copy takes out of the middle."""
    for seed in range(300):
        chance = random.Random(seed)
        inflight, model = Inflight(), Model()
        for _ in range(60):
            act = chance.choice(
                ["push", "push", "push", "pop", "pop", "done", "done", "fail", "copy", "take"]
            )
            head = inflight.head
            if act == "push":
                kind = chance.choice(KINDS)
                owed = Owed(kind, query=a_query(chance) if kind == Kind.QUERY else None)
                if kind == Kind.EXECUTE and chance.random() < 0.4:
                    owed.inquiry = Inquiry(catalog=False)
                if not (owed.kind == Kind.SYNC and inflight.copy_in):
                    model.owed.append(owed)
                inflight.push(owed)
            elif act == "pop":
                assert inflight.pop() is head
                del model.owed[:1]
            elif act == "done" and head is not None and head.query is not None:
                head.query.completed()
            elif act == "fail":
                inflight.fail()
                model.fail()
            elif act == "copy" and head is not None and head.kind == Kind.EXECUTE:
                inflight.begin_copy_in()
                model.begin_copy_in()
            elif act == "take" and chance.random() < 0.05:
                awaited = [owed for owed in model.owed if owed.kind != Kind.COPY_END]
                assert inflight.take_all() == awaited, seed
                model.owed = []
            model.settle()
            assert list(inflight) == model.owed, seed
            assert len(inflight) == len(model.owed), seed
            assert inflight.head is (model.owed[0] if model.owed else None), seed
            runs = [owed for owed in model.owed if owed.kind in (Kind.EXECUTE, Kind.QUERY)]
            assert inflight.executing == len(runs), seed
            assert inflight.awaits_copy == any(o.withholds_copy for o in model.owed), seed
            assert inflight.may_relay_copy == any(o.may_relay_copy for o in model.owed), seed
            assert inflight.inquiring == any(o.inquiry is not None for o in model.owed), seed


def test_a_long_queue_can_be_let_go_of_as_it_is() -> None:
    """The entries are a chain: its end is not the end of the process."""
    inflight = Inflight()
    for _ in range(200_000):
        inflight.push(Owed(Kind.QUERY))
    assert inflight.deep
    del inflight
