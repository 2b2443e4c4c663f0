"""Issues on their way into a verdict: where they are in the log, and what they are about."""

from __future__ import annotations

from typing import Final

from proxy.audit.followed import Followed
from proxy.audit.reading import LogLine
from proxy.audit.verdict import Issue, Kind, Verdict

_MOST_NOTES: Final = 100


class Issues:
    """Fills a verdict. An issue breaks its chain, so that nothing behind it counts as proven, unless `breaks` is false."""

    def __init__(self) -> None:
        self.verdict = Verdict()

    def add(
        self,
        kind: Kind,
        text: str,
        chain: Followed | None,
        sequence: int | None = None,
        *,
        last: int | None = None,
        line: LogLine | None = None,
        told: bool = False,
        place: int = 0,
        breaks: bool = True,
    ) -> Issue:
        issue = Issue(
            kind,
            text,
            chain.name if chain is not None else "",
            sequence,
            last,
            line.file if line is not None else None,
            line.number if line is not None else None,
            told,
            place or self.verdict.lines,
        )
        if chain is not None and breaks:
            chain.broken = True
        self.verdict.add(issue)
        return issue

    def extended(
        self,
        kind: Kind,
        text: str,
        chain: Followed,
        sequence: int,
        line: LogLine,
        before: Issue | None = None,
    ) -> Issue:
        """The issue before, if it goes on with this event; or a new one."""
        if before is None and self.verdict.issues:
            before = self.verdict.issues[-1]
        if (
            before is not None
            and (before.kind, before.text, before.chain) == (kind, text, chain.name)
            and sequence == (before.last or before.sequence or 0) + 1
        ):
            before.last = sequence
            return before
        return self.add(kind, text, chain, sequence, line=line)

    def note(self, text: str) -> None:
        if len(self.verdict.notes) < _MOST_NOTES:
            self.verdict.notes.append(text)
