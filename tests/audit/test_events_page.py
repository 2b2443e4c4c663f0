"""docs/events.md says what the builders do."""

from __future__ import annotations

from dataclasses import replace

from tests.audit.events_page import FIELDS, PAGE, field_names, page, stamped
from tests.audit.examples import READ, SUPPORT, examples, executed
from tests.audit.published import problems


def test_the_page_is_what_the_builders_make() -> None:
    """If this fails, run `python -m tests.audit.events_page` and read the difference."""
    assert PAGE.read_text() == page()


def test_every_field_has_a_meaning_and_every_meaning_a_field() -> None:
    """No field under unmapped.sealgate without a line, no line for a field that is gone."""
    long = executed(SUPPORT, replace(READ, statement="SELECT " + "a, " * 3000))
    events = [*examples().values(), long]
    used = {name for event in events for name in field_names(event["unmapped"]["sealgate"])}
    assert used == set(FIELDS)


def test_examples_on_the_page_are_valid() -> None:
    """As shown, with time and numbers."""
    assert [problem for event in examples().values() for problem in problems(stamped(event))] == []


def test_a_field_has_one_type_everywhere() -> None:
    """An index that learned a field from one event takes it from every other."""
    types: dict[str, set[type]] = {}
    for event in examples().values():
        for name, value in event["unmapped"]["sealgate"].items():
            types.setdefault(name, set()).add(type(value))
    assert {name: kinds for name, kinds in types.items() if len(kinds) > 1} == {}
