"""No possessive repetition of a group: before CPython 3.11.5 it matches wrongly (gh-106052), and the lexer is ours to get right."""

from __future__ import annotations

import importlib
import pkgutil
import re
from collections.abc import Iterator
from re import _constants as constants  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import pytest

import keystore
import policy
import proxy

SINGLE = {constants.LITERAL, constants.NOT_LITERAL, constants.IN, constants.ANY}


def patterns() -> Iterator[tuple[str, re.Pattern[Any]]]:
    for package in (keystore, policy, proxy):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            if module.name.endswith("__main__"):
                continue
            for name, value in vars(importlib.import_module(module.name)).items():
                if isinstance(value, re.Pattern):
                    yield f"{module.name}.{name}", value


def parsed(pattern: re.Pattern[Any]) -> Any:
    flags = pattern.flags & ~re.UNICODE if isinstance(pattern.pattern, bytes) else pattern.flags
    return parser.parse(pattern.pattern, flags)


def possessive_groups(tree: Any) -> Iterator[Any]:
    """Every possessive repetition in a parsed expression whose body is more than one character."""
    for operation, argument in tree:
        if operation is constants.POSSESSIVE_REPEAT:
            body = argument[2]
            if len(body) != 1 or body[0][0] not in SINGLE:
                yield body
        for inside in subtrees(argument):
            yield from possessive_groups(inside)


def subtrees(argument: Any) -> Iterator[Any]:
    if isinstance(argument, parser.SubPattern):
        yield argument
    elif isinstance(argument, tuple | list):
        for item in argument:
            yield from subtrees(item)


@pytest.mark.parametrize(("name", "pattern"), [pytest.param(n, p, id=n) for n, p in patterns()])
def test_groups_are_repeated_atomically(name: str, pattern: re.Pattern[Any]) -> None:
    """`(?>(?:...)*)` instead of `(?:...)*+`."""
    assert not list(possessive_groups(parsed(pattern))), name


def test_the_test_finds_what_it_looks_for() -> None:
    """A possessive group is found, also inside others; a possessive character class is none."""
    assert list(possessive_groups(parsed(re.compile(r"a(?:b|(?P<x>(?:cc|d)*+))"))))
    assert not list(possessive_groups(parsed(re.compile(r"(?>(?:[ab]++|c)*)x?+"))))
