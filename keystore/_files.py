"""Writing a secret's file: whole or not at all, readable by its owner only, never over another.

The content arrives through a callable, so that no frame here holds it when writing fails.
"""

from __future__ import annotations

import fcntl
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from keystore.errors import KeystoreError

OWNER_ONLY = 0o600


def write_new(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Create `path` with mode 0600. Raises KeystoreError where anything is there already."""
    with _written_beside(path, write) as temporary:
        try:
            # link(2), unlike rename(2), refuses an existing name: also one created this moment.
            os.link(temporary, path, follow_symlinks=False)
        except FileExistsError:
            exists = True
        else:
            exists = False
            _sync_directory(path)
    if exists:
        raise refused_to_overwrite(path)


def replace(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Put new content in `path`, mode 0600: a reader sees the old or the new file, whole."""
    with _written_beside(path, write) as temporary:
        os.replace(temporary, path)
        _sync_directory(path)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the exclusive right to write `path`: one writer at a time, across processes.

    The lock is a file of its own because `path` itself is replaced under it. It is never removed:
    who waits for it and who comes later must meet at the same file.
    """
    with reported(path):
        descriptor = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, OWNER_ONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


@contextmanager
def reported(path: Path) -> Iterator[None]:
    """Turn the system's refusal into an error that names the file and what to look at."""
    try:
        yield
    except OSError as error:
        problem = (error.strerror or type(error).__name__).lower()
    else:
        return
    raise KeystoreError(
        str(path), problem, "Check that the directory exists and this user may use it."
    )


def refused_to_overwrite(path: Path) -> KeystoreError:
    return KeystoreError(
        str(path),
        "already exists and is not overwritten",
        "What was sealed under it is lost without it: move it away yourself if you are sure.",
    )


@contextmanager
def _written_beside(path: Path, write: Callable[[BinaryIO], object]) -> Iterator[str]:
    """A complete, synced file in the same directory; gone afterwards unless it was renamed."""
    temporary = f"{path}.{secrets.token_hex(8)}.new"
    with reported(path):
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            with open(os.open(temporary, flags, OWNER_ONLY), "wb") as file:
                os.fchmod(file.fileno(), OWNER_ONLY)  # a strange umask may have taken bits away
                write(file)
                file.flush()
                os.fsync(file.fileno())
            yield temporary
        finally:
            with suppress(FileNotFoundError):
                os.unlink(temporary)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
