"""May these roles do this with this column? A pure function of its arguments; deny by default.

A login's roles are the login and every group it is a member of; it has the union of their grants,
and the widest wins. `clear` implies search, not write; `masked` implies neither. As in Cedar, a
decision is a value that names the rule it rests on, so that log, `explain` and error agree.
"""

from __future__ import annotations

from collections.abc import Set
from typing import Final

from policy.model import Access, Decision, Grant, Outcome, Policy, rule_name

DENY_BY_DEFAULT: Final = "default.deny"

# Per access, the grants that allow it, widest first, and what each makes of it.
_ALLOWED_BY: Final = {
    Access.READ: ((Grant.CLEAR, Outcome.CLEAR), (Grant.MASKED, Outcome.MASKED)),
    Access.COMPARE: ((Grant.CLEAR, Outcome.ALLOWED), (Grant.SEARCH, Outcome.ALLOWED)),
    Access.WRITE: ((Grant.WRITE, Outcome.ALLOWED),),
    Access.PRESENCE: (
        (Grant.CLEAR, Outcome.ALLOWED),
        (Grant.MASKED, Outcome.ALLOWED),
        (Grant.SEARCH, Outcome.ALLOWED),
    ),
}


def decide(policy: Policy, roles: Set[str], column: str, access: Access) -> Decision:
    """The decision for a login with `roles` on the column with this label."""
    holders = policy.holders.get(column)
    if holders is None:
        return _denied(access, f"{column} is not declared in the configuration")
    allowed_by = _ALLOWED_BY[access]
    for grant, outcome in allowed_by:
        for role in holders[grant]:
            if role in roles:
                return _granted(policy, role, grant, outcome, column)
    wanted = " or ".join(grant.value for grant, _ in allowed_by)
    return _denied(access, f"none of the login's roles is granted {wanted} on {column}")


def _granted(policy: Policy, role: str, grant: Grant, outcome: Outcome, column: str) -> Decision:
    rule = rule_name(role, grant)
    if outcome is Outcome.MASKED and policy.columns[column].mask is None:
        # `load` refuses this; a policy built otherwise still shows nothing.
        return Decision(
            Outcome.WITHHELD, rule, f"role {role} is granted masked on {column}, which has no mask"
        )
    return Decision(outcome, rule, f"role {role} is granted {grant.value} on {column}")


def _denied(access: Access, reason: str) -> Decision:
    outcome = Outcome.WITHHELD if access is Access.READ else Outcome.DENIED
    return Decision(outcome, DENY_BY_DEFAULT, reason)
