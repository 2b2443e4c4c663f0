"""Where a follower of the access log stands, kept in a file that is replaced whole. [io]"""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import orjson

_LIMIT: Final = 64 << 20
"""Bytes of such a file: baselines stand beside the cursor of detection."""


class Damaged(ValueError):
    """A file that this program has not written like that."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Behind which line: `offset` bytes into the (decompressed) `file`, which is named by the hash of its first line.

    A file's name changes when it is rotated and compressed; its first line does not. `sequence` of `chain` is the number of
    the last event before it, `time` that event's: to go on where the file is gone.
    """

    file: str = ""
    offset: int = 0
    chain: str = ""
    sequence: int = 0
    time: int = 0


def load(path: Path) -> Any:
    """The JSON in the file; None if there is none. Raises Damaged, OSError."""
    try:
        with path.open("rb") as file:
            content = file.read(_LIMIT + 1)
    except FileNotFoundError:
        return None
    try:
        if len(content) > _LIMIT:
            raise Damaged
        return orjson.loads(content)
    except ValueError:
        raise Damaged(f"{path} is damaged") from None


def save(path: Path, content: Any) -> None:
    """Whole or not at all, also if power fails. Raises OSError."""
    new = path.with_name(
        f"{path.name}.{os.getpid()}.new"
    )  # one that outlives its proxy may be at it as well
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "wb") as file:
        file.write(orjson.dumps(content))
        file.flush()
        os.fdatasync(file.fileno())
    new.replace(path)


def as_cursor(content: Any) -> Cursor:
    """Raises Damaged."""
    if not isinstance(content, dict):
        raise Damaged("the cursor is no table")
    try:
        found = Cursor(**content)
    except TypeError:
        raise Damaged("the cursor has other fields") from None
    texts, numbers = (found.file, found.chain), (found.offset, found.sequence, found.time)
    if not all(type(text) is str for text in texts):
        raise Damaged("the cursor holds no text where one belongs")
    if not all(type(number) is int and number >= 0 for number in numbers):
        raise Damaged("the cursor holds no number where one belongs")
    return found


def as_json(cursor: Cursor) -> dict[str, Any]:
    return asdict(cursor)
