"""docs/leakage.md speaks of everything that can be declared and of everything that check finds about search."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from policy.search import EXAMPLES
from proxy.database import searching
from proxy.database.searching import ENUM_VALUES, REPEATED
from proxy.database.terms import TERMS

ROOT = Path(__file__).parent.parent.parent
PAGE = (ROOT / "docs" / "leakage.md").read_text()
CODES = sorted(set(re.findall(r'"(SG03\d)"', Path(searching.__file__).read_text())))


def test_there_are_codes_to_look_for() -> None:
    """The source is read for them, so that a new one cannot be forgotten here."""
    assert len(CODES) >= 9


@pytest.mark.parametrize("code", CODES)
def test_every_finding_about_search_is_explained(code: str) -> None:
    """In the table of what check measures."""
    table = PAGE.partition("## What `check` measures")[2]
    assert f"`{code}`" in table


def test_no_code_is_explained_that_does_not_exist() -> None:
    """A page that speaks of other findings is out of date."""
    assert set(re.findall(r"SG\d{3}", PAGE)) == set(CODES)


@pytest.mark.parametrize("entry", re.findall(r'"([a-z]+(?::[a-z]+)?)', EXAMPLES))
def test_every_entry_of_search_is_in_the_table(entry: str) -> None:
    """As the configuration's own error message lists them."""
    kind = entry if entry == "equality:casefold" else entry.partition(":")[0]
    table = PAGE.partition("## In one table")[2].partition("\n## ")[0]
    assert re.search(rf"\| `{kind}[`:]", table), kind


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.function)
def test_every_function_and_its_index_is_in_the_table(term: searching.Term) -> None:
    """By the name that a DBA sees."""
    assert re.search(rf"`sealgate\.{term.function}`, {term.method}", PAGE, re.IGNORECASE)


def test_every_entry_says_when_not_to_use_it() -> None:
    """One paragraph a section."""
    sections = re.findall(r"^## (?:equality|order|match|path).*?(?=^## )", PAGE, re.M | re.S)
    assert len(sections) == 4
    assert all("**Do not** declare" in section for section in sections)


def test_its_numbers_are_those_of_the_code() -> None:
    """What counts as an enum."""
    assert f"at most {ENUM_VALUES} values, each {REPEATED} times and more" in PAGE


def test_papers_are_linked() -> None:
    """Who says what is known of an attack can be read by whoever decides."""
    links = re.findall(r"\]\((https://[^)]+)\)", PAGE)
    assert len(links) == len(set(links)) >= 11
    for paper in ("2015/1125", "2016/895", "2016/786", "2017/701", "2016/718", "2016/172"):
        assert f"https://eprint.iacr.org/{paper}" in links
