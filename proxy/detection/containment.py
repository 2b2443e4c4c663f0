"""`containment.json`: who is contained, for all processes and over restarts. [io]

Nobody is set free by a damaged file. At the start it ends `serve`, with what to do; while the proxy runs, the last known
picture holds, and the next containment writes the file anew from that.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Final

from proxy.detection.restraint import Contained, Containment, merged
from proxy.detection.settings import CONTAINING
from proxy.detection.state_file import StateFile, StateUnreadable

VERSION: Final = 1
NAME: Final = "containment.json"


class ContainmentFile(StateFile):
    """`state`: the directory ([audit] state)."""

    def __init__(self, state: Path) -> None:
        super().__init__(state / NAME)

    def read(self) -> Contained:
        """A file that is not there: nobody is contained. Raises StateUnreadable."""
        data = self.data()
        return Contained.of(_parsed(data)) if data is not None else Contained()

    def contain(
        self, containment: Containment, known: Contained | None = None
    ) -> Containment | None:
        """In the file from now on, with what it says already; None: that says as much.

        `known`: what to begin from where the file is damaged, or gone. Raises StateUnreadable where it is damaged and that is
        not known, OSError where nothing can be written.
        """
        with self.locked():
            found = self._found(known)
            base = found if found is not None else known or Contained()
            before = base.entries.get(containment.who)
            after = containment if before is None else merged(before, containment)
            if found is not None and after == before:
                return None
            self._put([*(e for w, e in base.entries.items() if w != containment.who), after])
            return after

    def end(self, which: Callable[[Containment], bool]) -> list[Containment]:
        """Takes out those that `which` says: each is returned to one caller only. Raises StateUnreadable, OSError."""
        with self.locked():
            entries = self.read().entries
            ended = [one for one in entries.values() if which(one)]
            if ended:
                self._put(one for one in entries.values() if one not in ended)
            return ended

    def clear(self) -> None:
        """Nobody is contained, whatever the file said: for one that is damaged. Raises OSError."""
        with self.locked():
            self._put([])

    def _found(self, known: Contained | None) -> Contained | None:
        try:
            data = self.data()
            return Contained.of(_parsed(data)) if data is not None else None
        except StateUnreadable:
            if known is None:
                raise
            return None

    def _put(self, entries: Iterable[Containment]) -> None:
        document = {"version": VERSION, "containments": [_document(one) for one in entries]}
        self.write(json.dumps(document, indent=2, sort_keys=True) + "\n")


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
            raise StateUnreadable("is of a version that is not known")
        return [_containment(one) for one in document["containments"]]
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise StateUnreadable("is damaged") from None


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
        raise StateUnreadable("is damaged")
    return found
