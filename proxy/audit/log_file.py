"""The access log's file: opened for its owner, locked, appended to whole lines or none. [io]

Every function raises OSError as the system does. The lock is flock's, so it belongs to an open file:
a process that is forked must open its own.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time
from pathlib import Path
from typing import Final

LINE_LIMIT: Final = 4 << 20
"""Bytes of an event at most: a statement on a table of 1600 sealed columns stays below."""
_ATTEMPTS: Final = 40  # some 30 microseconds: a writer holds the lock for about five
_PAUSE: Final = 0.0001
_EXCLUSIVE: Final = fcntl.LOCK_EX | fcntl.LOCK_NB


class HeadDamaged(OSError):
    """`head` is not what we have written. `strerror` says what to do."""

    def __init__(self, problem: str) -> None:
        super().__init__(0, problem)


def open_log(path: Path, *, create: bool = True, sync_directory: bool = False) -> int:
    """Created for the owner alone. What others may write to is no evidence, so it is refused."""
    flags = os.O_RDWR | os.O_APPEND | os.O_NONBLOCK | (os.O_CREAT if create else 0)
    fd = os.open(path, flags, 0o600)
    try:
        mode = os.fstat(fd).st_mode
        if not stat.S_ISREG(mode):
            raise OSError(errno.EINVAL, "not a regular file")
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            raise OSError(errno.EPERM, "others than its owner may write to it (chmod go-w)")
        if sync_directory:
            sync(path.parent)
    except BaseException:
        os.close(fd)
        raise
    return fd


def open_again(fd: int, path: Path) -> int:
    """The same file, opened anew: with a lock of its own. It may have been moved away from its path since."""
    try:
        # Linux opens what the descriptor has open, wherever that is now.
        return os.open(f"/proc/self/fd/{fd}", os.O_RDWR | os.O_APPEND | os.O_NONBLOCK)
    except FileNotFoundError:
        again = open_log(path, create=False)
    if identity(again) != identity(fd):
        os.close(again)
        raise OSError(errno.ESTALE, "the file was moved")
    return again


def identity(fd: int) -> tuple[int, int]:
    """(device, inode), each in 63 bits."""
    status = os.fstat(fd)
    return status.st_dev & (1 << 63) - 1, status.st_ino & (1 << 63) - 1


def lock(fd: int, patience: float) -> None:
    """A stopped process that holds the lock must not stop this one, so nobody waits for ever.

    Tries for some microseconds, then sleeps in between for `patience` seconds.
    """
    for _ in range(_ATTEMPTS):
        try:
            return fcntl.flock(fd, _EXCLUSIVE)
        except BlockingIOError:
            pass
    deadline = time.monotonic() + patience
    while True:
        if time.monotonic() >= deadline:
            return fcntl.flock(fd, _EXCLUSIVE)
        time.sleep(_PAUSE)
        try:
            return fcntl.flock(fd, _EXCLUSIVE)
        except BlockingIOError:
            pass


def unlock(fd: int) -> None:
    fcntl.flock(fd, fcntl.LOCK_UN)


def append(fd: int, data: bytes, start: int) -> None:
    """Write `data` whole at the end of the locked file, which is at `start`; or no part of it, and OSError."""
    written = os.write(fd, data)
    if written < len(data):
        _finish(fd, data, written, start)


def _finish(fd: int, data: bytes, written: int, start: int) -> None:
    """The second write says why the first one stopped, unless the reason is gone."""
    try:
        while written < len(data):
            written += os.write(fd, data[written:])
    except OSError:
        os.ftruncate(fd, start)
        raise


def write_new(path: Path, content: bytes, mode: int) -> None:
    """A small file that is there whole and on the disk, or not at all: under another name first. Raises OSError."""
    unfinished = path.with_name(path.name + ".new")
    unfinished.unlink(missing_ok=True)
    fd = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    try:
        if os.write(fd, content) < len(content):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fsync(fd)
    finally:
        os.close(fd)
    unfinished.rename(path)
    sync(path.parent)


def sync(path: Path) -> None:
    """A directory's entries to the disk."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
