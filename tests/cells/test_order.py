"""Order forms: bytes that sort as the server sorts the values."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path

import pytest

from proxy.cells import CellError, LogicalType, logical_type
from proxy.cells.logical import TYPES
from proxy.cells.order import MOST_NUMERIC_DIGITS, operand_form, order_form
from tests.cells import ordered
from tests.cells.oracle import Oracle

PREFIX = ordered.PREFIX
VECTORS: list[dict[str, str]] = json.loads(
    (Path(__file__).parent.parent / "vectors" / "order_v1.json").read_text()
)["forms"]


def prefix_of(logical: LogicalType) -> int:
    return PREFIX if logical.name in ("text", "varchar") else 0


def form(name: str, text: str) -> bytes:
    logical = logical_type(name)
    return order_form(logical, prefix_of(logical))(
        logical.from_text(text.encode(), ordered.DEFAULTS)
    )


def array(logical: LogicalType, values: list[bytes]) -> bytes:
    """The binary form of an array."""
    head = b"".join(n.to_bytes(4, "big") for n in (1, 0, logical.oid, len(values), 1))
    return head + b"".join(len(value).to_bytes(4, "big") + value for value in values)


def ranks(oracle: Oracle, logical: LogicalType, values: list[bytes], key: str) -> list[int]:
    """The server's place of each value in the order of `key`, an expression of v; equal ones share a place."""
    expression = (
        "(SELECT string_agg(place::text, ',' ORDER BY n) FROM (SELECT n, dense_rank() OVER"
        f" (ORDER BY {key}) place FROM unnest($1) WITH ORDINALITY AS given(v, n)) AS found)"
    )
    oracle.use(ordered.DEFAULTS)
    (found,) = oracle.many(expression, logical.array_oid, [array(logical, values)], 1, 0)
    assert isinstance(found, bytes)
    return [int(place) for place in found.split(b",")]


def places(forms: list[bytes]) -> list[int]:
    order = {form: place for place, form in enumerate(sorted(set(forms)), 1)}
    return [order[form] for form in forms]


@pytest.mark.parametrize(
    "vector", VECTORS, ids=lambda vector: f"{vector['type']}-{vector['value'][:20]}"
)
def test_a_value_gives_the_form_of_its_vector(vector: dict[str, str]) -> None:
    """Stored terms are made of these forms: they never change."""
    assert form(vector["type"], vector["value"]).hex() == vector["form"]


@pytest.mark.parametrize("name", [n for n in ordered.NAMES if n not in ("text", "varchar")])
def test_forms_sort_as_the_server_sorts(name: str, oracle: Oracle, rng: random.Random) -> None:
    """All extremes, random values and neighbours have the places that ORDER BY gives them, ties included."""
    logical = TYPES[name]
    values = ordered.samples(logical, rng, 2000)
    if name == "numeric":
        values = [value for value in values if len(value) <= 8 + 2 * MOST_NUMERIC_DIGITS]
    assert len(values) > 1000
    read = order_form(logical, 0)
    forms = [read(value) for value in values]
    assert places(forms) == ranks(oracle, logical, values, "v")


@pytest.mark.parametrize("name", ["text", "varchar"])
def test_texts_sort_by_collation_c_as_far_as_the_prefix(
    name: str, oracle: Oracle, rng: random.Random
) -> None:
    """Texts have the place of their first bytes in the server's own order, those that go on behind them the next."""
    logical = TYPES[name]
    values = ordered.samples(logical, rng, 2000)
    read = order_form(logical, PREFIX)
    forms = [read(value) for value in values]
    key = f"substring(convert_to(v, 'UTF8') for {PREFIX}), octet_length(v) > {PREFIX}"
    assert places(forms) == ranks(oracle, logical, values, key)
    short = [value for value in values if len(value) <= PREFIX]
    assert len(short) > 200
    assert places([read(value) for value in short]) == ranks(
        oracle, logical, short, 'v COLLATE "C"'
    )


@pytest.mark.parametrize("name", ordered.NAMES)
def test_no_form_is_the_start_of_another(name: str, rng: random.Random) -> None:
    """So a cut just above a value's term is below the next value's."""
    logical = TYPES[name]
    read = operand_form(logical, prefix_of(logical)) if name == "numeric" else None
    read = read or order_form(logical, prefix_of(logical))
    forms = sorted({read(value) for value in ordered.samples(logical, rng, 2000)})
    assert not any(two.startswith(one) for one, two in pairwise(forms))


def test_numerics_of_too_many_digits_are_not_stored(rng: random.Random) -> None:
    """Up to 40 base-10000 digits are; the error quotes none of them."""
    read = order_form(logical_type("numeric"), 0)
    longest = 0
    for value in ordered.samples(logical_type("numeric"), rng, 500):
        digits = int.from_bytes(value[:2], "big")
        if digits <= MOST_NUMERIC_DIGITS:
            longest = max(longest, len(read(value)))
        else:
            with pytest.raises(CellError, match="more than 157 digits cannot be stored") as caught:
                read(value)
            assert caught.value.sqlstate == "0A000"
    assert longest <= 3 + 2 * MOST_NUMERIC_DIGITS


def test_longer_numerics_are_compared_all_the_same(oracle: Oracle, rng: random.Random) -> None:
    """As an operand a numeric of any length lies where the server has it, and at no value that can be stored."""
    logical = TYPES["numeric"]
    values = ordered.samples(logical, rng, 1500)
    forms = [operand_form(logical, 0)(value) for value in values]
    places = ranks(oracle, logical, values, "v")
    stored = [len(value) <= 8 + 2 * MOST_NUMERIC_DIGITS for value in values]
    long = [at for at, is_stored in enumerate(stored) if not is_stored]
    assert len(long) > 50
    for at in long:
        for other, is_stored in enumerate(stored):
            if is_stored:
                assert forms[at] != forms[other]
                assert (forms[other] < forms[at]) == (places[other] < places[at])


@pytest.mark.parametrize(
    ("name", "alike"),
    [
        ("numeric", ["1", "1.0", "1.00", "10e-1"]),
        ("numeric", ["0", "-0", "0.00", "0e10"]),
        ("numeric", ["NaN", "nan"]),
        ("float8", ["0", "-0"]),
        ("float8", ["NaN", "-NaN"]),
        ("float4", ["0", "-0"]),
        ("timestamptz", ["2024-01-01 12:00+00", "2024-01-01 14:00+02"]),
    ],
)
def test_what_sql_calls_equal_has_one_form(name: str, alike: list[str]) -> None:
    """So that `order` answers `=` as well."""
    assert len({form(name, text) for text in alike}) == 1


def test_texts_that_only_look_alike_have_forms_of_their_own() -> None:
    """Composed and decomposed letters, trailing blanks, upper and lower case."""
    assert len({form("text", text) for text in ("é", "e\u0301", "é ", "É", "")}) == 5


@pytest.mark.parametrize(
    ("name", "text", "size"),
    [
        *(
            ("int2", "1", 2),
            ("int4", "1", 4),
            ("int8", "1", 8),
            ("float4", "1", 4),
            ("float8", "1", 8),
        ),
        *(
            ("date", "epoch", 4),
            ("timestamp", "epoch", 8),
            ("numeric", "12", 3),
            ("numeric", "12.34", 5),
        ),
        *(("text", "ada", PREFIX + 1), ("varchar", "a text longer than the prefix", PREFIX + 1)),
    ],
)
def test_lengths_of_forms(name: str, text: str, size: int) -> None:
    """What a stored value grows by is 8 times as much."""
    assert len(form(name, text)) == size


@pytest.mark.parametrize("name", ["bool", "uuid", "jsonb", "bytea", "bpchar"])
def test_other_types_have_no_order(name: str) -> None:
    """Nothing is ordered by a form that nobody thought of."""
    with pytest.raises(CellError, match="no order") as caught:
        order_form(TYPES[name], 0)
    assert caught.value.sqlstate == "0A000"


def test_a_text_is_not_ordered_without_a_prefix() -> None:
    """A prefix of 0 bytes would make all texts equal."""
    with pytest.raises(CellError, match="no order"):
        order_form(TYPES["text"], 0)


def test_an_operand_longer_than_the_prefix_is_refused() -> None:
    """Up to the prefix its form is the stored one's; beyond it nobody could say; the error does not quote it."""
    read = operand_form(TYPES["text"], PREFIX)
    assert read(b"12345678") == order_form(TYPES["text"], PREFIX)(b"12345678")
    with pytest.raises(CellError, match="longer than 8 bytes") as caught:
        read(b"123456789")
    assert caught.value.sqlstate == "0A000"
    assert "123456789" not in str(caught.value)


@pytest.mark.parametrize("name", [n for n in ordered.NAMES if n not in ("text", "varchar")])
@pytest.mark.parametrize("value", [b"", b"\x00", b"\x00" * 7, b"\xff" * 9, b"\x00\x02" + bytes(8)])
def test_what_is_no_value_has_no_form(name: str, value: bytes) -> None:
    """An operand, which is sealed without a plaintext, may have been put into a row by somebody."""
    for read in (order_form(TYPES[name], 0), operand_form(TYPES[name], 0)):
        with pytest.raises(CellError):
            read(value)
