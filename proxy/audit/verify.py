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
from proxy.audit.checkpoint import CHECKPOINT
from proxy.audit.followed import Followed
from proxy.audit.issues import Issues
from proxy.audit.link import Link, link
from proxy.audit.ocsf import Event
from proxy.audit.order import Order
from proxy.audit.reading import TORN, LogLine
from proxy.audit.text import REASON_CAP, clean, counted
from proxy.audit.trust import Trust
from proxy.audit.unchecked import unchecked
from proxy.audit.verdict import Issue, Kind, Verdict
from proxy.audit.witnesses import Witnesses

_MOST_CHAINS: Final = 100
_MOST_TORN: Final = 1000
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


class _Verification:
    def __init__(self, trust: Trust, side_files: SideFiles) -> None:
        self._trust = trust
        self._side_files = side_files
        self._issues = Issues()
        self._verdict = self._issues.verdict
        self._order = Order(self._issues)
        self._witnesses = Witnesses(trust, self._issues)
        self._chains: dict[str, Followed] = {}
        self._current: Followed | None = None
        self._torn: list[tuple[LogLine, int]] = []
        self._before_chains = 0
        self._first_unchained: LogLine | None = None
        self._foreign: Issue | None = None
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
            self._order.out_of_place(chain, found, line)
            self._witnesses.known_otherwise(chain, found, line)
            return
        self._order.check(chain, found, line)
        if found.code == CHECKPOINT:
            self._witnesses.checkpoint(chain, found, line)
        chain.resealed.add(found.sequence, found.hash)
        chain.sequence, chain.hash = found.sequence, found.hash
        chain.line, chain.place = line, self._verdict.lines
        chain.proven.last = found.sequence
        if not chain.broken:
            chain.proven.chained = found.sequence
        self._current = chain
        self._witnesses.known_otherwise(chain, found, line)
        self._says(chain, found, line)

    def _new_chain(self, found: Link, line: LogLine) -> Followed | None:
        first = not self._chains
        if len(self._chains) >= _MOST_CHAINS:
            self._foreign_event(found, line)
            return None
        begins = first and found.sequence > self._trust.first
        known = self._trust.first - 1 if begins else found.sequence - 1
        chain = Followed(found.chain, self._trust, known, NO_HASH if begins else found.prev)
        self._chains[found.chain] = chain
        if found.sequence == 1 and found.prev != NO_HASH:
            text = "the first event of its chain names one before it"
            self._issues.add(Kind.FORGED, text, chain, 1, line=line)
        if first:
            self._first_chain(chain, found, line)
        elif found.sequence == 1 and found.code == _BEGUN:
            text = "a chain begins anew: the state was gone, or somebody has begun it to hide what was before"
            chain.beginning = self._issues.add(Kind.FORGED, text, chain, 1, line=line, breaks=False)
        else:
            chain.foreign = True
            chain.beginning = self._foreign_event(found, line)
        return chain

    def _first_chain(self, chain: Followed, found: Link, line: LogLine) -> None:
        allowed = self._trust.chains
        if allowed and found.chain not in allowed:
            text = "it begins with a chain that is not one of those given"
            chain.beginning = self._issues.add(
                Kind.FORGED, text, chain, found.sequence, line=line, breaks=False
            )
        ours = _ours(found.event)
        alone = self._verdict.lines == 1 and found.chain not in allowed
        if found.code == _BEGUN and ours.get("log_existed") is True and alone:
            text = "the log had events before this chain (log.begun), and they are not here"
            self._issues.add(Kind.MISSING, text, chain, line=line, told=True, breaks=False)

    def _says(self, chain: Followed, found: Link, line: LogLine) -> None:
        """What the log tells of itself, and what it says is beside it."""
        ours = _ours(found.event)
        if found.code == _UNCLEAN:
            self._order.unclean(chain, ours)
        elif found.code == _REPAIRED:
            self._repaired(line, ours)
        elif found.code == _RESUMED:
            lost = ours.get("lost")
            self._resumed += lost if type(lost) is int and lost > 0 else 0
        if "cell_ids_file" in ours:
            self._side_file(chain, found, line, ours["cell_ids_file"])

    def _repaired(self, line: LogLine, ours: dict[str, Any]) -> None:
        for at, (torn, _) in enumerate(self._torn):
            if (
                torn.file == line.file
                and torn.offset == ours.get("offset")
                and len(torn.raw) == ours.get("size")
            ):
                del self._torn[at]
                self._issues.note(
                    f"line {torn.number} of {torn.file.name} was torn by a crash (log.repaired)"
                )
                return

    def _side_file(self, chain: Followed, found: Link, line: LogLine, named: object) -> None:
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
        self._issues.add(kind, text, chain, found.sequence, line=line, breaks=False)

    # Lines that are no link of a chain.

    def _unreadable(self, line: LogLine) -> None:
        if len(self._torn) < _MOST_TORN:
            self._torn.append((line, self._verdict.lines))
        else:
            self._issues.add(Kind.UNDECIDED, line.damage or "it is no event", None, line=line)

    def _unchained(self, line: LogLine) -> None:
        if not self._chains:
            self._before_chains += 1
            self._first_unchained = self._first_unchained or line
            return
        text = "an event that is in no chain: somebody has put it in"
        self._issues.add(Kind.FORGED, text, self._current, line=line)

    def _foreign_event(self, found: Link, line: LogLine) -> Issue:
        text = f"an event of another chain ({found.chain})"
        if self._foreign is not None and self._foreign.text == text:
            return self._foreign
        self._foreign = self._issues.add(Kind.FORGED, text, self._current, line=line)
        return self._foreign

    # The end.

    def end(self) -> Verdict:
        verdict = self._verdict
        for line, place in self._torn:
            if line.damage == TORN and place == verdict.lines and self._was_intended():
                self._issues.note(
                    "the last line is torn: a writer was killed. The next start says so"
                )
                continue
            text = line.damage or "it is no event"
            self._issues.add(Kind.UNDECIDED, text, None, line=line, place=place)
        if self._before_chains:
            text = f"{counted(self._before_chains, 'event')} before the first chain: nothing proves them"
            self._issues.add(Kind.UNDECIDED, text, None, line=self._first_unchained, place=1)
        if not self._chains:
            self._issues.add(Kind.UNDECIDED, "there is no event of a chain in these files", None)
        self._witnesses.end(self._chains)
        for problem in self._side_files.problems:
            self._issues.note(clean(problem, REASON_CAP))
        self._notes()
        verdict.issues.sort(key=attrgetter("place"))
        verdict.chains = [chain.proven for chain in self._chains.values()]
        verdict.unchecked = unchecked(self._trust, verdict)
        return verdict

    def _was_intended(self) -> bool:
        """The head was read together with the log, and says that more was about to be written than is there."""
        head = self._trust.head
        if head is None or not head.live or head.chain not in self._chains:
            return False
        return head.sequence <= self._chains[head.chain].sequence < head.intended

    def _notes(self) -> None:
        if self._resumed:
            self._issues.note(
                f"the log itself tells of {counted(self._resumed, 'event')} that could not be written (log.resumed)"
            )
        if self._rewritten:
            self._issues.note(
                f"{counted(self._rewritten, 'line')} written anew with the same content"
            )
        if self._side_payloads:
            self._issues.note(
                f"{counted(self._side_payloads, 'event')} with cell ids in a side file"
            )


def _ours(event: Event) -> dict[str, Any]:
    """`unmapped.sealgate`, of an event that is a link."""
    ours: dict[str, Any] = event["unmapped"]["sealgate"]
    return ours
