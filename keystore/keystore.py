"""The keystore file: created once, read at start and reload, added to when columns or versions are. [io]

Every write goes through a lock, reads what is there (and so authenticates it), and replaces the
file whole. Nothing is ever removed from it: a key id that has sealed a value stays taken for good.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import BinaryIO, Final

from keystore import _files
from keystore._raw import Secret
from keystore.document import Document, from_json, to_json
from keystore.errors import KeystoreError
from keystore.key import Key, KeyState, Purpose
from keystore.keyset import NO_GROUPS, Keyset, wanted
from keystore.rootkey import RootKey

_LARGEST: Final = 64 << 20  # bytes; some 150 000 keys


def create(
    path: Path | str,
    root_key: RootKey,
    columns: Iterable[str],
    groups: Mapping[str, str] = NO_GROUPS,
) -> None:
    """Make the keystore at `path` with keys for `columns` (labels) and their search groups. Never overwrites."""
    path = _resolved(path)
    with _files.locked(path):
        if path.exists():
            raise _files.refused_to_overwrite(path)
        keys = _with_columns((), columns, groups)
        _files.write_new(path, _writer(Document(1, keys), root_key))


def load(path: Path | str, root_key: RootKey, groups: Mapping[str, str] = NO_GROUPS) -> Keyset:
    """The keys in the keystore at `path`, authenticated; `groups`: label -> search group. Raises KeystoreError."""
    return Keyset(_read(_resolved(path), root_key).keys, groups)


def add_columns(
    path: Path | str,
    root_key: RootKey,
    columns: Iterable[str],
    groups: Mapping[str, str] = NO_GROUPS,
) -> tuple[str, ...]:
    """Give those of `columns` that have no keys a first data key and index key, and their search groups an index key.

    Returns the labels that were added; the file is left alone when there are none.
    """
    before, after = _update(path, root_key, lambda keys: _with_columns(keys, columns, groups))
    return tuple(dict.fromkeys(key.column for key in after[len(before) :]))


def add_version(path: Path | str, root_key: RootKey, column: str) -> int:
    """Give `column` a new data key that seals from the next load on; the older ones still open.

    Returns its version. The index key stays: see `keystore.keyset`. Load the keystore in every
    proxy soon after: one that has not cannot open what others seal under the new version.
    """
    _, after = _update(path, root_key, lambda keys: _with_version(keys, column))
    return after[-1].version


def _update(
    path: Path | str, root_key: RootKey, change: Callable[[tuple[Key, ...]], tuple[Key, ...]]
) -> tuple[tuple[Key, ...], tuple[Key, ...]]:
    """Replace the keys by `change` of them; the keys before and after."""
    path = _resolved(path)
    with _files.locked(path):
        document = _read(path, root_key)
        keys = change(document.keys)
        if keys != document.keys:
            _files.replace(path, _writer(Document(document.serial + 1, keys), root_key))
    return document.keys, keys


def _with_columns(
    keys: tuple[Key, ...], columns: Iterable[str], groups: Mapping[str, str]
) -> tuple[Key, ...]:
    have = {(key.column, key.purpose) for key in keys}
    for label, purpose in wanted(list(columns), groups):
        if not label or not label.isprintable():
            raise KeystoreError(
                f"column {label!r}", "is no column's label", "Write it as schema.table.column."
            )
        if (label, purpose) not in have:
            keys = (*keys, _new_key(keys, label, purpose, 1))
    return keys


def _with_version(keys: tuple[Key, ...], column: str) -> tuple[Key, ...]:
    of_column = [key for key in keys if key.column == column and key.purpose is Purpose.DATA]
    if not of_column:
        raise KeystoreError(
            f"column {column}",
            "has no keys in this keystore",
            "Check the label's spelling; `sealgate apply` adds keys for declared columns.",
        )
    version = max(key.version for key in of_column) + 1
    retired = tuple(
        replace(key, state=KeyState.DEACTIVATED)
        if key in of_column and key.state is KeyState.ACTIVE
        else key
        for key in keys
    )
    return (*retired, _new_key(keys, column, Purpose.DATA, version))


def _new_key(keys: tuple[Key, ...], column: str, purpose: Purpose, version: int) -> Key:
    return Key(
        id=_unused_id({key.id for key in keys}),
        column=column,
        purpose=purpose,
        version=version,
        created=datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        state=KeyState.ACTIVE,
        secret=Secret.generate(),
    )


def _unused_id(taken: set[int]) -> int:
    """Random, not counted: after an old copy was restored, counting would name a new key as a lost one."""
    while True:
        number = 1 + secrets.randbelow((1 << 32) - 1)
        if number not in taken:
            return number


def _read(path: Path, root_key: RootKey) -> Document:
    with _files.reported(path), path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise KeystoreError(str(path), "is too large for a keystore", "Name the keystore's file.")
    return from_json(content, root_key, str(path))


def _writer(document: Document, root_key: RootKey) -> Callable[[BinaryIO], object]:
    content = to_json(document, root_key)
    return lambda file: file.write(content)


def _resolved(path: Path | str) -> Path:
    """Where the file is: renaming over a symbolic link would replace the link."""
    return Path(os.path.realpath(path))
