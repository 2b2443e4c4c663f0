"""The access log read back: its files in order, their lines, their events. [io]

Whoever has written to these files, it need not have been us: a line is bounded (LINE_LIMIT), may hold any bytes, and
what cannot be read is yielded with the reason or counted, never skipped in silence and never a traceback. Nothing is
held in memory but the line at hand.

    audit.jsonl.20261101T000000Z-5000.gz      rotated (UTC; number of its last event), compressed
    audit.jsonl.20261102T000000Z-9120         rotated
    audit.jsonl                               live

Lines may be appended and files rotated or compressed while they are read: the live file is opened before the others are
listed (`at_once`), and a file that has been compressed meanwhile is read in its compressed form.
"""

from __future__ import annotations

import gzip
import os
import re
import stat
import zlib
from collections.abc import Callable, Generator, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import IO, Final, NamedTuple, cast

import orjson

from proxy.audit.ocsf import Event

LINE_LIMIT: Final = 4 << 20
"""The writer's (proxy.audit.log_file): no event is longer."""
_ROTATED: Final = re.compile(r"\.(\d{8}T\d{6}Z)-(\d{1,19})(\.gz)?", re.ASCII)
_COMPRESSED: Final = ".gz"
_CLOCK_MARGIN: Final = 86_400_000
"""Milliseconds by which a file's name may be wrong about what is in it: clocks are set."""

_LINES_TRIED: Final = 1000

TORN: Final = "it has no end"
TOO_LONG: Final = "it is longer than any event"


class LogLine(NamedTuple):
    """One line. `number` counts from 1; `offset` is in bytes of the (decompressed) file.

    `raw` is without the newline. `damage` is "" or says why `raw` is not a whole line: a last line without a newline,
    a line over LINE_LIMIT (`raw` is its beginning), a file that cannot be read on (`raw` is empty).
    """

    file: Path
    number: int
    offset: int
    raw: bytes
    damage: str = ""


def log_files(path: Path) -> list[Path]:
    """The log's files, oldest first, the live one last, if it exists. Raises OSError where the directory cannot be read.

    A file that is there both plain and compressed (compressing it was interrupted) is named once, plain.
    """
    rotated: dict[str, tuple[str, int, Path]] = {}
    for name in os.listdir(path.parent):
        if not name.startswith(path.name):
            continue
        found = _ROTATED.fullmatch(name, len(path.name))
        if found is None:
            continue
        plain = name.removesuffix(_COMPRESSED)
        if plain not in rotated or name == plain:
            rotated[plain] = (found[1], int(found[2]), path.parent / name)
    files = [file for _, _, file in sorted(rotated.values())]
    if path.exists():
        files.append(path)
    return files


def in_order(files: Sequence[Path]) -> list[Path]:
    """Files that somebody has named, in the order of the log: by the uid of the first event that each holds.

    Uids go up in a log whatever the clocks do. A file without one keeps its place behind the one before it.
    """
    keyed = []
    uid = ""
    for file in files:
        uid = _first_uid(file) or uid
        keyed.append((uid, file))
    return [file for _, file in sorted(keyed, key=itemgetter(0))]


def _first_uid(file: Path) -> str:
    found = lines([file])
    try:
        for line in islice(found, _LINES_TRIED):
            event = None if line.damage else parsed(line.raw)
            metadata = event.get("metadata") if event is not None else None
            uid = metadata.get("uid") if isinstance(metadata, dict) else None
            if isinstance(uid, str):
                return uid
    finally:
        found.close()
    return ""


def lines(files: Sequence[Path], live: IO[bytes] | None = None) -> Generator[LogLine]:
    """The lines of these files, one file after the other. A file that cannot be read is one line with `damage`.

    `live` is the last file, if it is open already: under its name there may be another one by now. It is closed.
    """
    if not files:
        return
    *earlier, last = files
    opened = _opened(last) if live is None else (last, live)
    try:
        for file in earlier:
            yield from _lines(_opened(file), file)
        yield from _lines(opened, last)
    finally:
        if not isinstance(opened, str):
            opened[1].close()


AtOnce = tuple[list[Path], IO[bytes] | None]
"""Files, oldest first, and the last of them, if it is the live one, open."""


class Events:
    """The events of a log in the order of its files, with `since <= time < until` (epoch ms).

    After (and while) iterating, `unreadable` counts lines that are no event, and `first_unreadable` is the first one:
    whoever answers a question by the log says so.
    """

    def __init__(self, files: Callable[[], AtOnce], since: int | None, until: int | None) -> None:
        self._files = files
        self._since = since
        self._until = until
        self.unreadable = 0
        self.first_unreadable: LogLine | None = None

    def __iter__(self) -> Iterator[Event]:
        files, live = self._files()
        for line in lines(files, live):
            event = None if line.damage else parsed(line.raw)
            time = event.get("time") if event is not None else None
            if event is None or type(time) is not int:
                self.unreadable += 1
                self.first_unreadable = self.first_unreadable or line
                continue
            if self._since is not None and time < self._since:
                continue
            if self._until is not None and time >= self._until:
                continue
            yield event


def events(path: Path, since: int | None = None, until: int | None = None) -> Events:
    """Events of the log at `path` with `since <= time < until` (epoch ms). Files surely outside of that are not read."""
    return Events(lambda: _at_once(path, since, until), since, until)


def events_from(path: Path, since: int) -> Events:
    """All events of the files that may hold one of `since` or later: what came before it as well, so that holes show."""
    return Events(lambda: _at_once(path, since, None), None, None)


def parsed(raw: bytes) -> Event | None:
    """The line's JSON object; None if it is none."""
    try:
        event = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return None
    return event if isinstance(event, dict) else None


def at_once(path: Path, opened: Callable[[IO[bytes]], None] = lambda live: None) -> AtOnce:
    """The log's files of one moment, and the live one, open. `opened` is called with each that may turn out to be it.

    While files are listed one by one, the live one may get another name: then they are listed again. Raises OSError.
    """
    while True:
        try:
            live = os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=1 << 18)
        except FileNotFoundError:
            return log_files(path), None
        try:
            opened(live)
            files = log_files(path)
            if _is_at(path, live):
                return files, live
        except BaseException:
            live.close()
            raise
        live.close()


def _is_at(path: Path, live: IO[bytes]) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(live.fileno()))
    except FileNotFoundError:
        return False


def _at_once(path: Path, since: int | None, until: int | None) -> AtOnce:
    """What cannot be opened stays in the list: `lines` says of it what it is."""
    try:
        files, live = at_once(path)
    except OSError:
        files, live = log_files(path), None
    kept = _between(files, path, since, until)
    known = live is not None and stat.S_ISREG(os.fstat(live.fileno()).st_mode)
    if live is not None and (not known or not kept or kept[-1] != path):
        live.close()
        live = None
    return kept, live


def _between(files: list[Path], path: Path, since: int | None, until: int | None) -> list[Path]:
    """Leaves out files that were rotated long before `since`, or begun long after `until`."""
    kept = []
    begun: int | None = None  # when the file before was rotated
    for file in files:
        found = _ROTATED.fullmatch(file.name, len(path.name))
        ended = _milliseconds(found[1]) if found else None
        early = since is not None and ended is not None and ended + _CLOCK_MARGIN < since
        late = until is not None and begun is not None and begun - _CLOCK_MARGIN > until
        if not early and not late:
            kept.append(file)
        begun = ended
    return kept


def _milliseconds(stamp: str) -> int | None:
    """None: not a date, although it looks like one."""
    try:
        moment = datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp()) * 1000


_Opened = tuple[Path, IO[bytes]]


def _opened(file: Path) -> _Opened | str:
    """The file under the name that it has now; or why it cannot be read."""
    for name in (file, file.with_name(file.name + _COMPRESSED)):
        try:
            fd = os.open(name, os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError:
            continue
        except OSError as error:
            return error.strerror or "it cannot be opened"
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            os.close(fd)
            return "it is not a regular file"
        plain = os.fdopen(fd, "rb", buffering=1 << 18)
        return name, plain
    return "No such file or directory"


def _lines(opened: _Opened | str, asked: Path) -> Iterator[LogLine]:
    if isinstance(opened, str):
        yield LogLine(asked, 1, 0, b"", opened)
        return
    file, plain = opened
    number = offset = 0
    compressed = file.name.endswith(_COMPRESSED)
    handle = cast("IO[bytes]", gzip.GzipFile(fileobj=plain, mode="rb")) if compressed else plain
    try:
        while line := handle.readline(LINE_LIMIT):
            number += 1
            if line.endswith(b"\n"):
                yield LogLine(file, number, offset, line[:-1])
                offset += len(line)
                continue
            rest = _skip(handle) if len(line) == LINE_LIMIT else 0
            yield LogLine(file, number, offset, line, TOO_LONG if rest else TORN)
            offset += len(line) + rest
    except (OSError, EOFError, zlib.error) as error:
        yield LogLine(file, number + 1, offset, b"", _unreadable(error))
    finally:
        plain.close()


def _skip(handle: IO[bytes]) -> int:
    """The rest of a line that is too long; its size."""
    skipped = 0
    while part := handle.readline(1 << 20):
        skipped += len(part)
        if part.endswith(b"\n"):
            break
    return skipped


def _unreadable(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "the compressed file is cut off"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return "the compressed file is damaged"
