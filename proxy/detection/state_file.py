"""A small file of the state directory: read whole, replaced whole, changed under a lock of its own. [io]"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

_LARGEST: Final = 16 << 20


class StateUnreadable(Exception):
    """It cannot be read, or is none of ours. The text quotes nothing of it."""


class StateUnreachable(StateUnreadable):
    """It may be another time: too many files are open, a disk does not answer."""


class StateFile:
    """`path`: in a directory that is there. Mode 0600."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = path.with_suffix(".lock")

    def mark(self) -> tuple[int, int, int]:
        """Changes with the file: compare it to see whether to read again."""
        try:
            status = self.path.stat()
        except OSError:
            return (0, 0, 0)
        return (status.st_mtime_ns, status.st_ino, status.st_size)

    def data(self) -> bytes | None:
        """What is in it; None: there is none. Raises StateUnreadable."""
        try:
            with self.path.open("rb") as file:
                data = file.read(_LARGEST + 1)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise StateUnreachable(f"cannot be read: {error.strerror}") from None
        if len(data) > _LARGEST:
            raise StateUnreadable("is too large")
        return data

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Nobody else changes it meanwhile. Raises OSError."""
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def write(self, text: str) -> None:
        """In place of what it was, on disk. Only when `locked`. Raises OSError."""
        new = self.path.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="surrogatepass") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)
