"""A log's file that is long or old enough gets a name of its own, and a new one takes its place. [io]

    audit.jsonl.20261123T111000Z-81236         no event in it has a higher number
    audit.jsonl.20261123T111000Z-81236.cells   its side file
    both with .gz once compressed

The path never stands empty: the old file gets its second name as a link, then the new file, which is locked already, is
renamed over the first. Who is killed in between leaves links that `mend` takes away. Compression writes `.gz.tmp`, syncs
and renames it before the plain file goes.
"""

from __future__ import annotations

import contextlib
import fcntl
import gzip
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import structlog

from proxy.audit.cells_file import side_file
from proxy.audit.log_file import identity

_STAMPED: Final = re.compile(r"\.(\d{8}T\d{6}Z)-\d+(\.cells)?\Z", re.ASCII)
_COMPRESSED: Final = ".gz"
_UNFINISHED: Final = ".gz.tmp"
_NICE: Final = 10
_COPY: Final = 1 << 20

log = structlog.get_logger("sealgate.audit")


def rotated_name(path: Path, now: int, sequence: int) -> Path:
    """`now` in epoch milliseconds; `sequence` is the last event's. Names are in the order of the files whatever the clock does."""
    stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now // 1000))
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            rest = entry.name.removeprefix(path.name)
            found = _STAMPED.match(rest.removesuffix(_COMPRESSED)) if rest != entry.name else None
            if found is not None:
                stamp = max(stamp, found[1])
    return path.with_name(f"{path.name}.{stamp}-{sequence}")


def rotate(path: Path, fd: int, old: Path) -> int:
    """The file `fd`, which is locked, gets the name `old`, and `path` a new one: its descriptor, locked.

    -1: `path` is another file already. Raises OSError; then nothing has changed.
    """
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    flags = os.O_RDWR | os.O_APPEND | os.O_NONBLOCK | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    new = os.open(unfinished, flags, 0o600)
    linked = False
    try:
        fcntl.flock(new, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _identity_at(path) != identity(fd):
            unfinished.unlink()
            os.close(new)
            return -1
        os.fchmod(new, os.fstat(fd).st_mode & 0o7755)
        os.link(path, old)
        linked = True
        with contextlib.suppress(FileNotFoundError):
            os.link(side_file(path), side_file(old))
        unfinished.rename(path)
    except BaseException:
        os.close(new)
        unfinished.unlink(missing_ok=True)
        if linked:
            side_file(old).unlink(missing_ok=True)
            old.unlink(missing_ok=True)
        raise
    side_file(path).unlink(missing_ok=True)
    return new


def mend(path: Path, fd: int) -> None:
    """Take away what a rotation has left that was not finished. `fd` is the live file, locked."""
    live, cells = identity(fd), _identity_at(side_file(path))
    names = [(found, _identity_at(found)) for found in rotated(path)]
    unfinished = any(which == live for _, which in names)
    for found, which in names:
        if which == live or (unfinished and which is not None and which == cells):
            found.unlink(missing_ok=True)
    if not unfinished and cells is not None and any(which == cells for _, which in names):
        side_file(path).unlink(missing_ok=True)


def name_of(path: Path, device: int, inode: int) -> str:
    """What the file is called now that stood at `path` once, if it is in the same directory; else ""."""
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            if entry.inode() == inode and entry.name != path.name:
                found = entry.stat(follow_symlinks=False)
                if found.st_dev & (1 << 63) - 1 == device:
                    return entry.name
    return ""


def named_after(path: Path, sequence: int) -> str:
    """The name that the file has got whose last event has this number; "" if it is not in the same directory."""
    ends = (f"-{sequence}", f"-{sequence}{_COMPRESSED}")
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            if entry.name.startswith(path.name + ".") and entry.name.endswith(ends):
                return entry.name.removesuffix(_COMPRESSED)
    return ""


def rotated(path: Path) -> Iterator[Path]:
    """Rotated files and side files that are not compressed."""
    with contextlib.suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            rest = entry.name.removeprefix(path.name)
            if rest != entry.name and _STAMPED.match(rest):
                yield Path(entry.path)


def compress_in_background(path: Path) -> None:
    """All that is rotated, in a thread of its own that leaves the processor to others."""
    live = _identity_at(path)

    def work() -> None:
        with contextlib.suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        for found in sorted(rotated(path)):
            if _identity_at(found) == live:
                continue
            try:
                compress(found)
            except OSError as failed:
                log.warning("log not compressed", file=found.name, problem=failed.strerror or "?")

    threading.Thread(target=work, name="compress", daemon=True).start()


def compress(plain: Path) -> None:
    """`plain` becomes `plain.gz`. One process does it; for another there is nothing to do. Raises OSError."""
    unfinished = plain.with_name(plain.name + _UNFINISHED)
    fd = os.open(unfinished, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "r+b") as target:
        try:
            fcntl.flock(target, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return  # somebody else is at it
        try:
            source = plain.open("rb")
        except FileNotFoundError:
            unfinished.unlink(missing_ok=True)
            return  # or has been
        with source:
            target.truncate(0)
            with gzip.GzipFile(plain.name, "wb", 6, target, mtime=0) as compressed:
                shutil.copyfileobj(source, compressed, _COPY)
            target.flush()
            os.fchmod(target.fileno(), os.fstat(source.fileno()).st_mode & 0o7777)
            os.fsync(target.fileno())
            unfinished.rename(plain.with_name(plain.name + _COMPRESSED))
            plain.unlink()


def _identity_at(path: Path) -> tuple[int, int] | None:
    try:
        status = path.lstat()
    except OSError:
        return None
    return status.st_dev & (1 << 63) - 1, status.st_ino & (1 << 63) - 1
