"""A narrower policy, as a change of the configuration file: what was not used in the period is left out.

Only ever narrower, and nothing that was used is denied: both are tested on the finished text with the policy's own
decisions, and what fails the test is not suggested. The file keeps its comments and its form (tomlkit).
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import tomlkit
from tomlkit.exceptions import TOMLKitError

from policy import Access, Grant, Outcome, Policy, RoleGrants, decide
from policy.label import covers
from proxy.config import ConfigurationError, parse

PROVES: Final = {
    "clear": Access.READ,
    "masked": Access.READ,
    "written": Access.WRITE,
    "compared": Access.COMPARE,
}
"""What a login had done, by the outcome in the log."""
_ORDER: Final = {
    Outcome.WITHHELD: 0,
    Outcome.DENIED: 0,
    Outcome.MASKED: 1,
    Outcome.CLEAR: 2,
    Outcome.ALLOWED: 2,
}


@dataclass(frozen=True, slots=True)
class Step:
    """One list of one role. `left`: grants as they would be written."""

    role: str
    grant: str
    removed: tuple[str, ...]
    left: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Suggestion:
    """`diff` is a unified diff of the configuration file without context (which may hold a password). Empty where there is
    nothing to suggest, or `note` says why nothing is."""

    steps: tuple[Step, ...]
    diff: str
    note: str


Kept = Mapping[tuple[str, Grant, str], frozenset[str]]
"""(role, grant, column) -> outcomes that the grant was used for; a grant that is to stay has `stays` in it."""
STAYS: Final = "stays"


def suggest(content: str, file: Path, policy: Policy, kept: Kept) -> Suggestion:
    """`content` is the configuration file's text, `policy` what it says."""
    wanted = {role: _narrowed(policy, role, grants, kept) for role, grants in policy.roles.items()}
    steps = []
    for role, grants in policy.roles.items():
        for grant in Grant:
            before, after = grants.patterns(grant), wanted[role][grant]
            if tuple(before) != after:
                removed = tuple(p for p in before if p not in after)
                steps.append(Step(role, grant.value, removed, after))
    if not steps:
        return Suggestion((), "", "every grant was used: nothing to suggest")
    try:
        changed = _written(content, steps)
        narrower = parse(changed, file).policy
    except (TOMLKitError, ConfigurationError, KeyError, TypeError) as error:
        return Suggestion((), "", f"the narrower file does not load ({type(error).__name__})")
    if problem := _problem(policy, narrower, kept):
        return Suggestion((), "", problem)
    lines = difflib.unified_diff(
        content.splitlines(),
        changed.splitlines(),
        str(file),
        f"{file} (suggested)",
        lineterm="",
        n=0,
    )
    return Suggestion(tuple(steps), "\n".join(lines), "")


def apply_steps(content: str, steps: Iterable[Step]) -> str:
    """The file's text with these steps taken."""
    return _written(content, list(steps))


def _narrowed(
    policy: Policy, role: str, grants: RoleGrants, kept: Kept
) -> dict[Grant, tuple[str, ...]]:
    """The role's lists with what was used. `clear` that was only used to compare becomes `search`."""
    found: dict[Grant, tuple[str, ...]] = {}
    searched: list[str] = []
    for grant in Grant:
        left: list[str] = []
        for pattern in grants.patterns(grant):
            meant = [column for column in policy.columns if covers(pattern, column)]
            used = [c for c in meant if kept.get((role, grant, c))]
            if grant is Grant.CLEAR:
                only_compared = [
                    c
                    for c in used
                    if kept[role, grant, c] == {"compared"} and policy.columns[c].search
                ]
                searched += only_compared
                used = [c for c in used if c not in only_compared]
            left += [pattern] if used and used == meant else used
        found[grant] = tuple(dict.fromkeys(left))
    held = [c for c in searched if not any(covers(p, c) for p in found[Grant.SEARCH])]
    found[Grant.SEARCH] = (*found[Grant.SEARCH], *dict.fromkeys(held))
    return found


def _written(content: str, steps: list[Step]) -> str:
    document = tomlkit.parse(content)
    roles: Any = document["roles"]
    for step in steps:
        if step.left:
            roles[step.role][step.grant] = list(step.left)
        else:
            roles[step.role].remove(step.grant)
    for role in {step.role for step in steps}:
        if not roles[role]:
            roles.remove(role)
    return tomlkit.dumps(document)


def _problem(policy: Policy, narrower: Policy, kept: Kept) -> str:
    """Why the narrower policy may not be suggested; "" if it may."""
    if narrower.columns.keys() != policy.columns.keys():
        return "the narrower file declares other columns"
    for role in policy.roles.keys() | narrower.roles.keys():
        for column in policy.columns:
            for access in Access:
                before = decide(policy, {role}, column, access).outcome
                after = decide(narrower, {role}, column, access).outcome
                if _ORDER[after] > _ORDER[before]:
                    return f"the narrower file would give roles.{role} more on {column}"
    for (role, _, column), outcomes in kept.items():
        for outcome in outcomes & PROVES.keys():
            access = PROVES[outcome]
            before = decide(policy, {role}, column, access).outcome
            after = decide(narrower, {role}, column, access).outcome
            if _ORDER[after] < _ORDER[before]:
                return f"the narrower file would deny roles.{role} what it used on {column}"
    return ""
