"""Decisions: deny by default, the widest grant wins, and every decision names its rule."""

from __future__ import annotations

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy import Access, Outcome, Policy, PolicyError, decide, load
from policy.model import ColumnRule, Grant, RoleGrants

EMAIL, SSN, BIRTH = (f"public.customers.{name}" for name in ("email", "ssn", "birth_date"))
NOTE = "clinic.visits.note"
COLUMNS = {
    EMAIL: {"type": "text", "search": ["equality"], "mask": "email"},
    SSN: {"type": "text", "mask": "keep_last:4"},
    BIRTH: {"type": "date", "mask": "year"},
    NOTE: {"type": "text", "mask": "null"},
}
POLICY = load(
    COLUMNS,
    {
        "shop_app": {"clear": ["public.customers.*"], "write": ["public.customers.*"]},
        "support": {"clear": [EMAIL], "masked": [SSN, BIRTH]},
        "matcher": {"search": [EMAIL]},
        "importer": {"write": ["public.*"]},
        "auditor": {"masked": ["*"]},
        "Odd Role": {"clear": [NOTE]},
    },
    {},
)

# roles, column -> read, compare, write, presence
EXPECTED = [
    ({"shop_app"}, SSN, "clear allowed allowed allowed"),
    ({"support"}, EMAIL, "clear allowed denied allowed"),
    ({"support"}, SSN, "masked denied denied allowed"),
    ({"support"}, NOTE, "withheld denied denied denied"),
    ({"matcher"}, EMAIL, "withheld allowed denied allowed"),
    ({"matcher"}, SSN, "withheld denied denied denied"),
    ({"importer"}, SSN, "withheld denied allowed denied"),
    ({"importer"}, NOTE, "withheld denied denied denied"),
    ({"auditor"}, NOTE, "masked denied denied allowed"),
    ({"auditor", "shop_app"}, SSN, "clear allowed allowed allowed"),
    ({"auditor", "importer"}, SSN, "masked denied allowed allowed"),
    ({"auditor", "matcher"}, EMAIL, "masked allowed denied allowed"),
    ({"Odd Role", "support"}, NOTE, "clear allowed denied allowed"),
    (set(), EMAIL, "withheld denied denied denied"),
    ({"nobody", "Support", "odd role"}, EMAIL, "withheld denied denied denied"),
    ({"shop_app"}, "public.customers.phone", "withheld denied denied denied"),
    ({"auditor"}, "public.other.column", "withheld denied denied denied"),
    ({"shop_app"}, "", "withheld denied denied denied"),
]


@pytest.mark.parametrize(("roles", "column", "outcomes"), EXPECTED)
def test_decisions(roles: set[str], column: str, outcomes: str) -> None:
    """The union of the roles' grants, and nothing that none of them grants."""
    decided = [decide(POLICY, frozenset(roles), column, access) for access in Access]
    assert [decision.outcome.value for decision in decided] == [
        outcomes.split()[n] for n in (0, 1, 2, 3)
    ]


def test_access_is_in_the_order_of_the_table_above() -> None:
    """Guards the table: a new access must be decided in it."""
    assert [access.name for access in Access] == ["READ", "COMPARE", "WRITE", "PRESENCE"]


@pytest.mark.parametrize(
    ("roles", "column", "access", "rule"),
    [
        ({"support"}, SSN, Access.READ, "roles.support.masked"),
        ({"support", "shop_app"}, SSN, Access.READ, "roles.shop_app.clear"),
        ({"support", "shop_app"}, EMAIL, Access.READ, "roles.shop_app.clear"),
        ({"matcher", "auditor"}, EMAIL, Access.COMPARE, "roles.matcher.search"),
        ({"importer"}, EMAIL, Access.WRITE, "roles.importer.write"),
        ({"Odd Role"}, NOTE, Access.READ, 'roles."Odd Role".clear'),
        ({"importer"}, EMAIL, Access.READ, "default.deny"),
        (set(), "a.b.c", Access.WRITE, "default.deny"),
    ],
)
def test_a_decision_names_its_rule(roles: set[str], column: str, access: Access, rule: str) -> None:
    """The rule is a key of the configuration; of several that allow as much, the first by name."""
    decision = decide(POLICY, frozenset(roles), column, access)
    assert decision.rule == rule
    assert column in decision.reason


def test_reasons_say_what_to_grant() -> None:
    """A denial names the grants that would have allowed it; no other column or role is named."""
    decision = decide(POLICY, frozenset({"importer"}), EMAIL, Access.COMPARE)
    assert decision.reason == f"none of the login's roles is granted clear or search on {EMAIL}"
    decision = decide(POLICY, frozenset({"support"}), SSN, Access.READ)
    assert decision.reason == f"role support is granted masked on {SSN}"
    decision = decide(POLICY, frozenset({"support"}), "a.b.c", Access.READ)
    assert decision.reason == "a.b.c is not declared in the configuration"


def test_a_mask_that_is_not_there_withholds() -> None:
    """A policy built by hand, which load would refuse, shows nothing in place of a missing mask."""
    policy = Policy({SSN: ColumnRule(SSN, "text")}, {"a": RoleGrants(masked=(SSN,))})
    decision = decide(policy, frozenset({"a"}), SSN, Access.READ)
    assert (decision.outcome, decision.rule) == (Outcome.WITHHELD, "roles.a.masked")


WIDTH = [Outcome.DENIED, Outcome.WITHHELD, Outcome.MASKED, Outcome.CLEAR, Outcome.ALLOWED]
ROLES = st.frozensets(st.sampled_from([*POLICY.roles, "nobody"]))


@given(
    roles=ROLES,
    more=ROLES,
    column=st.sampled_from([*COLUMNS, "a.b.c"]),
    access=st.sampled_from(Access),
)
def test_more_roles_never_narrow(
    roles: frozenset[str], more: frozenset[str], column: str, access: Access
) -> None:
    """What a set of roles may do, every larger set may, and no more than one of them alone may."""
    width = WIDTH.index(decide(POLICY, roles, column, access).outcome)
    wider = WIDTH.index(decide(POLICY, roles | more, column, access).outcome)
    assert width <= wider
    alone = [decide(POLICY, frozenset({role}), column, access).outcome for role in roles | more]
    none = decide(POLICY, frozenset(), column, access).outcome
    assert wider == max(map(WIDTH.index, [*alone, none]))


GRANTS = st.sets(
    st.sampled_from(["*", "public.*", "public.customers.*", "clinic.visits.*", EMAIL, NOTE])
)


@given(
    granted=st.fixed_dictionaries(dict.fromkeys(Grant, GRANTS)),
    column=st.sampled_from(list(COLUMNS)),
    access=st.sampled_from(Access),
)
def test_decisions_agree_with_the_words_of_the_interface(
    granted: dict[Grant, set[str]], column: str, access: Access
) -> None:
    """Against a second, naive reading of the interface page, for any grants of one role."""

    def holds(grant: Grant) -> bool:
        schema, table, _ = column.split(".")
        return bool(granted[grant] & {"*", f"{schema}.*", f"{schema}.{table}.*", column})

    policy = Policy(
        POLICY.columns, {"r": RoleGrants(**{g.value: tuple(granted[g]) for g in Grant})}
    )
    outcome = decide(policy, frozenset({"r", "other"}), column, access).outcome
    if access is Access.READ:
        expected = (
            "clear" if holds(Grant.CLEAR) else "masked" if holds(Grant.MASKED) else "withheld"
        )
        assert outcome.value == expected
    else:
        allowed = {
            Access.COMPARE: holds(Grant.CLEAR) or holds(Grant.SEARCH),
            Access.WRITE: holds(Grant.WRITE),
            Access.PRESENCE: holds(Grant.CLEAR) or holds(Grant.MASKED) or holds(Grant.SEARCH),
        }[access]
        assert outcome is (Outcome.ALLOWED if allowed else Outcome.DENIED)


def test_a_policy_cannot_be_changed() -> None:
    """Sessions share one policy: its mappings are read-only, and its own copies."""
    columns = {EMAIL: ColumnRule(EMAIL, "text")}
    roles = {"a": RoleGrants()}
    policy = Policy(columns, roles)
    roles["a"] = RoleGrants(clear=("*",))
    assert decide(policy, frozenset({"a"}), EMAIL, Access.READ).outcome is Outcome.WITHHELD
    for mapping in (policy.columns, policy.roles, policy.holders, policy.holders[EMAIL]):
        with pytest.raises(TypeError):
            mapping["x"] = None  # type: ignore[index]
    with pytest.raises(AttributeError):
        policy.denied_value = "error"  # type: ignore[misc]


# --- version


def test_the_version_is_stable() -> None:
    """It names a policy in logs that outlive this release: a change of the hash is a decision."""
    assert POLICY.version == "71d3fcefa2427909"


def test_the_version_follows_the_meaning_and_not_the_spelling() -> None:
    """Order, repetition and empty lists say nothing; every grant, mask and type does."""

    def version(columns: object = COLUMNS, roles: object = None, policy: object = None) -> str:
        given = {"a": {"clear": [EMAIL, SSN]}, "b": {"masked": ["*"]}} if roles is None else roles
        return load(columns, given, policy or {}).version  # type: ignore[arg-type]

    same = [
        version(),
        version(columns=dict(reversed(COLUMNS.items()))),
        version(roles={"b": {"masked": ["*", "*"], "write": []}, "a": {"clear": [SSN, EMAIL]}}),
        version(policy={"denied_value": "null"}),
    ]
    assert len(set(same)) == 1
    others = [
        version(policy={"denied_value": "error"}),
        version(roles={"a": {"clear": [EMAIL]}, "b": {"masked": ["*"]}}),
        version(roles={"a": {"clear": [EMAIL, SSN]}}),
        version(roles={"b": {"clear": [EMAIL, SSN]}, "a": {"masked": ["*"]}}),
        version(columns={**COLUMNS, SSN: {"type": "text", "mask": "keep_last:2"}}),
        version(columns={**COLUMNS, SSN: {"type": "varchar(11)", "mask": "keep_last:4"}}),
        version(columns={**COLUMNS, EMAIL: {"type": "text", "mask": "email"}}),
    ]
    assert len({same[0], *others}) == len(others) + 1


def test_every_pair_of_roles_is_decided_alike_in_any_order() -> None:
    """frozenset or set, any order: a decision depends on membership only."""
    for pair in combinations(POLICY.roles, 2):
        for access in Access:
            one = decide(POLICY, frozenset(pair), EMAIL, access)
            assert one == decide(POLICY, set(pair), EMAIL, access)


def test_errors_are_of_the_configuration() -> None:
    """PolicyError has the three parts that the command line prints."""
    error = PolicyError("roles.x", "is wrong", "Write y.")
    assert (error.key, error.problem, error.fix) == ("roles.x", "is wrong", "Write y.")
    assert str(error) == "roles.x: is wrong. Write y."
