"""Order terms: the vectors, and that they sort as their forms do, whatever the forms."""

from __future__ import annotations

import copy
import hashlib
import json
import pickle
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystore._raw import Secret
from keystore.order import HIGHEST, LOWEST, OrderKey, just_above, truncated
from tests.vectors import make_order_v1

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "vectors" / "order_v1.json").read_text()
)
KEY = OrderKey(Secret(bytes(range(32))))

OTHER = OrderKey(Secret(bytes(range(1, 33))))
SCATTERED = [hashlib.sha256(b"%d" % number).digest()[:12] for number in range(2000)]
"""Forms that have no more than their first bits in common."""
TEXT = st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=40).map(str.encode)


def past_prefix(term: bytes) -> bytes:
    """The upper bound of sealgate.ord_prefix: 8 bytes FF, since of a byte of UTF-8 not all bits are set."""
    return term + b"\xff" * 8


@st.composite
def pairs(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """Two forms of one length that have their beginning in common."""
    size = draw(st.integers(1, 40))
    common = draw(st.binary(max_size=size))
    rest = size - len(common)
    one, other = (common + draw(st.binary(min_size=rest, max_size=rest)) for _ in range(2))
    return one, other


def test_vectors_are_as_written_on_the_first_day() -> None:
    """The committed vectors are what an implementation that shares no code with ours gives."""
    assert make_order_v1.vectors() == VECTORS


@pytest.mark.parametrize("vector", VECTORS["terms"], ids=lambda vector: str(vector["comment"]))
def test_a_form_gives_the_vector(vector: dict[str, Any]) -> None:
    """Key and form give exactly the bytes of the vector."""
    key = OrderKey(Secret(bytes.fromhex(VECTORS["keys"][vector["key"]])))
    assert key.term(bytes.fromhex(vector["form"])).hex() == vector["term"]


@given(pairs())
def test_terms_sort_as_their_forms(pair: tuple[bytes, bytes]) -> None:
    """`<` and `=` of two terms, as bytes, are those of the forms, and each byte of a form is 8 of a term."""
    one, other = pair
    first, second = KEY.term(one), KEY.term(other)
    assert (first < second, first == second) == (one < other, one == other)
    assert len(first) == 8 * len(one)


@given(pairs())
def test_terms_are_equal_up_to_the_first_bit_that_differs(pair: tuple[bytes, bytes]) -> None:
    """What the paper says two ciphertexts tell: there one byte is the other plus 1, and that of the greater."""
    bits = ["".join(f"{byte:08b}" for byte in form) for form in pair]
    first, second = (KEY.term(form) for form in pair)
    at = next((i for i, (a, b) in enumerate(zip(*bits, strict=True)) if a != b), len(bits[0]))
    assert first[:at] == second[:at]
    if at < len(bits[0]):
        assert first[at] - second[at] == (1 if bits[0][at] == "1" else -1)


def test_the_bits_behind_it_share_nothing() -> None:
    """Behind the first bit that differs, bytes agree as often as independent ones do: about one in 255."""
    agree = total = 0
    for form in SCATTERED:
        low, high = (KEY.term(top + form) for top in (b"\0", b"\x80"))
        agree += sum(a == b for a, b in zip(low[24:], high[24:], strict=True))
        total += len(low) - 24
    assert abs(agree - total / 255) < 7 * (total / 255) ** 0.5


def test_a_byte_tells_its_bit_at_the_odds_that_are_documented() -> None:
    """A bit 0 gives 0 ... 254 and a bit 1 gives 1 ... 255, each as likely: 0 and 255 tell, once in 255 times."""
    found: dict[int, Counter[int]] = {0: Counter(), 1: Counter()}
    for form in SCATTERED:
        bits = int.from_bytes(form, "big")
        for at, byte in enumerate(KEY.term(form)[24:], 24):
            bit = bits >> 8 * len(form) - 1 - at & 1
            found[bit][byte - bit] += 1
    for masks in found.values():
        assert sorted(masks) == list(range(255))
        expected = masks.total() / 255
        assert all(abs(count - expected) < 7 * expected**0.5 for count in masks.values())


@pytest.mark.parametrize("size", [1, 13, 14, 15, 28, 29, 60])
def test_every_bit_counts(size: int) -> None:
    """Turning on any one bit gives a term that is greater, and equal before that bit."""
    base = KEY.term(bytes(size))
    for bit in range(8 * size):
        changed = KEY.term((1 << 8 * size - 1 - bit).to_bytes(size, "big"))
        assert changed > base
        assert changed[:bit] == base[:bit]


@given(pairs())
def test_just_above_lies_between_a_term_and_the_next(pair: tuple[bytes, bytes]) -> None:
    """`<` by an operand just above a value is `<=` by the value."""
    one, other = pair
    edge = just_above(KEY.term(one))
    assert (KEY.term(other) < edge) == (other <= one)
    assert KEY.term(other) != edge


@given(st.binary(min_size=1, max_size=60))
def test_nothing_lies_beyond_the_ends(form: bytes) -> None:
    """LOWEST and HIGHEST are below and above the term of any form, and of what is just above it."""
    for value in (KEY.term(form), just_above(KEY.term(form))):
        assert LOWEST < value < HIGHEST


@given(TEXT, TEXT)
def test_prefixes_of_texts(prefix: bytes, text: bytes) -> None:
    """A text begins with a prefix exactly if its term lies from the prefix's start to past it."""
    prefix, form = prefix[:15], text[:15].ljust(15, b"\0") + bytes((len(text) > 15,))
    start = truncated(KEY.term(prefix.ljust(15, b"\0") + b"\0"), len(prefix))
    for value, begins in ((form, form.startswith(prefix)), (prefix.ljust(16, b"\0"), True)):
        assert (start <= KEY.term(value) < past_prefix(start)) == begins


def test_a_prefix_has_room_for_every_term_that_goes_on() -> None:
    """Behind some prefixes the next byte of a term is 255, where its bit is 1: one byte FF would not be past it."""
    full = 0
    for number in range(2000):
        prefix = b"%06d" % number
        term = KEY.term((prefix + "é".encode()).ljust(16, b"\0"))
        start = truncated(term, len(prefix))
        full += term >= start + b"\xff"
        assert start < term < past_prefix(start)
    assert full > 1


def test_another_key_gives_another_term() -> None:
    """Two columns' terms of one form have no more in common than chance gives."""
    form = bytes(range(30))
    same = sum(a == b for a, b in zip(KEY.term(form), OTHER.term(form), strict=True))
    assert same < 12


def test_threads_share_a_key() -> None:
    """Terms made in several threads at once are those that one thread makes."""
    forms = [number.to_bytes(20, "big") for number in range(3000)]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(KEY.term, forms)) == [KEY.term(form) for form in forms]


def test_an_order_key_shows_nothing_and_is_not_copied() -> None:
    """As everything that holds keys."""
    assert repr(KEY) == "<OrderKey>"
    with pytest.raises(TypeError):
        copy.copy(KEY)
    with pytest.raises(TypeError):
        pickle.dumps(KEY)
    with pytest.raises(AttributeError):
        KEY.column = "public.t.c"
