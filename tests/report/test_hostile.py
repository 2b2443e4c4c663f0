"""Names come from clients: none becomes markup, an attribute, a link, a cell or a line of its own."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest
from markdown_it import MarkdownIt

from proxy.report.document import (
    Alert,
    Bars,
    Bullets,
    Document,
    Facts,
    Listing,
    Paragraph,
    Section,
    Table,
)
from proxy.report.html import html
from proxy.report.human import Human
from proxy.report.markdown import markdown
from tests.report.a_log import EMAIL, HOUR, MINUTE, MONDAY, ALog, cell, origin
from tests.report.conftest import Office
from tests.report.golden import DIRECTORY

NAMES = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onmouseover='alert(1)",
    "</td></tr></table><h1>forged",
    "</title><style>*{display:none}</style>",
    "a | b | c",
    "| --- | --- |",
    "[click](javascript:alert(1))",
    "![x](http://evil.example/x.png)",
    "<http://evil.example>",
    "http://evil.example/ www.evil.example evil@evil.example",
    "# heading",
    "- item",
    "1. item",
    "> quote",
    "```\ncode",
    "`code`",
    "~~gone~~ **bold** __bold__ *it* _it_",
    "&lt;b&gt; &amp; &#60;b&#62;",
    "\\",
    "\\|",
    "a\nb\r\nc\u2028d\u0085e",
    "{{ 7*7 }} {% raw %} ${7*7}",
    "[HUMAN: nothing to do]",
    "[ref]: http://evil.example",
    "\u202egpj.exe",
    "=====",
    "---",
    "    indented",
    "\t",
    "x" * 300,
)


def everything(name: str) -> Document:
    """The name in every place of every block."""
    return Document(
        name,
        Facts(((name, name),)),
        (
            Section(
                name,
                (
                    Paragraph((name, Human(name), name)),
                    Alert((name,)),
                    Bullets(((name,), (name, Human(name)))),
                    Facts(((name, Human(name)), (name, (name, Human(name))))),
                    Table((name, name), ((name, 7), (Human(name), None)), 3),
                    Table((name,), (), empty=name),
                    Listing(f"+{name}\n-{name}"),
                    Bars(name, (name,), ((name, (3,)), (name, (0,)))),
                ),
            ),
        ),
        "0" * 64,
    )


class Skeleton(HTMLParser):
    """Elements with their attributes' names, in order; and the text."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, tuple[str, ...]]] = []
        self.text: list[str] = []
        self.values: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, tuple(name for name, _ in attrs)))
        self.values += [value or "" for _, value in attrs]

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        self.elements.append(("/" + tag, ()))

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.mark.parametrize("name", NAMES)
def test_html_has_the_same_elements_whatever_the_names(name: str) -> None:
    """By a parser that is not ours nor Jinja's: the same tags and attributes as with a harmless name; the name is text."""
    harmless, hostile = (Skeleton(html(everything(n))) for n in ("harmless", name))
    assert hostile.elements == harmless.elements
    assert not {tag for tag, _ in hostile.elements} & {"script", "img", "iframe", "link", "a"}
    assert name.replace("\r\n", "\n") in "".join(hostile.text).replace("\r\n", "\n")


def test_a_page_loads_nothing() -> None:
    """No address of another place, no script, a policy that forbids both."""
    page = html(everything("x"))
    assert "default-src 'none'" in page
    assert "http:" not in page
    assert "https:" not in page
    assert "javascript" not in page


class Balanced(HTMLParser):
    """Every element is closed where it was opened."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "meta":
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize("report", ["incident", "access-review", "changes"])
def test_pages_are_well_formed(report: str) -> None:
    """Nothing is left to a browser's guess."""
    assert Balanced((DIRECTORY / f"{report}.html").read_text()).open == []


def tokens(text: str) -> list[str]:
    """CommonMark with GitHub's tables, strikethrough and HTML, by another's parser: the kinds of tokens in order."""
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    found = []
    for token in parser.parse(text):
        found.append(token.type)
        if token.type == "inline":
            kinds = [child.type for child in token.children or ()]
            # text beside text is one text, and an entity or an escape is text
            found += [k for k in kinds if k not in ("text", "text_special")]
    return found


@pytest.mark.parametrize("name", NAMES)
def test_markdown_has_the_same_blocks_whatever_the_names(name: str) -> None:
    """No link, no image, no code, no HTML, no further cell, row, heading or list item."""
    harmless, hostile = (tokens(markdown(everything(n))) for n in ("harmless", name))
    assert Counter(hostile) == Counter(harmless)
    assert hostile == harmless


@pytest.mark.parametrize("name", [n for n in NAMES if n.isprintable() and n == n.strip()])
def test_markdown_shows_the_name_as_it_is(name: str) -> None:
    """What a reader of the rendered page sees is the name."""
    parser = MarkdownIt("commonmark").enable("table")
    document = replace(everything("x"), sections=(Section("s", (Table(("h",), ((name,),)),)),))
    shown = [
        "".join(child.content for child in token.children or ())
        for token in parser.parse(markdown(document))
        if token.type == "inline"
    ]
    assert name in shown


def test_hostile_names_in_the_log_stay_names(office: Office, logged: Callable[[], ALog]) -> None:
    """Logins, applications, actors, sessions, columns, messages: through all three reports in all forms."""
    log = logged()
    for number, name in enumerate(NAMES):
        who = origin(name, name, roles=(name,), host=name, application=name)
        log.at(MONDAY + HOUR + number * MINUTE).opens(who)
        log.does(who, [(EMAIL, "clear", name, [cell(number)])], comment=f"/*actor='{number}'*/")
        log.does(who, [(name or "x", "masked", name, [cell(number)])], table=name)
        log.refuses(who, name)
        log.finds(who, name)
        log.contains(who, name)
    log.close()
    window = ("--from", "2026-11-16", "--to", "2026-11-17")
    for report in (
        ("incident", *window),
        ("changes", "--since", "2026-11-01"),
        ("access-review", "--period", "9d"),
    ):
        office.run(*report, "--format", "html")
        skeleton = Skeleton(office.out)
        tags = {tag.lstrip("/") for tag, _ in skeleton.elements}
        assert tags <= ALLOWED, tags - ALLOWED
        attributes = {name for _, names in skeleton.elements for name in names}
        assert not [name for name in attributes if name.startswith("on")]
        office.run(*report, "--format", "md")
        kinds = set(tokens(office.out))
        assert not kinds & {"link_open", "image", "html_inline", "html_block", "fence"}
        assert not kinds & {"code_inline", "hardbreak", "s_open", "em_open"}
        office.run(*report, "--format", "json")
        json.loads(office.out)


ALLOWED = {
    *("html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "strong", "mark", "pre"),
    *("table", "thead", "tbody", "tr", "th", "td", "div", "ul", "li", "span"),
    *("figure", "figcaption", "svg", "text", "line", "rect"),
}


def events_of_all_shapes() -> list[Any]:
    """Lines that are JSON and no event of ours: every member missing, or of another type."""
    wrong: list[Any] = [None, 7, -1, 2**70, "x", [], {}, [[]], [None], True, 1.5]
    whole = {
        "time": MONDAY + HOUR,
        "metadata": {"event_code": "statement.read", "sequence": 5},
        "actor": {"user": {"name": "bo", "groups": [{"name": "g"}]}, "session": {"uid": "s"}},
        "src_endpoint": {"ip": "10.0.0.1"},
        "unmapped": {
            "sealgate": {
                "columns": [{"name": EMAIL, "outcome": "clear", "cells": 1, "rule": "r"}],
                "rows": 1,
                "integrity": {"chain": "c"},
            }
        },
    }
    found = []

    def vary(value: Any, put: Callable[[Any], Any]) -> None:
        found.extend(put(one) for one in wrong)
        if isinstance(value, dict):
            for key in value:
                vary(value[key], lambda new, key=key: put({**value, key: new}))  # type: ignore[misc]
        if isinstance(value, list):
            vary(value[0], lambda new: put([new]))

    vary(whole, lambda new: new)
    return found


def test_events_of_all_shapes_are_read(office: Office) -> None:
    """A log that somebody else wrote: reports are made, and say that it is not what it should be."""
    lines = [json.dumps(event) for event in events_of_all_shapes()]
    for code in (
        "policy.loaded",
        "containment.begun",
        "session.opened",
        "audit.queried",
        "keys.loaded",
    ):
        lines += [line.replace("statement.read", code) for line in lines[:200]]
    office.path.write_text("\n".join(lines) + "\n")
    for report in (
        ("incident", "--from", "2026-11-16"),
        ("changes", "--since", "2026-11-01"),
        ("access-review", "--period", "9d"),
    ):
        assert office.run(*report) == 1, office.err
        assert "may be incomplete" in office.out
