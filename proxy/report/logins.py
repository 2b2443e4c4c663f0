"""The database's logins and roles, as far as an access review speaks of them: plain values. `roles` fills them in."""

from __future__ import annotations

from dataclasses import dataclass, field

from proxy.database.finding import Finding


@dataclass(frozen=True, slots=True)
class Login:
    login: str
    powers: tuple[str, ...]
    """superuser, bypassrls, replication, createrole"""
    expired: bool
    roles: tuple[str, ...]
    """Of the policy's, those that it is or is a member of."""


@dataclass(frozen=True, slots=True)
class Roles:
    """The database's word. `existing`: of the policy's roles, those that PostgreSQL has. `readers`: column -> logins that
    PostgreSQL lets SELECT it, superusers not counted. `findings`: SG040 to SG056 of `sealgate check`."""

    logins: tuple[Login, ...]
    existing: frozenset[str]
    readers: dict[str, frozenset[str]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()
