"""bool: one byte, 0 or 1; text t or f. Mirrors src/backend/utils/adt/bool.c.

Any unambiguous prefix of true, false, yes, no, on, off is accepted in any case, and 1 and 0; blanks around.
"""

from __future__ import annotations

from typing import Final

from proxy.cells import encoding
from proxy.cells.errors import corrupt, invalid_syntax, wrong_size
from proxy.cells.settings import Convert, Family, Settings, always, identity, unmodified

_WORDS = {
    **{b"true"[:n]: b"\x01" for n in range(1, 5)},
    **{b"false"[:n]: b"\x00" for n in range(1, 6)},
    **{b"yes"[:n]: b"\x01" for n in range(1, 4)},
    **{b"no"[:n]: b"\x00" for n in range(1, 3)},
    b"on": b"\x01",
    b"of": b"\x00",
    b"off": b"\x00",
    b"1": b"\x01",
    b"0": b"\x00",
}


def _parse(value: bytes) -> bytes:
    known = _WORDS.get(value.strip(b" \t\n\v\f\r").lower())
    if known is None:
        raise invalid_syntax("boolean")
    return known


def _from_text(settings: Settings) -> Convert:
    return encoding.ascii_form(_parse, settings.encoding)


def _from_binary(value: bytes) -> bytes:
    if len(value) != 1:
        raise wrong_size(value, 1)
    return b"\x00" if value == b"\x00" else b"\x01"


def _to_text(canonical: bytes) -> bytes:
    if len(canonical) != 1:
        raise corrupt("boolean")
    return b"f" if canonical == b"\x00" else b"t"


BOOL: Final[Family] = Family(
    _from_text,
    always(_from_binary),
    always(_to_text),
    always(identity),
    unmodified,
    unmodified,
    identity,
)
