"""Masks: what each shows, that it is a value of the column's type, and never all of it."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policy import PolicyError, compile_mask
from policy.masking import read_type
from tests.conftest import Database


def no_parse(text: str) -> bytes:
    raise AssertionError("only constants are parsed")


def masked(spec: str, text: str, type_name: str = "text") -> str:
    shown = compile_mask(spec, type_name, no_parse)(text.encode())
    assert shown is not None
    return shown.decode()


@pytest.mark.parametrize(
    ("spec", "text", "shown"),
    [
        ("email", "alice@example.com", "a***@example.com"),
        ("email", "al@example.com", "a***@example.com"),
        ("email", "a@example.com", "***@example.com"),
        ("email", "@example.com", "***@example.com"),
        ("email", "alice@localhost", "a***@localhost"),
        ("email", "alice@xn--bcher-kva.example", "a***@xn--bcher-kva.example"),
        ("email", "élise@bücher.example", "é***@bücher.example"),
        ("email", '"a@b"@example.com', '"***@example.com'),
        ("email", "🔒lock@example.com", "🔒***@example.com"),
        ("email", "alice", "***"),
        ("email", "", "***"),
        ("email", "alice@", "***"),
        ("email", "@", "***"),
        ("email", "alice@example.com, bob", "***"),
        ("email", "call me @ 555 1234", "***"),
        ("email", "alice@example.com\n4111-1111", "***"),
        ("email", "alice@example.com\n", "***"),
        ("email", "alice@.", "***"),
        ("email", "alice@example..com", "***"),
        ("keep_last:4", "123-45-6789", "*******6789"),
        ("keep_last:4", "12345", "*2345"),
        ("keep_last:4", "1234", "****"),
        ("keep_last:4", "123", "***"),
        ("keep_last:4", "", ""),
        ("keep_last:1", "漢字🔒", "**🔒"),
        ("keep_last:2", "e\u0301e\u0301", "**e\u0301"),
        ("keep_last:999999", "123", "***"),
        ("keep_first:3", "12345", "123**"),
        ("keep_first:3", "123", "***"),
        ("keep_first:1", "Zoë", "Z**"),
        ("keep_first:1", "", ""),
    ],
)
def test_masks_of_text(spec: str, text: str, shown: str) -> None:
    """Code points are what is counted; short values and what is no address show stars only."""
    assert masked(spec, text) == shown


@pytest.mark.parametrize(
    ("spec", "type_name", "text", "shown"),
    [
        ("email", "varchar(8)", "a.b@c.de", "a***@c.d"),
        ("email", "varchar(2)", "@x", "**"),
        ("email", "character varying(40)", "al@b.c", "a***@b.c"),
        ("keep_last:4", "varchar(11)", "123-45-6789", "*******6789"),
        ("keep_last:4", "char(12)", "123-45-6789 ", "*******6789 "),
        ("keep_last:4", "bpchar", "12345   ", "*2345   "),
        ("keep_last:4", "character(6)", "123   ", "***   "),
        ("keep_first:2", "char(6)", "      ", "      "),
        ("email", "char(8)", "a@b.c   ", "***@b.c "),
        ("email", "char(6)", "al@b.c", "a***@b"),
        ("email", "char(12)", "alice       ", "***         "),
        ("keep_first:1", "char", "x", "*"),
    ],
)
def test_masked_values_fit_their_type(spec: str, type_name: str, text: str, shown: str) -> None:
    """varchar(n) is cut, char(n) padded; trailing blanks are no characters of a char(n)."""
    assert masked(spec, text, type_name) == shown


def test_what_is_no_text_shows_nothing() -> None:
    """Bytes that are no UTF-8 (a value sealed under SQL_ASCII) are stars, not an error with the value."""
    for spec in ("email", "keep_last:4", "keep_first:4"):
        assert compile_mask(spec, "text", no_parse)(b"secret\xff") == b"***"
        assert compile_mask(spec, "varchar(2)", no_parse)(b"secret\xff") == b"**"


@given(text=st.text(max_size=40), keep=st.integers(1, 20))
def test_no_mask_shows_all_of_a_value(text: str, keep: int) -> None:
    """keep_* hides at least one code point of any value, email all but the first of the local part."""
    for spec in (f"keep_last:{keep}", f"keep_first:{keep}"):
        shown = masked(spec, text)
        assert len(shown) == len(text)
        kept = len(text) - keep
        assert shown.count("*") >= (kept if kept > 0 else len(text))
    local = text.rpartition("@")[0]
    shown = masked("email", text)
    assert shown.startswith("***") or shown[1:4] == "***"
    if local and not local.startswith("*"):
        assert not shown.startswith(local)


@given(value=st.binary(max_size=30), limit=st.integers(1, 12))
def test_masks_do_not_raise_and_keep_the_limit(value: bytes, limit: int) -> None:
    """Any bytes at all give UTF-8 of at most n code points."""
    for spec in ("email", "keep_last:4", "keep_first:4"):
        shown = compile_mask(spec, f"varchar({limit})", no_parse)(value)
        assert shown is not None
        assert len(shown.decode()) <= limit


def test_constant_and_null() -> None:
    """A constant is parsed once, by the type; null is NULL; neither depends on the value."""
    parsed: list[str] = []

    def parse(text: str) -> bytes:
        parsed.append(text)
        return b"canonical"

    constant = compile_mask("constant:a:b ", "uuid", parse)
    assert [constant(b"x"), constant(b"")] == [b"canonical", b"canonical"]
    assert parsed == ["a:b "]
    assert compile_mask("null", "bytea", no_parse)(b"x") is None
    assert compile_mask("constant:", "text", str.encode)(b"x") == b""


def test_a_constant_that_is_no_value_is_refused() -> None:
    """Whatever the parser raises becomes an error of the configuration, with nothing chained."""
    with pytest.raises(PolicyError, match="the constant is not a value of type int4") as caught:
        compile_mask("constant:many", "int4", lambda text: int(text).to_bytes(4, "big"))
    assert caught.value.__context__ is None


FITTING = {
    "text": {"email", "keep_last:2", "keep_first:2", "constant:x", "null"},
    "varchar(5)": {"email", "keep_last:2", "keep_first:2", "constant:x", "null"},
    "bpchar(5)": {"email", "keep_last:2", "keep_first:2", "constant:x", "null"},
    "date": {"year", "constant:x", "null"},
    "timestamp": {"year", "constant:x", "null"},
    "timestamptz(3)": {"year", "constant:x", "null"},
    "timestamp(3) with time zone": {"year", "constant:x", "null"},
    **{
        name: {"constant:x", "null"}
        for name in ("int2", "int4", "int8", "numeric(10,2)", "float4", "float8", "bool", "uuid", "json", "jsonb", "bytea")
    },
}  # fmt: skip


@pytest.mark.parametrize("type_name", FITTING)
def test_a_mask_fits_its_type_or_is_refused(type_name: str) -> None:
    """For each of the 17 types, exactly the masks that give a value of it."""
    for spec in {"email", "keep_last:2", "keep_first:2", "year", "constant:x", "null"}:
        if spec in FITTING[type_name]:
            compile_mask(spec, type_name, str.encode)
        else:
            with pytest.raises(PolicyError, match="does not give a value of type"):
                compile_mask(spec, type_name, str.encode)


@pytest.mark.parametrize(
    "spec",
    ["", "Email", "email:", "email:x", "null:", "year:2", "keep_last", "keep_last:", "keep_last:-1", "keep_last:0", "keep_last:04", "keep_last:1.5", "keep_last: 4", "keep_last:٤", "keep_last:9999999", "constant", "none", "NULL", " null"],
)  # fmt: skip
def test_what_is_no_mask_is_refused(spec: str) -> None:
    """A mask is spelled exactly; what is left out or too much is not guessed."""
    with pytest.raises(PolicyError):
        compile_mask(spec, "text", no_parse)


@pytest.mark.parametrize(
    ("spec", "name", "limit"),
    [
        ("text", "text", None),
        ("VARCHAR(40)", "varchar", 40),
        ("character  varying ( 40 )", "character varying", 40),
        ("char", "char", 1),
        ("character(3)", "character", 3),
        ("bpchar", "bpchar", None),
        ("timestamp(3) without time zone", "timestamp without time zone", None),
        ("numeric(10,-2)", "numeric", None),
        ("double precision", "double precision", None),
        ("geometry[]", "geometry[]", None),
    ],
)
def test_types_are_read_as_far_as_masks_need(spec: str, name: str, limit: int | None) -> None:
    """Family and limit in PostgreSQL's spellings; the rest is for the types themselves."""
    read = read_type(spec)
    assert (read.name, read.limit) == (name, limit)


# --- year


def days(date: datetime.date) -> bytes:
    return (date - datetime.date(2000, 1, 1)).days.to_bytes(4, "big", signed=True)


@given(date=st.dates())
def test_the_year_of_a_date(date: datetime.date) -> None:
    """1 January of the same year, for all of Python's dates."""
    assert compile_mask("year", "date", no_parse)(days(date)) == days(date.replace(month=1, day=1))


@given(moment=st.datetimes())
def test_the_year_of_a_timestamp(moment: datetime.datetime) -> None:
    """Midnight of 1 January; before 2000 too, where truncating toward zero would be a day off."""

    def canonical(value: datetime.datetime) -> bytes:
        since = value - datetime.datetime(2000, 1, 1)
        microseconds = (since.days * 86400 + since.seconds) * 1_000_000 + since.microseconds
        return microseconds.to_bytes(8, "big", signed=True)

    first = moment.replace(month=1, day=1, hour=0, minute=0, second=0, microsecond=0)
    for type_name in ("timestamp", "timestamptz"):
        assert compile_mask("year", type_name, no_parse)(canonical(moment)) == canonical(first)


EXTREMES = [
    "4714-11-24 BC", "4714-12-31 BC", "4713-01-01 BC", "4713-12-31 BC", "0401-06-01 BC", "0005-02-28 BC",
    "0001-12-31 BC", "0001-01-01", "0004-02-29", "1599-12-31", "1600-02-29", "1700-03-01", "1899-12-31",
    "1900-12-31", "1999-12-31", "2000-01-01", "2000-02-29", "2000-12-31", "2001-01-01", "2099-12-31",
    "2100-12-31", "2399-12-31", "2400-12-31", "9999-12-31", "10000-01-01", "294276-12-31",
]  # fmt: skip
# Neither has a first of January that PostgreSQL could hold: the first date there is stands for it.
BEFORE_TIME = EXTREMES[:2]


def test_the_year_is_postgresqls(database: Database) -> None:
    """date_trunc('year', ...) agrees over the server's whole range, leap years and BC included."""
    for type_name, extremes in (
        ("date", [*EXTREMES, "5874897-12-31", "infinity", "-infinity"]),
        ("timestamp", [*EXTREMES, "294276-12-31 23:59:59.999999", "infinity", "-infinity"]),
        ("timestamptz", [*EXTREMES, "1999-12-31 23:59:59.999999", "infinity", "-infinity"]),
    ):
        mask = compile_mask("year", type_name, no_parse)
        send = {"date": "date_send", "timestamp": "timestamp_send"}.get(
            type_name, "timestamptz_send"
        )
        for text in extremes:
            first = (
                "'4714-11-24 BC'"
                if text in BEFORE_TIME
                else f"date_trunc('year', '{text}'::{type_name})"
                if type_name != "date" or text in ("infinity", "-infinity")
                else f"make_date(extract(year from '{text}'::date)::int, 1, 1)"
            )
            value, expected = (
                database.psql(
                    "SET TIME ZONE 'UTC'; SELECT encode("
                    f"{send}('{text}'::{type_name}), 'hex') || ' ' || encode({send}(({first})::{type_name}), 'hex')"
                )
                .split("\n")[-1]
                .split()[-2:]
            )
            shown = mask(bytes.fromhex(value))
            assert shown is not None
            assert shown.hex() == expected, (type_name, text)
