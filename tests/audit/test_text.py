"""Client-chosen strings as the log shows them."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.audit.text import clean, counted, quoted


@pytest.mark.parametrize(
    "text",
    ["support", "C:\\Program Files\\app.exe", "C:\\users", "naïve café", "客户", "😀", 'a"b'],
)
def test_ordinary_strings_stay_as_they_are(text: str) -> None:
    """Letters of any script, spaces, quotes and backslashes need no escape of ours."""
    assert clean(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", "a\\u{a}b"),
        ("\x1b[2J", "\\u{1b}[2J"),
        ("\x00", "\\u{0}"),
        ("gpj.\u202eexe", "gpj.\\u{202e}exe"),
        ("x\u2028y", "x\\u{2028}y"),
        ("su\u200bpport", "su\\u{200b}pport"),
        ("a\u00a0b", "a\\u{a0}b"),
        ("\U000e0041", "\\u{e0041}"),
        ("\ud800", "\\u{d800}"),
        ("a\u3164", "a\\u{3164}"),
        ("\\u{202e}", "\\u{5c}u{202e}"),
    ],
)
def test_what_does_not_print_is_spelled_out(text: str, shown: str) -> None:
    """Controls, separators, bidi overrides, zero-width and unpaired surrogates are visible."""
    assert clean(text) == shown


@given(st.text(max_size=60) | st.text(alphabet="\\u{}5c202e\u202e\n", max_size=30))
def test_the_spelling_can_be_read_back(text: str) -> None:
    """Two different strings never show as the same one."""
    shown = clean(text)
    assert shown.isprintable()
    assert re.sub(r"\\u\{([0-9a-f]+)\}", lambda m: chr(int(m[1], 16)), shown) == text


@given(st.text(min_size=11, max_size=60))
def test_what_is_cut_says_so(text: str) -> None:
    """A string over its cap ends with the number of characters left out."""
    assert clean(text, 10).endswith(f"…(+{len(text) - 10})")


def test_names_in_sentences_are_quoted_when_they_could_be_words() -> None:
    """A login cannot add to the sentence it stands in."""
    assert quoted("shop_app") == "shop_app"
    assert quoted("eve: ssn clear") == '"eve: ssn clear"'
    assert quoted('e"ve') == '"e""ve"'
    assert quoted("") == '""'


def test_one_row_is_not_rows() -> None:
    """Messages are for people."""
    assert [counted(n, "row") for n in (0, 1, 2)] == ["0 rows", "1 row", "2 rows"]
