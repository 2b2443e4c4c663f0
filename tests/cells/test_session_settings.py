"""Text forms under the session's settings: DateStyle, TimeZone, extra_float_digits, bytea_output."""

from __future__ import annotations

import random
import struct
from itertools import product
from pathlib import Path

import pytest

from proxy.cells import CellError, Settings, zones
from proxy.cells.local_time import CYCLE
from proxy.cells.logical import TYPES
from tests.cells import values
from tests.cells.oracle import Oracle, decoding, encoding

STYLES = [
    f"{form}, {order}"
    for form, order in product(("ISO", "SQL", "Postgres", "German"), ("MDY", "DMY", "YMD"))
]
# Zones on which the tzdata package and the server's own copy have long agreed, and POSIX rules.
ZONES = (
    "UTC",
    "America/New_York",
    "Europe/Berlin",
    "Asia/Kolkata",
    "Europe/London",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Africa/Monrovia",
    "Pacific/Apia",
    "<+0330>-3:30",
    "XST4XDT,M3.2.0/1,M10.5.0/26",
    "CET-1CEST",
    "FOO+7",
    "ABC3DEF,J60/0,J300",
    "ABC-3DEF,60/0,300/5",
)


def instants(rng: random.Random, count: int) -> list[bytes]:
    least, most = -211813488000000000, 9223371331199999999
    special = (least, most, least + 1, most - 1, 0, -1, 1, 2**63 - 1, -(2**63))

    def one() -> int:
        kind = rng.random()
        if kind < 0.4:
            return rng.randint(least, most)
        if kind < 0.8:
            return rng.randint(-3 * 10**15, 2 * 10**15)
        return rng.choice((*special, rng.randint(-(10**14), 10**14) // 10**6 * 10**6))

    return [struct.pack(">q", one()) for _ in range(count)]


@pytest.mark.parametrize("style", STYLES)
def test_timestamps_and_dates(style: str, oracle: Oracle, rng: random.Random) -> None:
    """Every DateStyle writes and reads instants of all ages in all kinds of zones as the server does."""
    settings = Settings(date_style=style, time_zone=rng.choice(ZONES))
    moments = instants(rng, 300)
    for name in ("timestamp", "timestamptz"):
        logical = TYPES[name]
        assert encoding(oracle, logical, moments, settings) == []
        written = [logical.to_text(moment, settings) for moment in moments]
        assert decoding(oracle, logical, written, settings) == []
        assert decoding(oracle, logical, values.texts(name, rng, 300), settings) == []
    days = [
        struct.pack(
            ">i", rng.choice((rng.randint(-2451545, 2145031948), rng.randint(-(10**6), 10**5)))
        )
        for _ in range(200)
    ]
    extremes = [struct.pack(">i", day) for day in (-2451545, 2145031948, 0, 2**31 - 1, -(2**31))]
    assert encoding(oracle, TYPES["date"], days + extremes, settings) == []
    assert decoding(oracle, TYPES["date"], values.texts("date", rng, 300), settings) == []


@pytest.mark.parametrize("zone", ZONES)
def test_zone_changes(zone: str, oracle: Oracle, rng: random.Random) -> None:
    """Around each change of offset, and the same hours by the calendar 400 to 290000 years on, local time is the server's."""
    settings = Settings(time_zone=zone)
    found = zones.zone(zone)
    assert found is not None
    around = [
        second + shift
        for second in rng.sample(found.times, min(40, len(found.times)))
        for shift in (-3600, -1, 0, 1)
    ]
    seconds = [s - 946684800 for s in around] + [
        s + CYCLE * rng.randint(1, 700) for s in around[:40]
    ]
    moments = [struct.pack(">q", s * 1_000_000) for s in seconds if s < 9223371331199]
    assert encoding(oracle, TYPES["timestamptz"], moments, settings) == []
    local = [TYPES["timestamp"].to_text(moment, settings) for moment in moments]
    assert decoding(oracle, TYPES["timestamptz"], local, settings) == []


@pytest.mark.long
def test_all_zones(oracle: Oracle, rng: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the server's own copy of the database, every zone in it gives the server's local times, to and fro."""
    (share,) = oracle.row("SELECT setting::text FROM pg_config WHERE name = 'SHAREDIR'")
    assert share is not None
    directory = Path(share.decode()) / "timezone"
    for path in sorted(p for p in directory.rglob("*") if p.is_file()):
        name = str(path.relative_to(directory))
        zone = zones._read(path.read_bytes())
        monkeypatch.setattr("proxy.cells.datetimes.session_zone", {name: zone}.__getitem__)
        settings = Settings(time_zone=name)
        around = [
            s + shift for s in rng.sample(zone.times, min(60, len(zone.times))) for shift in (-1, 0)
        ]
        moments = [
            struct.pack(">q", (s - 946684800) * 1_000_000) for s in around if s > -2 * 10**11
        ]
        moments += instants(rng, 30)
        assert encoding(oracle, TYPES["timestamptz"], moments, settings) == [], name
        local = [TYPES["timestamp"].to_text(moment, settings) for moment in moments]
        assert decoding(oracle, TYPES["timestamptz"], local, settings) == [], name


def test_an_unknown_zone_is_refused() -> None:
    """Under a TimeZone that Sealgate does not know, only what needs no zone is read or written: no guess at UTC."""
    strange = Settings(time_zone="Mars/Olympus")
    for read in (
        (b"2024-01-01", "timestamptz"),
        (b"2024-01-01 12:00:00", "timestamptz"),
        (b"Jan 1 2024", "date"),
    ):
        with pytest.raises(CellError) as caught:
            TYPES[read[1]].from_text(read[0], strange)
        assert caught.value.sqlstate == "0A000"
    with pytest.raises(CellError):
        TYPES["timestamptz"].encoder(0, strange)
    assert TYPES["timestamptz"].from_text(b"2000-01-01 00:00:00+00", strange) == bytes(8)
    assert TYPES["date"].from_text(b"2000-01-01", strange) == bytes(4)
    assert TYPES["timestamp"].to_text(bytes(8), strange) == b"2000-01-01 00:00:00"


@pytest.mark.parametrize("digits", [-15, -9, -3, 0, 1, 3])
def test_float_digits(digits: int, oracle: Oracle, rng: random.Random) -> None:
    """extra_float_digits above 0 gives the shortest exact form, else %g with so many digits."""
    settings = Settings(extra_float_digits=digits)
    doubles = [rng.randbytes(8) for _ in range(300)]
    doubles += [
        struct.pack(">d", rng.randint(1, 999) * 10.0 ** rng.randint(-25, 40)) for _ in range(300)
    ]
    assert encoding(oracle, TYPES["float8"], doubles, settings) == []
    singles = [rng.randbytes(4) for _ in range(300)]
    singles += [
        struct.pack(">f", rng.choice((2.0 ** rng.randint(-149, 127), rng.randint(1, 10**6) / 1000)))
        for _ in range(300)
    ]
    assert encoding(oracle, TYPES["float4"], singles, settings) == []


def test_shortest_digits_at_the_borders(oracle: Oracle, rng: random.Random) -> None:
    """Powers of two and of ten, subnormals, and large doubles, whose rounding interval may end on a short decimal."""
    doubles = [2.0**power for power in range(-1074, 1024, 3)] + [
        m * 10.0**k for m in (1, 3, 9, 99) for k in range(15, 42)
    ]
    packed = [struct.pack(">d", number) for number in doubles]
    packed += [
        struct.pack(">Q", (0x433 + rng.randint(0, 90)) << 52 | rng.getrandbits(52))
        for _ in range(1000)
    ]
    assert encoding(oracle, TYPES["float8"], packed, Settings()) == []
    singles = [struct.pack(">f", 2.0**power) for power in range(-149, 128)]
    assert encoding(oracle, TYPES["float4"], singles, Settings()) == []


def test_a_float4_is_rounded_once(oracle: Oracle, rng: random.Random) -> None:
    """Decimals at and next to the middle of two float4 values round as strtof does, not by way of a double."""
    texts = []
    for _ in range(500):
        bits = rng.randrange(0x7F7FFFFF)
        low, high = (struct.unpack(">f", struct.pack(">I", b))[0] for b in (bits, bits + 1))
        middle = f"{(low + high) / 2:.170f}".rstrip("0")
        texts.append((middle + rng.choice(("", "0001", "000"))).encode())
        texts.append(
            (middle[:-1] + chr(ord(middle[-1]) - 1) + "9").encode() if middle[-1] > "0" else b"1"
        )
    assert decoding(oracle, TYPES["float4"], texts, Settings()) == []


@pytest.mark.parametrize("output", ["hex", "escape"])
def test_bytea_output(output: str, oracle: Oracle, rng: random.Random) -> None:
    """Both settings of bytea_output; each form is read back."""
    settings = Settings(bytea_output=output)
    data = [rng.randbytes(rng.randint(0, 40)) for _ in range(300)] + [bytes(range(256))]
    assert encoding(oracle, TYPES["bytea"], data, settings) == []
    written = [TYPES["bytea"].to_text(value, settings) for value in data]
    assert [TYPES["bytea"].from_text(text, settings) for text in written] == data
