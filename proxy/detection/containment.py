"""`containment.json`: who is contained, for all processes and over restarts. [io]

Written whole and renamed over the old one, under a lock of its own (`containment.lock`), so readers need none. Whoever
reads it and finds something else than it wrote stops: nobody is set free by a damaged file. At the start that ends `serve`,
with what to do; while it runs, the last known picture holds, and the next containment writes the file anew from that.
A file that has gone, while somebody was contained, is damaged too.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from proxy.detection.restraint import Contained, Containment, merged
from proxy.detection.settings import CONTAINING

VERSION: Final = 1
_LARGEST: Final = 16 << 20
NAME: Final = "containment.json"


class ContainmentDamaged(Exception):
    """The file is none of ours, or cannot be read. The text quotes nothing of it."""


class ContainmentFile:
    """`state`: the directory ([audit] state)."""

    def __init__(self, state: Path) -> None:
        self.path = state / NAME
        self._lock = state / "containment.lock"

    def read(self) -> Contained:
        """A file that is not there: nobody is contained. Raises ContainmentDamaged."""
        try:
            with self.path.open("rb") as file:
                data = file.read(_LARGEST + 1)
        except FileNotFoundError:
            return Contained()
        except OSError as error:
            raise ContainmentDamaged(f"cannot be read: {error.strerror}") from None
        if len(data) > _LARGEST:
            raise ContainmentDamaged("is too large")
        return Contained.of(_parsed(data))

    def mark(self) -> tuple[int, int, int]:
        """Changes with the file: compare it to see whether to read again."""
        try:
            status = self.path.stat()
        except OSError:
            return (0, 0, 0)
        return (status.st_mtime_ns, status.st_ino, status.st_size)

    def contain(
        self, containment: Containment, known: Contained | None = None
    ) -> Containment | None:
        """In the file from now on, with what it said before; None: nothing is new about that.

        `known`: what was read last, to begin from where the file is damaged. Raises ContainmentDamaged where it is and there
        is none, OSError where nothing can be written.
        """
        with self._locked():
            entries = dict(self._or(known).entries)
            before = entries.get(containment.who)
            after = containment if before is None else merged(before, containment)
            if after == before:
                return None
            entries[containment.who] = after
            self._write(entries.values())
            return after

    def end(self, which: Callable[[Containment], bool]) -> list[Containment]:
        """Takes out those that `which` says: they are returned to one caller only. Raises ContainmentDamaged, OSError."""
        with self._locked():
            entries = self.read().entries
            ended = [one for one in entries.values() if which(one)]
            if ended:
                self._write(one for one in entries.values() if one not in ended)
            return ended

    def clear(self) -> None:
        """Nobody is contained, whatever the file said: for one that is damaged."""
        with self._locked():
            self._write([])

    def _or(self, known: Contained | None) -> Contained:
        try:
            found = self.read()
        except ContainmentDamaged:
            if known is None:
                raise
            return known
        return known if known is not None and not self.path.exists() else found

    @contextmanager
    def _locked(self) -> Iterator[None]:
        descriptor = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _write(self, entries: Iterable[Containment]) -> None:
        document = {"version": VERSION, "containments": [_document(one) for one in entries]}
        text = json.dumps(document, indent=2, sort_keys=True) + "\n"
        new = self.path.with_suffix(".new")
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self.path)


def _document(one: Containment) -> dict[str, Any]:
    return {
        "login": one.login,
        "session": one.session,
        "mode": one.mode,
        "begun": one.begun,
        "until": one.until,
        "reason": one.reason,
        "finding": one.finding,
    }


def _parsed(data: bytes) -> list[Containment]:
    try:
        document = json.loads(data)
        if document["version"] != VERSION:
            raise ContainmentDamaged("is of a version that is not known")
        return [_containment(one) for one in document["containments"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise ContainmentDamaged("is damaged") from None


def _containment(one: Any) -> Containment:
    found = Containment(**one)
    texts = (found.login, found.reason, found.finding)
    if (
        found.mode not in CONTAINING
        or not all(type(text) is str for text in texts)
        or type(found.session) not in (str, type(None))
        or type(found.begun) is not int
        or type(found.until) is not int
    ):
        raise ContainmentDamaged("is damaged")
    return found
