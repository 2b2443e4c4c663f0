"""float4, float8: IEEE 754, big endian; text as the shortest decimal that reads back, or by %g.

Mirrors src/backend/utils/adt/float.c for input (strtod's grammar, hexadecimal included; overflow and underflow
are 22003) and src/common/d2s.c, f2s.c for output: the shortest digits strictly inside the interval that rounds
to the value. Python's repr also takes digits exactly on the border of that interval, so it is not used where
such a border can have 17 digits or fewer. extra_float_digits <= 0 means `%.*g` with 15 (6) digits plus it.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from math import copysign, inf, isinf, ldexp, nan
from struct import Struct, error
from typing import Final

from proxy.cells import encoding
from proxy.cells.errors import corrupt, invalid_syntax, out_of_range, wrong_size
from proxy.cells.settings import Convert, Family, Settings, always, identity, unmodified

DOUBLE = Struct(">d")
SINGLE = Struct(">f")
_BLANKS = b" \t\n\v\f\r"
_DECIMAL = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_HEXADECIMAL = re.compile(
    rb"([+-]?)0[xX](?=\.?[0-9a-fA-F])([0-9a-fA-F]*)(?:\.([0-9a-fA-F]*))?(?:[pP]([+-]?[0-9]+))?"
)
_NAMED = re.compile(rb"([+-]?)(?i:(nan)|inf(?:inity)?)")


def _names(value: bytes) -> float | None:
    match = _NAMED.fullmatch(value)
    if match is None:
        return None
    return copysign(nan if match[2] else inf, -1.0 if match[1] == b"-" else 1.0)


def _parse_hexadecimal(match: re.Match[bytes]) -> tuple[int, int]:
    """(mantissa, power of two), exactly."""
    fraction = match[3] or b""
    mantissa = int((match[2] or b"") + fraction or b"0", 16)
    power = (match[4] or b"0").decode()
    exponent = max(-(10**9), min(10**9, int(power if len(power) < 12 else power[:1] + "9" * 10)))
    return mantissa, exponent - 4 * len(fraction)


def _parser(
    type_name: str, packed: Struct, nearest: Callable[[bytes], float], single: bool
) -> Convert:
    """strtod's longest prefix first: a number out of range is reported before junk behind it."""

    def parse(value: bytes) -> bytes:
        value = value.strip(_BLANKS)
        if (named := _names(value)) is not None:
            return packed.pack(named)
        match = _HEXADECIMAL.match(value)
        if match is not None:
            number = _hexadecimal(match, 24 if single else 53, 128 if single else 1024)
        else:
            match = _DECIMAL.match(value)
            if match is None:
                raise invalid_syntax(type_name)
            number = nearest(match[0])
        if isinf(number) or (number == 0.0 and _nonzero(match[0])):
            raise out_of_range(f"value is out of range for type {type_name}")
        if match.end() != len(value):
            raise invalid_syntax(type_name)
        return packed.pack(number)

    return parse


def _nonzero(literal: bytes) -> bool:
    """Whether a literal that became 0 has another digit than 0 before its exponent."""
    mantissa = re.split(rb"[pP]" if b"x" in literal.lower() else rb"[eE]", literal, maxsplit=1)[0]
    return bool(mantissa.strip(b"+-.0xX"))


def _nearest_single(value: bytes) -> float:
    """The float4 nearest to a decimal literal, rounded once: by way of a double it could be rounded twice."""
    double = float(value)
    try:
        (single,) = SINGLE.unpack(SINGLE.pack(double))
    except (OverflowError, error):
        single = copysign(inf, double)
    if single != double and not isinf(double):
        single = _settle_tie(value, double, single)
    return float(single)


_OVERFLOW_TIE = float((2**25 - 1) * 2**103)
"""Halfway between the largest float4 and 2**128."""


def _settle_tie(value: bytes, double: float, single: float) -> float:
    """`single`, or its neighbour if the double lies between both and the literal on the neighbour's side."""
    magnitude = abs(double)
    if magnitude == _OVERFLOW_TIE:
        below, above = float((2**24 - 1) * 2**104), inf
    else:
        if isinf(single):
            return single
        near = abs(single)
        (bits,) = Struct(">I").unpack(SINGLE.pack(near))
        (other,) = SINGLE.unpack(Struct(">I").pack(bits + (1 if near < magnitude else -1)))
        if isinf(other) or near + other != 2 * magnitude:
            return single
        below, above = min(near, other), max(near, other)
    exact = Decimal(value.decode()).copy_abs()  # abs() would round
    halfway = Decimal(magnitude)
    if exact == halfway:
        return single
    return copysign(below if exact < halfway else above, double)


def _hexadecimal(match: re.Match[bytes], precision: int, top: int) -> float:
    """C99 hexadecimal floating point, rounded once, half to even; infinite or 0 where it does not fit."""
    mantissa, exponent = _parse_hexadecimal(match)
    sign = -1.0 if match[1] == b"-" else 1.0
    least = 3 - top - precision
    excess = max(mantissa.bit_length() - precision, least - exponent)
    if mantissa == 0 or excess > mantissa.bit_length() + 1:
        return copysign(0.0, sign)
    if excess > 0:
        quotient = mantissa >> excess
        rest = mantissa - (quotient << excess)
        half = 1 << (excess - 1)
        mantissa = quotient + (rest > half or (rest == half and quotient & 1))
        exponent += excess
    if mantissa.bit_length() + exponent > top:
        return copysign(inf, sign)
    return sign * ldexp(mantissa, exponent)


def _shortest(mantissa: int, exponent: int, lopsided: bool) -> tuple[str, int]:
    """Digits d and power p, d x 10^p the shortest strictly between the neighbours' midpoints, nearest if several.

    `lopsided`: the mantissa is a power of two, so the neighbour below is half as far (Ryu, section 2).
    """
    low, middle, high = 4 * mantissa - (1 if lopsided else 2), 4 * mantissa, 4 * mantissa + 2
    exponent -= 2
    power = 0
    if exponent >= 0:
        low, middle, high = low << exponent, middle << exponent, high << exponent
    else:
        five = 5**-exponent
        low, middle, high = low * five, middle * five, high * five
        power = exponent
    high -= 1
    removed = len(str(high - low)) - 1
    unit = 10**removed
    while high // (unit * 10) > low // (unit * 10):
        unit *= 10
        removed += 1
    digits, rest = divmod(middle, unit)
    if digits == low // unit or 2 * rest > unit or (2 * rest == unit and digits & 1):
        digits += 1
    text = str(digits)
    short = text.rstrip("0")
    return short, power + removed + len(text) - len(short)


def _layout(digits: str, power: int, fixed: int) -> str:
    """Fixed notation for 1e-4 <= x < 10^fixed, else d.ddde+XX."""
    exponent = power + len(digits) - 1
    if not -4 <= exponent < fixed:
        mantissa = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
        return f"{mantissa}e{'-' if exponent < 0 else '+'}{abs(exponent):02d}"
    if power >= 0:
        return digits + "0" * power
    if exponent < 0:
        return "0." + "0" * (-exponent - 1) + digits
    return digits[:power] + "." + digits[power:]


def _special(number: float) -> str | None:
    if number != number:
        return "NaN"
    if isinf(number):
        return "Infinity" if number > 0 else "-Infinity"
    if number == 0.0:
        return "-0" if copysign(1.0, number) < 0 else "0"
    return None


def shortest_double(number: float) -> str:
    text = _special(number)
    if text is not None:
        return text
    magnitude = abs(number)
    sign = "-" if number < 0 else ""
    if magnitude < 2.0**50 or magnitude > 1e41:
        mantissa, _, power = repr(magnitude).partition("e")
        whole, _, fraction = mantissa.partition(".")
        digits = (whole + fraction).lstrip("0")
        short = digits.rstrip("0")
        ten = int(power or "0") - len(fraction) + len(digits) - len(short)
        return sign + _layout(short, ten, 15)
    bits = int.from_bytes(DOUBLE.pack(magnitude), "big")
    fraction_bits = bits & (1 << 52) - 1
    return sign + _layout(
        *_shortest(fraction_bits | 1 << 52, (bits >> 52) - 1075, fraction_bits == 0), 15
    )


def shortest_single(number: float) -> str:
    text = _special(number)
    if text is not None:
        return text
    bits = int.from_bytes(SINGLE.pack(abs(number)), "big")
    fraction, biased = bits & 0x7FFFFF, bits >> 23
    mantissa, exponent = (fraction | 0x800000, biased - 150) if biased else (fraction, -149)
    digits, power = _shortest(mantissa, exponent, fraction == 0 and biased > 1)
    return ("-" if number < 0 else "") + _layout(digits, power, 6)


def _family(name: str, packed: Struct, parse: Convert, single: bool) -> Family:
    size = packed.size
    unpack = packed.unpack

    def from_text(settings: Settings) -> Convert:
        return encoding.ascii_form(parse, settings.encoding)

    def from_binary(value: bytes) -> bytes:
        if len(value) != size:
            raise wrong_size(value, size)
        return value

    def to_text(settings: Settings) -> Convert:
        shortest = shortest_single if single else shortest_double
        digits = max(1, (6 if single else 15) + settings.extra_float_digits)

        def by_g(number: float) -> str:
            return _special(number) or f"{number:.{digits}g}"

        show = shortest if settings.extra_float_digits > 0 else by_g

        def convert(canonical: bytes) -> bytes:
            if len(canonical) != size:
                raise corrupt(name)
            return show(unpack(canonical)[0]).encode()

        return convert

    def equality_form(canonical: bytes) -> bytes:
        (number,) = unpack(canonical)
        return packed.pack(nan if number != number else number + 0.0)

    return Family(
        from_text,
        always(from_binary),
        to_text,
        always(identity),
        unmodified,
        unmodified,
        equality_form,
    )


parse_single = _parser("real", SINGLE, _nearest_single, single=True)
parse_double = _parser("double precision", DOUBLE, float, single=False)
FLOAT4: Final[Family] = _family("real", SINGLE, parse_single, True)
FLOAT8: Final[Family] = _family("double precision", DOUBLE, parse_double, False)
