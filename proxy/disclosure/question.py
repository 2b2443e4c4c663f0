"""What is asked of the access log, and what its events answer. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from proxy.audit.cells_file import SideFiles
from proxy.audit.disclosed import UNREADABLE, Disclosed, disclosed
from proxy.audit.ocsf import Event
from proxy.audit.text import LABEL_CAP, clean
from proxy.report.read import Seen as Read
from proxy.report.read import seen as read
from proxy.report.read import text
from proxy.report.times import moment, said

_NAMED: Final = 5
"""Events that are named where cells are missing; the others are counted."""


@dataclass(frozen=True, slots=True)
class Question:
    """Which events are meant: `since <= time < until`, epoch milliseconds; login and session, where given, are exactly these."""

    since: int
    until: int
    login: str | None = None
    session: str | None = None

    def asks_for(self, event: Read) -> bool:
        return (
            self.since <= event.time < self.until
            and (self.login is None or event.login == clean(self.login))
            and (self.session is None or event.session == clean(self.session))
        )


@dataclass(slots=True)
class Missing:
    """Why an answer may not be the whole one."""

    reasons: list[str] = field(default_factory=list)
    _events: dict[str, list[int]] = field(default_factory=dict)
    _counts: dict[str, int] = field(default_factory=dict)

    def say(self, reason: str) -> None:
        if reason not in self.reasons:
            self.reasons.append(reason)

    def event(self, what: str, sequence: int) -> None:
        self._counts[what] = self._counts.get(what, 0) + 1
        named = self._events.setdefault(what, [])
        if len(named) < _NAMED:
            named.append(sequence)

    def __iter__(self) -> Iterator[str]:
        yield from self.reasons
        for what, count in self._counts.items():
            numbers = ", ".join(map(str, self._events[what]))
            more = f" and {count - _NAMED} more" if count > _NAMED else ""
            yield f"{what}: event{'s' if count > 1 else ''} {numbers}{more}"


Take = Callable[[Read, Disclosed, list[bytes]], None]


class Reader:
    """Goes through events in the log's order: `read` each of the whole log, from some time before `since` on."""

    def __init__(
        self, question: Question, side_files: SideFiles, missing: Missing, take: Take
    ) -> None:
        self._question = question
        self._side_files = side_files
        self._missing = missing
        self._take = take
        self._before: int | None = None
        self._last: dict[str, int] = {}
        """Per chain, the number of its last event."""
        self.events = 0
        """Those that are meant."""

    def read(self, event: Event) -> None:
        found = read(event)
        self._gap(found)
        self._hole(found)
        self._before = found.time
        if not self._question.asks_for(found):
            return
        answers = disclosed(event, self._side_files)
        self.events += bool(answers)
        for told in answers:
            one = told._replace(column=text(told.column, LABEL_CAP))
            if one.outcome == UNREADABLE:
                self._missing.event("an event does not say what was seen", found.sequence)
            elif one.ids is None:
                self._missing.event(
                    f"not all cells of {one.column} ({one.outcome}) are known", found.sequence
                )
            else:
                self._take(found, one, one.ids)

    def _gap(self, event: Read) -> None:
        """What the log tells of its own gaps, where they may lie in the time that is asked for."""
        if event.code == "log.resumed":
            start = event.sealgate.get("since")
            self._told(start if isinstance(start, int) else self._before, event)
        elif event.code == "log.unclean":
            if event.sealgate.get("lost") != 0:
                self._told(self._before, event)
        elif event.code == "log.repaired" or (
            event.code == "log.begun" and event.sealgate.get("log_existed")
        ):
            self._told(self._before, event)

    def _hole(self, event: Read) -> None:
        """Numbers that are not there; `sealgate audit verify` says more."""
        last = self._last.get(event.chain)
        self._last[event.chain] = event.sequence
        if event.time < self._question.since or event.sequence == (last or 0) + 1:
            return
        if last is None and self._before is None:
            self._missing.say(
                f"the log's files begin at {said(moment(event.time))} with event {event.sequence}: earlier ones are not there"
            )
        elif self._before is None or self._before < self._question.until:
            behind = f"event {last}" if last is not None else "another chain"
            self._missing.say(
                f"{behind} is followed by event {event.sequence}: some are missing, or not in order (see `sealgate audit verify`)"
            )

    def end(self, state: tuple[str, int] | None) -> None:
        """All events were read. `state`: chain and number of the last one, as the log's state has it."""
        if state is None:
            self._missing.say(
                "the log's state cannot be read: whether the log has lost its end is not known"
            )
            return
        chain, sequence = state
        last = self._last.get(chain, 0)
        if last < sequence and (self._before is None or self._before < self._question.until):
            self._missing.say(
                f"the log ends with event {last}, and its state has event {sequence}: the end is missing (see `sealgate audit verify`)"
            )

    def _told(self, start: int | None, event: Read) -> None:
        question = self._question
        if (start is None or start < question.until) and event.time >= question.since:
            self._missing.say(
                f"{said(moment(event.time))}: {event.message} (event {event.sequence})"
            )
