"""numeric: base-10000 digits, exact; text in decimal or as a prefixed integer, NaN and the infinities.

Mirrors src/backend/utils/adt/numeric.c: numeric_in, numeric_out, numeric_recv, numeric_send, apply_typmod.
The binary form is four int16 (digit count, weight of the first digit, sign, display scale), then the digits.
Canonical means what the server would send: no leading or trailing zero digits, zero with weight 0 and no sign.

Work on text here stays on strings of decimal digits, never on Python integers, whose conversion is quadratic.
"""

from __future__ import annotations

import re
from struct import Struct, pack, unpack_from
from typing import Final

from proxy.cells import encoding
from proxy.cells.errors import (
    CellError,
    corrupt,
    invalid_syntax,
    long_message,
    out_of_range,
    short_message,
)
from proxy.cells.settings import Convert, Family, Settings, always, identity

POSITIVE, NEGATIVE, NAN, INFINITE, NEGATIVE_INFINITE = 0x0000, 0x4000, 0xC000, 0xD000, 0xF000
_HEADER = Struct(">HhHH")
_HEADER_START, _WORD = Struct(">HhH"), Struct(">H")
_SPECIAL_TEXT = {NAN: b"NaN", INFINITE: b"Infinity", NEGATIVE_INFINITE: b"-Infinity"}
# The header bits that tell the infinities apart from NaN are among those that hold the scale: it is sent as 32.
_SPECIAL = {sign: _HEADER.pack(0, 0, sign, 0 if sign == NAN else 32) for sign in _SPECIAL_TEXT}
_MAX_WEIGHT = 0x7FFF
_MAX_SCALE = 0x3FFF
_MAX_EXPONENT = 0x7FFFFFFF // 2

_MOST_DIGITS: Final = 16
"""Before the point, and behind it, of a number that is read as one integer."""
_PACK = tuple(Struct(f">HhHH{count}H").pack for count in range(10))
_PACK_1: Final = Struct(">HhHHH").pack
_PACK_2: Final = Struct(">HhHHHH").pack
_MINUS: Final = 0x2D
_DECIMAL = re.compile(
    rb"([+-]?)(?=\.?[0-9])([0-9]+(?:_[0-9]+)*)?(?:\.([0-9]+(?:_[0-9]+)*)?)?(?:[eE]([+-]?)([0-9]+(?:_[0-9]+)*))?"
)
_PREFIXED = re.compile(
    rb"([+-]?)0(?:[xX]((?:_?[0-9a-fA-F])+)|[oO]((?:_?[0-7])+)|[bB]((?:_?[01])+))"
)
_NAMED = re.compile(rb"(?i:(nan)|(\+?inf(?:inity)?)|(-inf(?:inity)?))")
_BLANKS = b" \t\n\v\f\r"


def parse(value: bytes) -> bytes:
    """Canonical form of a numeric's text form (ASCII)."""
    whole, _, fraction = value.partition(b".")
    sign = POSITIVE
    if value[:1] == b"-":
        sign = NEGATIVE
        whole = whole[1:]
    scale = len(fraction)
    if (
        not whole.isdigit()
        or len(whole) > _MOST_DIGITS
        or (scale and (scale > _MOST_DIGITS or not fraction.isdigit()))
    ):
        return _parse_any(value.strip(_BLANKS))
    return _aligned(int(whole + fraction + b"0000"[: -scale % 4]), (scale + 3) // 4, sign, scale)


class Stored:
    """Text form -> what a column numeric(precision, scale) stores: `parse`, then `assign`.

    A plain number with no more digits than the column has needs neither of them.
    """

    __slots__ = ("_modifier", "_scale", "_whole", "_words", "_zeros")

    def __init__(self, modifier: int) -> None:
        precision, scale = _typmod(modifier)
        self._modifier = modifier
        self._scale = scale
        self._words = (scale + 3) // 4
        self._zeros = b"0" * (4 * self._words)
        self._whole = min(precision - scale, _MOST_DIGITS)
        """Digits before the point that certainly fit. None do where there is no reading by one integer."""
        if not 0 <= scale <= _MOST_DIGITS:
            self._whole = 0

    def __call__(self, value: bytes) -> bytes:
        whole, _, fraction = value.partition(b".")
        sign = POSITIVE
        if value[:1] == b"-":
            sign = NEGATIVE
            whole = whole[1:]
        shown = len(fraction)
        if (
            len(whole) > self._whole
            or shown > self._scale
            or not whole.isdigit()
            or (shown and not fraction.isdigit())
        ):
            return assign(parse(value), self._modifier)
        number = int(whole + fraction + self._zeros[shown:])
        return _aligned(number, self._words, sign, self._scale)


def _aligned(number: int, fraction: int, sign: int, scale: int) -> bytes:
    """Canonical form of +-number / 10000**fraction."""
    if number < 10000:
        if number == 0:
            return _HEADER.pack(0, 0, POSITIVE, scale)
        return _PACK_1(1, -fraction, sign, scale, number)
    high, low = divmod(number, 10000)
    if high < 10000:
        if low == 0:
            return _PACK_1(1, 1 - fraction, sign, scale, high)
        return _PACK_2(2, 1 - fraction, sign, scale, high, low)
    words: list[int] = []
    weight = -1 - fraction
    while number:
        number, word = divmod(number, 10000)
        weight += 1
        if word or words:
            words.append(word)
    count = len(words)
    return _PACK[count](count, weight, sign, scale, *words[::-1])


def _parse_any(value: bytes) -> bytes:
    if (named := _NAMED.fullmatch(value)) is not None:
        return _SPECIAL[(NAN, INFINITE, NEGATIVE_INFINITE)[(named.lastindex or 1) - 1]]
    if (prefixed := _PREFIXED.match(value)) is not None:
        return _parse_prefixed(prefixed, value)
    match = _DECIMAL.match(value)
    if match is None:
        raise invalid_syntax("numeric")
    whole = (match[2] or b"").replace(b"_", b"")
    fraction = (match[3] or b"").replace(b"_", b"")
    power = (match[5] or b"").replace(b"_", b"").lstrip(b"0")
    if len(power) > 10 or int(power or b"0") > _MAX_EXPONENT:
        raise _overflow()
    if match.end() != len(value):
        raise invalid_syntax("numeric")
    exponent = int(power or b"0")
    exponent = -exponent if match[4] == b"-" else exponent
    return compose(
        NEGATIVE if match[1] == b"-" else POSITIVE,
        (whole + fraction).decode(),
        len(whole) + exponent,
        max(0, len(fraction) - exponent),
    )


def _parse_prefixed(match: re.Match[bytes], value: bytes) -> bytes:
    group = match.lastindex or 2
    base = (16, 8, 2)[group - 2]
    digits = match[group].replace(b"_", b"").lstrip(b"0") or b"0"
    # log2(10) > 3.3: more bits than the longest numeric can have. The server's own arithmetic is quadratic here.
    if len(digits) * (base.bit_length() - 1) > 4 * (_MAX_WEIGHT + 1) * 3.33:
        raise _overflow()
    if match.end() != len(value):
        raise invalid_syntax("numeric")
    number = _decimal_digits(int(digits, base))
    return compose(NEGATIVE if match[1] == b"-" else POSITIVE, number, len(number), 0)


def _decimal_digits(number: int) -> str:
    """str() of any size: Python refuses more than 4300 digits at once."""
    if number < 10**4000:
        return str(number)
    half = 4000
    while 10 ** (2 * half) <= number:
        half *= 2
    high, low = divmod(number, 10**half)
    return _decimal_digits(high) + _decimal_digits(low).rjust(half, "0")


def _overflow() -> CellError:
    return out_of_range("value overflows numeric format")


def compose(sign: int, digits: str, point: int, scale: int) -> bytes:
    """Canonical form of 0.DIGITS x 10^point with `scale` fractional digits shown; raises 22003."""
    if scale > _MAX_SCALE:
        raise _overflow()
    significant = digits.lstrip("0")
    if not significant:
        return _HEADER.pack(0, 0, POSITIVE, scale)
    point -= len(digits) - len(significant)
    significant = significant.rstrip("0")
    weight = (point + 3) // 4 - 1
    if not -_MAX_WEIGHT - 1 <= weight <= _MAX_WEIGHT:
        raise _overflow()
    lead = -point % 4
    count = (lead + len(significant) + 3) // 4
    aligned = ("0" * lead + significant).ljust(4 * count, "0")
    if count == 1:
        return pack(">HhHHH", 1, weight, sign, scale, int(aligned))
    words = [int(aligned[i : i + 4]) for i in range(0, 4 * count, 4)]
    return pack(f">HhHH{count}H", count, weight, sign, scale, *words)


def decompose(canonical: bytes) -> tuple[int, str, int, int]:
    """(sign, decimal digits, point, scale) as `compose` takes them; specials have no digits."""
    if len(canonical) < 8 or len(canonical) & 1:
        raise corrupt("numeric")
    count, weight, sign, scale = _HEADER.unpack_from(canonical)
    if len(canonical) != 8 + 2 * count:
        raise corrupt("numeric")
    words = unpack_from(f">{count}H", canonical, 8)
    return sign, ("%04d" * count) % words, 4 * (weight + 1), scale


def render(canonical: bytes) -> bytes:
    """numeric_out: digits up to the display scale, no exponent."""
    if 8 < len(canonical) <= 16:
        count, weight, sign, scale = _HEADER.unpack_from(canonical)
        hidden = 4 * (count - weight - 1) - scale
        if sign <= NEGATIVE and -8 < hidden < 4 and scale < 40 and len(canonical) == 8 + 2 * count:
            return _render_small(canonical, count, sign, scale, hidden)
    sign, digits, point, scale = decompose(canonical)
    if sign in _SPECIAL_TEXT:
        return _SPECIAL_TEXT[sign]
    whole = digits[:point].ljust(point, "0").lstrip("0") if point > 0 else ""
    text = ("-" if sign == NEGATIVE else "") + (whole or "0")
    if scale:
        fraction = digits[point:] if point >= 0 else "0" * -point + digits
        text += "." + fraction[:scale].ljust(scale, "0")
    return text.encode()


def _render_small(canonical: bytes, count: int, sign: int, scale: int, hidden: int) -> bytes:
    """The digits as one integer; `hidden`: how many the scale leaves out (or, below 0, still wants)."""
    number = 0
    for word in unpack_from(f">{count}H", canonical, 8):
        number = number * 10000 + word
    number = number // 10**hidden if hidden > 0 else number * 10**-hidden
    digits = str(number)
    if scale:
        digits = digits.rjust(scale + 1, "0")
        digits = f"{digits[:-scale]}.{digits[-scale:]}"
    return (digits if sign == POSITIVE else "-" + digits).encode()


def receive(value: bytes) -> bytes:
    """numeric_recv: any digits that make sense, without the zeros around them and those the scale hides."""
    if len(value) < 6:
        raise short_message()
    count, weight, sign = _HEADER_START.unpack_from(value)
    if sign not in (POSITIVE, NEGATIVE, NAN, INFINITE, NEGATIVE_INFINITE):
        raise CellError("22P03", 'invalid sign in external "numeric" value')
    if len(value) < 8:
        raise short_message()
    (scale,) = _WORD.unpack_from(value, 6)
    if scale > _MAX_SCALE:
        raise CellError("22P03", 'invalid scale in external "numeric" value')
    available = min(count, (len(value) - 8) // 2)
    words = unpack_from(f">{available}H", value, 8)
    if words and max(words) > 9999:
        raise CellError("22P03", 'invalid digit in external "numeric" value')
    if available < count:
        raise short_message()
    if count and words[0] and words[-1] and sign not in _SPECIAL and len(value) == 8 + 2 * count:
        hidden = 4 * (count - weight - 1) - scale
        if hidden <= 0 or (hidden < 4 and words[-1] % 10**hidden == 0):
            return value
    if sign in _SPECIAL:
        result = _SPECIAL[sign]
    else:
        digits = ("%04d" * count) % words
        point = 4 * (weight + 1)
        result = compose(sign, digits[: max(0, point + scale)], point, scale)
    if len(value) > 8 + 2 * count:
        raise long_message()
    return result


def round_to(canonical: bytes, scale: int) -> tuple[int, str, int]:
    """(sign, digits, point) rounded half away from zero to `scale` fractional digits, which may be negative."""
    sign, digits, point, _ = decompose(canonical)
    kept = point + scale
    if kept < 0:
        return sign, "", 0
    head = digits[:kept]
    if digits[kept : kept + 1] >= "5":
        stem = head.rstrip("9")
        zeros = "0" * (len(head) - len(stem))
        if stem:
            head = stem[:-1] + chr(ord(stem[-1]) + 1) + zeros
        else:
            head, point = "1" + zeros, point + 1
    return sign, head, point


def assign(canonical: bytes, modifier: int) -> bytes:
    """apply_typmod: numeric(p,s) rounds to s and refuses more than p - s digits before the point."""
    if modifier < 4:
        return canonical
    precision, scale = _typmod(modifier)
    if len(canonical) >= 8:
        count, weight, sign, shown = _HEADER.unpack_from(canonical)
        if sign <= NEGATIVE and shown <= scale and len(canonical) == 8 + 2 * count:
            # Nothing to round. The digits before the point are those of the first word and four for each word more.
            first = canonical[8] << 8 | canonical[9] if count else 0
            if not count or 4 * weight + len(str(first)) <= precision - scale:
                return canonical[:6] + scale.to_bytes(2, "big") + canonical[8:]
    return _rounded(canonical, precision, scale)


def _rounded(canonical: bytes, precision: int, scale: int) -> bytes:
    special = decompose(canonical)[0]
    if special == NAN:
        return canonical
    if special in _SPECIAL_TEXT:
        raise out_of_range("numeric field overflow")
    sign, digits, point = round_to(canonical, scale)
    leading_zeros = len(digits) - len(digits.lstrip("0"))
    if leading_zeros < len(digits) and point - leading_zeros > precision - scale:
        raise out_of_range("numeric field overflow")
    return compose(sign, digits, point, max(0, scale))


def _typmod(modifier: int) -> tuple[int, int]:
    """(precision, scale)"""
    return (modifier - 4) >> 16 & 0xFFFF, ((modifier - 4 & 0x7FF) ^ 1024) - 1024


def equality_form(canonical: bytes) -> bytes:
    """The canonical form with display scale 0: 1.0 and 1.00 are equal."""
    return canonical[:6] + b"\0\0" + canonical[8:]


def _from_text(settings: Settings) -> Convert:
    return encoding.ascii_form(parse, settings.encoding)


NUMERIC: Final[Family] = Family(
    _from_text, always(receive), always(render), always(identity), assign, assign, equality_form
)
