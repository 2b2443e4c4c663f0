"""Random text forms of every type: usual ones, extremes, and what only looks like one."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable

_CASES = (str.lower, str.upper, str.title, str)


def _digits(r: random.Random, most: int) -> str:
    return "".join(r.choice("0123456789") for _ in range(r.randint(1, most)))


def _padded(r: random.Random, text: str) -> str:
    if r.random() < 0.1:
        text = r.choice((" ", "\t", "\n", "  ", "\v", "\f\r")) + text
    if r.random() < 0.1:
        text += r.choice((" ", "\t", "\n \r"))
    return text


def integer(r: random.Random) -> str:
    bits = r.choice((8, 15, 16, 31, 32, 63, 64, 70))
    edge = r.choice((0, 1 << bits, (1 << bits) - 1, r.getrandbits(bits)))
    number = r.choice((edge, -edge, edge + 1, -edge - 1))
    form = r.choice(("d", "d", "d", "x", "o", "b", "X", "_", "+", "0"))
    sign = "-" if number < 0 else ""
    if form in "xob":
        text = f"{sign}0{form}{abs(number):{form}}"
    elif form == "X":
        text = f"{sign}0X_{abs(number):X}"
    elif form == "_":
        text = f"{sign}{abs(number):_}"
    else:
        text = {"+": "+", "0": "000"}.get(form, "") + str(number)
    return _padded(r, text)


def numeric(r: random.Random) -> str:
    kind = r.random()
    if kind < 0.06:
        return _padded(
            r, r.choice(("NaN", "nan", "Infinity", "-inf", "+Inf", "-Infinity", "inf", "-NaN"))
        )
    if kind < 0.15:
        return integer(r)
    sign = r.choice(("", "", "-", "+"))
    whole = r.choice(("", "0", "000", _digits(r, 4), _digits(r, 9), _digits(r, 40)))
    fraction = r.choice(
        ("", ".", "." + _digits(r, 3), "." + _digits(r, 20), ".000", ".0" * 2, ".00001200")
    )
    power = r.choice(
        ("", "", "", f"e{r.randint(-30, 30)}", f"E+{r.randint(0, 400)}", f"e-{r.randint(0, 17000)}")
    )
    if r.random() < 0.02:
        power = r.choice(
            (
                "e131071",
                "e131072",
                "e-16383",
                "e-16384",
                "e1073741823",
                "e99999999999",
                "e-1073741824",
            )
        )
    return _padded(r, sign + whole + fraction + power)


def floating(r: random.Random) -> str:
    kind = r.random()
    if kind < 0.3:
        bits = r.choice(
            (
                r.getrandbits(64),
                r.getrandbits(53),
                r.getrandbits(52) | r.randint(0x3C0, 0x440) << 52,
            )
        )
        (number,) = struct.unpack(">d", struct.pack(">Q", bits))
        return _padded(r, repr(number))
    if kind < 0.5:
        (number,) = struct.unpack(">f", struct.pack(">I", r.getrandbits(32)))
        return _padded(r, repr(number))
    if kind < 0.6:
        return _padded(
            r,
            f"{r.choice(('', '-', '+'))}0x{r.getrandbits(r.randint(1, 80)):x}"
            f"{r.choice(('', '.', '.8', '.00001', '.ffffffffffffff8'))}p{r.randint(-1100, 1030)}",
        )
    if kind < 0.65:
        return r.choice(
            (
                "1e308",
                "1.7976931348623158e308",
                "1.7976931348623159e308",
                "4.9e-324",
                "2e-324",
                "3e-324",
                "1e-400",
                "1e400",
                "0e-400",
                "-0",
                "3.4028235e38",
                "3.4028236e38",
                "1e-45",
                "7e-46",
                "7.006492321624085e-46",
                "1.401298464324817e-45",
                "16777217",
                "33554433.0000001",
            )
        )
    return numeric(r)


def boolean(r: random.Random) -> str:
    word = r.choice(
        ("true", "false", "yes", "no", "on", "off", "1", "0", "10", "tru", "o", "", "falsey")
    )
    return _padded(r, r.choice(_CASES)(word[: r.randint(0, len(word)) or None]))


def uuid(r: random.Random) -> str:
    digits = f"{r.getrandbits(128):032x}"
    form = r.choice(("plain", "usual", "fours", "some", "braces", "short"))
    if form == "usual":
        digits = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    elif form == "fours":
        digits = "-".join(digits[i : i + 4] for i in range(0, 32, 4))
    elif form == "some":
        digits = "".join(digits[i : i + 4] + r.choice(("", "-")) for i in range(0, 32, 4))
    elif form == "short":
        digits = digits[: r.randint(0, 31)]
    if form == "braces" or r.random() < 0.05:
        digits = "{" + digits + r.choice(("}", "}", ""))
    return r.choice(_CASES)(digits)


def bytea(r: random.Random) -> str:
    data = r.randbytes(r.randint(0, 20))
    form = r.random()
    if form < 0.4:
        return (
            "\\x" + data.hex(r.choice((" ", "\n", "\t")))
            if data and r.random() < 0.3
            else "\\x" + data.hex().upper()
        )
    if form < 0.8:
        return "".join(
            chr(b) if 32 <= b < 127 and b != 92 else "\\\\" if b == 92 else f"\\{b:03o}"
            for b in data
        )
    return "".join(r.choice("\\0123457x aé") for _ in range(r.randint(0, 12)))


_PIECES = (
    "a",
    "Z",
    "0",
    " ",
    "é",
    "ß",
    "中",
    "😀",
    "\\",
    '"',
    "/",
    "\n",
    "\x01",
    "\x7f",
    "'",
    "\u2028",
    "ÿ",
)


def text(r: random.Random) -> str:
    return "".join(r.choice(_PIECES) for _ in range(r.randint(0, 12)))


def json(r: random.Random) -> str:
    return _json(r, 3)


def _json(r: random.Random, depth: int) -> str:
    kind = r.randint(0, 5 if depth else 3)
    blank = r.choice(("", "", " ", "\n\t", "\r"))
    if kind == 0:
        return blank + r.choice(("null", "true", "false"))
    if kind == 1:
        return blank + _json_number(r)
    if kind <= 3:
        return blank + _json_string(r) + blank
    count = r.randint(0, 4)
    if kind == 4:
        return blank + "[" + ",".join(_json(r, depth - 1) for _ in range(count)) + "]"
    keys = (
        r.choice(('"a"', '"b"', '"aa"', '""', '"\\u0061"', _json_string(r))) for _ in range(count)
    )
    return (
        "{" + blank + ",".join(f"{key}{blank}:{_json(r, depth - 1)}" for key in keys) + "}" + blank
    )


def _json_number(r: random.Random) -> str:
    return (
        r.choice(("", "-"))
        + r.choice(("0", "1", "10", str(r.getrandbits(80)), str(r.randint(1, 99))))
        + r.choice(("", "", ".0", ".10", "." + _digits(r, 12)))
        + r.choice(("", "", "", "e5", "E+3", "e-7", "e0", f"e{r.randint(-40, 40)}"))
    )


def _json_string(r: random.Random) -> str:
    pieces = (
        "a",
        "b",
        "é",
        "中",
        "😀",
        "\\n",
        "\\u00e9",
        '\\"',
        "\\\\",
        "\\/",
        "\\b\\f\\r\\t",
        "\\ud83d\\ude00",
        "\x7f",
        "\\u0001",
        "\\u001F",
        "\\u2028",
        " ",
        "zz",
    )
    rare = ("\\u0000", "\\ud83d", "\\ude00", "\\x", "\n", "\\u12")
    return (
        '"'
        + "".join(r.choice(rare if r.random() < 0.01 else pieces) for _ in range(r.randint(0, 5)))
        + '"'
    )


_MONTHS = (
    "Jan",
    "january",
    "FEB",
    "march",
    "Apr",
    "may",
    "jun",
    "July",
    "aug",
    "Sept",
    "sep",
    "October",
    "nov",
    "DEC",
)
_ZONES = (
    "Z",
    "UTC",
    "+00",
    "-08",
    "+05:30",
    "+0530",
    "-03:30:15",
    "+15:59",
    "+16",
    "-1",
    "EST",
    "edt",
    "Asia/Tokyo",
    "America/New_York",
    "europe/berlin",
    "MSK",
    "MSD",
    "CET",
    "cest",
    "LMT",
    "Asia/Kolkata",
    "GMT+3",
    "Etc/GMT-5",
    "XST5XDT",
    "<foo>-3",
    "bst",
    "IST",
    "met dst",
    "WET DST",
    "xyz",
    "Nowhere/City",
    "zulu",
    "XCT6XDT,M3.2.0,M11.1.0",
    "+14",
    "anat",
    "NOVT",
    "AMT",
    "Pacific/Apia",
    "+9:3",
    "+1:2:3",
    "utc+3",
    "Asia/Kathmandu",
    "+100",
    "-1234",
)


def _year(r: random.Random) -> str:
    return r.choice(
        (
            f"{r.randint(1900, 2100)}",
            f"{r.randint(1, 9999):04d}",
            f"{r.randint(0, 99):02d}",
            f"{r.randint(0, 9)}",
            f"{r.randint(1900, 2100)}",
            f"{r.randint(10000, 300000)}",
            f"{r.randint(100, 999)}",
            f"{r.randint(1970, 2037)}",
            r.choice(
                (
                    "0000",
                    "4713",
                    "4714",
                    "294276",
                    "294277",
                    "5874897",
                    "5874898",
                    "0001",
                    "9999999999",
                )
            ),
        )
    )


def _calendar_date(r: random.Random) -> str:
    year, month, day = _year(r), r.randint(1, 12), r.randint(1, 31)
    if r.random() < 0.05:
        month, day = r.randint(0, 40), r.randint(0, 40)
    separator = r.choice(("-", "-", "/", ".", " ", "-", ""))
    name = r.choice(_MONTHS)
    forms = (
        f"{year}-{month:02d}-{day:02d}",
        f"{year}-{month:02d}-{day:02d}",
        f"{year}{separator}{month}{separator}{day}",
        f"{month}{separator}{day}{separator}{year}",
        f"{day}{separator}{month}{separator}{year}",
        f"{name}{separator}{day}{separator}{year}",
        f"{day}{separator}{name}{separator}{year}",
        f"{year}{separator}{name}{separator}{day}",
        f"{name} {day}, {year}",
        f"{year}{month:02d}{day:02d}",
        f"{year[-2:]}{month:02d}{day:02d}",
        f"{r.randint(1, 2100):04d}.{r.randint(1, 366):03d}",
        f"{r.randint(1, 2100):04d}{separator}{r.randint(1, 366):03d}",
        f"J{r.randint(0, 3000000)}",
        f"j {r.choice((0, 2147483647, 2451545, 2147483493, 2147483494, 109203527, 109203528))}",
        f"julian {r.randint(0, 3000000)}.{_digits(r, 5)}",
    )
    text = r.choice(forms)
    if r.random() < 0.12:
        text = r.choice(("Mon ", "tuesday ", "Weds, ", "sat. ")) + text
    return text


def _clock(r: random.Random) -> str:
    hour, minute, second = r.randint(0, 24), r.randint(0, 59), r.randint(0, 60)
    if r.random() < 0.04:
        hour, minute, second = r.randint(0, 30), r.randint(0, 70), r.randint(0, 70)
    fraction = r.choice(
        ("", "", f".{_digits(r, 6)}", f".{_digits(r, 12)}", ".", ".9999995", ".9999994", ".5")
    )
    forms = (
        f"{hour:02d}:{minute:02d}:{second:02d}{fraction}",
        f"{hour:02d}:{minute:02d}:{second:02d}{fraction}",
        f"{hour}:{minute}",
        f"{hour:02d}{minute:02d}{second:02d}{fraction}",
        f"{hour:02d}{minute:02d}",
        f"{minute}:{second}.5",
        "24:00:00",
        "00:00:60",
        "allballs",
    )
    text = r.choice(forms)
    if r.random() < 0.12:
        text += r.choice((" am", "PM", " pm", "AM"))
    return text


def datetime(r: random.Random) -> str:
    if r.random() < 0.03:
        return r.choice(
            (
                "infinity",
                "-infinity",
                "+infinity",
                "epoch",
                "Infinity",
                " -INFINITY",
                "- infinity",
                "infinity bc",
                "epoch 12:00",
                "inf",
                "",
            )
        )
    text = _calendar_date(r)
    parts = [text]
    if r.random() < 0.7:
        joint = r.choice((" ", " ", "T", " T", "t", "  ", " at ", "-", "_"))
        clock = joint + _clock(r)
        zone = r.choice(("", "", "", " ")) + r.choice(_ZONES) if r.random() < 0.5 else ""
        parts[0] += clock + zone
    elif r.random() < 0.2:
        parts.append(r.choice(_ZONES))
    if r.random() < 0.12:
        parts.append(r.choice(("BC", "bc", "AD", "ad")))
    if r.random() < 0.03:
        r.shuffle(parts)
    return _padded(r, " ".join(parts))


def mutated(r: random.Random, value: str) -> str:
    """`value` with one small accident."""
    if not value:
        return r.choice(("", " ", "x"))
    at = r.randrange(len(value))
    other = r.choice([*'0123456789-+.:/_ eExXabTZ\\"{}[],', "é", "\t", value[at]])
    return r.choice(
        (
            value[:at] + value[at + 1 :],
            value[:at] + other + value[at:],
            value[:at] + other + value[at + 1 :],
            value[:at],
            value + value[:at],
        )
    )


GENERATORS: dict[str, Callable[[random.Random], str]] = {
    "text": text,
    "varchar": text,
    "bpchar": text,
    "int2": integer,
    "int4": integer,
    "int8": integer,
    "numeric": numeric,
    "float4": floating,
    "float8": floating,
    "bool": boolean,
    "date": datetime,
    "timestamp": datetime,
    "timestamptz": datetime,
    "uuid": uuid,
    "json": json,
    "jsonb": json,
    "bytea": bytea,
}


def texts(name: str, r: random.Random, count: int) -> list[bytes]:
    """`count` text forms of a type, a third of them mutated."""
    generate = GENERATORS[name]
    values = []
    for _ in range(count):
        value = generate(r)
        while r.random() < 0.33:
            value = mutated(r, value)
        values.append(value.encode())
    return values
