"""Declared paths: keys with dots between, quoted where they need it."""

from __future__ import annotations

import random

import pytest

from policy import PolicyError, read_search
from policy.paths import LONGEST, path_keys


@pytest.mark.parametrize(
    ("declared", "keys"),
    [
        ("city", ("city",)),
        ("address.city", ("address", "city")),
        ('"a.b".c', ("a.b", "c")),
        ('"5"" disk".x', ('5" disk', "x")),
        ('"".a', ("", "a")),
        (" a b .é", (" a b ", "é")),
        ('""""', ('"',)),
    ],
)
def test_keys(declared: str, keys: tuple[str, ...]) -> None:
    """Bare keys stand for themselves, blanks included; quotes are doubled inside quotes."""
    assert path_keys(declared) == keys


@pytest.mark.parametrize(
    "declared",
    ["", ".", "a.", ".a", "a..b", '"a', 'a"', '"a"b', 'a."b', "a\0", '"\0"', ".".join("a" * 33)],
)
def test_what_is_no_path(declared: str) -> None:
    """Nothing is guessed."""
    with pytest.raises(ValueError, match="not a path"):
        path_keys(declared)


def test_any_keys_can_be_declared() -> None:
    """Every list of keys has a spelling that is read as those keys."""
    seed = random.SystemRandom().getrandbits(32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(500):
        keys = tuple(
            "".join(rng.choice('a."é 5') for _ in range(rng.randint(0, 4)))
            for _ in range(rng.randint(1, LONGEST))
        )
        spelled = ".".join('"' + key.replace('"', '""') + '"' for key in keys)
        assert path_keys(spelled) == keys


def test_a_declared_path_is_checked_when_the_configuration_is_read() -> None:
    """Not at the first value: the error names the key, and what was written."""
    with pytest.raises(PolicyError, match="is no path"):
        read_search(["path:a..b"], "columns.x.search")
    found = read_search(['path:"a.b".c', "path:city", "path:city"], "columns.x.search")
    assert found.paths == ('"a.b".c', "city")
