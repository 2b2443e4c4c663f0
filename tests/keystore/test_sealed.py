"""The sealed value: vectors in both directions, and what no altered value gets past."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from keystore import (
    ColumnKeys,
    DataKey,
    TamperedValue,
    cell_id,
    generate,
    key_id,
    long,
    looks_sealed,
)
from keystore._raw import Secret
from keystore.long import LONG
from keystore.sealed import OVERHEAD, OVERHEAD_WITH_TERM
from tests.vectors import make_sealed_v1

VECTORS: dict[str, Any] = json.loads(
    (Path(__file__).parent.parent / "vectors" / "sealed_v1.json").read_text()
)
EMAIL = "public.customers.email"
KEYSET = generate([EMAIL, "public.customers.ssn"])
KEYS = KEYSET.column(EMAIL)
DATA_KEY = KEYSET.data_keys[KEYS.id]


def column_keys(name: str) -> ColumnKeys:
    key = VECTORS["keys"][name]
    data, index = (Secret(bytes.fromhex(key[field])) for field in ("data_key", "index_key"))
    return ColumnKeys(key["column"], key["id"], 1, data, index)


def data_key(name: str) -> DataKey:
    key = VECTORS["keys"][name]
    return DataKey(key["column"], key["id"], 1, Secret(bytes.fromhex(key["data_key"])))


def by_comment(vector: dict[str, Any]) -> str:
    return str(vector["comment"])


def test_vectors_are_as_written_on_the_first_day() -> None:
    """The committed vectors are what an implementation that shares no code with ours gives."""
    assert make_sealed_v1.vectors() == VECTORS


@pytest.mark.parametrize("vector", VECTORS["valid"], ids=by_comment)
def test_sealing_gives_the_vector(vector: dict[str, Any]) -> None:
    """Plaintext, form and nonce give exactly the bytes of the vector."""
    form = vector["equality_form"]
    value = column_keys(vector["key"])._seal(
        bytes.fromhex(vector["plaintext"]),
        None if form is None else bytes.fromhex(form),
        bytes.fromhex(vector["nonce"]),
    )
    assert value.hex() == vector["sealed"]


@pytest.mark.parametrize("vector", VECTORS["valid"], ids=by_comment)
def test_opening_gives_the_vector(vector: dict[str, Any]) -> None:
    """A vector's value opens to its plaintext and names its key and cell."""
    value = bytes.fromhex(vector["sealed"])
    assert looks_sealed(value)
    assert key_id(value) == VECTORS["keys"][vector["key"]]["id"]
    assert cell_id(value).hex() == vector["cell_id"]
    assert data_key(vector["key"]).open(value).hex() == vector["plaintext"]


@pytest.mark.parametrize("vector", VECTORS["large"], ids=by_comment)
def test_large_vectors_in_both_directions(vector: dict[str, Any]) -> None:
    """1 MB is sealed as any other value is."""
    plaintext = bytes.fromhex(vector["unit"]) * vector["times"]
    value = column_keys(vector["key"])._seal(
        plaintext, plaintext if vector["with_term"] else None, bytes.fromhex(vector["nonce"])
    )
    assert len(plaintext) == 1 << 20
    assert (len(value), value[:64].hex(), value[-16:].hex()) == (
        vector["length"],
        vector["start"],
        vector["tag"],
    )
    assert hashlib.sha256(value).hexdigest() == vector["sha256"]
    assert data_key(vector["key"]).open(value) == plaintext


@pytest.mark.parametrize("form", [None, b"form"])
def test_long_values_are_sealed_and_opened_in_steps_alike(
    form: bytes | None,
) -> None:
    """In steps or at once: the same bytes, and each way opens what the other sealed."""
    nonce, whole = bytes(range(12)), hashlib.shake_256(b"long")
    for size in (LONG - 40, LONG - 36, LONG + 1, 5 << 20, (5 << 20) + 1):
        plaintext = whole.digest(size)
        in_steps = long.seal(KEYS._secret, nonce, plaintext, KEYS._bare)
        at_once = KEYS._bare + nonce + KEYS._encrypt(nonce, plaintext, KEYS._bare)
        assert in_steps == at_once
        value = KEYS._seal(plaintext, form, nonce)
        split = 8 if form is None else 24
        assert long.unseal(DATA_KEY._secret, value, split) == plaintext
        assert DATA_KEY._decrypt(nonce, value[split + 12 :], value[:split]) == plaintext
        assert DATA_KEY.open(value) == plaintext


def test_long_forms_have_the_same_terms() -> None:
    """A form of many megabytes, too, has the term that HMAC-SHA-256 gives it."""
    form = bytes(LONG + 3)
    state = KEYS._keyed.copy()
    state.update(form)
    assert KEYS.equality_term(form) == state.finalize()[:16]


def test_an_altered_long_value_does_not_open() -> None:
    """Nothing of it comes out, wherever it was altered or cut."""
    value = KEYS.seal(bytes(LONG), b"form")
    for at in (9, 30, 100, len(value) // 2, len(value) - 1):
        altered = value[:at] + bytes((value[at] ^ 1,)) + value[at + 1 :]
        for damaged in (altered, value[:at] + value[at + 1 :]):
            with pytest.raises(TamperedValue) as caught:
                DATA_KEY.open(damaged)
            assert caught.value.__context__ is None


@pytest.mark.parametrize("vector", VECTORS["invalid"], ids=by_comment)
def test_invalid_vectors_do_not_open(vector: dict[str, Any]) -> None:
    """Each invalid vector is refused, authentic ones with flags or versions of the future too."""
    value = bytes.fromhex(vector["sealed"])
    assert looks_sealed(value) is vector["looks_sealed"]
    with pytest.raises(TamperedValue) as caught:
        data_key(vector["key"]).open(value)
    assert caught.value.sqlstate == "XX001"
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\x5e\xa1\x01", "shorter than a header"),
        (b"alice@example.com", "no sealed value's magic bytes"),
        (bytes.fromhex("5ea102") + bytes(40), "format version 2, which this release does not know"),
        (bytes.fromhex("5ea10180") + bytes(40), "flags 0x80, of which this release knows only 0x3d"),
        (bytes.fromhex("5ea101000000002a") + bytes(40), "sealed under key 0000002a, opened with 00000001"),
        (bytes.fromhex("5ea1010000000001") + bytes(27), "truncated"),
        (bytes.fromhex("5ea1010000000001") + bytes(28), "the tag does not match"),
    ],
)  # fmt: skip
def test_a_refusal_says_why(value: bytes, reason: str) -> None:
    """The reason tells a newer release's value from a damaged one, and quotes no content."""
    with pytest.raises(TamperedValue) as caught:
        data_key("email").open(value)
    assert caught.value.reason == reason
    assert str(caught.value) == f"sealed value in {EMAIL} failed authentication: {reason}"


@given(plaintext=st.binary(max_size=200), form=st.none() | st.binary(max_size=60))
def test_what_is_sealed_opens(plaintext: bytes, form: bytes | None) -> None:
    """Opening undoes sealing, the value looks sealed, and has the size the interface promises."""
    value = KEYS.seal(plaintext, form)
    assert DATA_KEY.open(value) == plaintext
    assert looks_sealed(value)
    assert key_id(value) == KEYS.id
    assert len(value) == len(plaintext) + (OVERHEAD if form is None else OVERHEAD_WITH_TERM)


@pytest.mark.parametrize("form", [None, b"", b"alice@example.com"])
@pytest.mark.parametrize("plaintext", [b"", b"alice@example.com"])
def test_any_flipped_bit_is_noticed(plaintext: bytes, form: bytes | None) -> None:
    """Every single bit of a sealed value is authenticated."""
    value = KEYS.seal(plaintext, form)
    for bit in range(len(value) * 8):
        altered = bytearray(value)
        altered[bit // 8] ^= 1 << bit % 8
        with pytest.raises(TamperedValue):
            DATA_KEY.open(bytes(altered))


@pytest.mark.parametrize("form", [None, b"form"])
def test_any_truncation_is_noticed(form: bytes | None) -> None:
    """No prefix and no suffix of a sealed value opens, nor the value with one byte missing."""
    value = KEYS.seal(b"a plaintext of some length", form)
    for at in range(len(value)):
        for damaged in (value[:at], value[at + 1 :], value[:at] + value[at + 1 :]):
            with pytest.raises(TamperedValue):
                DATA_KEY.open(damaged)


@given(
    first=st.binary(max_size=40),
    second=st.binary(max_size=40),
    cut=st.integers(1, 90),
    other=st.integers(1, 90),
)
def test_no_splice_of_two_values_opens(first: bytes, second: bytes, cut: int, other: int) -> None:
    """A value pieced together from two authentic ones is refused unless it is one of them."""
    one, two = KEYS.seal(first, first), KEYS.seal(second)
    spliced = one[:cut] + two[other:]
    if spliced in (one, two):
        return
    with pytest.raises(TamperedValue):
        DATA_KEY.open(spliced)


@given(value=st.binary(max_size=120))
def test_junk_never_opens(value: bytes) -> None:
    """Random bytes behind a right header raise TamperedValue and nothing else."""
    header = KEYS.seal(b"", b"")[:8]
    for junk in (value, header + value, header[:3] + value):
        with pytest.raises(TamperedValue):
            DATA_KEY.open(junk)


def test_equality_terms_belong_to_a_column() -> None:
    """Equal forms have equal terms in one column and different ones in another."""
    ssn = KEYSET.column("public.customers.ssn")
    assert KEYS.equality_term(b"x") == KEYS.equality_term(b"x")
    assert KEYS.seal(b"1", b"x")[8:24] == KEYS.seal(b"2", b"x")[8:24] == KEYS.equality_term(b"x")
    assert len(KEYS.equality_term(b"")) == 16
    assert KEYS.equality_term(b"x") != KEYS.equality_term(b"y")
    assert KEYS.equality_term(b"x") != ssn.equality_term(b"x")


def test_a_value_opens_under_its_own_column_only() -> None:
    """The wrong column's key does not open a value, even when the header is made to name it."""
    ssn = KEYSET.data_keys[KEYSET.column("public.customers.ssn").id]
    value = KEYS.seal(b"secret", b"secret")
    for attempt in (value, value[:4] + ssn.id.to_bytes(4, "big") + value[8:]):
        with pytest.raises(TamperedValue):
            ssn.open(attempt)


@given(
    plaintexts=st.lists(st.binary(max_size=40), max_size=20),
    forms=st.lists(st.binary(max_size=20), min_size=20, max_size=20) | st.none(),
)
def test_many_values_are_sealed_and_opened_as_one_by_one(
    plaintexts: list[bytes], forms: list[bytes] | None
) -> None:
    """`seal_many` gives a value per plaintext, in order, each with its form's term; `open_many` undoes it."""
    if forms is not None:
        forms = forms[: len(plaintexts)]
    values = KEYS.seal_many(plaintexts, forms)
    assert DATA_KEY.open_many(values) == plaintexts == [DATA_KEY.open(value) for value in values]
    for i, value in enumerate(values):
        assert value[3] == (0 if forms is None else 1)
        assert forms is None or value[8:24] == KEYS.equality_term(forms[i])


def test_many_values_open_only_if_all_do() -> None:
    """One altered value among good ones, and none of them comes out."""
    values = KEYS.seal_many([b"one", b"two", b"three"])
    for i in range(3):
        altered = [*values[:i], values[i][:-1] + bytes((values[i][-1] ^ 1,)), *values[i + 1 :]]
        with pytest.raises(TamperedValue):
            DATA_KEY.open_many(altered)


def test_many_values_need_as_many_forms() -> None:
    """A missing form is not taken for none."""
    for forms in ([], [b""], [b"", b"", b""]):
        with pytest.raises(ValueError, match="as many equality forms"):
            KEYS.seal_many([b"one", b"two"], forms)


def test_nonces_do_not_repeat() -> None:
    """20 000 values of one plaintext have 20 000 nonces, sealed one by one or many at once."""
    assert len({KEYS.seal(b"")[8:20] for _ in range(20_000)}) == 20_000
    many = KEYS.seal_many([b""] * 10_000) + KEYS.seal_many([b""] * 10_000)
    assert len({value[8:20] for value in many}) == 20_000


FORKS = """
import os, sys
from keystore import generate
keys = generate(["t"]).column("t")
keys.seal_many([keys.seal(b"before the fork")])
def sealed():
    return [keys.seal(b"") for _ in range(100)] + keys.seal_many([b""] * 100)
readers = []
for _ in range(4):
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.write(writer, b"".join(value[8:20] for value in sealed()))
        os._exit(0)
    os.close(writer)
    readers.append(reader)
drawn = b"".join(os.read(reader, 1 << 16) for reader in readers)
drawn += b"".join(value[8:20] for value in sealed())
nonces = [drawn[i:i + 12] for i in range(0, len(drawn), 12)]
assert len(nonces) == len(set(nonces)) == 1000, (len(nonces), len(set(nonces)))
"""


def test_forked_processes_share_no_nonces() -> None:
    """Workers forked from one process, which inherit its keys, draw nonces of their own."""
    subprocess.run([sys.executable, "-c", FORKS], check=True, timeout=60)
