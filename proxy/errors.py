"""What of a server's ErrorResponse the client gets: its own positions, and neither our function's insides nor terms.

A unique index on `sealgate.eq(column)` makes the server quote the term in the DETAIL of a violation (`_bt_check_unique`,
BuildIndexValueDescription). Whoever may not compare has no use for it that we would want, and whoever may has none at
all; so the place of a term, and of a sealed value in a "Failing row contains", says `sealed`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from proxy.wire.messages import ERROR_RESPONSE, write_fields

if TYPE_CHECKING:
    from proxy.edited import Edited

_REFUSE: Final = b"function sealgate.refuse("
_INSIDE: Final = frozenset("WFLR")
_DIGITS: Final = 20
"""Of a number in a message that the server counts in 64 bits."""
_EXPRESSION: Final = re.compile(
    rb'sealgate\.eq\(\(?("(?:[^"]|"")+"|[^\s():,]+)\)?(?:::bytea)?\)'
)  # as pg_get_indexdef prints it
_TERM: Final = re.compile(rb"\\x[0-9a-f]{32}(?![0-9a-f])")
_VALUE: Final = re.compile(rb"\\x5ea101[0-9a-f]*(?:\.\.\.)?")
_PLACE: Final = b"sealed"


def presented(fields: dict[str, bytes], edited: Edited | None) -> bytes | None:
    """The message for the client; None: the server's own. `edited`: what was sent in place of the client's text."""
    if _REFUSE in fields.get("W", b""):
        # Without the place in its PL/pgSQL body, and without an empty hint.
        shown = {c: v for c, v in fields.items() if c not in _INSIDE and (c != "H" or v)}
        return write_fields(ERROR_RESPONSE, shown)
    shown = dict(fields)
    given = fields.get("P", b"")
    if edited is not None and given.isdigit() and len(given) <= _DIGITS:
        shown["P"] = str(edited.original_position(int(given))).encode()
    _without_sealed(shown)
    return write_fields(ERROR_RESPONSE, shown) if shown != fields else None


def _without_sealed(fields: dict[str, bytes]) -> None:
    detail = fields.get("D", b"")
    if _EXPRESSION.search(detail):
        named = _EXPRESSION.sub(rb"\1", detail)
        fields["D"], replaced = _TERM.subn(_PLACE, named)
        if not replaced:
            del fields["D"]  # bytea_output is escape: where the term ends is not certain.
    for code in "DW":
        if b"\\x5ea101" in fields.get(code, b""):
            fields[code] = _VALUE.sub(_PLACE, fields[code])
