"""text, varchar, bpchar: characters as they are, and what a length modifier does to them.

Mirrors src/backend/utils/adt/varchar.c and varlena.c. Lengths count characters, not bytes. A modifier is the
declared length plus 4. Assignment refuses what does not fit unless only blanks are lost; an explicit cast cuts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from proxy.cells import encoding
from proxy.cells.errors import CellError
from proxy.cells.settings import Convert, Family, Settings, identity, unmodified


def decoder(settings: Settings) -> Convert:
    return encoding.to_utf8(settings.encoding)


def encoder(settings: Settings) -> Convert:
    return encoding.from_utf8(settings.encoding) or identity


def _too_long(type_name: str, limit: int) -> CellError:
    return CellError("22001", f"value too long for type {type_name}({limit})")


def _fit(value: bytes, limit: int, type_name: str, explicit: bool) -> bytes:
    """At most `limit` characters of `value`; raises 22001 if that would lose more than blanks."""
    if len(value) <= limit:
        return value
    characters = value.decode()
    if len(characters) <= limit:
        return value
    if not explicit and characters[limit:].strip(" "):
        raise _too_long(type_name, limit)
    return characters[:limit].encode()


def _varchar(explicit: bool) -> Callable[[bytes, int], bytes]:
    def coerce(value: bytes, modifier: int) -> bytes:
        return value if modifier < 4 else _fit(value, modifier - 4, "character varying", explicit)

    return coerce


def _bpchar(explicit: bool) -> Callable[[bytes, int], bytes]:
    def coerce(value: bytes, modifier: int) -> bytes:
        if modifier < 4:
            return value
        limit = modifier - 4
        value = _fit(value, limit, "character", explicit)
        length = len(value) if value.isascii() else len(value.decode())
        return value + b" " * (limit - length)

    return coerce


def without_blanks(value: bytes) -> bytes:
    """What bpchar compares: the value without its trailing blanks."""
    return value.rstrip(b" ")


TEXT: Final[Family] = Family(decoder, decoder, encoder, encoder, unmodified, unmodified, identity)
VARCHAR: Final[Family] = Family(
    decoder, decoder, encoder, encoder, _varchar(False), _varchar(True), identity
)
BPCHAR: Final[Family] = Family(
    decoder, decoder, encoder, encoder, _bpchar(False), _bpchar(True), without_blanks
)
