"""What the session's settings do to values on their way out and in, set at start-up and by SET."""

from __future__ import annotations

import random
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from tests.cells.test_forms import canonical
from tests.integration.shop import Shop
from tests.integration.types.extremes import EXTREMES
from tests.integration.types.test_written import BY_NAME, insert, texts
from tests.integration.types.twins import (
    COLUMNS,
    TYPES,
    Answer,
    Client,
    Comparison,
    Statement,
    Twins,
    quoted,
)
from tests.integration.wire_client import WireClient, sqlstate

ALL = ", ".join(COLUMNS)
STYLES = (
    "ISO, MDY",
    "SQL, DMY",
    "SQL, MDY",
    "Postgres, MDY",
    "Postgres, DMY",
    "German",
    "ISO, YMD",
)
ZONES = (
    *(
        "UTC",
        "America/New_York",
        "Europe/Berlin",
        "Asia/Kolkata",
        "Australia/Lord_Howe",
        "Pacific/Apia",
    ),
    *("<+0330>-3:30", "CET-1CEST,M3.5.0,M10.5.0/3", "EST5EDT,M3.2.0,M11.1.0", "FOO+7"),
)
ENCODINGS = ("LATIN1", "WIN1252", "EUC_JP", "SJIS", "SQL_ASCII", "LATIN9", "UTF8")


def fill(twins: Twins, rng: random.Random, count: int) -> None:
    """The same rows in both twins: values that the plain twin takes, written in binary."""
    for column, logical in TYPES.items():
        given = canonical(logical, [text.encode() for text in texts(column, rng, count)])
        comparison = Comparison(twins)
        for value in given:
            comparison.try_one(Statement(insert(column, "$1"), (value,), (logical.oid,), (1,)))
        comparison.check(len(given))


def read(twins: Twins) -> None:
    """All rows, text and binary, are the same for both; cells that cannot be shown aside."""
    for result in (0, 1):
        statement = Statement(f"SELECT id, {ALL} FROM {{t}} ORDER BY id", (), result=result)
        expected, got = twins.run(statement)
        assert expected.sqlstate is None
        assert (got.sqlstate, got.columns) == (None, expected.columns)
        for one, other in zip(expected.rows, got.rows, strict=True):
            assert one == other


def test_every_setting_by_set(twins: Twins, rng: random.Random) -> None:
    """DateStyle and TimeZone change in mid-session; text and binary follow for every type."""
    fill(twins, rng, 20)
    for style in STYLES:
        twins.use(f"SET DateStyle = '{style}'", f"SET TimeZone = '{rng.choice(ZONES)}'")
        read(twins)
    for zone in ZONES:
        twins.use(f"SET DateStyle = '{rng.choice(STYLES)}'", f"SET TimeZone = '{zone}'")
        read(twins)


@pytest.mark.long
def test_every_style_in_every_zone(twins: Twins, rng: random.Random) -> None:
    """The same, for all pairs and more values."""
    fill(twins, rng, 200)
    for style in STYLES:
        for zone in ZONES:
            twins.use(f"SET DateStyle = '{style}'", f"SET TimeZone = '{zone}'")
            read(twins)


@pytest.mark.parametrize("output", ["hex", "escape"])
@pytest.mark.parametrize("digits", [-15, -3, 0, 1, 3])
def test_settings_at_start_up(
    twin_shop: Shop, twins: Twins, rng: random.Random, digits: int, output: str
) -> None:
    """bytea_output and extra_float_digits in the start-up packet, with DateStyle and TimeZone."""
    fill(twins, rng, 8)
    options = (
        f"-c extra_float_digits={digits} -c bytea_output={output} "
        f"-c DateStyle={rng.choice(STYLES).replace(' ', '')} -c TimeZone={rng.choice(ZONES)}"
    )
    suffix = f"?options={quote(options)}"
    started = Twins(
        Client(twin_shop.database.dsn("shop_app") + suffix), Client(twin_shop.dsn() + suffix)
    )
    read(started)
    started.close()


def test_bytea_output_by_set(twins: Twins, rng: random.Random) -> None:
    """bytea follows the form in which the server writes at this moment: SET, SET LOCAL, rollback, functions."""
    fill(twins, rng, 10)
    for setting in (
        *(
            "SET bytea_output = escape",
            "SET bytea_output TO 'hex'",
            "SELECT set_config('bytea_output', 'escape', false)",
        ),
        *(
            "RESET bytea_output",
            "BEGIN; SET LOCAL bytea_output = escape",
            "ROLLBACK",
            "DISCARD ALL",
        ),
    ):
        twins.use(setting)
        read(twins)
    clause = "SELECT c_bytea FROM {t} WHERE c_bytea IS NOT NULL ORDER BY id"
    twins.use("SET bytea_output = escape")
    comparison = Comparison(twins)
    comparison.try_one(Statement(clause))
    comparison.check(1)


def test_extra_float_digits_by_set(twins: Twins) -> None:
    """1, 2 and 3 mean the same; 0 and less are known at start-up only, and then too many digits are shown, never too few."""
    for text in ("0.1", "0.30000000000000004", "1e23", "NaN"):
        sql = insert("c_float8", quoted(text))
        assert twins.run(Statement(sql))[0].sqlstate is None
        twins.proxy.run(Statement(sql), "twin")
    statement = Statement("SELECT c_float8 FROM {t} ORDER BY id")
    for digits in (1, 2, 3):
        twins.use(f"SET extra_float_digits = {digits}")
        expected, got = twins.run(statement)
        assert got == expected
    exact = expected
    twins.use("SET extra_float_digits = 0")
    expected, got = twins.run(statement)
    assert expected != exact
    assert got == exact


@pytest.mark.parametrize("style", STYLES)
def test_input_follows_the_session(twins: Twins, rng: random.Random, style: str) -> None:
    """01/02/2003 is what DateStyle says, a time without a zone is where TimeZone says, in literals and parameters."""
    twins.use(f"SET DateStyle = '{style}'", f"SET TimeZone = '{rng.choice(ZONES)}'")
    comparison = Comparison(twins)
    for column in ("c_date", "c_timestamp", "c_precise", "c_timestamptz", "c_text"):
        given = [*EXTREMES["timestamp"], "01/02/2003", "1-2-3", "02.03.2004 05:06", "13/12/99"]
        for text in rng.sample(given, 15):
            comparison.try_one(Statement(insert(column, "$1"), (text.encode(),)))
            comparison.try_one(Statement(insert(column, quoted(text))))
        for other in ("date", "timestamp", "timestamptz"):
            for value in canonical(BY_NAME[other], [t.encode() for t in rng.sample(given, 10)]):
                types = (BY_NAME[other].oid,)
                comparison.try_one(Statement(insert(column, "$1"), (value,), types, (1,)))
    comparison.check(comparison.tried)


WRITTEN = {
    "LATIN1": ("é", "ÿ£", "naïve", "\x80\x9f"),
    "LATIN9": ("€", "Œuvre"),
    "WIN1252": ("€uro", "“q”", "é"),
    "EUC_JP": ("日本語", "ｶﾅ", "〜"),
    "SJIS": ("表示", "ソ\\", "日本語"),
    "SQL_ASCII": ("é", "日本語"),
    "UTF8": ("é", "€", "日本語", "🐘", "e\u0301"),
}
CODECS = {
    "LATIN1": "latin-1",
    "LATIN9": "iso8859-15",
    "WIN1252": "cp1252",
    "EUC_JP": "euc_jp",
    "SJIS": "cp932",
}
TEXTUAL = ("c_text", "c_varchar", "c_bpchar", "c_json", "c_jsonb")


def spelled(column: str, text: str, encoding: str) -> bytes:
    if column in ("c_json", "c_jsonb"):
        text = '"' + text.replace("\\", "\\\\").translate(dict.fromkeys(range(32))) + '"'
    return text.encode(CODECS.get(encoding, "utf-8"))


@pytest.fixture(params=ENCODINGS)
def encoded(twin_shop: Shop, request: pytest.FixtureRequest) -> Iterator[tuple[str, Twins]]:
    """Both twins seen by clients of one encoding."""
    encoding = request.param
    dsn = twin_shop.database.dsn("shop_app")
    found = Twins(Client(dsn, encoding), Client(twin_shop.dsn(), encoding))
    found.clear()
    yield encoding, found
    found.close()


def test_text_between_encodings(encoded: tuple[str, Twins], twins: Twins) -> None:
    """Written in one encoding, read in it and in UTF8, as parameter and as literal; and found again."""
    encoding, other = encoded
    comparison = Comparison(other)
    for column in TEXTUAL:
        for text in WRITTEN[encoding]:
            value = spelled(column, text, encoding)
            for result in (0, 1):
                comparison.try_one(Statement(insert(column, "$1"), (value,), result=result))
            if column in ("c_text", "c_varchar", "c_bpchar"):
                sql = f"SELECT count(*) FROM {{t}} WHERE {column} = $1"
                comparison.try_one(Statement(sql, (value,)))
                comparison.try_one(
                    Statement(
                        f"SELECT count(*) FROM {{t}} WHERE {column} = ANY($1)",
                        (b'{"' + value.replace(b"\\", b"\\\\") + b'"}',),
                    )
                )
    comparison.check(comparison.tried)
    read(other)
    read(twins)


def test_literals_between_encodings(encoded: tuple[str, Twins], twins: Twins) -> None:
    """Statements in the client's encoding, sealed literals in them."""
    encoding, other = encoded
    if encoding == "SQL_ASCII":
        pytest.skip("the same as UTF8 in a UTF8 database")
    for column in TEXTUAL:
        for text in WRITTEN[encoding]:
            value = spelled(column, text, encoding)
            sql = insert(column, "$v$").replace("$v$", "'{}'").encode()
            sql = sql.replace(b"'{}'", b"'" + value + b"'") if b"'" not in value else sql
            answers = []
            for client, table in ((other.server, b"plain"), (other.proxy, b"twin")):
                result = client.connection.exec_(sql.replace(b"{t}", table))
                answers.append(client.answer(result))
            assert answers[0] == answers[1], (encoding, text)
    read(other)
    read(twins)


def test_bytes_that_are_not_of_the_encoding(encoded: tuple[str, Twins]) -> None:
    """Wrong bytes give the server's SQLSTATE (22021), whatever the column's type is."""
    _, other = encoded
    comparison = Comparison(other)
    for column in COLUMNS:
        for value in (
            b"\xff\xfe",
            b"a\x81",
            b"\xc3",
            b"\x8e\x41",
            b"\xed\xa0\x80",
            b"\xf0\x9f",
            b"\x80",
        ):
            comparison.try_one(Statement(insert(column, "$1"), (value,)))
    differences = comparison.differences
    assert not differences, "\n".join(map(str, differences or []))


def test_characters_that_the_reader_does_not_have(twin_shop: Shop, twins: Twins) -> None:
    """The same SQLSTATE, 22P05, as on the plain twin. There the session goes on; through Sealgate it ends."""
    for encoding, text in (("LATIN1", "日本語"), ("EUC_JP", "🐘"), ("WIN1252", "ł")):
        comparison = Comparison(twins)
        comparison.try_one(Statement(insert("c_text", "$1"), (text.encode(),)))
        comparison.check(1)
        sql = "SELECT c_text FROM {t}"
        reader = Client(twin_shop.database.dsn("shop_app"), encoding)
        assert reader.run(Statement(sql), "plain") == Answer("22P05")
        assert reader.losses == 0
        reader.close()
        with WireClient(twin_shop.port) as wire:
            wire.start("shop_app", twin_shop.database.name, client_encoding=encoding)
            kind, body = wire.query(sql.replace("{t}", "twin"))[-1]
            assert (kind, sqlstate(body)) == ("E", "22P05")
            assert text.encode() not in body
            assert wire.closed()
        twins.clear()
