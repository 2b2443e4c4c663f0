"""uuid: sixteen bytes; text in groups of 8-4-4-4-12. Mirrors string_to_uuid in src/backend/utils/adt/uuid.c.

Input takes upper case, surrounding braces, and a hyphen after any group of four digits. No blanks.
"""

from __future__ import annotations

import re
from typing import Final

from proxy.cells import encoding
from proxy.cells.errors import corrupt, invalid_syntax, wrong_size
from proxy.cells.settings import Convert, Family, Settings, always, identity, unmodified

_DIGITS = rb"[0-9a-fA-F]{4}(?:-?[0-9a-fA-F]{4}){7}"
_FORM = re.compile(rb"\{" + _DIGITS + rb"\}|" + _DIGITS)


def _parse(value: bytes) -> bytes:
    if _FORM.fullmatch(value) is None:
        raise invalid_syntax("uuid")
    return bytes.fromhex(value.strip(b"{}").replace(b"-", b"").decode())


def _from_text(settings: Settings) -> Convert:
    return encoding.ascii_form(_parse, settings.encoding)


def _from_binary(value: bytes) -> bytes:
    if len(value) != 16:
        raise wrong_size(value, 16)
    return value


def _to_text(canonical: bytes) -> bytes:
    if len(canonical) != 16:
        raise corrupt("uuid")
    digits = canonical.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}".encode()


UUID: Final[Family] = Family(
    _from_text,
    always(_from_binary),
    always(_to_text),
    always(identity),
    unmodified,
    unmodified,
    identity,
)
