"""What a policy gives, as data that may be shown and kept: for the access log, so that later ones can be compared with it.

    {"columns": [{"name", "type", "search": [...], "mask", "search_group", "audit"}, ...],
     "denied_value": "null",
     "roles": [{"name", "clear": [...], "masked": [...], "search": [...], "write": [...], "audit"}, ...]}

Grants are as written: labels and wildcards. The text of a mask `constant:TEXT` is left out. Members that say nothing are
left out. Equal policies have equal summaries, in whatever order they are written.
"""

from __future__ import annotations

from typing import Any

from policy.model import ColumnRule, Grant, Policy, RoleGrants


def summary(policy: Policy) -> dict[str, Any]:
    """JSON-shaped; lists are sorted."""
    return {
        "columns": [_column(policy.columns[label]) for label in sorted(policy.columns)],
        "denied_value": policy.denied_value,
        "roles": [_role(name, policy.roles[name]) for name in sorted(policy.roles)],
    }


def _column(rule: ColumnRule) -> dict[str, Any]:
    said: dict[str, Any] = {"name": rule.column, "type": rule.type}
    if rule.search:
        said["search"] = sorted(rule.search.declared)
    if rule.mask is not None:
        kind, _, argument = rule.mask.partition(":")
        said["mask"] = kind if kind == "constant" or not argument else rule.mask
    if rule.search_group is not None:
        said["search_group"] = rule.search_group
    if rule.audit is not None:
        said["audit"] = rule.audit
    return said


def _role(name: str, grants: RoleGrants) -> dict[str, Any]:
    patterns = {grant.value: sorted(set(grants.patterns(grant))) for grant in Grant}
    said: dict[str, Any] = {"name": name}
    said |= {grant: found for grant, found in patterns.items() if found}
    if grants.audit is not None:
        said["audit"] = grants.audit
    return said
