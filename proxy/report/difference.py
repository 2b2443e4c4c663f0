"""What one policy gives that another did not, by their summaries (`policy.summary`, as `policy.loaded` keeps them).

Wildcards are resolved against each summary's own columns, so that declaring a column shows who is given it by `*`. A change
widens if afterwards somebody can do more, or the database is told more.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from policy import Grant
from policy.label import covers
from proxy.audit.text import LABEL_CAP
from proxy.report.read import listed, mapping, text

_COLUMNS: Final = 10_000
"""Read of a summary: more than any policy that an event holds."""


@dataclass(frozen=True, slots=True)
class Change:
    """`what`: added, removed, widened, narrowed, changed. `subject`: a column's label, `roles.support`, `policy.denied_value`."""

    what: str
    subject: str
    text: str
    widens: bool


@dataclass(frozen=True, slots=True)
class Given:
    """A summary in sets."""

    columns: dict[str, dict[str, Any]]
    grants: frozenset[tuple[str, str, str]]
    """(role, grant, column), wildcards resolved."""
    roles: dict[str, str]
    """Name -> its `audit`, "" where it has none."""
    denied_value: str


def given(summary: object) -> Given | None:
    """Of an event's `policy_summary`; None where there is none."""
    said = mapping(summary)
    if not said:
        return None
    columns = {}
    for entry in map(mapping, listed(said.get("columns"))[:_COLUMNS]):
        name = text(entry.get("name"), LABEL_CAP)
        if name:
            columns[name] = entry
    roles = {}
    for entry in map(mapping, listed(said.get("roles"))[:_COLUMNS]):
        name = text(entry.get("name"))
        if name:
            roles[name] = entry
    grants = frozenset(
        (role, grant.value, column)
        for role, entry in roles.items()
        for grant in Grant
        for pattern in _texts(entry.get(grant.value))
        for column in columns
        if covers(pattern, column)
    )
    audited = {role: text(entry.get("audit")) for role, entry in roles.items()}
    return Given(columns, grants, audited, text(said.get("denied_value")))


def changes(before: Given, after: Given) -> list[Change]:
    """In the order: columns, roles, grants."""
    found = list(_columns(before, after))
    found += [
        Change("added", f"roles.{r}", "the role is new in the policy", False)
        for r in sorted(after.roles.keys() - before.roles.keys())
    ]
    found += [
        Change("removed", f"roles.{r}", "the role has left the policy", False)
        for r in sorted(before.roles.keys() - after.roles.keys())
    ]
    found += _grants(before, after)
    found += [
        Change("changed", f"roles.{role}", _became("audit", was, after.roles[role]), False)
        for role, was in sorted(before.roles.items())
        if role in after.roles and was != after.roles[role]
    ]
    if before.denied_value != after.denied_value:
        told = _became("the value", before.denied_value, after.denied_value)
        found.append(Change("changed", "policy.denied_value", told, False))
    return found


def spoken(change: Change) -> str:
    """For people."""
    what = f"{change.what} (widens)" if change.widens and change.what != "widened" else change.what
    return f"{change.subject}: {what}: {change.text}"


def _columns(before: Given, after: Given) -> Iterator[Change]:
    for label in sorted(after.columns.keys() - before.columns.keys()):
        yield Change("added", label, "the column is sealed from now on", False)
    for label in sorted(before.columns.keys() - after.columns.keys()):
        yield Change("removed", label, "the column is not declared as sealed any more", True)
    for label in sorted(before.columns.keys() & after.columns.keys()):
        old, new = before.columns[label], after.columns[label]
        more = set(_texts(new.get("search"))) - set(_texts(old.get("search")))
        fewer = set(_texts(old.get("search"))) - set(_texts(new.get("search")))
        if more:
            yield Change("widened", label, f"search terms added: {', '.join(sorted(more))}", True)
        if fewer:
            yield Change(
                "narrowed", label, f"search terms removed: {', '.join(sorted(fewer))}", False
            )
        for name in ("type", "mask", "search_group", "audit"):
            was, becomes = text(old.get(name)), text(new.get(name))
            if was != becomes:
                # whether a mask shows more than another is for a person to say
                widens = name in ("mask", "search_group")
                yield Change("changed", label, _became(name, was, becomes), widens)


def _became(name: str, was: str, becomes: str) -> str:
    return f"{name}: {was or 'none'} becomes {becomes or 'none'}"


def _grants(before: Given, after: Given) -> list[Change]:
    found = []
    for what, told, grants in (
        ("widened", "granted", after.grants - before.grants),
        ("narrowed", "no longer granted", before.grants - after.grants),
    ):
        by_role: dict[tuple[str, str], list[str]] = {}
        for role, grant, column in sorted(grants):
            by_role.setdefault((role, grant), []).append(column)
        for (role, grant), columns in by_role.items():
            said = f"{told} {grant} on {', '.join(columns)}"
            found.append(Change(what, f"roles.{role}", said, what == "widened"))
    return found


def _texts(value: object) -> list[str]:
    return [text(one, LABEL_CAP) for one in listed(value)[:_COLUMNS]]
