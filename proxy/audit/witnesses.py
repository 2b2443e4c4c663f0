"""What a chain is held against: its own checkpoints, the seal key, the head, copies."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from proxy.audit.checkpoint import checkpoint as read
from proxy.audit.checkpoint import signed_by
from proxy.audit.copies import Copies
from proxy.audit.followed import Followed
from proxy.audit.issues import Issues
from proxy.audit.link import Link
from proxy.audit.reading import LogLine
from proxy.audit.text import clean, counted
from proxy.audit.trust import HeadCopy, Trust
from proxy.audit.verdict import Kind

_ONE_WRITE: Final = 1000
"""Events that may come in one write, and so before the checkpoint that was due."""


class Witnesses:
    """All that says something about the log from elsewhere, and what it says of each event and of each chain's end."""

    def __init__(self, trust: Trust, issues: Issues) -> None:
        self._trust = trust
        self._issues = issues
        self._head_reached = False

    def end(self, chains: Mapping[str, Followed]) -> None:
        """All lines were read."""
        self._end_of_head(chains)
        self._end_of_copies(chains)
        for chain in chains.values():
            self._end_of_chain(chain)

    def checkpoint(self, chain: Followed, found: Link, line: LogLine) -> None:
        """Before the event itself is taken into the chain."""
        self._issues.verdict.checkpoints += 1
        said = read(found.event)
        behind = chain.checkpoint + 1
        size = found.sequence - 1
        if said is None or said.size != size or said.head != found.prev:
            text = "the checkpoint does not speak of the event before it"
            self._issues.add(Kind.FORGED, text, chain, found.sequence, line=line)
            return
        key = self._trust.public_keys.get(said.key)
        signed = key is not None and signed_by(chain.name, said, key)
        if self._trust.public_keys and not signed:
            text = (
                "the checkpoint's signature is not good"
                if key is not None
                else f"the checkpoint is signed with a key that was not given ({clean(said.key)})"
            )
            self._issues.add(Kind.FORGED, text, chain, found.sequence, line=line)
        sealed = chain.resealed.agrees(size, said.seal)
        if sealed is False:
            text = f"one of the events up to {size} is not the one that was sealed, or the seal key is another chain's"
            place = chain.checkpoint_place + 1
            self._issues.add(
                Kind.FORGED, text, chain, min(behind, size) or 1, last=size, line=line, place=place
            )
        self._long_without_checkpoint(chain, size, line)
        if signed and not chain.broken:
            chain.proven.signed = size
        if sealed and not chain.broken:
            chain.proven.sealed = size
        chain.checkpoint, chain.checkpoint_place = found.sequence, self._issues.verdict.lines

    def _long_without_checkpoint(self, chain: Followed, size: int, line: LogLine | None) -> None:
        """The writer makes one every so many events: who cannot sign leaves them out."""
        count = size - chain.checkpoint
        if count > self._trust.checkpoint_events + _ONE_WRITE:
            text = f"no checkpoint among {count} events"
            self._issues.add(Kind.FORGED, text, chain, chain.checkpoint + 1, last=size, line=line)

    def known_otherwise(self, chain: Followed, found: Link, line: LogLine) -> None:
        """The head and the copies may have this event too."""
        head, copies = self._trust.head, self._trust.copies
        if head is not None and found.sequence == head.sequence and chain.name == head.chain:
            self._at_head(chain, found, line, head)
        if copies is None or chain.name not in copies.chains:
            return
        copied = copies.chains[chain.name].find(found.sequence)
        if copied and (found.hash not in copied or len(copied) > 1):
            text = "a copy has another event of this number: the log was made anew from here on"
            chain.forked = self._issues.extended(
                Kind.FORGED, text, chain, found.sequence, line, chain.forked
            )

    def _at_head(self, chain: Followed, found: Link, line: LogLine, head: HeadCopy) -> None:
        self._head_reached = True
        if found.hash != head.hash:
            text = "the head has another event of this number"
            self._issues.add(Kind.FORGED, text, chain, found.sequence, line=line)
            return
        sealed = (
            chain.resealed.agrees(found.sequence, head.seal, head.key)
            if found.sequence == chain.sequence
            else None
        )
        if sealed is False:
            text = "the head's seal is not that of the events up to it"
            behind = min(chain.checkpoint + 1, found.sequence)
            place = chain.checkpoint_place + 1
            self._issues.add(
                Kind.FORGED, text, chain, behind, last=found.sequence, line=line, place=place
            )
        elif sealed and not chain.broken:
            chain.proven.sealed = found.sequence

    def _end_of_head(self, chains: Mapping[str, Followed]) -> None:
        head = self._trust.head
        if head is None or self._head_reached or not head.sequence:
            return
        chain = chains.get(head.chain)
        if chain is None:
            text = f"the head's chain is not here, which has {counted(head.sequence, 'event')}"
            self._issues.add(Kind.CUT_OFF, text, None, 1, last=head.sequence)
        elif head.sequence > chain.sequence:
            self._cut_off(chain, head.sequence, "by the head")
            if chain.resealed.agrees(head.sequence, head.seal, head.key) is False:
                text = "the head's key is not the seal's"
                self._issues.add(Kind.FORGED, text, chain, head.sequence)

    def _end_of_copies(self, chains: Mapping[str, Followed]) -> None:
        copies = self._trust.copies
        if copies is None:
            return
        for name, copied in copies.chains.items():
            chain = chains.get(name)
            if chain is None:
                text = f"a copy has {counted(len(copied), 'event')} of a chain that is not here ({name})"
                self._issues.add(Kind.CUT_OFF, text, None, 1, last=copied.newest)
                continue
            if copied.newest > chain.sequence:
                self._cut_off(chain, copied.newest, "by a copy")
            for first, last in copied.unseen():
                if last < chain.first:
                    continue
                self._copy_has(chain, max(first, chain.first), min(last, chain.sequence))
        self._end_of_bad_copies(copies)

    def _copy_has(self, chain: Followed, first: int, last: int) -> None:
        for gap in chain.gaps:
            if first <= last and (gap.sequence or 0) <= first and last <= (gap.last or 0):
                gap.text = f"{gap.text.removesuffix('; a copy has some')}; a copy has some"

    def _end_of_bad_copies(self, copies: Copies) -> None:
        for count, line, text in (
            (copies.altered, copies.first_altered, "has not the hash that it states"),
            (copies.damaged, copies.first_damaged, "cannot be read"),
        ):
            if count and line is not None:
                text = f"{counted(count, 'line')} of the copies {text}: no use as evidence"
                self._issues.add(Kind.UNDECIDED, text, None, line=line)
        if not copies.events:
            self._issues.add(Kind.UNDECIDED, "the copies hold no event of a chain", None)
        if copies.useless:
            self._issues.note(f"{counted(copies.useless, 'line')} of the copies hold no event")

    def _cut_off(self, chain: Followed, last: int, known: str) -> None:
        count = last - chain.sequence
        text = f"{counted(count, 'event')} cut off at the end ({known})"
        first = chain.sequence + 1
        for issue in self._issues.verdict.issues:
            if issue.kind is Kind.CUT_OFF and issue.chain == chain.name:
                if last > (issue.last or 0):
                    issue.text, issue.last = text, last
                return
        self._issues.add(Kind.CUT_OFF, text, chain, first, last=last, line=chain.line)

    def _end_of_chain(self, chain: Followed) -> None:
        head = self._trust.head
        if head is not None and head.live and head.chain == chain.name:
            behind = chain.sequence - max(head.sequence, head.intended)
            if behind > 0:
                text = (
                    f"{counted(behind, 'event')} behind the head: written by a process that was killed before it "
                    "could say so, or by somebody else. The next start takes in what is whole, and says so"
                )
                first = chain.sequence - behind + 1
                self._issues.add(Kind.UNDECIDED, text, chain, first, last=chain.sequence)
        self._long_without_checkpoint(chain, chain.sequence, chain.line)
        if self._trust.public_keys and not chain.proven.signed and not chain.broken:
            text = "there is no checkpoint: nothing is signed"
            self._issues.add(Kind.UNDECIDED, text, chain, chain.first, last=chain.sequence, place=1)
        self._end_of_beginning(chain)
        if chain.resealed.lost:
            text = "too many events are missing to follow the seal"
            self._issues.add(Kind.UNDECIDED, text, chain, chain.sequence)

    def _end_of_beginning(self, chain: Followed) -> None:
        """A chain that begins behind another is rightly there if somebody knows of it."""
        if chain.beginning is None:
            return
        sealed = chain.resealed.confirmed and not self._trust.host_keys
        if not chain.foreign and (chain.name in self._trust.chains or sealed):
            self._issues.verdict.withdraw(chain.beginning)
            self._issues.note(
                f"chain {chain.name} begins behind another, and is one of those given"
            )
        else:
            chain.proven.chained = chain.proven.signed = chain.proven.sealed = 0
