"""The keys of all columns in one frozen value, swapped whole when the keystore changes.

Exactly one data key of a column seals: the
newest active version. A new version therefore deactivates the one before it.

Index keys do not follow: a sealed value does not name its index key, so a new one would make every
stored term unfindable without an error. One index key serves all versions of a column's data key.

Columns of one search group have one index key, the group's: equal values of theirs have equal terms. Which columns are in
which group is the configuration's to say, so it comes as `groups`, label -> name. A column keeps the index key of its own
besides, for when it leaves the group.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final, final

from keystore._raw import Opaque, Secret
from keystore.errors import KeystoreError
from keystore.key import Key, KeyState, Purpose
from keystore.sealed import ColumnKeys, DataKey

NO_GROUPS: Final[Mapping[str, str]] = MappingProxyType({})


@final
class Keyset(Opaque):
    """Every column's keys: `data_keys` open by key id, `column` seals."""

    __slots__ = ("_columns", "data_keys", "version")
    data_keys: Mapping[int, DataKey]
    version: str  # changes whenever a key or its state does; for caches and events
    _columns: Mapping[str, ColumnKeys]

    def __init__(self, keys: Iterable[Key], groups: Mapping[str, str] = NO_GROUPS) -> None:
        keys = tuple(keys)
        self._set(
            data_keys=MappingProxyType(_data_keys(keys)),
            version=_version(keys, groups),
            _columns=MappingProxyType(_column_keys(keys, groups)),
        )

    def __repr__(self) -> str:
        return f"<Keyset {self.version}: {len(self._columns)} columns, {len(self.data_keys)} data keys>"

    @property
    def columns(self) -> tuple[str, ...]:
        """Labels of the columns that can be sealed, sorted."""
        return tuple(sorted(self._columns))

    def column(self, label: str) -> ColumnKeys:
        """What seals this column. Raises KeystoreError where it has no active keys."""
        keys = self._columns.get(label)
        if keys is None:
            raise KeystoreError(
                "keystore",
                f"no active keys for column {label}",
                "Run `sealgate apply`, which adds keys for newly declared columns.",
            )
        return keys

    def missing(self, columns: Iterable[str]) -> tuple[str, ...]:
        """Those of `columns` that cannot be sealed, in the order given."""
        return tuple(label for label in columns if label not in self._columns)


def group_label(group: str) -> str:
    """What the index key of a search group belongs to, in the keystore; no column's label."""
    return f"search_group:{group}"


def wanted(columns: Iterable[str], groups: Mapping[str, str]) -> list[tuple[str, Purpose]]:
    """The keys that these columns need: a data key and an index key each, and an index key for each group."""
    found = [(label, purpose) for label in columns for purpose in Purpose]
    found += [(group_label(groups[label]), Purpose.INDEX) for label in columns if label in groups]
    return list(dict.fromkeys(found))


def generate(columns: Iterable[str], groups: Mapping[str, str] = NO_GROUPS) -> Keyset:
    """Fresh keys that live in this process only: for tests, benchmarks and `explain`."""
    keys: list[Key] = []
    for label, purpose in wanted(list(columns), groups):
        number = len(keys) + 1
        secret = Secret.generate()
        keys.append(Key(number, label, purpose, 1, "", KeyState.ACTIVE, secret))
    return Keyset(keys, groups)


def _data_keys(keys: tuple[Key, ...]) -> dict[int, DataKey]:
    return {
        key.id: DataKey(key.column, key.id, key.version, key.secret)
        for key in keys
        if key.purpose is Purpose.DATA and key.state.may_open and key.secret is not None
    }


def _column_keys(keys: tuple[Key, ...], groups: Mapping[str, str]) -> dict[str, ColumnKeys]:
    data = _newest(keys, Purpose.DATA)
    index = _newest(keys, Purpose.INDEX)
    owners = {label: group_label(groups[label]) if label in groups else label for label in data}
    return {
        label: ColumnKeys(label, key.id, key.version, secret, index[owners[label]][1])
        for label, (key, secret) in data.items()
        if owners[label] in index
    }


def _newest(keys: tuple[Key, ...], purpose: Purpose) -> dict[str, tuple[Key, Secret]]:
    """Per column, the active key of this purpose with the highest version."""
    newest: dict[str, tuple[Key, Secret]] = {}
    for key in sorted(keys, key=lambda key: key.version):
        if key.purpose is purpose and key.state.may_seal and key.secret is not None:
            newest[key.column] = (key, key.secret)
    return newest


def _version(keys: tuple[Key, ...], groups: Mapping[str, str]) -> str:
    lines = sorted(
        f"{key.id}\t{key.column}\t{key.purpose.value}\t{key.version}\t{key.state.value}"
        f"\t{key.secret.check_value() if key.secret else ''}\n"
        for key in keys
    )
    lines += [f"{label}\t{group}\n" for label, group in sorted(groups.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]
