"""Messages: what is written is read back, and a body that is not exactly one message is refused."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.wire.framing import HEADER_SIZE, BadMessage
from proxy.wire.messages import (
    CLOSE,
    DESCRIBE,
    Bind,
    Field,
    Parse,
    bind_names,
    bind_result_formats,
    cstring,
    error_response,
    format_of,
    read_bind,
    read_execute,
    read_fields,
    read_parameter_description,
    read_parse,
    read_row_description,
    read_startup,
    read_target,
    write_bind,
    write_execute,
    write_parameter_description,
    write_parse,
    write_row_description,
    write_target,
)

NAME = st.binary(max_size=20).map(lambda b: b.replace(b"\0", b""))
OID = st.integers(0, 2**32 - 1)
FORMAT = st.sampled_from([0, 1])
FIELD = st.builds(
    Field,
    NAME,
    OID,
    st.integers(0, 1600),
    OID,
    st.integers(-2, 100),
    st.integers(-1, 2**31 - 1),
    FORMAT,
)


@st.composite
def binds(draw: st.DrawFn) -> Bind:
    values = tuple(draw(st.lists(st.none() | st.binary(max_size=50), max_size=6)))
    formats = draw(st.sampled_from([(), (0,), (1,), tuple(1 for _ in values)]))
    if len(formats) > 1 and len(formats) != len(values):
        formats = ()
    return Bind(draw(NAME), draw(NAME), formats, values, tuple(draw(st.lists(FORMAT, max_size=4))))


@given(st.builds(Parse, NAME, NAME, st.lists(OID, max_size=5).map(tuple)))
def test_parse_round_trips(parse: Parse) -> None:
    """Parse: written and read back."""
    assert read_parse(write_parse(parse)[HEADER_SIZE:]) == parse


def parts(bind: Bind) -> tuple[object, ...]:
    return (bind.portal, bind.statement, bind.formats, bind.values, bind.result_formats)


def result_formats(body: bytes) -> tuple[int, ...]:
    return bind_result_formats(body, bind_names(body)[2], strict=False)


def strict_result_formats(body: bytes) -> tuple[int, ...]:
    return bind_result_formats(body, bind_names(body)[2], strict=True)


@given(binds())
def test_bind_round_trips_and_its_parts_agree(bind: Bind) -> None:
    """Bind: written and read back; the partial readers see the same names and formats."""
    body = write_bind(bind)[HEADER_SIZE:]
    assert parts(read_bind(body)) == parts(bind)
    portal, statement, position = bind_names(body)
    assert (portal, statement) == (bind.portal, bind.statement)
    for strict in (False, True):
        assert bind_result_formats(body, position, strict=strict) == bind.result_formats


@given(st.lists(FIELD, max_size=5).map(tuple))
def test_row_description_round_trips(fields: tuple[Field, ...]) -> None:
    """RowDescription: written and read back."""
    assert read_row_description(write_row_description(fields)[HEADER_SIZE:]) == fields


@given(st.lists(OID, max_size=5).map(tuple))
def test_parameter_description_round_trips(types: tuple[int, ...]) -> None:
    """ParameterDescription: written and read back."""
    assert read_parameter_description(write_parameter_description(types)[HEADER_SIZE:]) == types


BODIES: list[tuple[Callable[[bytes], Any], bytes]] = [
    (read_parse, write_parse(Parse(b"s", b"SELECT $1", (25, 0)))[HEADER_SIZE:]),
    (read_bind, write_bind(Bind(b"p", b"s", (1,), (b"abc", None), (1, 0)))[HEADER_SIZE:]),
    (result_formats, write_bind(Bind(b"p", b"s", (1,), (b"abc", None), (1, 0)))[HEADER_SIZE:]),
    (
        strict_result_formats,
        write_bind(Bind(b"p", b"s", (1,), (b"abc", None), (1, 0)))[HEADER_SIZE:],
    ),
    (read_execute, write_execute(b"p", 5)[HEADER_SIZE:]),
    (read_target, write_target(DESCRIBE, "S", b"name")[HEADER_SIZE:]),
    (read_target, write_target(CLOSE, "P", b"name")[HEADER_SIZE:]),
    (
        read_row_description,
        write_row_description((Field(b"n", 1, 1, 17, -1, -1, 0),))[HEADER_SIZE:],
    ),
    (read_parameter_description, write_parameter_description((25, 17))[HEADER_SIZE:]),
    (read_fields, error_response("ERROR", "42501", "no", "hint")[HEADER_SIZE:]),
]


@pytest.mark.parametrize(("read", "body"), BODIES)
def test_a_body_cut_short_or_too_long_is_a_bad_message(
    read: Callable[[bytes], Any], body: bytes
) -> None:
    """Every prefix and every extension is refused as such: no IndexError, no struct.error, no guess."""
    read(body)
    for cut in range(len(body)):
        with pytest.raises(BadMessage):
            read(body[:cut])
    with pytest.raises(BadMessage):
        read(body + b"x")


@given(st.sampled_from([read for read, _ in BODIES]), st.binary(max_size=60))
def test_random_bodies_are_read_or_refused(read: Callable[[bytes], Any], body: bytes) -> None:
    """Nothing but BadMessage ever escapes a reader."""
    with contextlib.suppress(BadMessage):
        read(body)


@pytest.mark.parametrize("size", [0, 1, 31, 32, 33, 100])
@pytest.mark.parametrize("before", [0, 3])
def test_a_string_of_any_length_ends_at_its_first_nul(size: int, before: int) -> None:
    """Short strings and long ones are looked through in two ways."""
    text = bytes(range(1, 101))[:size]
    assert cstring(b"x" * before + text + b"\0y\0", before) == (text, before + size + 1)
    with pytest.raises(BadMessage):
        cstring(b"\0" * before + text, before)


def test_a_bind_of_long_values_is_written_like_one_of_short_ones() -> None:
    """Long values are put together apart from what stands between them."""
    values = (b"a", b"b" * 100_000, None, b"c", b"d" * 20_000, b"")
    bind = Bind(b"p", b"s", tuple([0] * 6), values, (1,))
    body = write_bind(bind)[HEADER_SIZE:]
    assert parts(read_bind(body)) == parts(bind)
    assert len(body) == 4 + 2 + 12 + 2 + 24 + 120_002 + 4


@given(binds(), st.data())
def test_a_strict_walk_takes_what_a_reader_takes(bind: Bind, data: st.DataObject) -> None:
    """Whatever byte of a Bind is changed: what is not read is refused without being read, in the same words."""
    body = bytearray(write_bind(bind)[HEADER_SIZE:])
    at = data.draw(st.integers(0, len(body) - 1))
    body[at] = data.draw(st.sampled_from([0, 1, 2, 0xFE, 0xFF]) | st.integers(0, 255))
    assert outcome(strict_result_formats, bytes(body)) == outcome(
        lambda body: read_bind(body).result_formats, bytes(body)
    )


def outcome(read: Callable[[bytes], Any], body: bytes) -> object:
    try:
        return read(body)
    except BadMessage as bad:
        return str(bad)


def test_contradictory_format_counts_are_refused() -> None:
    """Two formats for three values fit no rule of the manual."""
    body = write_bind(Bind(b"", b"", (0, 1), (b"a", b"b", b"c"), ()))[HEADER_SIZE:]
    with pytest.raises(BadMessage, match="2 parameter formats but 3 parameters"):
        read_bind(body)


def test_format_codes_of_no_format_are_read_and_written_as_they_are() -> None:
    """The server refuses them, and only when it comes to use them: an INSERT's result formats never."""
    odd = Bind(b"p", b"s", (-1,), (b"a",), (7, -2))
    assert parts(read_bind(write_bind(odd)[HEADER_SIZE:])) == parts(odd)


def test_a_negative_length_that_is_not_nulls_is_refused() -> None:
    """-1 is NULL; the server takes no other."""
    body = write_bind(Bind(b"", b"", (), (None,), ()))[HEADER_SIZE:]
    assert read_bind(body).values == (None,)
    with pytest.raises(BadMessage):
        read_bind(body.replace(b"\xff\xff\xff\xff", b"\xff\xff\xff\xfe"))


def test_one_format_code_holds_for_all() -> None:
    """Bind's rule for format codes: none is text, one holds for all, else each its own."""
    assert [format_of((), 3), format_of((1,), 3), format_of((0, 1), 1)] == [0, 1, 1]


def test_a_startup_packet_needs_its_terminator() -> None:
    """The last byte of a StartupMessage is the empty name that ends its list."""
    body = b"\0\3\0\0user\0a\0"
    assert read_startup(b"\0\0\0\x10" + body + b"\0").parameters == {"user": "a"}
    with pytest.raises(BadMessage):
        read_startup(b"\0\0\0\x10" + body)
    with pytest.raises(BadMessage):
        read_startup(b"\0\0\0\x10" + body + b"\0\0")
