"""From the configuration's tables to a `Policy`, or an error that says what to write instead.

What is refused, because it cannot mean what its author hopes: unknown keys; a label that is not
spelled as the catalog spells it; a grant on a column that is not declared; `masked` on a column
without a mask; `search` on a column that declares no search; a mask that gives no value of its
column's type; grants to PUBLIC, which no login is a member of by name.

A wildcard that means no column yet is no error (it also speaks of columns declared tomorrow): it
is listed in `Policy.unused`, for `sealgate check`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Literal

from policy.errors import PolicyError
from policy.label import canonical, covers, quoted
from policy.masking import check_mask, constant_value, read_type
from policy.model import AUDIT, Audit, ColumnRule, Grant, Policy, RoleGrants, rule_name
from policy.search import TEXTS, Search, check_search, read_search

_COLUMN_KEYS: Final = ("type", "search", "search_group", "mask", "audit")
_GROUP: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,62}")
_GRANTS: Final = tuple(grant.value for grant in Grant)
_RESERVED_ROLES: Final = ("public", "none")  # CREATE ROLE refuses these names

Parse = Callable[[str, str], bytes]


def load(
    columns: Mapping[str, object],
    roles: Mapping[str, object],
    policy: Mapping[str, object],
    parse: Parse | None = None,
) -> Policy:
    """The policy that the tables `[columns]`, `[roles]` and `[policy]` describe.

    `parse(type, text)` gives a text's canonical plaintext; with it, `constant:TEXT` masks are checked
    here as well, without it only when they are compiled. Raises PolicyError.
    """
    _known(policy, ("denied_value",), "policy")
    rules = {label: _column(label, table, parse) for label, table in columns.items()}
    _check_groups(rules)
    grants = {role: _role(role, table, rules) for role, table in roles.items()}
    return Policy(
        columns=rules,
        roles=grants,
        denied_value=_denied_value(policy.get("denied_value", "null")),
        unused=tuple(_unused(grants, rules)),
    )


def _denied_value(value: object) -> Literal["null", "error"]:
    if value == "null":
        return "null"
    if value == "error":
        return "error"
    raise PolicyError("policy.denied_value", f"{value!r} is no choice", 'Write "null" or "error".')


def _column(label: str, table: object, parse: Parse | None) -> ColumnRule:
    key = _column_key(label)
    _check_label(label, key)
    entries = _table(table, _COLUMN_KEYS, key)
    spec = entries.get("type")
    if not isinstance(spec, str) or not spec.strip():
        raise PolicyError(
            f"{key}.type", "the column's type is missing", 'Write for example type = "text".'
        )
    declared = _strings(entries.get("search", []), f"{key}.search", '["equality"]')
    search = read_search(declared, f"{key}.search")
    check_search(search, read_type(spec).name, f"{key}.search")
    mask = _mask(entries.get("mask"), spec, key, parse)
    group = _group(entries.get("search_group"), search, key)
    return ColumnRule(label, spec, search, mask, group, _audit(entries.get("audit"), key))


def _audit(mode: object, key: str) -> Audit | None:
    found = next((known for known in AUDIT if mode == known), None)
    if mode is not None and found is None:
        raise PolicyError(
            f"{key}.audit", f"{mode!r} is no choice", 'Write "async", "ack" or "durable".'
        )
    return found


def _group(name: object, search: Search, key: str) -> str | None:
    if name is None:
        return None
    key = f"{key}.search_group"
    if not isinstance(name, str) or not _GROUP.fullmatch(name):
        raise PolicyError(key, "is no group's name", "Write letters, digits and _, at most 63.")
    if not search:
        raise PolicyError(key, "the column declares no search", "Declare one, or leave the group.")
    return name


def _check_groups(rules: Mapping[str, ColumnRule]) -> None:
    """Columns of one group have the same terms of the same values, so they declare the same, for one type."""
    first: dict[str, ColumnRule] = {}
    for label, rule in rules.items():
        if rule.search_group is None:
            continue
        other = first.setdefault(rule.search_group, rule)
        alike = rule.search == other.search and _kind(rule.type) == _kind(other.type)
        if not alike:
            raise PolicyError(
                f"{_column_key(label)}.search_group",
                f"{label} and {other.column} are in one group and differ in type or search",
                "Columns of a group have one type (text and varchar are one) and the same search.",
            )


def _kind(spec: str) -> str:
    name = read_type(spec).name
    return "text" if name in TEXTS else name


def _column_key(label: str) -> str:
    """The column's table as it is written in TOML."""
    return f"columns.'{label}'" if '"' in label else f'columns."{label}"'


def _check_label(label: str, key: str) -> None:
    parts = canonical(label)
    if parts is None or len(parts) != 3 or parts[-1] == "*":
        raise PolicyError(key, "is no column's label", "Write it as schema.table.column.")
    _check_spelling(label, parts, key)


def _check_spelling(label: str, parts: Iterable[str], key: str) -> None:
    spelled = ".".join(parts)
    if spelled != label:
        raise PolicyError(
            key,
            f"{label} is spelled otherwise in the catalog",
            f"Write {spelled} (in TOML between single quotes), or in lower case if that is its name.",
        )


def _mask(mask: object, spec: str, key: str, parse: Parse | None) -> str | None:
    if mask is None:
        return None
    if not isinstance(mask, str):
        raise PolicyError(f"{key}.mask", "is not a text", 'Write for example mask = "null".')
    check_mask(mask, read_type(spec), f"{key}.mask")
    kind, _, text = mask.partition(":")
    if kind == "constant" and parse is not None:
        constant_value(text, spec, lambda value: parse(spec, value), f"{key}.mask")
    return mask


def _role(role: str, table: object, columns: Mapping[str, ColumnRule]) -> RoleGrants:
    key = f"roles.{quoted(role)}"
    if not role or role in _RESERVED_ROLES:
        raise PolicyError(
            key, "is no role's name in PostgreSQL", "Grant to a login, or to a group it is in."
        )
    entries = _table(table, (*_GRANTS, "audit"), key)
    granted = {
        name: _strings(entries.get(name, []), f"{key}.{name}", '["public.customers.*"]')
        for name in _GRANTS
    }
    grants = RoleGrants(**granted, audit=_audit(entries.get("audit"), key))
    for grant in Grant:
        for pattern in grants.patterns(grant):
            _check_pattern(pattern, rule_name(role, grant), columns)
    _check_masked(grants, rule_name(role, Grant.MASKED), columns)
    _check_search(grants, rule_name(role, Grant.SEARCH), columns)
    return grants


def _check_pattern(pattern: str, key: str, columns: Mapping[str, ColumnRule]) -> None:
    parts = canonical(pattern)
    wildcard = parts is not None and parts[-1] == "*"
    if parts is None or len(parts) > 3 or (len(parts) < 3 and not wildcard):
        raise PolicyError(
            key,
            f"{pattern!r} names no columns",
            'Write a label, "schema.table.*", "schema.*" or "*".',
        )
    _check_spelling(pattern, parts, key)
    if not wildcard and pattern not in columns:
        raise PolicyError(
            key,
            f"{pattern} is not a declared column",
            _suggestion(pattern, columns)
            or f"Declare it as [{_column_key(pattern)}], or drop the grant.",
        )


def _check_masked(grants: RoleGrants, key: str, columns: Mapping[str, ColumnRule]) -> None:
    """A role that reads a column clear may hold `masked` on it too, by a wildcard: it is moot."""
    for label, rule in columns.items():
        moot = rule.mask is not None or _any_covers(grants.clear, label)
        if _any_covers(grants.masked, label) and not moot:
            raise PolicyError(
                key,
                f"{label} has no mask",
                f'Give [{_column_key(label)}] a mask, for example mask = "null", or list only columns with one.',
            )


def _check_search(grants: RoleGrants, key: str, columns: Mapping[str, ColumnRule]) -> None:
    for label in grants.search:
        if label in columns and not columns[label].search:
            raise PolicyError(
                key,
                f"{label} declares no search",
                f'Add search = ["equality"] to [{_column_key(label)}], or drop the grant.',
            )


def _unused(grants: Mapping[str, RoleGrants], columns: Mapping[str, ColumnRule]) -> Iterable[str]:
    """Wildcards that give nobody anything."""
    for role, granted in grants.items():
        for grant in Grant:
            for pattern in granted.patterns(grant):
                if not any(
                    covers(pattern, label) and (grant is not Grant.SEARCH or rule.search)
                    for label, rule in columns.items()
                ):
                    yield f"{rule_name(role, grant)}: {pattern}"


def _any_covers(patterns: Iterable[str], label: str) -> bool:
    return any(covers(pattern, label) for pattern in patterns)


def _table(table: object, known: tuple[str, ...], key: str) -> Mapping[str, object]:
    if not isinstance(table, Mapping):
        raise PolicyError(key, "is not a table", f"Write a table with {', '.join(known)}.")
    _known(table, known, key)
    return table


def _known(table: Mapping[str, object], known: tuple[str, ...], key: str) -> None:
    for name in table:
        if name not in known:
            raise PolicyError(
                f"{key}.{name}",
                "is not a known key",
                _suggestion(name, known) or f"Known keys: {', '.join(known)}.",
            )


def _strings(value: object, key: str, example: str) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(item, str) for item in value):
        raise PolicyError(key, "is not a list of texts", f"Write for example {example}.")
    return tuple(value)


def _suggestion(name: str, known: Iterable[str]) -> str | None:
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"Did you mean {close[0]}?" if close else None
