r"""psql scripts as statements.

Theory: `src/fe_utils/psqlscan.l`. A statement ends with a `;` outside of quotes, comments, brackets
and BEGIN ATOMIC bodies, or with a backslash command that sends it (`\g`, `\gset`, `\crosstabview`).
Other backslash commands go to the end of their line; `COPY ... FROM stdin` is followed by data up to
`\.`. Variables (`:name`, `:'name'`) are what psql would put there: a word or a string.

The cut is a corpus, not a proof: it is deliberately not made with the lexer that it will test, and
what libpg_query does not parse is counted as such.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

_STRING: Final = r"'(?:[^']|'')*'"
_PIECE: Final = re.compile(
    rf"""
      (?P<quoted> (?<![A-Za-z0-9_])[eE]'(?:[^'\\]|''|\\.)*' | {_STRING} | "(?:[^"]|"")*")
    | (?P<dollar> (?<![A-Za-z0-9_$])\$(?P<tag>(?:[A-Za-z_][A-Za-z0-9_]*)?)\$.*?\$(?P=tag)\$)
    | (?P<line> --[^\n]*)
    | (?P<block> /\*)
    | (?P<variable> (?<!:):(?:'[A-Za-z_]\w*'|"[A-Za-z_]\w*"|[A-Za-z_]\w*))
    | (?P<command> \\[^\n]*)
    | (?P<open> [(\[]) | (?P<close> [)\]])
    | (?P<end> ;)
    | (?P<word> [A-Za-z_][A-Za-z0-9_$]*)
    | (?P<other> .)
    """,
    re.VERBOSE | re.DOTALL,
)
_SENDS: Final = re.compile(
    r"\\(?:g|gset|gx|gexec|gdesc|crosstabview|watch|bind|bind_named|parse)\b"
)
_COPY_STDIN: Final = re.compile(r"\s*COPY\b.*\bFROM\s+STDIN\b", re.IGNORECASE | re.DOTALL)
_ROUTINE: Final = re.compile(
    r"\s*CREATE\s+(?:OR\s+REPLACE\s+)?(?:FUNCTION|PROCEDURE)\b", re.IGNORECASE
)
_MARK: Final = re.compile(r"/\*|\*/")


def statements(script: str) -> Iterator[str]:
    """The statements of a psql script, without `;` and surrounding blanks."""
    return _Reader(script).read()


class _Reader:
    def __init__(self, script: str) -> None:
        self._script = script
        self._at = 0
        self._text: list[str] = []
        self._brackets = 0
        self._body = 0

    def read(self) -> Iterator[str]:
        while (piece := _PIECE.match(self._script, self._at)) is not None:
            kind, text = str(piece.lastgroup), piece.group()
            self._at = piece.end()
            if kind == "block":
                start, self._at = piece.start(), self._end_of_comment(piece.start())
                self._text.append(self._script[start : self._at])
            elif kind == "variable":
                self._text.append(_substituted(text))
            elif kind == "command":
                if not self._continues(text) and (_SENDS.match(text) or text.startswith(r"\;")):
                    yield from self._statement()
            elif kind == "end" and not self._brackets and not self._body:
                yield from self._statement()
            else:
                self._see(kind, text)
        yield from self._statement()

    def _see(self, kind: str, text: str) -> None:
        if kind == "open":
            self._brackets += 1
        elif kind == "close":
            self._brackets = max(0, self._brackets - 1)
        elif kind == "word":
            self._see_word(text.lower())
        self._text.append(text)

    def _see_word(self, word: str) -> None:
        if word == "atomic" and _ROUTINE.match(self._written()):
            self._body += 1
        elif self._body:
            self._body += (word == "case") - (word == "end")

    def _continues(self, command: str) -> bool:
        r"""`\;` separates, and the rest of its line is SQL."""
        if command.startswith(r"\;"):
            self._at -= len(command) - 2
        return False

    def _end_of_comment(self, start: int) -> int:
        depth = 0
        for mark in _MARK.finditer(self._script, start):
            depth += 1 if mark.group() == "/*" else -1
            if depth == 0:
                return mark.end()
        return len(self._script)

    def _written(self) -> str:
        return re.sub(r"\A(?:\s+|--[^\n]*\n|/\*.*?\*/)+", "", "".join(self._text), flags=re.DOTALL)

    def _statement(self) -> Iterator[str]:
        found = self._written().strip()
        self._text, self._brackets, self._body = [], 0, 0
        if _COPY_STDIN.match(found):
            end = self._script.find("\n\\.\n", self._at)
            self._at = end + 4 if end >= 0 else self._at
        if found:
            yield found


def _substituted(variable: str) -> str:
    name = variable[1:]
    return name if name[0] in "'\"" else f"{name}"
