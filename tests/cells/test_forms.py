"""Every type's text and binary forms against the server's own input and output functions."""

from __future__ import annotations

import random

import pytest

from proxy.cells import CellError, LogicalType, Settings, by_oid, logical_type
from proxy.cells.logical import TYPES
from tests.cells import values
from tests.cells.oracle import Oracle, decoding, encoding, ours

ASCII = Settings()


def canonical(logical: LogicalType, texts: list[bytes]) -> list[bytes]:
    """The texts that are values, in canonical form."""
    read = (ours(logical.decoder(0, ASCII), text) for text in texts)
    return [value for value in read if isinstance(value, bytes)]


def damaged(rng: random.Random, value: bytes) -> bytes:
    kind = rng.random()
    if kind < 0.3 and value:
        at = rng.randrange(len(value))
        return value[:at] + rng.randbytes(1) + value[at + 1 :]
    if kind < 0.45:
        return value[: rng.randint(0, len(value))]
    if kind < 0.55:
        return value + rng.randbytes(rng.randint(1, 4))
    return rng.randbytes(rng.randint(0, 20)) if kind < 0.6 else value


@pytest.mark.parametrize("name", TYPES)
def test_text_is_read_as_the_server_reads_it(name: str, oracle: Oracle, rng: random.Random) -> None:
    """Random and mutated texts give the same canonical bytes, or the same SQLSTATE."""
    assert decoding(oracle, TYPES[name], values.texts(name, rng, 700), ASCII) == []


@pytest.mark.parametrize("name", TYPES)
def test_text_is_written_as_the_server_writes_it(
    name: str, oracle: Oracle, rng: random.Random
) -> None:
    """Canonical values have the text that the server gives them."""
    logical = TYPES[name]
    assert encoding(oracle, logical, canonical(logical, values.texts(name, rng, 700)), ASCII) == []


@pytest.mark.parametrize("name", TYPES)
def test_binary_is_read_as_the_server_reads_it(
    name: str, oracle: Oracle, rng: random.Random
) -> None:
    """Binary forms, damaged ones too, give what the server would send back, or the same SQLSTATE."""
    logical = TYPES[name]
    forms = [damaged(rng, value) for value in canonical(logical, values.texts(name, rng, 500))]
    assert decoding(oracle, logical, forms, ASCII, format_in=1) == []


@pytest.mark.parametrize("name", TYPES)
def test_canonical_is_the_binary_form(name: str, rng: random.Random) -> None:
    """Writing binary gives the canonical bytes, and reading them back changes nothing."""
    logical = TYPES[name]
    for value in canonical(logical, values.texts(name, rng, 100)):
        assert logical.to_binary(value, ASCII) == value
        assert logical.from_binary(value, ASCII) == value


@pytest.mark.long
@pytest.mark.parametrize("name", TYPES)
def test_many_texts(name: str, oracle: Oracle, rng: random.Random) -> None:
    """The same agreement over a hundred times more texts."""
    logical = TYPES[name]
    for _ in range(10):
        texts = values.texts(name, rng, 7000)
        assert decoding(oracle, logical, texts, ASCII) == []
        assert encoding(oracle, logical, canonical(logical, texts), ASCII) == []


@pytest.mark.parametrize("name", TYPES)
def test_a_megabyte(name: str, oracle: Oracle) -> None:
    """A value of 1 MB that a type can hold is read and written as the server does; elsewhere the SQLSTATE is the same."""
    logical = TYPES[name]
    texts = [
        b"1" * 1_000_000,
        b" " * 999_999 + b"1",
        b"a" * 1_000_000,
        b'"' + b"\\n" * 500_000 + b'"',
    ]
    texts += [
        b"0." + b"0" * 999_998,
        b"[" + b"1," * 499_999 + b"1]",
        b"\\x" + b"ab" * 500_000,
        "é".encode() * 500_000,
    ]
    texts += [b"/" * 1_000_000, b"2024-01-01" + b" ,!" * 300_000]
    assert [len(value) for value, _, _ in decoding(oracle, logical, texts, ASCII)] == []
    assert [
        len(value) for value, _, _ in encoding(oracle, logical, canonical(logical, texts), ASCII)
    ] == []


def test_types_are_those_of_the_catalog(oracle: Oracle) -> None:
    """Name, OID, array type and length are pg_type's."""
    for name, logical in TYPES.items():
        row = oracle.row(
            "SELECT oid::text, typarray::text, typlen::text, typelem::text FROM pg_type WHERE typname = $1"
            " AND typnamespace = 'pg_catalog'::regnamespace",
            [name.encode()],
        )
        expected = [logical.oid, logical.array_oid, logical.length, 0]
        assert [int(column or b"-1") for column in row] == expected
        assert by_oid(logical.oid) == logical
    assert by_oid(600) is None


def test_a_stored_value_of_another_type_is_an_error() -> None:
    """Canonical bytes that no value of the type has are reported, never shown as something else."""
    for name in (
        "int4",
        "int8",
        "float4",
        "float8",
        "bool",
        "date",
        "timestamptz",
        "uuid",
        "numeric",
        "jsonb",
    ):
        with pytest.raises(CellError) as caught:
            TYPES[name].to_text(b"\x00\x01\x02", ASCII)
        assert caught.value.sqlstate == "XX001"


def test_an_unknown_format_code_is_refused() -> None:
    """Format codes other than 0 and 1 are the client's mistake."""
    with pytest.raises(CellError) as caught:
        logical_type("text").decoder(2, ASCII)
    assert caught.value.sqlstate == "22023"
