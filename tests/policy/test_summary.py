"""The summary of a policy says all of it, in whatever order it is written, and no text of a mask."""

from __future__ import annotations

import json

from policy import load, summary

COLUMNS = {
    "public.a.x": {"type": "text", "search": ["match", "equality"], "mask": "constant:TOPSECRET"},
    "public.a.y": {"type": "date", "mask": "year", "audit": "durable"},
    "public.b.z": {"type": "text", "search": ["equality"], "search_group": "g", "mask": "null"},
}
ROLES = {
    "one": {"clear": ["public.a.*", "public.b.z"], "write": ["*"]},
    "two": {"masked": ["public.a.x"], "search": ["public.b.z"], "audit": "ack"},
}


def test_it_says_everything() -> None:
    """Declared search, masks, groups, audit, and every grant as written."""
    assert summary(load(COLUMNS, ROLES, {"denied_value": "error"})) == {
        "columns": [
            {
                "name": "public.a.x",
                "type": "text",
                "search": ["equality", "match"],
                "mask": "constant",
            },
            {"name": "public.a.y", "type": "date", "mask": "year", "audit": "durable"},
            {
                "name": "public.b.z",
                "type": "text",
                "search": ["equality"],
                "mask": "null",
                "search_group": "g",
            },
        ],
        "denied_value": "error",
        "roles": [
            {"name": "one", "clear": ["public.a.*", "public.b.z"], "write": ["*"]},
            {"name": "two", "masked": ["public.a.x"], "search": ["public.b.z"], "audit": "ack"},
        ],
    }


def test_order_does_not_matter() -> None:
    """As for the version."""
    columns = dict(reversed(COLUMNS.items()))
    roles = {
        role: {k: v[::-1] if isinstance(v, list) else v for k, v in grants.items()}
        for role, grants in reversed(ROLES.items())
    }
    here, there = load(COLUMNS, ROLES, {}), load(columns, roles, {})
    assert here.version == there.version
    assert summary(here) == summary(there)


def test_the_text_of_a_mask_is_not_in_it() -> None:
    """It is what an operator wrote; nobody needs it to see what was granted."""
    assert "TOPSECRET" not in json.dumps(summary(load(COLUMNS, ROLES, {})))


def test_a_policy_that_says_something_else_has_another_summary() -> None:
    """Each thing that a policy says, changed."""
    before = summary(load(COLUMNS, ROLES, {}))
    for columns, roles, rest in (
        (COLUMNS | {"public.a.y": {"type": "date"}}, ROLES, {}),
        (COLUMNS, ROLES | {"three": {}}, {}),
        (COLUMNS, ROLES | {"two": {"search": ["public.b.z"]}}, {}),
        (COLUMNS, ROLES, {"denied_value": "error"}),
    ):
        assert summary(load(columns, roles, rest)) != before
