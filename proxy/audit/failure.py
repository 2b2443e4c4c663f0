"""An exception as a log may show it: its type, our own lines, and no text that could hold a value.

Exception texts quote their input (`invalid literal for int() with base 10: '078-05-1120'`), asyncpg's hold
the server's DETAIL, and locals hold everything. So of an exception we keep the class, the SQLSTATE or
errno, and where in *our* files it passed; its text only if its class is ours and says that its texts hold
no value: `safe_to_log = True` in the class body.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from proxy.audit.text import REASON_CAP, clean

OURS: Final = ("proxy", "policy", "keystore")
_ROOT: Final = str(Path(__file__).resolve().parents[2]) + os.sep
_SQLSTATE: Final = re.compile(r"[0-9A-Z]{5}")
_SSL_REASON: Final = re.compile(r"[A-Z0-9_]{1,64}")
_DEPTH: Final = 6  # causes of causes, groups in groups
_GROUP: Final = 8  # exceptions shown of a group
_FRAMES: Final = 24


def describe(error: BaseException, depth: int = _DEPTH) -> dict[str, Any]:
    """`type`, `text` where it is safe, `frames` outermost first, `cause` and `group` likewise."""
    kind = type(error)
    described: dict[str, Any] = {"type": clean(f"{kind.__module__}.{kind.__qualname__}")}
    text = _safe_text(error)
    if text:
        described["text"] = text
    if sqlstate := _sqlstate(error):
        described["sqlstate"] = sqlstate
    frames = _frames(error.__traceback__)
    if frames:
        described["frames"] = frames
    if depth > 0:
        described |= _related(error, depth - 1)
    return described


def in_one_line(described: dict[str, Any]) -> str:
    """The same for people: `OSError: Connection refused; proxy/connection.py:12 in pump`."""
    line: str = described["type"].removeprefix("builtins.")
    if "sqlstate" in described:
        line += f" {described['sqlstate']}"
    if "text" in described:
        line += f": {described['text']}"
    for frame in described.get("frames", ()):
        line += f"; {frame}"
    for inner in (described.get("cause"), *described.get("group", ())):
        if inner is not None:
            line += f" <- {in_one_line(inner)}"
    return line


def _related(error: BaseException, depth: int) -> dict[str, Any]:
    related: dict[str, Any] = {}
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        related["cause"] = describe(cause, depth)
    if isinstance(error, BaseExceptionGroup):
        related["group"] = [describe(inner, depth) for inner in error.exceptions[:_GROUP]]
        if len(error.exceptions) > _GROUP:
            related["group_size"] = len(error.exceptions)
    return related


def _safe_text(error: BaseException) -> str:
    kind = type(error)
    if kind.__module__.partition(".")[0] in OURS and getattr(kind, "safe_to_log", False) is True:
        return clean(str(error), REASON_CAP)
    if not isinstance(error, OSError):
        return ""
    if kind.__module__ == "ssl":  # its errno is OpenSSL's, its reason one of OpenSSL's constants
        reason = getattr(error, "reason", None)
        return reason if isinstance(reason, str) and _SSL_REASON.fullmatch(reason) else ""
    number = error.errno
    # the system's own words for the number: what the exception carries could be anything
    return f"[{number}] {os.strerror(number)}" if number and number in errno.errorcode else ""


def _sqlstate(error: BaseException) -> str:
    try:
        sqlstate = getattr(error, "sqlstate", None)
    except Exception:  # a property of a class we do not know
        return ""
    return sqlstate if isinstance(sqlstate, str) and _SQLSTATE.fullmatch(sqlstate) else ""


def _frames(traceback: TracebackType | None) -> list[str]:
    frames: list[str] = []
    elsewhere = 0
    while traceback is not None:
        code = traceback.tb_frame.f_code
        ours = code.co_filename.removeprefix(_ROOT)
        if ours.partition(os.sep)[0] in OURS:
            _note(frames, elsewhere)
            frames.append(f"{ours}:{traceback.tb_lineno} in {code.co_qualname}")
            elsewhere = 0
        else:
            elsewhere += 1
        traceback = traceback.tb_next
    _note(frames, elsewhere)
    return frames[-_FRAMES:]


def _note(frames: list[str], elsewhere: int) -> None:
    if elsewhere:
        frames.append(f"({elsewhere} elsewhere)")
