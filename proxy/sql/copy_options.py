"""The options of a COPY, as ProcessCopyOptions (src/backend/commands/copy.c) reads them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from proxy.sql.copy_plan import EVERY, CopyFormat, CopyOptions, Header
from proxy.sql.copy_statement import STAR, Argument


def read_options(given: Sequence[tuple[str, Argument]]) -> CopyOptions | None:
    """None: the server refuses them, or they are newer than this file."""
    known = dict(given)
    if len(known) != len(given) or not known.keys() <= _OPTIONS:
        return None
    try:
        format_ = CopyFormat(known.get("format", "text"))
    except ValueError:
        return None
    csv = format_ is CopyFormat.CSV
    quote = _text(known, "quote", '"')
    options = CopyOptions(
        format=format_,
        delimiter=_text(known, "delimiter", "," if csv else "\t"),
        null=_text(known, "null", "" if csv else "\\N"),
        default=_text(known, "default", "") if "default" in known else None,
        quote=quote,
        escape=_text(known, "escape", quote),
        encoding=_text(known, "encoding", "") or None,
    )
    header = _header(known)
    lists = [_columns(known, name) for name in ("force_not_null", "force_null", "force_quote")]
    skips = _text(known, "on_error", "stop").lower()
    single = (options.delimiter, options.quote, options.escape)
    if header is None or skips not in ("stop", "ignore") or not all(map(_is_one_byte, single)):
        return None
    return replace(
        options,
        header=header,
        force_not_null=lists[0],
        force_null=lists[1],
        force_quote=lists[2],
        skips_errors=skips == "ignore",
    )


_OPTIONS: Final = frozenset(
    {
        *("format", "freeze", "delimiter", "null", "default", "header", "quote", "escape"),
        *("force_quote", "force_not_null", "force_null", "encoding", "on_error"),
        *("reject_limit", "log_verbosity"),
    }
)


def _text(known: dict[str, Argument], name: str, default: str) -> str:
    value = known.get(name, default)
    return value if isinstance(value, str) else ""


def _is_one_byte(text: str) -> bool:
    return len(text) == 1 and "\0" < text < "\x80"


def _header(known: dict[str, Argument]) -> Header | None:
    if "header" not in known:
        return Header.ABSENT
    value = known["header"]
    if value is None:
        return Header.PRESENT
    return _HEADERS.get(value.lower()) if isinstance(value, str) else None


_HEADERS: Final = {
    **dict.fromkeys(("1", "true", "on"), Header.PRESENT),
    **dict.fromkeys(("0", "false", "off"), Header.ABSENT),
    "match": Header.MATCHED,
}


def _columns(known: dict[str, Argument], name: str) -> frozenset[str] | None:
    value = known.get(name, ())
    if value == STAR:
        return EVERY
    return frozenset(value) if isinstance(value, tuple) else frozenset()
