"""A policy as frozen values: which columns are sealed, and what each role may do with them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType
from typing import Any, Final, Literal

from policy.label import covers, quoted
from policy.search import Search

Audit = Literal["async", "ack", "durable"]
AUDIT: Final[tuple[Audit, ...]] = ("async", "ack", "durable")
"""Weakest first."""
_NO_SEARCH: Final = Search()


class Access(Enum):
    """What a statement does with a column. PRESENCE is IS [NOT] NULL and count(column)."""

    READ = "read"
    COMPARE = "compare"
    WRITE = "write"
    PRESENCE = "presence"


class Grant(Enum):
    """What a role may be given on a column."""

    CLEAR = "clear"
    MASKED = "masked"
    SEARCH = "search"
    WRITE = "write"


class Outcome(Enum):
    """What a decision says. A read is CLEAR, MASKED or WITHHELD; the rest is ALLOWED or DENIED."""

    CLEAR = "clear"
    MASKED = "masked"
    WITHHELD = "withheld"
    ALLOWED = "allowed"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class Decision:
    """An outcome, the configuration key it came from, and a sentence for people."""

    outcome: Outcome
    rule: str  # "roles.support.masked" or "default.deny"
    reason: str


@dataclass(frozen=True, slots=True)
class ColumnRule:
    """A sealed column as declared. `mask` is the text of the configuration, checked at load."""

    column: str
    type: str
    search: Search = _NO_SEARCH
    mask: str | None = None
    search_group: str | None = None
    """Columns of one group share an index key: their terms can be compared with one another."""
    audit: Audit | None = None
    """What has to have become of the event before rows of this column are released; None: as for all others."""


@dataclass(frozen=True, slots=True)
class RoleGrants:
    """What one role was granted: labels, or `schema.table.*`, `schema.*`, `*`."""

    clear: tuple[str, ...] = ()
    masked: tuple[str, ...] = ()
    search: tuple[str, ...] = ()
    write: tuple[str, ...] = ()
    audit: Audit | None = None
    """The same, for whatever the role's logins do."""

    def patterns(self, grant: Grant) -> tuple[str, ...]:
        granted: tuple[str, ...] = getattr(self, grant.value)
        return granted


@dataclass(frozen=True, slots=True)
class Policy:
    """Everything a decision needs. Made by `policy.load`, which checks what this class trusts."""

    columns: Mapping[str, ColumnRule]
    roles: Mapping[str, RoleGrants]
    denied_value: Literal["null", "error"] = "null"
    unused: tuple[str, ...] = ()  # wildcard grants that mean no column yet: "roles.x.clear: a.*"
    version: str = field(init=False)  # hash of what the policy says, in any order and spelling
    holders: Mapping[str, Mapping[Grant, tuple[str, ...]]] = field(init=False, repr=False)
    """Per column and grant, the roles that hold it, sorted: patterns resolved once."""

    def __post_init__(self) -> None:
        frozen: dict[str, Any] = {
            "columns": MappingProxyType(dict(self.columns)),
            "roles": MappingProxyType(dict(self.roles)),
            "version": _version(self),
            "holders": MappingProxyType(_holders(self)),
        }
        for name, value in frozen.items():
            object.__setattr__(self, name, value)


def rule_name(role: str, grant: Grant) -> str:
    """The configuration key of a grant: `roles.support.masked`."""
    return f"roles.{quoted(role)}.{grant.value}"


def _holders(policy: Policy) -> dict[str, Mapping[Grant, tuple[str, ...]]]:
    return {
        column: MappingProxyType(
            {
                grant: tuple(
                    sorted(
                        role
                        for role, grants in policy.roles.items()
                        if any(covers(pattern, column) for pattern in grants.patterns(grant))
                    )
                )
                for grant in Grant
            }
        )
        for column in policy.columns
    }


def _version(policy: Policy) -> str:
    content = {
        "columns": {
            label: [
                rule.type,
                sorted(rule.search.declared),
                rule.mask,
                *_group(rule),
                *_audit(rule),
            ]
            for label, rule in policy.columns.items()
        },
        "roles": {
            role: {
                **{grant.value: sorted(set(grants.patterns(grant))) for grant in Grant},
                **{said: [] for said in _audit(grants)},
            }
            for role, grants in policy.roles.items()
        },
        "denied_value": policy.denied_value,
    }
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _group(rule: ColumnRule) -> tuple[str, ...]:
    return (rule.search_group,) if rule.search_group is not None else ()


def _audit(rule: ColumnRule | RoleGrants) -> tuple[str, ...]:
    return (f"audit={rule.audit}",) if rule.audit is not None else ()
