"""What the tour prints: numbered steps as they run, indented facts and tables below them.

Plain text that reads the same in a terminal, in a pipe and in a CI log; colour only on a terminal (and never with
NO_COLOR). A step's line is printed when it begins, so that what takes long is seen to be at work.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from typing import TextIO

from proxy.commands.output import aligned

TITLE_WIDTH = 62
GREEN, RED, DIM, BOLD = "32", "31", "2", "1"


class Page:
    """The tour's output. `step` opens a line, `done` or `failed` closes it; facts are kept until then."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._coloured = stream.isatty() and "NO_COLOR" not in os.environ
        self._facts: list[str] = []
        self._began = 0.0

    def line(self, text: str = "") -> None:
        print(text, file=self._stream, flush=True)

    def title(self, text: str) -> None:
        self.line(self._in(BOLD, text))
        self.line()

    def step(self, number: int, title: str) -> None:
        self._began = time.monotonic()
        head = f"{number:2} {title} ".ljust(TITLE_WIDTH, ".")
        print(head, end=" ", file=self._stream, flush=True)

    def done(self) -> None:
        seconds = time.monotonic() - self._began
        self.line(f"{self._in(GREEN, 'ok')} {seconds:4.1f} s")
        self._say_facts()

    def failed(self, reason: str) -> None:
        self.line(self._in(RED, "FAILED"))
        self._say_facts()
        for line in reason.splitlines():
            self.line(f"     {self._in(RED, line)}")

    def fact(self, text: str) -> None:
        """A line below the current step."""
        self._facts.append(text)

    def table(self, rows: Iterable[Sequence[str]]) -> None:
        """An aligned table below the current step; its first row is the heading."""
        heading, *body = aligned(rows, indent="").splitlines()
        self._facts += [self._in(DIM, heading), *body]

    def _say_facts(self) -> None:
        for fact in self._facts:
            self.line(f"     {fact}")
        self._facts.clear()

    def _in(self, colour: str, text: str) -> str:
        return f"\x1b[{colour}m{text}\x1b[0m" if self._coloured else text
