"""The access log as the two questions read it, and what they write into it. [io]"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Final

from proxy.audit.cells_file import SideFiles
from proxy.audit.event import Query, queried
from proxy.audit.head import HeadDamaged, read_copy
from proxy.audit.log import AuditFailed, AuditLog
from proxy.audit.operator import operator
from proxy.audit.reading import events_from, log_files
from proxy.commands.errors import CommandRefused
from proxy.config import Audit
from proxy.disclosure.question import Missing, Question, Reader, Take

_TOLD_EVERY: Final = 50_000
_TRIES: Final = 5


def search(
    audit: Audit,
    question: Question,
    missing: Missing,
    take: Take,
    progress: Callable[[int], None] = lambda events: None,
) -> int:
    """Gives `take` every cell that the question asks for; the number of events that told of them.

    The log is read to its end: what it tells later may be a gap in the time that is asked for. Raises CommandRefused where
    there is no log.
    """
    files = log_files(audit.path) if audit.path.parent.is_dir() else []
    if not files:
        raise CommandRefused(
            f"{audit.path}: there is no access log. Name the configuration that has one."
        )
    end = _end_by_the_state(audit)
    found = events_from(audit.path, question.since)
    with SideFiles(files, audit.path) as side_files:
        reader = Reader(question, side_files, missing, take)
        for count, event in enumerate(found, 1):
            reader.read(event)
            if not count % _TOLD_EVERY:
                progress(count)
        reader.end(end)
        for problem in side_files.problems:
            missing.say(f"side file of cell ids: {problem}")
    if found.unreadable and found.first_unreadable is not None:
        line = found.first_unreadable
        missing.say(
            f"{found.unreadable} lines are no events, the first of them {line.file.name}:{line.number}; see `sealgate audit verify`"
        )
    return reader.events


def _end_by_the_state(audit: Audit) -> tuple[str, int] | None:
    """Chain and number of the last event, as the log's state has it. Read before the log, which goes on meanwhile.

    None: there is no state, or it is damaged. One that is being written reads as damaged for a moment.
    """
    state = audit.state or audit.path.with_name(f"{audit.path.name}.state")
    head = state / "head"
    for _ in range(_TRIES):
        try:
            chain, certain, _ = read_copy(head.read_bytes())
        except HeadDamaged:
            continue
        except OSError:
            return None
        return chain, certain.sequence
    return None


def write_query(audit: Audit, query: Query) -> None:
    """The question is in the log before anybody has the answer. Raises CommandRefused where it cannot be written."""
    try:
        log = AuditLog.join(audit.path, audit.state)
    except (AuditFailed, OSError, ValueError) as error:
        raise CommandRefused(_refused(audit, error)) from None
    try:
        log.write(queried(query, operator()))
    except (AuditFailed, OSError) as error:
        raise CommandRefused(_refused(audit, error)) from None
    finally:
        with suppress(AuditFailed, OSError):
            log.close()


def _refused(audit: Audit, error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) else str(error)
    return (
        f"the question cannot be written into the access log {audit.path}: {reason}."
        " Without that it is not answered: run it as the user that runs the proxy."
    )
