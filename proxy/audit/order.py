"""Is each event of a chain in its place? What it means if the next line is not the next event."""

from __future__ import annotations

from typing import Any, Final

from proxy.audit.followed import Followed
from proxy.audit.issues import Issues
from proxy.audit.link import Link
from proxy.audit.reading import LogLine
from proxy.audit.text import counted
from proxy.audit.verdict import Issue, Kind

_MOST_GAPS: Final = 1000
_MOST_MOVES: Final = 1000


class Order:
    """Gaps, events that were moved, put in or are there twice."""

    def __init__(self, issues: Issues) -> None:
        self._issues = issues

    def check(self, chain: Followed, found: Link, line: LogLine) -> None:
        """An event whose number is higher than that of the last."""
        if found.sequence > chain.sequence + 1:
            self._gap(chain, found, line)
        elif found.prev != chain.hash:
            self._replaced(chain, found, line)
        if not found.genuine:
            self._not_genuine(chain, found, line)

    def _not_genuine(self, chain: Followed, found: Link, line: LogLine) -> None:
        text = "its content is not what its hash says"
        self._issues.add(Kind.ALTERED, text, chain, found.sequence, line=line)

    def _gap(self, chain: Followed, found: Link, line: LogLine) -> None:
        first, last = chain.sequence + 1, found.sequence - 1
        text = f"{counted(last - first + 1, 'event')} missing"
        gap = self._issues.add(Kind.MISSING, text, chain, first, last=last, line=line)
        if len(chain.gaps) < _MOST_GAPS:
            chain.gaps.append(gap)

    def _replaced(self, chain: Followed, found: Link, line: LogLine) -> None:
        """The event before is not the one that this one was written behind; or this one is not the one behind it."""
        text = f"it is not the event that event {found.sequence} was written behind"
        before = chain.line or line
        self._issues.add(
            Kind.ALTERED, text, chain, max(chain.sequence, 1), line=before, place=chain.place
        )

    def out_of_place(self, chain: Followed, found: Link, line: LogLine) -> None:
        """Its number was passed: it was moved here, it is here twice, or somebody has put it in."""
        for gap in chain.gaps if chain.moves < _MOST_MOVES else ():
            first, last = gap.sequence or 0, gap.last or 0
            if first <= found.sequence <= last:
                chain.moves += 1
                self._moved(chain, gap, found, line)
                return
        text = f"its number was passed already: it stands behind event {chain.sequence}"
        self._issues.extended(Kind.FORGED, text, chain, found.sequence, line)

    def _moved(self, chain: Followed, gap: Issue, found: Link, line: LogLine) -> None:
        first, last, place = gap.sequence or 0, gap.last or 0, gap.place
        self._issues.verdict.withdraw(gap)
        chain.gaps.remove(gap)
        for one, other in ((first, found.sequence - 1), (found.sequence + 1, last)):
            if one <= other:
                text = f"{counted(other - one + 1, 'event')} missing"
                rest = self._issues.add(
                    Kind.MISSING, text, chain, one, last=other, line=line, place=place
                )
                chain.gaps.append(rest)
        text = f"it stands in another place, behind event {chain.sequence}"
        self._issues.add(Kind.ALTERED, text, chain, found.sequence, line=line, place=place)
        if not found.genuine:
            self._not_genuine(chain, found, line)

    def unclean(self, chain: Followed, ours: dict[str, Any]) -> None:
        """log.unclean tells of gaps."""
        found, last = ours.get("found_sequence"), ours.get("last_sequence")
        lost = ours.get("lost")
        if type(found) is not int or type(last) is not int:
            return
        for gap in chain.gaps:
            if found < (gap.sequence or 0) and (gap.last or 0) <= last:
                gap.told = True
        if type(lost) is int and not lost:
            self._issues.note(f"event {chain.sequence}: an unclean stop, nothing lost")
