"""The trigger that `sealgate apply` makes comes with every dump: it is restored through the proxy, and nothing that is like it."""

from __future__ import annotations

import pytest

from proxy.database.history import HistoryFacts, HistoryMember, KeyColumn, triggers
from proxy.sql.plan import Action
from proxy.sql.planner import Planner
from tests.sql import shop

PLANNER = Planner(shop.CATALOG)
GOOD = (
    "CREATE TRIGGER sealgate_history_update AFTER UPDATE ON public.customers FOR EACH ROW"
    " WHEN (record_image_ne(ROW(old.email, old.id), ROW(new.email, new.id)))"
    " EXECUTE FUNCTION sealgate.history_0123456789abcdef()"
)


def actions(sql: str) -> list[Action]:
    plan, _ = PLANNER.plan(sql, shop.PATH)
    return [statement.action for statement in plan.statements]


@pytest.mark.parametrize(
    ("label", "printed", "sealed"),
    [
        ("public.customers", "public.customers", {"email": "email", "ssn": "ssn"}),
        (
            'public."Odd Table"',
            'public."Odd Table"',
            {"E Mail": '"E Mail"', 'quo"te': '"quo""te"', "a, old.b": '"a, old.b"'},
        ),
    ],
)
def test_what_apply_makes_is_forwarded(label: str, printed: str, sealed: dict[str, str]) -> None:
    """As pg_dump prints it, by whatever names; so the two cannot drift apart."""
    key = KeyColumn("id", "id", "integer", not_null=True, sealed=False)
    facts = HistoryFacts(label, (HistoryMember(label, printed, "r"),), primary_key=(key,))
    made = [trigger.definition for trigger in triggers(facts, sealed)]
    assert len(made) == 3
    assert [actions(one) for one in made] == [[Action.FORWARD]] * 3
    assert actions(";\n".join(made) + ";") == [Action.FORWARD] * 3


FUNCTION = "sealgate.history_0123456789abcdef()"
NEAR: list[tuple[str, str]] = [
    (FUNCTION, "public.history_0123456789abcdef()"),
    (FUNCTION, "history_0123456789abcdef()"),
    (FUNCTION, "shop.sealgate.history_0123456789abcdef()"),
    (FUNCTION, '"Sealgate".history_0123456789abcdef()'),
    (FUNCTION, '"sealgate.history_0123456789abcdef"()'),
    (FUNCTION, 'sealgate."history_0123456789abcdef "()'),
    (FUNCTION, 'sealgate."x"history_0123456789abcdef()'),
    (FUNCTION, 'U&"sealgat\\0065x".history_0123456789abcdef()'),
    (FUNCTION, "sealgate.history_0123456789abcde()"),
    (FUNCTION, "sealgate.history_0123456789abcdef0()"),
    (FUNCTION, "sealgate.history_0123456789abcdeg()"),
    (FUNCTION, "sealgate.xhistory_0123456789abcdef()"),
    (FUNCTION, "sealgate.eq()"),
    (FUNCTION, "sealgate.history_0123456789abcdef('x')"),
    (FUNCTION, f"{FUNCTION} , x"),
    (FUNCTION, f"public.f() /* {FUNCTION} */"),
    (FUNCTION, f"public.f() -- {FUNCTION}"),
    (FUNCTION, f'public.f("{FUNCTION}")'),
    (FUNCTION, f"public.f() EXECUTE FUNCTION {FUNCTION}"),
    ("sealgate_history_update", "mine"),
    ("sealgate_history_update", '"x sealgate_history_update"'),
    ("AFTER", "BEFORE"),
    ("AFTER UPDATE", "AFTER UPDATE OR INSERT"),
    ("AFTER UPDATE", "AFTER UPDATE OF email"),
    ("FOR EACH ROW", "FOR EACH STATEMENT"),
    ("FOR EACH ROW", "REFERENCING OLD TABLE AS o FOR EACH ROW"),
    ("record_image_ne", "public.record_image_ne"),
    ("record_image_ne", "record_image_eq"),
    ("record_image_ne", '"record_image_ne "'),
    ("(record_image_ne", "(new.email = 'x' OR record_image_ne"),
    ("new.id)))", "new.id)) OR new.email = 'x')"),
    ("new.id)))", "new.id)) AND leaks(new.email))"),
    ("new.id)))", "new.id, 'x')))"),
    ("new.id)))", "new.id, 1)))"),
    ("new.id)))", "new.name)))"),
    ("new.id)))", "new.id, new.name)))"),
    ("new.id)))", "lower(new.id))))"),
    ("new.email", "'x'"),
    ("new.email", "new.email::text"),
    ("new.email", "old.email"),
    ("new.email", "$1"),
    ("ROW(new.email, new.id)", "new"),
]


@pytest.mark.parametrize(("part", "other"), NEAR)
def test_nothing_that_is_like_it(part: str, other: str) -> None:
    """Another schema, function, name, time or condition, and quotes and comments that look like it: refused as ever."""
    assert actions(GOOD) == [Action.FORWARD]
    assert part in GOOD
    assert actions(GOOD.replace(part, other)) == [Action.REFUSE]


def test_each_statement_of_a_message_is_judged_by_itself() -> None:
    """Beside the one that may pass, another is still refused; nor does it lend its words to one."""
    bad = GOOD.replace(FUNCTION, "public.f()")
    assert Action.REFUSE in actions(f"{GOOD}; {bad}")
    assert Action.REFUSE in actions(f"{bad}; {GOOD}")
    assert actions(f"CREATE SCHEMA s {GOOD}") == [Action.REFUSE]
    assert actions(f"EXPLAIN {GOOD}") == [Action.REFUSE]
