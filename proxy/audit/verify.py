"""Is the access log what was written? Lines in, a verdict out. Constant memory but for the copies and the side files' index.

Each layer finds what the one before cannot (docs/audit.md has the table, made by running the attacks):

    lines, hashes, `prev`     an event altered, moved, put in or taken out by somebody who leaves the rest as it is
    signed checkpoints        the same by somebody who makes the chain anew without the signing key
    the head                  the end cut off; events behind the last checkpoint made anew
    the seal, by its key      the past made anew by somebody who has all keys of today
    copies                    the whole log taken back to an earlier state of it, with all that belongs to it

What the keys and copies at hand cannot show is said (`Verdict.unchecked`). An issue is about the first event from which on the
log is not what was written; what is proven is what lies before the first issue.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from operator import attrgetter
from typing import Any, Final

from proxy.audit.cells_file import SideFiles
from proxy.audit.chain import HASH_BYTES, NO_HASH
from proxy.audit.checkpoint import CHECKPOINT, checkpoint, signed_by
from proxy.audit.copies import Copies
from proxy.audit.link import Link, link
from proxy.audit.ocsf import Event
from proxy.audit.reading import LogLine
from proxy.audit.resealed import Resealed
from proxy.audit.text import REASON_CAP, clean, counted
from proxy.audit.trust import HeadCopy, Trust
from proxy.audit.unchecked import unchecked
from proxy.audit.verdict import Issue, Kind, Proven, Verdict

_MOST_CHAINS: Final = 100
_MOST_GAPS: Final = 1000
_MOST_MOVES: Final = 1000
_MOST_TORN: Final = 1000
_MOST_NOTES: Final = 100
_ONE_WRITE: Final = 1000
"""Events that may come in one write, and so before the checkpoint that was due."""
_PROGRESS_LINES: Final = 1 << 15
_ID_BYTES: Final = 8
_BEGUN: Final = "log.begun"
_UNCLEAN: Final = "log.unclean"
_REPAIRED: Final = "log.repaired"
_RESUMED: Final = "log.resumed"


def verify(
    lines: Iterable[LogLine],
    trust: Trust,
    side_files: SideFiles,
    progress: Callable[[int], None] = lambda _: None,
) -> Verdict:
    """Reads all lines once. `progress` is called with the number of lines so far, every some thousand of them."""
    verification = _Verification(trust, side_files)
    for number, line in enumerate(lines, 1):
        verification.line(line)
        if not number % _PROGRESS_LINES:
            progress(number)
    return verification.end()


class _Chain:
    """One chain as far as it has been read."""

    def __init__(self, name: str, trust: Trust, sequence: int, digest: bytes) -> None:
        self.name = name
        self.sequence = sequence
        self.hash = digest
        self.first = sequence + 1
        self.resealed = Resealed(trust.seal_keys)
        self.resealed.begin_behind(sequence)
        self.checkpoint = sequence
        """The last event under a checkpoint, good or not."""
        self.checkpoint_place = 0
        self.line: LogLine | None = None
        self.place = 0
        self.broken = False
        self.proven = Proven(name, self.first, sequence)
        self.gaps: list[Issue] = []
        self.moves = 0
        self.beginning: Issue | None = None
        """Why it should not be there."""
        self.foreign = False
        self.forked: Issue | None = None


class _Verification:
    def __init__(self, trust: Trust, side_files: SideFiles) -> None:
        self._trust = trust
        self._side_files = side_files
        self._verdict = Verdict()
        self._chains: dict[str, _Chain] = {}
        self._current: _Chain | None = None
        self._torn: list[tuple[LogLine, int]] = []
        self._before_chains = 0
        self._first_unchained: LogLine | None = None
        self._foreign: Issue | None = None
        self._head_reached = False
        self._resumed = 0
        self._rewritten = 0
        self._side_payloads = 0

    # One line.

    def line(self, line: LogLine) -> None:
        self._verdict.lines += 1
        if line.damage:
            self._unreadable(line)
            return
        found = link(line.raw)
        if isinstance(found, Link):
            self._linked(found, line)
        elif found is None:
            self._unreadable(line)
        else:
            self._unchained(line)

    def _linked(self, found: Link, line: LogLine) -> None:
        self._verdict.events += 1
        self._rewritten += found.rewritten
        chain = self._chains.get(found.chain) or self._new_chain(found, line)
        if chain is None:
            return
        if found.sequence <= chain.sequence:
            self._out_of_place(chain, found, line)
            return
        if found.sequence > chain.sequence + 1:
            self._gap(chain, found, line)
        elif found.prev != chain.hash:
            self._replaced(chain, found, line)
        if not found.genuine:
            text = "its content is not what its hash says"
            self._issue(Kind.ALTERED, text, chain, found.sequence, line=line)
        if found.code == CHECKPOINT:
            self._checkpoint(chain, found, line)
        chain.resealed.add(found.sequence, found.hash)
        chain.sequence, chain.hash = found.sequence, found.hash
        chain.line, chain.place = line, self._verdict.lines
        chain.proven.last = found.sequence
        if not chain.broken:
            chain.proven.chained = found.sequence
        self._current = chain
        self._known_otherwise(chain, found, line)
        self._says(chain, found, line)

    def _new_chain(self, found: Link, line: LogLine) -> _Chain | None:
        first = not self._chains
        if len(self._chains) >= _MOST_CHAINS:
            self._foreign_event(found, line)
            return None
        begins = first and found.sequence > self._trust.first
        known = self._trust.first - 1 if begins else found.sequence - 1
        chain = _Chain(found.chain, self._trust, known, NO_HASH if begins else found.prev)
        self._chains[found.chain] = chain
        if found.sequence == 1 and found.prev != NO_HASH:
            text = "the first event of its chain names one before it"
            self._issue(Kind.FORGED, text, chain, 1, line=line)
        if first:
            self._first_chain(chain, found, line)
        elif found.sequence == 1 and found.code == _BEGUN:
            text = "a chain begins anew: the state was gone, or somebody has begun it to hide what was before"
            chain.beginning = self._issue(Kind.FORGED, text, chain, 1, line=line, breaks=False)
        else:
            chain.foreign = True
            chain.beginning = self._foreign_event(found, line)
        return chain

    def _first_chain(self, chain: _Chain, found: Link, line: LogLine) -> None:
        allowed = self._trust.chains
        if allowed and found.chain not in allowed:
            text = "it begins with a chain that is not one of those given"
            chain.beginning = self._issue(
                Kind.FORGED, text, chain, found.sequence, line=line, breaks=False
            )
        ours = _ours(found.event)
        alone = self._verdict.lines == 1 and found.chain not in allowed
        if found.code == _BEGUN and ours.get("log_existed") is True and alone:
            text = "the log had events before this chain (log.begun), and they are not here"
            self._issue(Kind.MISSING, text, chain, line=line, told=True, breaks=False)

    def _gap(self, chain: _Chain, found: Link, line: LogLine) -> None:
        first, last = chain.sequence + 1, found.sequence - 1
        text = f"{counted(last - first + 1, 'event')} missing"
        gap = self._issue(Kind.MISSING, text, chain, first, last=last, line=line)
        if len(chain.gaps) < _MOST_GAPS:
            chain.gaps.append(gap)

    def _replaced(self, chain: _Chain, found: Link, line: LogLine) -> None:
        """The event before is not the one that this one was written behind; or this one is not the one behind it."""
        text = f"it is not the event that event {found.sequence} was written behind"
        before = chain.line or line
        self._issue(
            Kind.ALTERED, text, chain, max(chain.sequence, 1), line=before, place=chain.place
        )

    def _out_of_place(self, chain: _Chain, found: Link, line: LogLine) -> None:
        """Its number was passed: it was moved here, it is here twice, or somebody has put it in."""
        for gap in chain.gaps if chain.moves < _MOST_MOVES else ():
            first, last = gap.sequence or 0, gap.last or 0
            if first <= found.sequence <= last:
                chain.moves += 1
                self._moved(chain, gap, found, line)
                return
        text = f"its number was passed already: it stands behind event {chain.sequence}"
        self._extended(Kind.FORGED, text, chain, found.sequence, line)

    def _moved(self, chain: _Chain, gap: Issue, found: Link, line: LogLine) -> None:
        first, last, place = gap.sequence or 0, gap.last or 0, gap.place
        self._verdict.withdraw(gap)
        chain.gaps.remove(gap)
        for one, other in ((first, found.sequence - 1), (found.sequence + 1, last)):
            if one <= other:
                text = f"{counted(other - one + 1, 'event')} missing"
                rest = self._issue(
                    Kind.MISSING, text, chain, one, last=other, line=line, place=place
                )
                chain.gaps.append(rest)
        text = f"it stands in another place, behind event {chain.sequence}"
        self._issue(Kind.ALTERED, text, chain, found.sequence, line=line, place=place)
        if not found.genuine:
            text = "its content is not what its hash says"
            self._issue(Kind.ALTERED, text, chain, found.sequence, line=line)
        self._known_otherwise(chain, found, line)

    def _checkpoint(self, chain: _Chain, found: Link, line: LogLine) -> None:
        self._verdict.checkpoints += 1
        said = checkpoint(found.event)
        behind = chain.checkpoint + 1
        size = found.sequence - 1
        if said is None or said.size != size or said.head != found.prev:
            text = "the checkpoint does not speak of the event before it"
            self._issue(Kind.FORGED, text, chain, found.sequence, line=line)
            return
        key = self._trust.public_keys.get(said.key)
        signed = key is not None and signed_by(chain.name, said, key)
        if self._trust.public_keys and not signed:
            text = (
                "the checkpoint's signature is not good"
                if key is not None
                else f"the checkpoint is signed with a key that was not given ({clean(said.key)})"
            )
            self._issue(Kind.FORGED, text, chain, found.sequence, line=line)
        sealed = chain.resealed.agrees(size, said.seal)
        if sealed is False:
            text = f"one of the events up to {size} is not the one that was sealed, or the seal key is another chain's"
            place = chain.checkpoint_place + 1
            self._issue(
                Kind.FORGED, text, chain, min(behind, size) or 1, last=size, line=line, place=place
            )
        self._long_without_checkpoint(chain, size, line)
        if signed and not chain.broken:
            chain.proven.signed = size
        if sealed and not chain.broken:
            chain.proven.sealed = size
        chain.checkpoint, chain.checkpoint_place = found.sequence, self._verdict.lines

    def _long_without_checkpoint(self, chain: _Chain, size: int, line: LogLine | None) -> None:
        """The writer makes one every so many events: who cannot sign leaves them out."""
        count = size - chain.checkpoint
        if count > self._trust.checkpoint_events + _ONE_WRITE:
            text = f"no checkpoint among {count} events"
            self._issue(Kind.FORGED, text, chain, chain.checkpoint + 1, last=size, line=line)

    def _known_otherwise(self, chain: _Chain, found: Link, line: LogLine) -> None:
        """The head and the copies may have this event too."""
        head, copies = self._trust.head, self._trust.copies
        if head is not None and found.sequence == head.sequence and chain.name == head.chain:
            self._at_head(chain, found, line, head)
        if copies is None or chain.name not in copies.chains:
            return
        copied = copies.chains[chain.name].find(found.sequence)
        if copied and (found.hash not in copied or len(copied) > 1):
            text = "a copy has another event of this number: the log was made anew from here on"
            chain.forked = self._extended(
                Kind.FORGED, text, chain, found.sequence, line, chain.forked
            )

    def _at_head(self, chain: _Chain, found: Link, line: LogLine, head: HeadCopy) -> None:
        self._head_reached = True
        if found.hash != head.hash:
            text = "the head has another event of this number"
            self._issue(Kind.FORGED, text, chain, found.sequence, line=line)
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
            self._issue(
                Kind.FORGED, text, chain, behind, last=found.sequence, line=line, place=place
            )
        elif sealed and not chain.broken:
            chain.proven.sealed = found.sequence

    def _says(self, chain: _Chain, found: Link, line: LogLine) -> None:
        """What the log tells of itself, and what it says is beside it."""
        ours = _ours(found.event)
        if found.code == _UNCLEAN:
            self._unclean(chain, ours)
        elif found.code == _REPAIRED:
            self._repaired(line, ours)
        elif found.code == _RESUMED:
            lost = ours.get("lost")
            self._resumed += lost if type(lost) is int and lost > 0 else 0
        if "cell_ids_file" in ours:
            self._side_file(chain, found, line, ours["cell_ids_file"])

    def _unclean(self, chain: _Chain, ours: dict[str, Any]) -> None:
        found, last = ours.get("found_sequence"), ours.get("last_sequence")
        lost = ours.get("lost")
        if type(found) is not int or type(last) is not int:
            return
        for gap in chain.gaps:
            if found < (gap.sequence or 0) and (gap.last or 0) <= last:
                gap.told = True
        if type(lost) is int and not lost:
            self._note(f"event {chain.sequence}: an unclean stop, nothing lost")

    def _repaired(self, line: LogLine, ours: dict[str, Any]) -> None:
        for at, (torn, _) in enumerate(self._torn):
            if (
                torn.file == line.file
                and torn.offset == ours.get("offset")
                and len(torn.raw) == ours.get("size")
            ):
                del self._torn[at]
                self._note(
                    f"line {torn.number} of {torn.file.name} was torn by a crash (log.repaired)"
                )
                return

    def _side_file(self, chain: _Chain, found: Link, line: LogLine, named: object) -> None:
        sha256 = count = None
        if isinstance(named, dict):
            count = named.get("count")
            try:
                sha256 = bytes.fromhex(named.get("sha256", ""))
            except (TypeError, ValueError):
                sha256 = None
        if sha256 is None or len(sha256) != HASH_BYTES or type(count) is not int:
            return  # found.genuine or not has been said
        self._side_payloads += 1
        problems = len(self._side_files.problems)
        payload = self._side_files.payload(sha256)
        if payload is None and len(self._side_files.problems) > problems:
            kind, text = Kind.ALTERED, "its cell ids are not in the side file, which has damage"
        elif payload is None:
            kind, text = Kind.MISSING, "its cell ids are not in the side file"
        elif len(payload) != _ID_BYTES * count:
            kind, text = Kind.ALTERED, "its cell ids in the side file are not as many as it says"
        else:
            return
        self._issue(kind, text, chain, found.sequence, line=line, breaks=False)

    # Lines that are no link of a chain.

    def _unreadable(self, line: LogLine) -> None:
        if len(self._torn) < _MOST_TORN:
            self._torn.append((line, self._verdict.lines))
        else:
            self._issue(Kind.UNDECIDED, line.damage or "it is no event", None, line=line)

    def _unchained(self, line: LogLine) -> None:
        if not self._chains:
            self._before_chains += 1
            self._first_unchained = self._first_unchained or line
            return
        text = "an event that is in no chain: somebody has put it in"
        self._issue(Kind.FORGED, text, self._current, line=line)

    def _foreign_event(self, found: Link, line: LogLine) -> Issue:
        text = f"an event of another chain ({found.chain})"
        if self._foreign is not None and self._foreign.text == text:
            return self._foreign
        self._foreign = self._issue(Kind.FORGED, text, self._current, line=line)
        return self._foreign

    # The end.

    def end(self) -> Verdict:
        verdict = self._verdict
        for line, place in self._torn:
            text = line.damage or "it is no event"
            self._issue(Kind.UNDECIDED, text, None, line=line, place=place)
        if self._before_chains:
            text = f"{counted(self._before_chains, 'event')} before the first chain: nothing proves them"
            self._issue(Kind.UNDECIDED, text, None, line=self._first_unchained, place=1)
        if not self._chains:
            self._issue(Kind.UNDECIDED, "there is no event of a chain in these files", None)
        self._end_of_head()
        self._end_of_copies()
        for chain in self._chains.values():
            self._end_of_chain(chain)
        for problem in self._side_files.problems:
            self._note(clean(problem, REASON_CAP))
        self._notes()
        verdict.issues.sort(key=attrgetter("place"))
        verdict.chains = [chain.proven for chain in self._chains.values()]
        verdict.unchecked = unchecked(self._trust, verdict)
        return verdict

    def _end_of_head(self) -> None:
        head = self._trust.head
        if head is None or self._head_reached or not head.sequence:
            return
        chain = self._chains.get(head.chain)
        if chain is None:
            text = f"the head's chain is not here, which has {counted(head.sequence, 'event')}"
            self._issue(Kind.CUT_OFF, text, None, 1, last=head.sequence)
        elif head.sequence > chain.sequence:
            self._cut_off(chain, head.sequence, "by the head")
            if chain.resealed.agrees(head.sequence, head.seal, head.key) is False:
                text = "the head's key is not the seal's"
                self._issue(Kind.FORGED, text, chain, head.sequence)

    def _end_of_copies(self) -> None:
        copies = self._trust.copies
        if copies is None:
            return
        for name, copied in copies.chains.items():
            chain = self._chains.get(name)
            if chain is None:
                text = f"a copy has {counted(len(copied), 'event')} of a chain that is not here ({name})"
                self._issue(Kind.CUT_OFF, text, None, 1, last=copied.newest)
                continue
            if copied.newest > chain.sequence:
                self._cut_off(chain, copied.newest, "by a copy")
            for first, last in copied.unseen():
                if last < chain.first:
                    continue
                self._copy_has(chain, max(first, chain.first), min(last, chain.sequence))
        self._end_of_bad_copies(copies)

    def _copy_has(self, chain: _Chain, first: int, last: int) -> None:
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
                self._issue(Kind.UNDECIDED, text, None, line=line)
        if not copies.events:
            self._issue(Kind.UNDECIDED, "the copies hold no event of a chain", None)
        if copies.useless:
            self._note(f"{counted(copies.useless, 'line')} of the copies hold no event")

    def _cut_off(self, chain: _Chain, last: int, known: str) -> None:
        count = last - chain.sequence
        text = f"{counted(count, 'event')} cut off at the end ({known})"
        first = chain.sequence + 1
        for issue in self._verdict.issues:
            if issue.kind is Kind.CUT_OFF and issue.chain == chain.name:
                if last > (issue.last or 0):
                    issue.text, issue.last = text, last
                return
        self._issue(Kind.CUT_OFF, text, chain, first, last=last, line=chain.line)

    def _end_of_chain(self, chain: _Chain) -> None:
        head = self._trust.head
        if head is not None and head.live and head.chain == chain.name:
            behind = chain.sequence - max(head.sequence, head.intended)
            if behind > 0:
                text = (
                    f"{counted(behind, 'event')} behind the head: written by a process that was killed before it "
                    "could say so, or by somebody else. The next start takes in what is whole, and says so"
                )
                first = chain.sequence - behind + 1
                self._issue(Kind.UNDECIDED, text, chain, first, last=chain.sequence)
        self._long_without_checkpoint(chain, chain.sequence, chain.line)
        if self._trust.public_keys and not chain.proven.signed and not chain.broken:
            text = "there is no checkpoint: nothing is signed"
            self._issue(Kind.UNDECIDED, text, chain, chain.first, last=chain.sequence, place=1)
        self._end_of_beginning(chain)
        if chain.resealed.lost:
            text = "too many events are missing to follow the seal"
            self._issue(Kind.UNDECIDED, text, chain, chain.sequence)

    def _end_of_beginning(self, chain: _Chain) -> None:
        """A chain that begins behind another is rightly there if somebody knows of it."""
        if chain.beginning is None:
            return
        sealed = chain.resealed.confirmed and not self._trust.host_keys
        if not chain.foreign and (chain.name in self._trust.chains or sealed):
            self._verdict.withdraw(chain.beginning)
            self._note(f"chain {chain.name} begins behind another, and is one of those given")
        else:
            chain.proven.chained = chain.proven.signed = chain.proven.sealed = 0

    def _notes(self) -> None:
        if self._resumed:
            self._note(
                f"the log itself tells of {counted(self._resumed, 'event')} that could not be written (log.resumed)"
            )
        if self._rewritten:
            self._note(f"{counted(self._rewritten, 'line')} written anew with the same content")
        if self._side_payloads:
            self._note(f"{counted(self._side_payloads, 'event')} with cell ids in a side file")

    # Issues.

    def _issue(
        self,
        kind: Kind,
        text: str,
        chain: _Chain | None,
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
            place or self._verdict.lines,
        )
        if chain is not None and breaks:
            chain.broken = True
        self._verdict.add(issue)
        return issue

    def _extended(
        self,
        kind: Kind,
        text: str,
        chain: _Chain,
        sequence: int,
        line: LogLine,
        before: Issue | None = None,
    ) -> Issue:
        """The issue before, if it goes on with this event; or a new one."""
        if before is None and self._verdict.issues:
            before = self._verdict.issues[-1]
        if (
            before is not None
            and (before.kind, before.text, before.chain) == (kind, text, chain.name)
            and sequence == (before.last or before.sequence or 0) + 1
        ):
            before.last = sequence
            return before
        return self._issue(kind, text, chain, sequence, line=line)

    def _note(self, text: str) -> None:
        if len(self._verdict.notes) < _MOST_NOTES:
            self._verdict.notes.append(text)


def _ours(event: Event) -> dict[str, Any]:
    """`unmapped.sealgate`, of an event that is a link."""
    ours: dict[str, Any] = event["unmapped"]["sealgate"]
    return ours
